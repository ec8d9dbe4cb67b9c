//! Backends: which runs what, and what they mount.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Nomad;
use crate::support::ids::FormulaName;

/// `[mounts.<name>]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// For the local backend: a directory or file, copied read-only into the run's directory.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub local: Option<PathBuf>,
    /// For Nomad: the host volume, which `dispatch jobs` lets the runs have read-only.
    #[serde(default)]
    pub nomad: Option<String>,
    /// For Nomad: where a run finds it; `/mnt/<name>` where it is not set. With the driver `raw_exec`, which mounts nothing, the volume's
    /// directory on the clients.
    #[serde(default)]
    pub nomad_path: Option<String>,
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
    /// By formula; it goes before the default, and an action cannot override it.
    #[serde(default)]
    pub formula: BTreeMap<FormulaName, String>,
    /// Runs on the dispatcher's own machine.
    #[serde(default)]
    pub local: Local,
    /// Nomad; not there where it is not set.
    #[serde(default)]
    pub nomad: Option<Nomad>,
}

impl Default for Backends {
    fn default() -> Self {
        Self {
            default: defaults::backend(),
            allow: BTreeSet::new(),
            formula: BTreeMap::new(),
            local: Local::default(),
            nomad: None,
        }
    }
}

/// `[backends.local]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// What a run may use.
    #[serde(default)]
    pub limits: LocalLimits,
}

/// `[backends.local.limits]`: for each process of a run, its runner among them. What is not set is as it is for the dispatcher; nothing
/// is raised above that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalLimits {
    /// Files that a process of a local run may have open. Not set: as many as the dispatcher may.
    #[serde(default)]
    #[schemars(range(min = 64, max = 1_048_576))]
    pub open_files: Option<u64>,
    /// Processes and threads that the user of local runs may have, all counted together; the kernel lets root have any number. Not
    /// set: as many as the dispatcher may.
    #[serde(default)]
    #[schemars(range(min = 64, max = 4_194_304))]
    pub processes: Option<u64>,
    /// MiB of address space that a process of a local run may have. Not set: as much as the dispatcher may.
    #[serde(default)]
    #[schemars(range(min = 512, max = 16_777_216))]
    pub memory_mib: Option<u64>,
    /// MiB that a file may have that a process of a local run writes. Not set: as many as the dispatcher may.
    #[serde(default)]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub file_mib: Option<u64>,
}

mod defaults {
    pub(super) fn backend() -> String {
        "local".to_owned()
    }
}
