//! What can be configured: one struct for each table of `dispatch.toml`. Every field has a default but `ops.remote`.
//!
//! These types are the only list of keys, a file for each table or two. [`super::keys`] reads it off their JSON schema: names, kinds, ranges, documentation,
//! and a mark of ours: `format` (`path`, `git-remote`, `commit-id`) says how a text is checked and resolved. What a running
//! dispatcher takes over by a reload stands in [`super::keys`].

mod approval;
mod backends;
mod forge;
mod lease;
mod limits;
mod nomad;
mod nomad_jobs;
mod ops;
mod secrets;
mod telling;
mod vault;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::ids::MountName;

pub use approval::{Approval, ApprovalMode, Approver, TierApproval};
pub use backends::{Backends, Local, LocalLimits, Mount};
pub use forge::Forge;
pub use lease::Lease;
pub use limits::Limits;
pub use nomad::Nomad;
pub use nomad_jobs::{NomadDriver, NomadJob, NomadSeal};
pub use ops::{Credential, FormulaSource, Formulas, Layout, Ops, Results};
pub use secrets::{SecretFiles, Secrets};
pub use telling::Telling;
pub use vault::{AppRole, Jwt, Vault, WorkloadIdentity};
pub use webhook::Webhook;

/// The whole of `dispatch.toml`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the journal, the mirror, logs and run directories live. One dispatcher per directory.
    #[serde(default = "defaults::state_dir")]
    #[schemars(extend("format" = "path"))]
    pub state_dir: PathBuf,
    /// The ops repo.
    pub ops: Ops,
    /// Where results go.
    #[serde(default)]
    pub results: Results,
    /// Where formulas come from besides the ops repo.
    #[serde(default)]
    pub formulas: Formulas,
    /// Which secrets may be granted, and by whom.
    #[serde(default)]
    pub secrets: Secrets,
    /// Mounts by name.
    #[serde(default)]
    pub mounts: BTreeMap<MountName, Mount>,
    /// The forge that holds the ops repo.
    #[serde(default)]
    pub forge: Forge,
    /// How an approval is proven.
    #[serde(default)]
    pub approval: Approval,
    /// How much runs at once.
    #[serde(default)]
    pub limits: Limits,
    /// Which backend runs what.
    #[serde(default)]
    pub backends: Backends,
    /// One of several dispatchers works, and the others stand by. Not there: this one is the only one.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// Being woken by the forge, and answering whether all is well.
    #[serde(default)]
    pub webhook: Option<Webhook>,
    /// What the forge is told.
    #[serde(default)]
    pub telling: Telling,
    /// Directories that an action may name as its `working_directory`.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub working_directories: BTreeSet<PathBuf>,
    /// Names of the dispatcher's own environment variables that are passed on to formulas.
    #[serde(default)]
    pub pass_environment: BTreeSet<String>,
    /// For trying things out. Never in production.
    #[serde(default)]
    pub debug: Debugging,
}

impl Config {
    /// Everything as by default, for this ops repo.
    pub fn of_remote(remote: &str) -> Self {
        Self {
            state_dir: defaults::state_dir(),
            ops: Ops::reading(remote),
            results: Results::default(),
            formulas: Formulas::default(),
            secrets: Secrets::default(),
            mounts: BTreeMap::new(),
            forge: Forge::default(),
            approval: Approval::default(),
            limits: Limits::default(),
            backends: Backends::default(),
            lease: None,
            webhook: None,
            telling: Telling::default(),
            working_directories: BTreeSet::new(),
            pass_environment: BTreeSet::new(),
            debug: Debugging::default(),
        }
    }
}

/// `[debug]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Debugging {
    /// Lets `dispatch once --action FILE` run a file that nobody approved. Its result is never published.
    #[serde(default)]
    pub allow_unapproved: bool,
}

mod defaults {
    use std::path::PathBuf;

    pub(super) fn state_dir() -> PathBuf {
        PathBuf::from("/var/lib/dispatch")
    }
}
