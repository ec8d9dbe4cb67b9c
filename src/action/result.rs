//! The result: `<id>.result.json`. The four fields that tools read today come first and stay as they are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tier;
use super::reason::Reason;

/// The version in the `schema` field.
pub const SCHEMA: u32 = 1;

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultState {
    /// The formula exited with 0.
    Succeeded,
    /// The formula, or the runner before it, failed.
    Failed,
    /// It was stopped at its time limit, and has stopped.
    TimedOut,
    /// It was stopped because somebody asked, and has stopped.
    Cancelled,
    /// It was not admitted.
    Rejected,
    /// It was admitted and provably never began.
    NotStarted,
    /// What became of it cannot be known. It is not run again.
    Lost,
}

impl ResultState {
    /// The word in the result.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::NotStarted => "not_started",
            Self::Lost => "lost",
        }
    }
}

/// The formula that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FormulaRef {
    /// Its name.
    pub name: String,
    /// Where it came from: `ops:<path>`, or the entry of `formulas.sources`.
    pub source: String,
    /// The SHA-256 of its bytes, lower-case hex.
    pub hash: String,
}

/// How the approval was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalRef {
    /// `branch` (low tier), `signature`, `pull_request`, or `none` (debug).
    pub how: String,
    /// Who.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// The pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// The commit that carries the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Where it ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobRef {
    /// The backend's id for the run.
    pub id: String,
    /// Nomad's allocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<String>,
    /// The node or host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// The whole log, of which `logs` is the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogRef {
    /// Bytes that the formula printed, redacted.
    pub bytes: u64,
    /// SHA-256 of the log as kept, lower-case hex.
    pub sha256: String,
    /// Whether the middle was dropped.
    pub truncated: bool,
    /// Whether the end is missing: the backend lost it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// Tokens used by one model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenUsage {
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Tokens read from and written to the cache.
    pub cache: u64,
}

/// Who wrote the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DispatcherRef {
    /// Version of the binary.
    pub version: String,
    /// Host name.
    pub host: String,
}

/// A result, as committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionResult {
    /// The action's id.
    pub id: String,
    /// The formula's exit code; 125 where there is none, and then `reason` says why: never 0.
    pub exit_code: i32,
    /// When the result was made: RFC 3339, UTC, seconds.
    pub timestamp: String,
    /// The last 1,000 characters of the log, redacted.
    pub logs: String,
    /// [`SCHEMA`].
    pub schema: u32,
    /// What became of the action.
    pub state: ResultState,
    /// Why, as a stable code.
    pub reason: Reason,
    /// Why, in words, with what is particular to this case.
    pub message: String,
    /// The exit code as learned from the backend; `null` where it could not be.
    pub exit: Option<i32>,
    /// The git blob id of the action's bytes.
    pub action_blob: String,
    /// The formula.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formula: Option<FormulaRef>,
    /// The approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRef>,
    /// The tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The backend's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobRef>,
    /// The policies that the run held.
    pub policies: Vec<String>,
    /// From 1.
    pub attempt: u32,
    /// When it was first seen.
    pub queued_at: Option<String>,
    /// When the formula began.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// The whole log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogRef>,
    /// Agents: usage by model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub usage: BTreeMap<String, TokenUsage>,
    /// Who wrote this.
    pub dispatcher: DispatcherRef,
}

impl ActionResult {
    /// The text that is committed: pretty JSON, one field a line, a newline at the end.
    pub fn to_text(&self) -> String {
        // Serialising plain data with text keys into memory has no way to fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}
