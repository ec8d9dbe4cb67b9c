//! The shipped formulas, run by bash as the runner would, against stand-ins on this machine: bare git repositories and a small
//! HTTP server. Needs the tools that the formulas need: bash, curl, git, jq.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod metadata;
mod publish_site;
mod release;
mod rotate_secret_check;
mod sealed;
mod stand_in;
mod webhook_call;
