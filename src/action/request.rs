//! The action: one request, `vault/actions/<id>.toml` (10-actions).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::Tier;
use crate::support::ids::{ActionId, FormulaName, MountName, SecretName};

/// How the requester says that the action came; a claim, checked against the tier, never believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DispatchMode {
    /// By pull request.
    Pr,
    /// By a direct commit.
    Direct,
}

/// A parsed action; each field is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Action {
    /// Equals the file's stem.
    pub id: ActionId,
    /// What to run.
    pub formula: FormulaName,
    /// Why, for people; 1 to 4,096 bytes without control or bidi characters.
    pub context: String,
    /// The secrets asked for.
    pub secrets: BTreeSet<SecretName>,
    /// The mounts asked for.
    pub mounts: BTreeSet<MountName>,
    /// For agent formulas.
    pub model: Option<String>,
    /// For agent formulas.
    pub tools: Vec<String>,
    /// 1 to 1,440; `None`: the formula's default, or 60.
    pub timeout_minutes: Option<u32>,
    /// The requester's claim.
    pub dispatch_mode: Option<DispatchMode>,
    /// May only raise the tier.
    pub blast_radius: Option<Tier>,
    /// Handed to the formula as `DISPATCH_PARAM_<NAME>`.
    pub params: BTreeMap<String, String>,
    /// Actions that must have succeeded first.
    pub depends_on: BTreeSet<ActionId>,
    /// Not earlier than this.
    pub not_before: Option<Timestamp>,
    /// Not later than this.
    pub not_after: Option<Timestamp>,
    /// 1 to 100; higher goes first; default 50.
    pub priority: u8,
    /// At most one run with the same key at a time.
    pub concurrency_key: Option<String>,
    /// Must be allowed by the config.
    pub backend: Option<String>,
    /// A local directory; runs that name the same one take turns.
    pub working_directory: Option<String>,
}
