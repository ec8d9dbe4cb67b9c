//! What runs inside the job: `dispatch runner`. One process for one run, told everything by one envelope.
//!
//! ```text
//! envelope (wire) ─► environment checks ─► workdir ─► fence ─► grant ─► formula ─► exit code
//!                                                                        │ stdout, stderr
//!                                 redact_socket ─► redact ◄── pump ◄─────┘
//!                                                              └─► lines ─► emit ─► NDJSON on stdout, and in events_file
//! ```
//!
//! - [`job`]: the order of steps above, and what each failure's exit code is.
//! - [`mod@envelope`], [`wire`]: what is handed over, in memory and as bytes.
//! - [`fence`]: at most one execution. [`grant`]: opening a wrapping in Vault, for the secrets in it and as a second fence.
//! - [`environment`], [`workdir`], [`formula`], [`processes`]: what the formula sees, and its processes from start to sweep.
//! - [`redact`], [`redact_socket`], [`redact_client`]: no granted value leaves the job.
//! - [`pump`], [`lines`], [`emit`], [`event`], [`events_file`]: output becomes events.
//!
//! The backends call [`wire`] to hand over and [`fence::seal`] to recover; the dispatcher reads [`event`]s.

pub mod emit;
pub mod envelope;
pub mod environment;
pub mod event;
pub mod events_file;
pub mod fence;
pub mod formula;
pub mod grant;
pub mod job;
pub mod lines;
pub mod processes;
pub mod pump;
pub mod redact;
pub mod redact_client;
pub mod redact_socket;
pub mod wire;
pub mod workdir;

pub use job::{Output, RunnerOptions, Source, main};
pub use wire::EnvelopeError;
