//! The guarantees of a run's life, against the real binary: it is killed, made to fail and made to repeat itself at each of its
//! durable steps, and taken up again. A file that the formulas write tells how often each of them ran.
//!
//! - `world`: an ops repo, a state directory and the binary; `child` is one call of it; `check` compares tally, results, journal.
//! - `points`: kill and full disk at every point that a good round passes; `rare`: at those that only a rare one does; `full`: a
//!   disk that stays full. `repeat`: every step twice. `unheard`: a run whose events are lost.
//! - `remote`: pushes that are lost or refused, rewritten history. `journal`: missing, damaged, older.
//! - `dated`: results in folders by month. `apart`: what a run on this machine gets and may use.
//! - `backend`: one that the config no longer has. `service`: one instance, signals, limits, order. `beside`: other verbs meanwhile.
//! - `webhook`: being woken.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "helpers of tests fail loudly; clippy.toml's exceptions reach only the tests themselves"
)]

#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "../common/git_http.rs"]
mod git_http;
#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "../common/ops_repo.rs"]
mod ops_repo;

mod apart;
mod backend;
mod beside;
mod check;
mod child;
mod dated;
mod forged;
mod full;
mod journal;
mod points;
mod rare;
mod remote;
mod repeat;
mod service;
mod unheard;
mod webhook;
mod world;
