//! Runs in a real Nomad from beginning to end: an action in the ops repo, `dispatch run`, a child of the registered job, the result in the
//! ops repo.
//!
//! `serving` is the dispatcher and what it answers. `ends`: how runs end under `docker` and `raw_exec`; `exec` in a chroot; `many`: two hundred at once;
//! `mounts`: what of the client a run finds, a sidecar too; `silent`: a Nomad that does not answer while the journal is rebuilt; `files`:
//! runs of files that nobody approved; `tls`: certificates.
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

#[path = "../faults/child.rs"]
mod child;
#[path = "../common/connections.rs"]
mod connections;
mod ends;
mod exec;
#[path = "../common/fault_proxy.rs"]
mod fault_proxy;
mod files;
mod many;
mod mounts;
#[path = "../common/ops_repo.rs"]
mod ops_repo;
mod serving;
mod silent;
#[path = "../common/testbed.rs"]
mod testbed;
mod tls;
#[path = "../nomad_jobs/world.rs"]
mod world;
