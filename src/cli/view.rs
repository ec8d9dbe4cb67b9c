//! What verbs show, as plain data: filled from the journal, admission and the dispatcher, shown by [`super::render`] to
//! people and as JSON to tools. Field names are part of the JSON that tools read: they may be added to, not renamed.

use std::collections::BTreeMap;

use serde::Serialize;

mod filed;
mod show;

pub use self::filed::{FiledView, SetUpView};
pub use self::show::{AdmittedView, EventView, HistoryView, RequestView, ShowView, StandingView, Whose};
pub use crate::backend::nomad::changes::Change as FieldChange;
use crate::support::checkup::{Finding, Standing};
pub use crate::support::status::{LeaseView, OpsView, OutboxView, RunView, StatusView};

/// `list`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ListView {
    /// The runs, newest first.
    pub runs: Vec<RunView>,
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MistakeView {
    /// The file.
    pub path: String,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The character in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The stable code.
    pub reason: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// `check`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckedView {
    /// How many files were looked at.
    pub files: u64,
    /// Everything that is wrong with them.
    pub mistakes: Vec<MistakeView>,
    /// What could not be checked, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// It holds.
    Passed,
    /// It does not, for good.
    Failed,
    /// It does not hold yet, or cannot be told yet.
    Waiting,
    /// An earlier one failed, so that there was nothing to look at.
    Skipped,
}

/// One admission check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckView {
    /// The number of its rule.
    pub number: u8,
    /// What it is about: `form`, `secrets`, `approval`.
    pub name: String,
    /// What it came to.
    pub verdict: CheckVerdict,
    /// Why, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What was looked at and found.
    pub evidence: Vec<String>,
}

/// What was decided about an action earlier, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionView {
    /// The run.
    pub run: String,
    /// When: RFC 3339, UTC.
    pub at: String,
    /// `admitted`, `rejected`, `waiting`.
    pub verdict: String,
    /// Why, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What was looked at and found.
    pub evidence: Vec<String>,
}

/// `explain ID`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExplainView {
    /// The action.
    pub action: String,
    /// The commit of the ops repo that was looked at.
    pub head: String,
    /// Why an older head was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The blob that was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
    /// The commit that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// `admitted`, `rejected`, `waiting`, or `set_aside`: nothing comes of it and nothing is written.
    pub verdict: String,
    /// Why, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Every check as it comes out now, in order; none where the action does not stand in the ops repo.
    pub checks: Vec<CheckView>,
    /// What was decided earlier, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionView>,
}

/// A secret or mount that would be handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrantedView {
    /// Its name.
    pub name: String,
    /// What grants it: a policy, a path.
    pub by: String,
    /// Whether it is there, and where that was seen.
    pub evidence: String,
}

/// `plan ID`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PlanView {
    /// The action.
    pub action: String,
    /// `admitted`, `rejected`, `waiting`, `set_aside`.
    pub verdict: String,
    /// Why, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What would be launched; left out where nothing would be.
    #[serde(flatten)]
    pub launch: Option<LaunchView>,
}

/// `once --dry-run`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RoundView {
    /// What would be taken up, first what is queued already.
    pub plans: Vec<PlanView>,
}

/// What would be granted, mounted and launched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LaunchView {
    /// The tier.
    pub tier: String,
    /// The formula.
    pub formula: String,
    /// Where its bytes come from.
    pub source: String,
    /// Their SHA-256.
    pub hash: String,
    /// Where it would run.
    pub backend: String,
    /// How long it may take.
    pub timeout_minutes: u32,
    /// The secrets.
    pub secrets: Vec<GrantedView>,
    /// The mounts.
    pub mounts: Vec<GrantedView>,
    /// The parameters.
    pub params: BTreeMap<String, String>,
    /// Its directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// How many of its formula may run at once, where the formula says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formula_limit: Option<u32>,
    /// At most one run with the same key at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<String>,
    /// Why it would wait in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

/// `jobs plan`, `jobs apply`, `jobs validate`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JobsView {
    /// The shipped jobs, in the order in which they are registered.
    pub jobs: Vec<JobView>,
}

/// One shipped job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JobView {
    /// Its id in Nomad.
    pub id: String,
    /// `plan`: `new`, `differs`, `unchanged`; `apply`: `created`, `updated`, `unchanged`; `validate`: `valid`, `invalid`.
    pub state: String,
    /// The marker that it carries in its meta as `dispatch_spec`.
    pub marker: String,
    /// What differs from the registered one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// Why it is invalid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<String>,
    /// What Nomad warns of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<String>,
}

/// `doctor`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorView {
    /// The worst of all.
    pub standing: Standing,
    /// What was found, in the order in which it was looked at.
    pub findings: Vec<Finding>,
}

/// `gc`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GcView {
    /// What was removed, or would be.
    pub removed: Vec<String>,
    /// Bytes that this freed, or would.
    pub bytes: u64,
    /// What could not be removed, and why.
    pub failed: Vec<String>,
    /// What waits for a person to look at: damaged journals and results that were set aside. Never removed.
    pub kept: Vec<String>,
    /// What became of the mirror: `packed`, `in_use` by a running dispatcher, `absent`; not set for a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Nothing was removed: it was asked only what would be.
    pub dry_run: bool,
}

/// One policy or role against the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PolicyView {
    /// `policy`, `token role`, `auth role`.
    pub kind: String,
    /// Its name on the server.
    pub name: String,
    /// `created`, `updated`, `unchanged`.
    pub change: String,
    /// SHA-256 of what should stand there, 12 hex digits.
    pub digest: String,
    /// The same of what stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<String>,
    /// The fields that differ, of a role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// In what it asks for more than what ships.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<String>,
    /// In what the one on the server does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub standing_beyond: Vec<String>,
}

/// `policies plan|apply|check`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PoliciesView {
    /// What differed was written.
    pub written: bool,
    /// Every object.
    pub objects: Vec<PolicyView>,
    /// Policies of the server that are named like a secret's and belong to none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<String>,
}

/// `policies add`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AddedView {
    /// The file.
    pub path: String,
    /// Whether it was written now.
    pub written: bool,
}

/// `logs`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogView {
    /// The run.
    pub run: String,
    /// The state of the run.
    pub state: String,
    /// The file of its log.
    pub log: String,
    /// The log, or the next part of it; what is not UTF-8 is U+FFFD. Not escaped: JSON is for tools.
    pub text: String,
}

/// `audit verify`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuditView {
    /// Events looked at.
    pub events: u64,
    /// Commits of results in the mirror that were compared with the chain.
    pub commits: u64,
    /// Commits of results by other dispatchers, which led at other times: compare them where their journals are.
    pub others: u64,
    /// What does not hold, each with the event's number.
    pub broken: Vec<String>,
    /// The digest at the end of the chain: keep it elsewhere to notice a chain that was cut short.
    pub head: String,
}
