//! Being woken by a real forge, telling it, asking it for something, and setting it up.
//!
//! - `world`: a repository on the forge, people, a state directory and the binary.
//! - `setup`: `ops init`, and the check that its CI file runs. `telling`: statuses and comments. `request`: `request --wait`.
//! - `doctor`: what is found wrong with the forge, and what a start makes of it.
//! - `once`: one round tells too. `killed`: the forge is killed and comes back.
//! - `waking`: with `rush`, how long it takes from a merge to a launch.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "helpers of tests fail loudly; clippy.toml's exceptions reach only the tests themselves"
)]

#[path = "../faults/child.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod child;
#[path = "../common/testbed.rs"]
#[allow(dead_code, unused_imports, reason = "shared with tests that need more of it")]
mod testbed;

mod doctor;
mod killed;
mod once;
mod request;
mod rush;
mod setup;
mod telling;
mod waking;
mod world;
