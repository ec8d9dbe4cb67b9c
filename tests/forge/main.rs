//! Approval by pull request against a real forge: what is admitted, and what is refused with which reason.
//!
//! Needs a Gitea: `tests/testbed/up` brings one up and prints what to export.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod api;
mod bytes;
mod crew;
mod faults;
mod line;
mod ops;
mod people;
mod proxy;
mod styles;
