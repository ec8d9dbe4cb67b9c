//! The ops repo: what landed, who signed it, and how results get back.
//!
//! [`Mirror`] is the door: a bare copy of the primary branch in `state_dir/mirror.git`, never checked out, so that no
//! attribute, filter or hook of the ops repo has an effect here. [`Trust`] stands on it and answers whose word counts.
//!
//! - `remote`, `credential`: where the ops repo is, and the login for it.
//! - `git`: the only place that starts git, with an environment of its own making; `environment` builds that. `reader` keeps one
//!   of them for questions about objects.
//! - `poll` with [`pktline`] and `local_refs`: "did the branch move?" without a process where that is possible.
//! - `tree`, `objects`, `history`, `line`: entries, blobs, commits, and which commit brought what.
//! - `signature`, `signers`, `trust`: SSH signatures of commits, and the signed chain of the files that give power.
//! - `publish` with `push`: one commit on top of a known head, or nothing.
//! - [`check`]: whether all of it can be worked with.
//! - [`workshop`]: the other side, for the demo: making an ops repo and committing to it.
//!
//! [`Checkout`] reads the repository around a folder with the same `git`, for checks in CI.
//!
//! What git prints is parsed by pure functions over bytes; a rejected push is an answer ([`PublishError`]), not an accident.

pub mod check;
mod checkout;
mod credential;
mod environment;
mod error;
mod git;
mod history;
mod line;
mod local_refs;
mod mirror;
mod objects;
pub mod pktline;
mod poll;
mod publish;
mod push;
mod reader;
mod remote;
mod signature;
pub mod signers;
mod tree;
mod trust;
pub mod workshop;

pub use checkout::Checkout;
pub use error::{OpsError, PublishError};
pub use git::Deadlines;
pub use line::Landed;
pub use mirror::{Clutter, Mirror};
pub use objects::{Blob, CommitInfo, Person};
pub use publish::NewFile;
pub use signature::Signature;
pub use tree::{Change, Changes, Entry, Mode, RepoPath};
pub use trust::{Brought, Ignored, Source, Trust, TrustedFile, Version};
