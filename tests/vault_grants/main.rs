//! Grants against a real Vault (`tests/testbed/up`): the shipped policies, the dispatcher's own token, and runs on the local backend
//! from their mint to their revocation.
//!
//! - `world`: an ops repo, a config and the binary, with a Vault that was set up by `dispatch policies apply`.
//! - `policies`: what the server refuses the dispatcher; drift. `runs`: whole runs. `troubles`: a thief, and a Vault that fails.
//! - `identities`: what stands there besides where runs take their grants by their own identity.
//! - `weather`: answers that are lost, doubled or late, and clocks that differ. `login`: the ways to log in, and renewal.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on says so and stops"
)]

#[path = "../faults/child.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod child;
#[path = "../common/fault_proxy.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod fault_proxy;
mod identities;
mod login;
#[path = "../common/ops_repo.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod ops_repo;
mod policies;
mod runs;
#[path = "../common/testbed.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod testbed;
mod troubles;
mod weather;
mod world;
