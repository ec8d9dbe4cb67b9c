//! What can be configured: one struct for each table of `dispatch.toml`. Every field has a default but `ops.remote`.
//!
//! These types are the only list of keys. [`super::keys`] reads it off their JSON schema: names, kinds, ranges, documentation,
//! and a mark of ours: `format` (`path`, `git-remote`, `commit-id`) says how a text is checked and resolved. What a running
//! dispatcher takes over by a reload stands in [`super::keys`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::ids::{FormulaName, MountName, SecretName};

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
    /// How an approval is proven.
    #[serde(default)]
    pub approval: Approval,
    /// How much runs at once.
    #[serde(default)]
    pub limits: Limits,
    /// Which backend runs what.
    #[serde(default)]
    pub backends: Backends,
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

/// `[ops]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ops {
    /// A `file://`, `ssh://`, `user@host:path`, `http://` or `https://` remote, or a path. A credential in it is refused.
    #[schemars(extend("format" = "git-remote"))]
    pub remote: String,
    /// The primary branch.
    #[serde(default = "defaults::branch")]
    pub branch: String,
    /// The folder of actions.
    #[serde(default = "defaults::actions")]
    pub actions: String,
    /// Seconds between two polls, before a jitter of a tenth.
    #[serde(default = "defaults::poll_seconds")]
    #[schemars(range(min = 0.2, max = 86_400))]
    pub poll_seconds: f64,
    /// The login for HTTP(S), used to fetch.
    #[serde(default)]
    pub credential: Option<Credential>,
    /// The login for HTTP(S), used to push; `credential` where it is not set.
    #[serde(default)]
    pub push_credential: Option<Credential>,
    /// Author and committer of result commits.
    #[serde(default = "defaults::committer_name")]
    pub committer_name: String,
    /// Author and committer of result commits.
    #[serde(default = "defaults::committer_email")]
    pub committer_email: String,
    /// A file of host keys for SSH remotes; the user's own where it is not set.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub ssh_known_hosts: Option<PathBuf>,
    /// A private key file for SSH remotes; the user's own agent and keys where it is not set.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub ssh_key: Option<PathBuf>,
}

impl Ops {
    /// For a repository that is only read, without a login; everything else as by default.
    pub fn reading(remote: &str) -> Self {
        Self {
            remote: remote.to_owned(),
            branch: defaults::branch(),
            actions: defaults::actions(),
            poll_seconds: defaults::poll_seconds(),
            credential: None,
            push_credential: None,
            committer_name: defaults::committer_name(),
            committer_email: defaults::committer_email(),
            ssh_known_hosts: None,
            ssh_key: None,
        }
    }
}

/// A login: the name stands here, the secret in a file or an environment variable, read again when it is used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The user name.
    pub username: String,
    /// The file that holds the password or token.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub password_file: Option<PathBuf>,
    /// The environment variable that holds the password or token.
    #[serde(default)]
    pub password_env: Option<String>,
}

/// `[results]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// `flat`: beside the action; `dated`: `vault/results/YYYY/MM/`.
    #[serde(default)]
    pub layout: Layout,
}

/// Where a result stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `vault/actions/<id>.result.json`
    #[default]
    Flat,
    /// `vault/results/YYYY/MM/<id>.result.json`, by the UTC month in which the result was made.
    Dated,
}

/// `[formulas]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Formulas {
    /// Asked in this order, after `formulas/` of the ops repo.
    #[serde(default)]
    pub sources: Vec<FormulaSource>,
}

/// One entry of `formulas.sources`: a directory, or a git repo at a ref.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum FormulaSource {
    /// A directory on this host.
    Directory {
        /// The directory that holds `<name>.sh` and `<name>.toml`.
        #[schemars(extend("format" = "path"))]
        directory: PathBuf,
    },
    /// Another git repo.
    Git {
        /// The remote.
        #[schemars(extend("format" = "git-remote"))]
        git: String,
        /// A branch, tag or commit.
        #[serde(rename = "ref")]
        reference: String,
        /// The folder inside it.
        #[serde(default = "defaults::formulas_folder")]
        folder: String,
    },
}

/// `[secrets]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The secrets that actions may name. Empty: none.
    #[serde(default)]
    pub allow: BTreeSet<SecretName>,
    /// The `file` provider: one age-encrypted file per secret.
    #[serde(default)]
    pub file: Option<SecretFiles>,
}

/// `[secrets.file]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFiles {
    /// The folder of `<NAME>.enc`.
    #[schemars(extend("format" = "path"))]
    pub directory: PathBuf,
    /// The age identity that opens them. Must be readable by the dispatcher's user alone.
    #[schemars(extend("format" = "path"))]
    pub identity: PathBuf,
}

/// `[mounts.<name>]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// For the local backend: a directory or file, copied read-only into the run's directory.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub local: Option<PathBuf>,
}

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

/// `[limits]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Runs at once, in all.
    #[serde(default = "defaults::max_concurrent")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max_concurrent: u32,
    /// Runs at once by formula.
    #[serde(default)]
    pub formula: BTreeMap<FormulaName, u32>,
    /// Runs at once by backend.
    #[serde(default)]
    pub backend: BTreeMap<String, u32>,
    /// Minutes that a run may take where neither the action nor the formula says.
    #[serde(default = "defaults::timeout_minutes")]
    #[schemars(range(min = 1, max = 1_440))]
    pub timeout_minutes: u32,
    /// Seconds between the polite signal and the kill.
    #[serde(default = "defaults::grace_seconds")]
    #[schemars(range(min = 0, max = 3_600))]
    pub grace_seconds: u32,
    /// Days after which run directories and logs of published runs are removed by `dispatch gc`.
    #[serde(default = "defaults::keep_days")]
    #[schemars(range(min = 0, max = 36_500))]
    pub keep_days: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_concurrent: defaults::max_concurrent(),
            formula: BTreeMap::new(),
            backend: BTreeMap::new(),
            timeout_minutes: defaults::timeout_minutes(),
            grace_seconds: defaults::grace_seconds(),
            keep_days: defaults::keep_days(),
        }
    }
}

/// `[backends]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backends {
    /// The one that is used where nothing else is said.
    #[serde(default = "defaults::backend")]
    pub default: String,
    /// Those that an action may name.
    #[serde(default)]
    pub allow: BTreeSet<String>,
    /// By formula; stronger than the default, weaker than nothing: an action cannot override it.
    #[serde(default)]
    pub formula: BTreeMap<FormulaName, String>,
}

impl Default for Backends {
    fn default() -> Self {
        Self { default: defaults::backend(), allow: BTreeSet::new(), formula: BTreeMap::new() }
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
    pub(super) fn branch() -> String {
        "main".to_owned()
    }
    pub(super) fn actions() -> String {
        "vault/actions".to_owned()
    }
    pub(super) fn poll_seconds() -> f64 {
        5.0
    }
    pub(super) fn committer_name() -> String {
        "dispatch".to_owned()
    }
    pub(super) fn committer_email() -> String {
        "dispatch@example.com".to_owned()
    }
    pub(super) fn formulas_folder() -> String {
        "formulas".to_owned()
    }
    pub(super) fn max_concurrent() -> u32 {
        4
    }
    pub(super) fn timeout_minutes() -> u32 {
        60
    }
    pub(super) fn grace_seconds() -> u32 {
        10
    }
    pub(super) fn keep_days() -> u32 {
        30
    }
    pub(super) fn backend() -> String {
        "local".to_owned()
    }
}
