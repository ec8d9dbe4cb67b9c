//! The image in which runs run, as `jobs/Dockerfile` describes it, built for real; and its static binary on clients without an image.
//!
//! - `description`: what the Dockerfile names, and what it is given to build from. `built`: the images under test, on Debian made of its
//!   own packages, since no registry can be counted on.
//! - `container`: what the image is, and a run in it. Every time with the last stage and this test's own binary.
//! - `whole`: with the compiler's stage too, which takes ten minutes and more, so that only `tests/image/whole` asks for it: the same in that
//!   image, and its binary where there is nothing else: in an empty image, in a chroot without libraries, on the client.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "tests fail by panicking, and share more than each uses"
)]

mod built;
#[path = "../faults/child.rs"]
mod child;
mod container;
mod description;
#[path = "../common/ops_repo.rs"]
mod ops_repo;
#[path = "../nomad_runs/serving.rs"]
mod serving;
#[path = "../common/testbed.rs"]
mod testbed;
mod whole;
#[path = "../nomad_jobs/world.rs"]
mod world;
