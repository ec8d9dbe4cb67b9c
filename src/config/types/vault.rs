//! Vault (or OpenBao): the server, where the secrets stand in it, and how the dispatcher logs in.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[secrets.vault]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// The server's address, without `/v1`. `VAULT_ADDR` or `BAO_ADDR` where it is not set.
    pub address: String,
    /// The same server's address as runners reach it, where that is another.
    #[serde(default)]
    pub runner_address: Option<String>,
    /// The namespace, on servers that have them. `VAULT_NAMESPACE` or `BAO_NAMESPACE` where it is not set.
    #[serde(default)]
    pub namespace: Option<String>,
    /// PEM certificates that the server may prove itself by, besides the system's. Runners are given them too. `VAULT_CACERT` or
    /// `BAO_CACERT` where it is not set.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub ca_cert: Option<PathBuf>,
    /// The mount of the key-value store (version 2) that holds the secrets.
    #[serde(default = "defaults::mount")]
    pub mount: String,
    /// The folder of the secrets in it, with a slash at its end.
    #[serde(default = "defaults::prefix")]
    pub prefix: String,
    /// The field of a secret that holds its value.
    #[serde(default = "defaults::field")]
    pub field: String,
    /// The token role that grants are made with.
    #[serde(default = "defaults::role")]
    pub role: String,
    /// Seconds in which a run must have opened its grant.
    #[serde(default = "defaults::wrap_ttl_seconds")]
    #[schemars(range(min = 5, max = 300))]
    pub wrap_ttl_seconds: u32,
    /// Seconds that the token of a grant lives at most; a run with a shorter time limit gets a shorter one. No more than the role's own.
    #[serde(default = "defaults::token_ttl_seconds")]
    #[schemars(range(min = 60, max = 604_800))]
    pub token_ttl_seconds: u32,
    /// A folder of policies and roles for `dispatch policies`, in place of the ones that ship.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub policies: Option<PathBuf>,
    /// Login by a token in this environment variable. `VAULT_TOKEN` or `BAO_TOKEN` where no login is configured.
    #[serde(default)]
    pub token_env: Option<String>,
    /// Login by a token in this file, which is read again whenever the server does not take the one before.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub token_file: Option<PathBuf>,
    /// Login by `AppRole`.
    #[serde(default)]
    pub approle: Option<AppRole>,
    /// Login by a JSON web token, such as a workload identity.
    #[serde(default)]
    pub jwt: Option<Jwt>,
    /// Runs get their grants by their own identities in Nomad: no payload holds a token.
    #[serde(default)]
    pub workload_identity: Option<WorkloadIdentity>,
}

/// `[secrets.vault.approle]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppRole {
    /// Where the auth method is mounted.
    #[serde(default = "defaults::approle_mount")]
    pub mount: String,
    /// The role's id; it is no secret.
    pub role_id: String,
    /// The file of the secret id, read again at each login.
    #[schemars(extend("format" = "path"))]
    pub secret_id_file: PathBuf,
}

/// `[secrets.vault.jwt]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// Where the auth method is mounted.
    #[serde(default = "defaults::jwt_mount")]
    pub mount: String,
    /// The role to log in as.
    #[serde(default = "defaults::jwt_role")]
    pub role: String,
    /// The file of the JSON web token, read again at each login.
    #[schemars(extend("format" = "path"))]
    pub file: PathBuf,
}

/// `[secrets.vault.workload_identity]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadIdentity {
    /// Where the auth method is mounted at which runs log in; it trusts Nomad's keys, and serves nobody else.
    #[serde(default = "defaults::identity_mount")]
    pub mount: String,
    /// The role that runs log in as.
    #[serde(default = "defaults::identity_role")]
    pub role: String,
    /// For whom the identities of runs are made out, and of whom the role takes them.
    #[serde(default = "defaults::audience")]
    pub audience: String,
    /// The folder of the key-value store in which wrappings wait for their runs, with a slash at its end; none of the secrets' own.
    #[serde(default = "defaults::handover_prefix")]
    pub prefix: String,
}

mod defaults {
    pub(super) fn mount() -> String {
        "kv".to_owned()
    }
    pub(super) fn prefix() -> String {
        "disinto/runner/".to_owned()
    }
    pub(super) fn field() -> String {
        "value".to_owned()
    }
    pub(super) fn role() -> String {
        "runner".to_owned()
    }
    /// Five minutes: what `policies/service-dispatcher.hcl` allows at most.
    pub(super) fn wrap_ttl_seconds() -> u32 {
        300
    }
    /// The `token_explicit_max_ttl` of `policies/roles.toml`.
    pub(super) fn token_ttl_seconds() -> u32 {
        3600
    }
    pub(super) fn approle_mount() -> String {
        "approle".to_owned()
    }
    pub(super) fn jwt_mount() -> String {
        "jwt".to_owned()
    }
    pub(super) fn jwt_role() -> String {
        "dispatcher".to_owned()
    }
    pub(super) fn identity_mount() -> String {
        "jwt-nomad".to_owned()
    }
    pub(super) fn identity_role() -> String {
        "dispatch-run".to_owned()
    }
    pub(super) fn audience() -> String {
        "dispatch-grant".to_owned()
    }
    pub(super) fn handover_prefix() -> String {
        "disinto/handover/".to_owned()
    }
}
