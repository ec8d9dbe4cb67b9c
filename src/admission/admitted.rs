//! What an admitted action is: everything that its run needs, pinned, in a form that the journal keeps. A run looks nothing
//! up again: what it gets are these bytes.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::checks::approval::Approval;
use crate::action::result::FormulaRef;
use crate::action::{FormulaKind, Tier};
use crate::runner::envelope::Sealed;
use crate::support::ids::{ActionId, BlobId, CommitId, FormulaName, MountName, SecretName, sha256_hex};

/// Bytes together with the digest under which they were admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// The bytes; base64 where they are written down.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub bytes: Vec<u8>,
}

/// The formula that was admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmittedFormula {
    /// Its name.
    pub name: FormulaName,
    /// Script or prompt.
    pub kind: FormulaKind,
    /// Where it came from: `ops:<path>`, or the directory or repo of the config with the path in it.
    pub source: String,
    /// Its bytes.
    pub script: Pinned,
    /// `<name>.meta.toml`, where there is one.
    pub meta: Option<Pinned>,
    /// Context files by their path in the ops repo.
    pub context_files: BTreeMap<String, Pinned>,
    /// Whether its author says that running it twice does no harm.
    pub idempotent: bool,
    /// How many of it may run at once, where it says.
    pub max_concurrent: Option<u32>,
}

/// An action that may run, with everything that its run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// The action.
    pub id: ActionId,
    /// The git object of its file.
    pub blob: BlobId,
    /// The bytes of its file.
    pub action: Pinned,
    /// Why, in the requester's words.
    pub context: String,
    /// The formula.
    pub formula: AdmittedFormula,
    /// Parameters, with the formula's defaults filled in.
    pub params: BTreeMap<String, String>,
    /// How far it reaches.
    pub tier: Tier,
    /// How its approval was proven.
    pub approval: Approval,
    /// The commit that brought it; `None` for a file of this machine.
    pub arrived: Option<CommitId>,
    /// The head of the primary branch when it was admitted.
    pub head: CommitId,
    /// Where it runs.
    pub backend: String,
    /// The mounts that it gets.
    pub mounts: BTreeSet<MountName>,
    /// The secrets that it gets, and no others.
    pub secrets: BTreeSet<SecretName>,
    /// How long it may take.
    pub timeout_minutes: u32,
    /// 1 to 100; higher goes first.
    pub priority: u8,
    /// At most one run with the same key at a time.
    pub concurrency_key: Option<String>,
    /// Runs that name the same one take turns.
    pub working_directory: Option<String>,
    /// It must begin by then.
    pub not_after: Option<Timestamp>,
    /// What had to succeed before it, and did.
    pub depends_on: BTreeSet<ActionId>,
    /// The evidence of every check, a sentence each.
    pub evidence: Vec<String>,
}

impl Admitted {
    /// Drops the bytes that ran and keeps their digests: for records that outlive the run.
    pub fn drop_bytes(&mut self) {
        let formula = &mut self.formula;
        let pinned = [&mut self.action, &mut formula.script].into_iter();
        let pinned = pinned.chain(&mut formula.meta).chain(formula.context_files.values_mut());
        pinned.for_each(|pinned| pinned.bytes = Vec::new());
    }
}

impl Pinned {
    /// Pins `bytes` as they are.
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha256: sha256_hex(bytes), bytes: bytes.to_vec() }
    }
}

impl From<&Pinned> for Sealed {
    fn from(pinned: &Pinned) -> Self {
        Self { sha256: pinned.sha256.clone(), bytes: pinned.bytes.clone() }
    }
}

impl From<&AdmittedFormula> for FormulaRef {
    fn from(formula: &AdmittedFormula) -> Self {
        Self { name: formula.name.to_string(), source: formula.source.clone(), hash: formula.script.sha256.clone() }
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}
