//! How fast the whole is: the shipped binary as a process of its own, a bare ops repo behind a git server on loopback, runs on
//! the local backend. Prints one table: what, its goal, what was measured, whether the goal holds.
//!
//! `cargo bench` takes some minutes; `cargo bench -- --quick` measures less often and with smaller repositories; `--json` prints
//! the table for tools; a word (`cargo bench -- settled`) picks scenarios by name. It exits with 1 where a goal is missed.
//!
//! [`world`] sets a scenario up, [`process`] reads what the kernel counts, [`table`] prints; the scenarios are [`demo`], [`idle`],
//! [`pickup`], [`burst`], [`flight`], [`settled`], [`grants`], [`vault`], [`nomad`],
//! [`nomad_burst`], [`forge`] and [`merged`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench that cannot measure fails loudly"
)]

mod burst;
#[path = "../../tests/faults/child.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod child;
#[path = "../../tests/common/connections.rs"]
mod connections;
mod demo;
mod flight;
mod forge;
#[path = "../../tests/common/git_http.rs"]
#[allow(dead_code, reason = "its faults and logins are for tests")]
mod git_http;
mod grants;
mod idle;
mod merged;
mod nomad;
mod nomad_burst;
mod pickup;
mod process;
mod repo;
mod settled;
mod table;
#[path = "../../tests/common/testbed.rs"]
#[allow(dead_code, unused_imports, reason = "shared with tests that need more of it")]
mod testbed;
mod vault;
mod world;

use std::process::ExitCode;

use table::Row;

/// How thorough a bench is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// To see whether something broke.
    Quick,
    /// For the numbers that are written down.
    Full,
}

impl Effort {
    /// How many: fewer when it is to be quick.
    pub(crate) fn of<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

type Scenario = (&'static str, fn(Effort) -> Vec<Row>);

const SCENARIOS: [Scenario; 13] = [
    ("demo", demo::measure),
    ("idle", idle::measure),
    ("pickup", pickup::measure),
    ("ten", burst::ten),
    ("thousand", burst::thousand),
    ("flight", flight::measure),
    ("settled", settled::measure),
    ("grants", grants::measure),
    ("vault", vault::measure),
    ("nomad", nomad::measure),
    ("burst", nomad_burst::measure),
    ("forge", forge::measure),
    ("merged", merged::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let effort = if given("--quick") { Effort::Quick } else { Effort::Full };
    let words: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let mut rows = Vec::new();
    for (name, measure) in SCENARIOS {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            eprintln!("measuring: {name}");
            let measured = measure(effort);
            eprintln!("{}", table::text(&measured));
            rows.extend(measured);
        }
    }
    println!("{}", if given("--json") { table::json(&rows) } else { table::text(&rows) });
    let missed = rows.iter().any(|row| row.holds() == Some(false));
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
