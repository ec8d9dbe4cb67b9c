//! Actions, formulas, policy and results: the files that people and bots write and read. Types, parsing, diagnostics; pure.
//!
//! Bytes come in by [`parse_action`], [`FormulaMeta::parse`], [`AgentFormula::parse`] and [`Policy::parse`]; each answers with a
//! value whose every field is within its bounds, or with [`Diagnostics`]: all that is wrong with the file, each with its place.
//! - [`request`], [`formula`], [`params`], [`agent`], [`policy`]: what each file says; [`entry`]: which tree entries are actions.
//! - [`source`] → [`document`] → [`fields`]: from bytes to a text, to a tree of values, to typed fields.
//! - [`diagnostic`]: what is wrong, for machines; for people it is shown by [`support::diagnostic`](crate::support::diagnostic).
//! - [`review`]: files beside each other, as `dispatch check` looks at them.
//! - [`result`], [`reason`], [`schema`]: what is written back, why, and the JSON Schemas of all of it.

pub mod agent;
pub mod diagnostic;
pub mod document;
pub mod entry;
mod fields;
pub mod formula;
pub mod params;
pub mod policy;
pub mod reason;
pub mod request;
pub mod result;
pub mod review;
pub mod schema;
pub mod source;

pub use agent::AgentFormula;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use formula::{FormulaFiles, FormulaKind, FormulaMeta};
pub use policy::{Policy, effective_tier};
pub use request::{Action, parse_action};

/// The blast radius of a formula. Unknown is `High`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Any commit on the primary branch will do.
    Low,
    /// Needs a proven approval.
    Medium,
    /// Needs a proven approval; what is not named in the policy is this.
    High,
}

impl Tier {
    /// The tiers and their words in files, from the lowest.
    pub const WORDS: [(&'static str, Self); 3] = [("low", Self::Low), ("medium", Self::Medium), ("high", Self::High)];
}

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}
