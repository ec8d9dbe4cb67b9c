//! What `dispatch request` and `dispatch ops init` show.

use serde::Serialize;

/// `request`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FiledView {
    /// The action's id.
    pub action: String,
    /// Where its file goes in the ops repo.
    pub path: String,
    /// The file.
    pub file: String,
    /// How far it reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Which approval it needs, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// The pull request; none with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Where people read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// With `--wait`: what has happened, in words, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// With `--wait`: the state of its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// `ops init`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SetUpView {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Files that were missing.
    pub created: Vec<String>,
    /// Files that were there, and are as they were.
    pub kept: Vec<String>,
    /// Settings on the forge that changed, a line each.
    pub changed: Vec<String>,
}
