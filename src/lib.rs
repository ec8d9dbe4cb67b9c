//! `dispatch` runs privileged jobs that were approved in git.
//!
//! A run's data walks down this list once and its result walks back up: bytes (ops) → Action (action) → Verdict (admission)
//! → Grant (grant) → Launch (backend) → Ended (backend) → Outcome (run) → result JSON (action) → commit (ops).
//!
//! A module may use only modules that stand **below** it here; `tests/architecture.rs` reads the imports and holds it.
//!
//! - [`cli`]: one file for each verb; the words that people read about errors.
//! - [`dispatcher`]: the loop: wake-ups, queue and slots, recovery, stopping, the control socket.
//! - [`run`]: one run's life: states and legal transitions (pure), the journal, watching, settling.
//! - [`admission`]: every check before anything has an effect, as pure functions over a snapshot; verdict and explanation.
//! - [`forge`]: the forge that holds the ops repo, asked over its API: requests, reviews, people, and the words told back.
//! - [`ops`]: the ops repo: the git subprocess, the mirror, what changed, signatures, publishing.
//! - [`grant`]: secret providers; what is presented to one run.
//! - [`backend`]: the contract of a place where runs run, and its implementations.
//! - [`runner`]: what runs inside the job: envelope, fence, formula, redaction, events.
//! - [`vault`]: the client of Vault's HTTP interface: one function for each call, its refusals in words.
//! - [`action`]: action, formula, policy, result: types, parsing, diagnostics (pure).
//! - [`config`]: `dispatch.toml`, environment, flags; where each value came from.
//! - [`support`]: ids, clock, retry policy, durable files, fault points: small, and knowing no one above.

pub mod action;
pub mod admission;
pub mod backend;
pub mod cli;
pub mod config;
pub mod dispatcher;
pub mod forge;
pub mod grant;
pub mod ops;
pub mod run;
pub mod runner;
pub mod support;
pub mod vault;
