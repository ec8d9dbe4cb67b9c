//! Grants of a real Vault to runs in a real Nomad, through the shipped binary: what a run has, who else could have had it, and where its
//! values may not turn up.
//!
//! - `bed`: an ops repo with Vault and Nomad; `gate`: where formulas wait. `search`: a value in every encoding, also in what is packed
//!   (`unpack`); `places`: wherever it could be. `planted`: that the search finds what is there.
//! - `runs`: exactly the secrets that were named, with each driver. `thief`: somebody who reads the payload. `sealed`: nobody reads it.
//!   `identity`: nobody but the run itself comes by its wrapping. `canary`: no trace of a value. `tls`: a Vault with a CA of its own.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on says so and stops"
)]

mod bed;
mod canary;
#[path = "../faults/child.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod child;
#[path = "../common/fault_proxy.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod fault_proxy;
mod gate;
mod identity;
#[path = "../common/ops_repo.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod ops_repo;
mod places;
mod planted;
mod runs;
mod sealed;
mod search;
#[path = "../common/testbed.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod testbed;
mod thief;
mod tls;
mod unpack;
#[path = "../vault_grants/world.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod world;
