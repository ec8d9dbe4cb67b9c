//! The life of runs under a seeded simulator: the journal, the scheduler and the step functions as they are, on a virtual clock,
//! with a backend, a secret provider, an ops repo and a disk that fail as chance has it, and a dispatcher that dies at any
//! instant. A history that breaks a promise is printed with its seed, and the seed replays it:
//!
//!     SIMULATION_SEED=42 cargo test --features fault-points --test simulation
//!     SIMULATION_HISTORIES=5000 cargo test --features fault-points --test simulation
//!
//! - [`history`]: one history from its seed: what is asked for, how often the dispatcher dies, what came of it.
//! - [`life`]: one dispatcher, from its start to its death; [`place`]: the backend and the secrets as it meets them;
//!   [`remote`]: the ops repo.
//! - [`chance`]: where everything random comes from; [`check`]: what must hold at the end, and all along.

#![cfg(feature = "fault-points")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests fail loudly; clippy.toml's exceptions reach only the tests themselves"
)]

mod chance;
mod check;
mod history;
mod life;
mod place;
mod remote;

use history::History;

/// Histories of one test run; each takes some milliseconds.
const HISTORIES: u64 = 250;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn whatever_fails_and_whenever_the_dispatcher_dies_every_promise_is_kept() {
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_HISTORIES").unwrap_or(HISTORIES),
    };
    let mut deaths = 0;
    for seed in seeds {
        let history = History::play(seed);
        deaths += history.deaths;
        assert!(
            history.wrong.is_empty(),
            "seed {seed}: {:#?}\n{}\nreplay it with SIMULATION_SEED={seed}",
            history.wrong,
            history.told.join("\n")
        );
    }
    eprintln!("the dispatcher died {deaths} times");
}

#[test]
fn a_seed_is_one_history() {
    for seed in [3, 17, 101] {
        let (first, second) = (History::play(seed), History::play(seed));
        assert_eq!(first.told, second.told, "seed {seed}");
    }
}
