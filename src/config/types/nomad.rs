//! Nomad: where its servers are, and as what runs are dispatched.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nomad_jobs::{NomadJob, NomadSeal};

/// `[backends.nomad]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nomad {
    /// `http://host:4646`, `https://host:4646` or `unix:///path`; `NOMAD_ADDR` where it is not set.
    pub address: String,
    /// The file that holds the token, read again for each request.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub token_file: Option<PathBuf>,
    /// The environment variable that holds the token; `NOMAD_TOKEN` where neither is set.
    #[serde(default)]
    pub token_env: Option<String>,
    /// The namespace of the runs; `NOMAD_NAMESPACE` where it is not set.
    #[serde(default = "defaults::namespace")]
    pub namespace: String,
    /// The region; the agent's own, or `NOMAD_REGION`, where it is not set.
    #[serde(default)]
    pub region: Option<String>,
    /// A PEM file of roots trusted besides the system's; `NOMAD_CACERT` where it is not set.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub ca_cert: Option<PathBuf>,
    /// A PEM file with the client's certificate; `NOMAD_CLIENT_CERT` where it is not set.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub client_cert: Option<PathBuf>,
    /// A PEM file with its key; `NOMAD_CLIENT_KEY` where it is not set.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub client_key: Option<PathBuf>,
    /// The name that the servers' certificate must have, such as `server.global.nomad`; `NOMAD_TLS_SERVER_NAME`, or the address's
    /// host, where it is not set.
    #[serde(default)]
    pub tls_server_name: Option<String>,
    /// The parameterized job that runs are dispatched of; those with mounts are named after it, as `<job>-gpg-ssh`.
    #[serde(default = "defaults::job")]
    pub job: String,
    /// Minutes that a run may wait for a client with room; then it is taken back.
    #[serde(default = "defaults::placement_minutes")]
    #[schemars(range(min = 1, max = 1_440))]
    pub placement_minutes: u32,
    /// Payloads of actions are encrypted to a key that only the clients have.
    #[serde(default)]
    pub seal: Option<NomadSeal>,
    /// What varies of the job of actions.
    #[serde(default)]
    pub runner: NomadJob,
    /// What varies of the job of sidecars; without this table there is none.
    #[serde(default)]
    pub sidecar: Option<NomadJob>,
}

impl Nomad {
    /// For a server at `address`; everything else as by default.
    pub fn at(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            token_file: None,
            token_env: None,
            namespace: defaults::namespace(),
            region: None,
            ca_cert: None,
            client_cert: None,
            client_key: None,
            tls_server_name: None,
            job: defaults::job(),
            placement_minutes: defaults::placement_minutes(),
            seal: None,
            runner: NomadJob::default(),
            sidecar: None,
        }
    }
}

mod defaults {
    pub(super) fn namespace() -> String {
        "dispatch".to_owned()
    }
    pub(super) fn job() -> String {
        "vault-runner".to_owned()
    }
    pub(super) fn placement_minutes() -> u32 {
        15
    }
}
