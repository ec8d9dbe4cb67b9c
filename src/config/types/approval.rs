//! Approval: how it is proven, and whose counts.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[approval]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// How medium and high are proven. Not set: they are not admitted.
    #[serde(default)]
    pub mode: Option<ApprovalMode>,
    /// The commit whose `vault/policy.toml` (and for `signature` `vault/allowed_signers`) is trusted to begin with; not set: the
    /// first commit that has it.
    #[serde(default)]
    #[schemars(extend("format" = "commit-id"))]
    pub trust_root: Option<String>,
    /// For `pull_request`: a review counts only when it was given to the very commit that was merged, and not to an older one of
    /// the same request that holds the same bytes.
    #[serde(default)]
    pub exact_head: bool,
    /// For `pull_request`: who merged counts as having approved, by the same list and the same exclusions.
    #[serde(default)]
    pub merged_by_counts: bool,
    /// For `pull_request`: refuse to start while the primary branch has no protection, or the reading user itself may push to it (who
    /// else may, only an administrator sees); otherwise it is a warning.
    #[serde(default)]
    pub require_protection: bool,
    /// For `pull_request`: seconds for which a commit may be without a pull request on the forge, which names it only some time
    /// after the merge. Then its action is rejected.
    #[serde(default = "defaults::request_wait_seconds")]
    #[schemars(range(min = 1, max = 86_400))]
    pub request_wait_seconds: u32,
    /// For the medium tier.
    #[serde(default)]
    pub medium: TierApproval,
    /// For the high tier.
    #[serde(default)]
    pub high: TierApproval,
}

impl Default for Approval {
    fn default() -> Self {
        Self {
            mode: None,
            trust_root: None,
            exact_head: false,
            merged_by_counts: false,
            require_protection: false,
            request_wait_seconds: defaults::request_wait_seconds(),
            medium: TierApproval::default(),
            high: TierApproval::default(),
        }
    }
}

mod defaults {
    pub(super) fn request_wait_seconds() -> u32 {
        60
    }
}

/// How an approval is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalMode {
    /// The commit that brought the action is signed by a key of `vault/allowed_signers`.
    Signature,
    /// It was merged by a pull request on the forge, whose reviewers approved the bytes that run.
    PullRequest,
}

/// `[approval.medium]`, `[approval.high]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierApproval {
    /// For `signature`: principals of `vault/allowed_signers` that may approve this tier; empty: all of them.
    #[serde(default)]
    pub signers: BTreeSet<String>,
    /// For `pull_request`: who may approve this tier; empty: nobody.
    #[serde(default)]
    pub approvers: Vec<Approver>,
    /// For `pull_request`: how many of them must have approved; a higher number in `vault/policy.toml` counts instead. Not set:
    /// what the policy says, or 1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 16))]
    pub approvals: Option<u32>,
}

/// Somebody who may approve: both must fit, since a login can be given up and taken by somebody else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The name on the forge.
    pub login: String,
    /// The number of the user there, which is never given to another.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub id: i64,
}
