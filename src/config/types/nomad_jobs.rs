//! The jobs that Nomad runs actions and sidecars in: what varies of the shipped jobspecs.
//!
//! What is not set here is as the jobspec has it: `jobs/vault-runner.hcl`, `jobs/sidecar.hcl`.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[backends.nomad.runner]`, `[backends.nomad.sidecar]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NomadJob {
    /// How runs are executed on the clients.
    #[serde(default)]
    pub driver: NomadDriver,
    /// For `docker`: the image, by digest in production.
    #[serde(default)]
    pub image: Option<String>,
    /// The path of the dispatch binary: in the image, in the chroot of `exec`, or on the client.
    #[serde(default)]
    pub command: Option<String>,
    /// `docker`: `uid:gid`; `exec` and `raw_exec`: a user of the client. Not set: 10001 in a container, else what the driver takes.
    #[serde(default)]
    pub user: Option<String>,
    /// For `docker`: the network of the container; `none` cuts runs off.
    #[serde(default)]
    pub network_mode: Option<String>,
    /// Datacenters in which runs may be placed; empty: all.
    #[serde(default)]
    pub datacenters: BTreeSet<String>,
    /// The node pool in which runs are placed.
    #[serde(default)]
    pub node_pool: Option<String>,
    /// CPU of a run in MHz.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub cpu: Option<u32>,
    /// Memory of a run in MB; `raw_exec` does not hold a run to it.
    #[serde(default)]
    #[schemars(range(min = 10, max = 10_000_000))]
    pub memory: Option<u32>,
    /// Disk of a run in MB, its log of 100 MB at most included.
    #[serde(default)]
    #[schemars(range(min = 110, max = 10_000_000))]
    pub disk: Option<u32>,
    /// For `docker`: processes of a run at once.
    #[serde(default)]
    #[schemars(range(min = 8, max = 1_000_000))]
    pub pids: Option<u32>,
    /// Seconds between Nomad's own polite signal and its kill. The clients cut it to their `max_kill_timeout`, 30 s by default.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3_600))]
    pub kill_timeout_seconds: Option<u32>,
    /// The sets of mounts that actions may ask for together, each a variant of the job: `ssh`, `gpg+ssh`. Each mount by itself needs its entry too.
    #[serde(default)]
    pub mounts: BTreeSet<String>,
}

/// `[backends.nomad.seal]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NomadSeal {
    /// The age recipient (`age1…`) to which payloads are encrypted.
    pub recipient: String,
    /// The path at which a run finds the age identity: on the client, or in its container.
    pub identity: String,
    /// For `docker` and `exec`: the host volume that holds the identity; mounted read-only at the folder of `identity`.
    #[serde(default)]
    pub volume: Option<String>,
}

/// A task driver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NomadDriver {
    /// A container without rights.
    #[default]
    Docker,
    /// A process in a chroot.
    Exec,
    /// A process of the client, with no walls around it.
    RawExec,
}

impl NomadDriver {
    /// Nomad's name for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Exec => "exec",
            Self::RawExec => "raw_exec",
        }
    }
}
