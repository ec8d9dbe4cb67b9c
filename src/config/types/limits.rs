//! Limits: how much runs at once, and for how long.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::ids::FormulaName;

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

mod defaults {
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
}
