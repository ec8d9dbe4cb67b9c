//! One run's life: its states and legal steps (pure), the journal, watching it, and what its end means.
//!
//! - [`state`], [`step`], [`record`]: where a run stands, what may happen to it, and what is known of it (pure).
//! - [`story`]: its steps in words.
//! - [`journal`]: where each step is recorded.
//! - [`life`]: takes one run from where it stands to a durable result.
//! - [`log`]: what a run printed, kept on this machine.
//! - [`outcome`], [`settle`]: what an end means, and the result made of it (pure).

pub mod journal;
pub mod life;
pub mod log;
pub mod outcome;
pub mod record;
pub mod settle;
pub mod state;
pub mod step;
pub mod story;
