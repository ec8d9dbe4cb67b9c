//! `dispatch runner` in front of a real Vault: what a wrapped grant gives to the formula, and everything that keeps the formula
//! from beginning.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "tests"
)]

mod bed;
#[path = "../common/fault_proxy.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod fault_proxy;
#[path = "../runner_support/mod.rs"]
mod runner_support;
#[path = "../common/testbed.rs"]
#[allow(dead_code, unused_imports, reason = "shared with other tests")]
mod testbed;

mod given;
mod intercepted;
mod secrets;
mod trouble;
