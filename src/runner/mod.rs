//! What runs inside the job: `dispatch runner`.

pub mod envelope;
pub mod environment;
pub mod event;
pub mod fence;
pub mod redact;
pub mod wire;
