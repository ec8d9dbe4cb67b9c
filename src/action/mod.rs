//! Actions, formulas, policy and results: the files that people and bots write and read. Types, parsing, diagnostics; pure.

pub mod reason;
pub mod request;
pub mod result;

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

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}
