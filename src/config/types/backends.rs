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
    /// Nomad; not there where it is not set.
    #[serde(default)]
    pub nomad: Option<Nomad>,
}

impl Default for Backends {
    fn default() -> Self {
        Self { default: defaults::backend(), allow: BTreeSet::new(), formula: BTreeMap::new(), nomad: None }
    }
}

mod defaults {
    pub(super) fn backend() -> String {
        "local".to_owned()
    }
}
