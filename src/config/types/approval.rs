//! Approval: how it is proven, and whose counts.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[approval]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// How medium and high are proven. Not set: they are not admitted.
    #[serde(default)]
    pub mode: Option<ApprovalMode>,
    /// The commit whose `vault/allowed_signers` and `vault/policy.toml` are trusted to begin with; not set: the first commit
    /// that has them.
    #[serde(default)]
    #[schemars(extend("format" = "commit-id"))]
    pub trust_root: Option<String>,
    /// For the medium tier.
    #[serde(default)]
    pub medium: TierApproval,
    /// For the high tier.
    #[serde(default)]
    pub high: TierApproval,
}

/// How an approval is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalMode {
    /// The commit that brought the action is signed by a key of `vault/allowed_signers`.
    Signature,
}

/// `[approval.medium]`, `[approval.high]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierApproval {
    /// Principals of `vault/allowed_signers` that may approve this tier; empty: all of them.
    #[serde(default)]
    pub signers: BTreeSet<String>,
}
