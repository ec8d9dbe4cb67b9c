//! The rules: what the config says about admission, as values. No check reads the config itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::action::Tier;
use crate::config::Config;
use crate::config::types::{self, ApprovalMode, Approver};
use crate::support::ids::{FormulaName, MountName, SecretName};

/// What the config says about admission.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Secrets that actions may name.
    pub secrets: BTreeSet<SecretName>,
    /// By backend: the mounts that are declared for it.
    pub mounts: BTreeMap<String, BTreeSet<MountName>>,
    /// Used where nothing else is said.
    pub default_backend: String,
    /// Those that an action may name.
    pub allowed_backends: BTreeSet<String>,
    /// By formula; an action cannot override it.
    pub formula_backends: BTreeMap<FormulaName, String>,
    /// Directories that an action may name.
    pub working_directories: BTreeSet<PathBuf>,
    /// How medium and high are proven; `None`: they are not admitted.
    pub approval: Option<ApprovalMode>,
    /// Principals that may approve medium; empty: every one of `vault/allowed_signers`.
    pub medium_signers: BTreeSet<String>,
    /// Principals that may approve high; empty: every one of `vault/allowed_signers`.
    pub high_signers: BTreeSet<String>,
    /// What a pull request must show.
    pub requests: RequestRules,
    /// Minutes that a run may take where neither the action nor the formula says.
    pub timeout_minutes: u32,
    /// What becomes of a file of this machine.
    pub local_files: LocalFiles,
}

/// What the approval of a pull request must fulfil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRules {
    /// For medium.
    pub medium: Approvers,
    /// For high; also what a change of `vault/policy.toml` needs.
    pub high: Approvers,
    /// Which commit must have been approved.
    pub head: HeadRule,
    /// Whether merging is approving.
    pub merged_by: MergedBy,
    /// For how long a commit may be without a request on the forge.
    pub wait: Duration,
}

/// Who may approve a tier, and how many of them are needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approvers {
    /// By name and number; empty: nobody may.
    pub who: Vec<Approver>,
    /// How many, where the policy does not ask for more.
    pub needed: u32,
}

/// Which commit of a request a review must have been given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadRule {
    /// Any that holds the bytes that run.
    SameBytes,
    /// The head that was merged.
    Exact,
}

/// Whether who merges approves by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergedBy {
    /// It counts like a review.
    Counts,
    /// It does not.
    DoesNotCount,
}

impl From<&types::Approval> for RequestRules {
    fn from(config: &types::Approval) -> Self {
        let approvers = |tier: &types::TierApproval| Approvers {
            who: tier.approvers.clone(),
            needed: tier.approvals.unwrap_or(1).max(1),
        };
        Self {
            medium: approvers(&config.medium),
            high: approvers(&config.high),
            head: if config.exact_head { HeadRule::Exact } else { HeadRule::SameBytes },
            merged_by: if config.merged_by_counts { MergedBy::Counts } else { MergedBy::DoesNotCount },
            wait: Duration::from_secs(u64::from(config.request_wait_seconds)),
        }
    }
}

impl RequestRules {
    /// Who may approve `tier`, and how many are needed.
    pub fn approvers(&self, tier: Tier) -> &Approvers {
        match tier {
            Tier::High => &self.high,
            Tier::Low | Tier::Medium => &self.medium,
        }
    }
}

/// What becomes of an action that is a file of this machine and that nobody approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalFiles {
    /// It is rejected.
    Refused,
    /// It may run, for trying things out; its result is never published.
    ForDebugging,
}

impl From<&Config> for Rules {
    fn from(config: &Config) -> Self {
        let local =
            config.mounts.iter().filter(|(_, mount)| mount.local.is_some()).map(|(name, _)| name.clone()).collect();
        let nomad =
            config.mounts.iter().filter(|(_, mount)| mount.nomad.is_some()).map(|(name, _)| name.clone()).collect();
        Self {
            secrets: config.secrets.allow.clone(),
            mounts: BTreeMap::from([("local".to_owned(), local), ("nomad".to_owned(), nomad)]),
            default_backend: config.backends.default.clone(),
            allowed_backends: config.backends.allow.clone(),
            formula_backends: config.backends.formula.clone(),
            working_directories: config.working_directories.clone(),
            approval: config.approval.mode,
            medium_signers: config.approval.medium.signers.clone(),
            high_signers: config.approval.high.signers.clone(),
            requests: RequestRules::from(&config.approval),
            timeout_minutes: config.limits.timeout_minutes,
            local_files: if config.debug.allow_unapproved { LocalFiles::ForDebugging } else { LocalFiles::Refused },
        }
    }
}

impl Rules {
    /// The principals that may approve `tier`; empty: every one of `vault/allowed_signers`.
    pub fn signers(&self, tier: Tier) -> &BTreeSet<String> {
        match tier {
            Tier::High => &self.high_signers,
            Tier::Low | Tier::Medium => &self.medium_signers,
        }
    }
}
