//! Grants against a real Vault (`tests/testbed/up`): the shipped policies, the dispatcher's own token, and runs on the local backend
//! from their mint to their revocation.
//!
//! - `world`: an ops repo, a config and the binary, with a Vault that was set up by `dispatch policies apply`.
//! - `search` and `unpack` (with the tests of grants in Nomad): a value in every encoding, also in what is packed.
//! - `policies`: what the server refuses the dispatcher; drift. `runs`: whole runs. `troubles`: a thief, and a Vault that fails.
//! - `roles`: the roles of the dispatcher's logins. `refused`: what keeps a dispatcher from starting.
//! - `unrecorded`: grants that no journal holds. `lasting`: what fails until a person is called.
//! - `identities`: what stands there besides where runs take their grants by their own identity.
//! - `weather`: answers that are lost, doubled or late. `clocks`: clocks that differ. `login`: the ways to log in, and renewal.

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
mod clocks;
#[path = "../common/fault_proxy.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod fault_proxy;
mod identities;
mod lasting;
mod login;
#[path = "../common/ops_repo.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod ops_repo;
mod policies;
mod refused;
mod roles;
mod runs;
#[path = "../nomad_grants/search.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod search;
#[path = "../common/testbed.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod testbed;
mod troubles;
#[path = "../nomad_grants/unpack.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod unpack;
mod unrecorded;
mod weather;
mod world;
