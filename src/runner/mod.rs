//! What runs inside the job: `dispatch runner`.

pub mod envelope;
pub mod event;
