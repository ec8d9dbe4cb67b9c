//! The guarantees of a run's life in Nomad, through the shipped binary and a real server: the dispatcher is killed, its requests and
//! answers are spoilt, agents and nodes go away, and somebody interferes with the allocation. A file that the formula writes tells
//! how often it ran.
//!
//! - `world`: an ops repo, a namespace with the registered job, a config and the binary; `check` compares tally, results and journal.
//! - `points`: kill at every point of launch and watch. `spoilt`: each call to Nomad goes wrong in each way.
//! - `hands`: what a person or a scheduler does to an allocation. `agent`: restarts, a reboot, garbage collection, a container that is
//!   removed. `nodes`: a client that stays away, and one that is purged. `clocks`: an hour between the dispatcher's and Nomad's.
//! - `denied`: the right to end a run is gone. `places`: waiting for one. `unfenced`: what an operator is told where no wrapping stops a second execution.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "helpers of tests fail loudly; clippy.toml's exceptions reach only the tests themselves"
)]

#[path = "../faults/check.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod check;
#[path = "../faults/child.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod child;
#[path = "../common/fault_proxy.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod fault_proxy;
#[path = "../common/ops_repo.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod ops_repo;
#[path = "../common/testbed.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod testbed;

mod agent;
mod clocks;
mod denied;
mod hands;
mod nodes;
mod places;
mod points;
mod spoilt;
mod unfenced;
mod world;
