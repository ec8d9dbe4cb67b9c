//! The ops repo, its results, and formulas from elsewhere.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// A file of the CA certificates, PEM, that an `https` remote is believed by; the system's where it is not set.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub ca_file: Option<PathBuf>,
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
            ca_file: None,
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
        /// The remote. It is read without a login: by SSH with the dispatcher's own key, or because anybody may.
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

mod defaults {
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
}
