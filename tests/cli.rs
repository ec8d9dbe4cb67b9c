//! The shipped binary at a shell, in a sealed world: its own folder and home, an environment of nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "cli/adhoc.rs"]
mod adhoc;
#[path = "cli/check.rs"]
mod check;
#[path = "faults/child.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod child;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/daemon.rs"]
mod daemon;
#[path = "cli/docs.rs"]
mod docs;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/envelope.rs"]
mod envelope;
#[path = "cli/existing.rs"]
mod existing;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/invalid.rs"]
mod invalid;
#[path = "cli/jobs.rs"]
mod jobs;
#[path = "cli/journal.rs"]
mod journal;
#[path = "common/ops_repo.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod ops_repo;
#[path = "cli/ops_world.rs"]
mod ops_world;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/reasons.rs"]
mod reasons;
#[path = "cli/records.rs"]
mod records;
#[path = "cli/serving.rs"]
mod serving;
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/systemd.rs"]
mod systemd;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/turns.rs"]
mod turns;
#[path = "cli/world.rs"]
mod world;
