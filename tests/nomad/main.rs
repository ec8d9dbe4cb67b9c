//! The Nomad backend against a real server, with the shipped binary as the runner under `raw_exec`. What a formula did is read from the
//! tally file that it writes itself.
//!
//! `world` is what each test stands on, `contract` what every backend must do, `checking` what it finds beforehand, `launching` how a
//! launch stays one, `watching` how many are followed, `logs` what arrives of their output, `ends` how they end. `variables` is about the
//! lock on a variable.
#![allow(
    clippy::print_stderr,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "tests fail by panicking, and share more than each uses"
)]

#[path = "../backend_contract/mod.rs"]
mod backend_contract;
mod checking;
#[path = "../common/connections.rs"]
mod connections;
mod contract;
mod ends;
#[path = "../common/fault_proxy.rs"]
mod fault_proxy;
mod launching;
mod logs;
#[path = "../common/testbed.rs"]
mod testbed;
mod variables;
mod watching;
mod world;
