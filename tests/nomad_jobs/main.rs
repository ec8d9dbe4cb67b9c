//! The shipped jobs and policies in a real Nomad, through the shipped binary.
//!
//! `registering`: `dispatch jobs`. `reaching`: sockets and regions. `rights`: the policies suffice, and nothing in them is spare. `drivers`: an action of the ops repo runs
//! under docker, with the image that `jobs/build-image` makes, and under `raw_exec`, with a mount each.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "tests fail by panicking, and share more than each uses"
)]

mod drivers;
#[path = "../common/ops_repo.rs"]
mod ops_repo;
mod reaching;
mod registering;
mod rights;
#[path = "../common/testbed.rs"]
mod testbed;
mod world;
