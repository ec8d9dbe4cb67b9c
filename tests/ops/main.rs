//! The ops repo against real git: files, HTTP (`git http-backend`) and SSH (`sshd`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "helpers of tests fail loudly; clippy.toml's exceptions reach only the tests themselves"
)]

#[path = "../common/git_http.rs"]
mod git_http;
#[path = "../common/ops_repo.rs"]
mod ops_repo;

mod publishing;
mod reading;
mod remotes;
mod trust;
