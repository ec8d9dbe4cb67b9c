//! What a running dispatcher says of itself: the answer to the control command `status`, made in `dispatcher`, shown in
//! `cli`. States, reasons and tiers are their stable words here, so that a newer client can still show an older answer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One run, or one action that has not been launched yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// `<action id>@<attempt>`
    pub run: String,
    /// The action.
    pub action: String,
    /// From 1.
    pub attempt: u32,
    /// Where it stands: `waiting`, `running`, `succeeded`, …
    pub state: String,
    /// Why, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `low`, `medium`, `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// The formula.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The slot that it occupies, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// The formula's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// When it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Timestamp>,
    /// When the formula began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The commit in which its result was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_commit: Option<String>,
}

/// The ops repo as the dispatcher last saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpsView {
    /// The remote.
    pub remote: String,
    /// The primary branch.
    pub branch: String,
    /// Its head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// When it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// Why it cannot be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Results that have not reached the remote yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxView {
    /// How many.
    pub pending: u64,
    /// Why the last push failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The lease, where one is configured: which of several dispatchers works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseView {
    /// Whether this one does; otherwise it stands by.
    pub leads: bool,
    /// Who does, as far as is known; for a lease that is free, who did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The number of that leadership: a later one has a higher one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// Why the lease cannot be looked at or renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl LeaseView {
    /// In words: who leads, and what is wrong.
    pub fn words(&self) -> String {
        let leader = self.leader.as_deref().unwrap_or("somebody who is not known yet");
        let since = self.since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
        let term = self.term.map(|term| format!(" (term {term})")).unwrap_or_default();
        let error = self.error.as_ref().map(|error| format!("; {error}")).unwrap_or_default();
        if self.leads {
            format!("leads{since}{term}{error}")
        } else {
            format!("standby: led by {leader}{since}{term}{error}")
        }
    }
}

/// What the dispatcher is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// Version of the binary.
    pub version: String,
    /// Its process; 0 where none is running.
    pub pid: u32,
    /// Whether one is running. If not, this is what the journal says.
    #[serde(default = "yes")]
    pub running: bool,
    /// Since when it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Takes up nothing new.
    #[serde(default)]
    pub draining: bool,
    /// Who leads, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseView>,
    /// Slots in all.
    pub slots: u32,
    /// The ops repo.
    pub ops: OpsView,
    /// How many actions are in which state.
    pub counts: BTreeMap<String, u64>,
    /// Runs under way.
    pub active: Vec<RunView>,
    /// Actions that wait, with why, first to go first.
    pub waiting: Vec<RunView>,
    /// Results on their way.
    pub outbox: OutboxView,
    /// What a person must know of, by its word, with how often it happened since the journal was begun: `grant_intercepted`,
    /// `grant_unanswered`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alarms: BTreeMap<String, u64>,
    /// What needs a person: a rewritten branch, a foreign result, a backend that is down.
    pub problems: Vec<String>,
}

/// Whoever answers is running.
fn yes() -> bool {
    true
}
