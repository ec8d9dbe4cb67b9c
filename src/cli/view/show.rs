//! What `show` shows of one run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::RunView;
use crate::action::result::{ApprovalRef, JobRef};

/// One event of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventView {
    /// Its number in the journal.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The state that it led to.
    pub state: String,
    /// What is particular to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The request, as it was found on the primary branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestView {
    /// The path of its file.
    pub path: String,
    /// The blob at that path.
    pub blob: String,
    /// The head in which it was found.
    pub head: String,
}

/// What was admitted, and on what evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdmittedView {
    /// Why it is wanted, in the requester's words.
    pub context: String,
    /// Where the formula came from.
    pub source: String,
    /// The SHA-256 of its bytes.
    pub hash: String,
    /// How its approval was proven.
    pub approval: ApprovalRef,
    /// The commit that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrived: Option<String>,
    /// The secrets that it gets, by name.
    pub secrets: BTreeSet<String>,
    /// The mounts that it gets.
    pub mounts: BTreeSet<String>,
    /// The parameters.
    pub params: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout_minutes: u32,
    /// 1 to 100; higher goes first.
    pub priority: u8,
    /// At most one run with the same key at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<String>,
    /// Runs that name the same one take turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// It had to begin by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// What had to succeed before it.
    pub depends_on: BTreeSet<String>,
    /// The evidence of every check.
    pub evidence: Vec<String>,
}

/// Whose result stands in the ops repo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// This run's.
    Ours,
    /// That of another attempt at the action.
    OtherAttempt,
    /// One that the journal does not know; this run's own is kept aside.
    KeptAside,
    /// One that the journal does not know.
    Foreign,
    /// The mirror does not hold it, so that it cannot be compared.
    NotCompared,
}

/// The result of the action that stands in the ops repo, as of the last look at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StandingView {
    /// Its path.
    pub path: String,
    /// Its blob.
    pub blob: String,
    /// Whose it is.
    pub whose: Whose,
}

/// `show ID`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShowView {
    /// The run.
    pub run: RunView,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestView>,
    /// What was admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admitted: Option<AdmittedView>,
    /// Its events, oldest first.
    pub events: Vec<EventView>,
    /// The policies that it held.
    pub policies: Vec<String>,
    /// Where it runs or ran, as far as that is known by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobRef>,
    /// The file of its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The result of the action that stands in the ops repo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingView>,
    /// Where its own result was kept, since another one stands in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_aside: Option<String>,
    /// The result as committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

/// `show ID` of an action of which the journal knows no run, and of which a result stands in the ops repo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryView {
    /// The action.
    pub action: String,
    /// Its result.
    pub standing: StandingView,
}
