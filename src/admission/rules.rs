//! The rules: what the config says about admission, as values. No check reads the config itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::action::Tier;
use crate::config::Config;
use crate::config::types::ApprovalMode;
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
    /// Minutes that a run may take where neither the action nor the formula says.
    pub timeout_minutes: u32,
    /// What becomes of a file of this machine.
    pub local_files: LocalFiles,
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
