//! Every check before anything has an effect.
//!
//! [`Gatherer`] collects a [`Snapshot`] (the only part that asks anyone), [`admit`] judges it by the [`Rules`] (pure), and the
//! [`Explanation`] says what was looked at and what follows. The dispatcher acts on the [`Verdict`]; `dispatch explain`
//! prints the same explanation and does nothing.
//!
//! - [`gather`]: the rim: git, the forge, the journal, the secret provider.
//! - [`snapshot`], [`request`], [`rules`]: what is looked at, and the config's part of it, as plain data.
//! - `reading`: what the files in a snapshot say, once parsed.
//! - [`checks`]: one file for each rule.
//! - [`forecast`]: what would become of an action that is not merged yet.
//! - [`verdict`], [`admitted`], [`explain`]: the outcome, what a run gets, and the words.

pub mod admitted;
pub mod check;
pub mod checks;
pub mod explain;
pub mod forecast;
pub mod gather;
mod reading;
pub mod request;
pub mod rules;
pub mod snapshot;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod verdict;

pub use admitted::Admitted;
pub use check::{Check, Judgement};
pub use checks::approval::{Approval, Given, How, Merged, Word};
pub use explain::Explanation;
pub use forecast::{Forecast, Planned};
pub use gather::{GatherError, Gatherer, Ledger, Scene};
pub use rules::Rules;
pub use snapshot::Snapshot;
pub use verdict::{Verdict, admit};
