//! Several dispatchers over one ops repo and one namespace of a real Nomad, of which one works: who leads, how another takes over, and
//! that every run is begun once and has one result whatever becomes of the one that led.
//!
//! - `world` (shared with the fault tests): an ops repo whose formulas keep a tally, a namespace with the registered job, the binary.
//! - `member`: one dispatcher with a state directory of its own. `handover`: a leader that goes in good order. `takeover`: one that is
//!   killed, cut off or frozen. `rights`: what is said where the right to the lease is missing.

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
#[path = "../nomad_faults/world.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod world;

mod handover;
mod member;
mod rights;
mod takeover;
