//! The forge that holds the ops repo: where it is, and the logins for its API.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[forge]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forge {
    /// The base address of a Gitea or Forgejo, without `/api/v1`; where it is not set, what stands before `owner/name` in
    /// `ops.remote`, or `FORGE_URL`.
    #[serde(default)]
    pub url: Option<String>,
    /// `owner/name` of the ops repo there; where it is not set, the end of `ops.remote`.
    #[serde(default)]
    pub repository: Option<String>,
    /// The number of that repository, which a new one of the same name does not have. Where it is not set, the first answer
    /// after each start counts.
    #[serde(default)]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub repository_id: Option<i64>,
    /// The file that holds the token of the user that only reads.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub token_file: Option<PathBuf>,
    /// The environment variable that holds that token; `FORGE_TOKEN` where it is set and nothing is said here.
    #[serde(default)]
    pub token_env: Option<String>,
    /// The file that holds the token of the user that tells: statuses, comments, new requests. Where it is not set, the other
    /// token is used.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub write_token_file: Option<PathBuf>,
    /// The environment variable that holds that token.
    #[serde(default)]
    pub write_token_env: Option<String>,
    /// A file of further CA certificates for this server.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub ca_file: Option<PathBuf>,
    /// Seconds that one request may take.
    #[serde(default = "defaults::timeout_seconds")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: u32,
}

impl Default for Forge {
    fn default() -> Self {
        Self {
            url: None,
            repository: None,
            repository_id: None,
            token_file: None,
            token_env: None,
            write_token_file: None,
            write_token_env: None,
            ca_file: None,
            timeout_seconds: defaults::timeout_seconds(),
        }
    }
}

mod defaults {
    pub(super) fn timeout_seconds() -> u32 {
        15
    }
}
