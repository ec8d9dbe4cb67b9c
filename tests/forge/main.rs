//! Approval by pull request against a real forge: what is admitted, and what is refused with which reason.
//!
//! - `ops`: an ops repo on the forge, and the binary configured for it. Every scenario ends with a count: exactly as many tokens
//!   were minted in Vault as actions ran. `crew`: the people. `vault`, `database`, `api`, `proxy`: the servers, and one in between.
//! - `styles`: what is admitted. The attacks: `bytes` (what was approved), `people` (by whom), `line` (how it came to the primary
//!   branch), `names` (ids and entries of the tree), `results`, `policy`, `forced` (what even the forge refuses). `kept`: the
//!   forge loses what was seen. `faults`: it fails.
//!
//! Needs a Gitea and a Vault: `tests/testbed/up` brings them up and prints what to export.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod api;
mod bytes;
#[path = "../faults/child.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod child;
mod crew;
mod database;
mod faults;
mod forced;
mod kept;
mod line;
mod names;
mod ops;
mod people;
mod policy;
mod proxy;
mod results;
mod styles;
#[path = "../common/testbed.rs"]
#[allow(dead_code, unused_imports, reason = "shared with tests that need more of it")]
mod testbed;
mod vault;
