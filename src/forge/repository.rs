//! The repository, its branches and their protection.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Forge;
use super::error::ForgeError;
use super::wire::Call;

/// The number of a repository: one that is deleted and made again under its name has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryId(pub i64);

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// The number.
    pub id: RepositoryId,
    /// `owner/name`
    pub full_name: String,
    /// The branch that requests are for where nothing else is said.
    #[serde(default)]
    pub default_branch: String,
    /// Whether it has pull requests; without them no commit is mapped to one.
    #[serde(default)]
    pub has_pull_requests: Option<bool>,
    /// Whether a writer may mark any pull request as merged by hand, with any commit, without approvals. Shown to
    /// administrators only by some versions.
    #[serde(default)]
    pub allow_manual_merge: Option<bool>,
    /// What the asking user may do.
    #[serde(default)]
    pub permissions: Permissions,
}

/// What the asking user may do in a repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Permissions {
    /// Change its settings.
    #[serde(default)]
    pub admin: bool,
    /// Push.
    #[serde(default)]
    pub push: bool,
    /// Read.
    #[serde(default)]
    pub pull: bool,
}

/// A branch as every reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// Whether a rule protects it.
    #[serde(default)]
    pub protected: bool,
    /// How many approvals the forge itself asks for before a merge.
    #[serde(default)]
    pub required_approvals: i64,
    /// Whether the asking user may push to it.
    #[serde(default)]
    pub user_can_push: bool,
    /// Whether the asking user may merge into it.
    #[serde(default)]
    pub user_can_merge: bool,
}

/// A rule that protects branches; what a forge knows beyond this stays as it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Protection {
    /// The branch, or a pattern.
    pub rule_name: String,
    /// Whether anybody may push at all.
    pub enable_push: bool,
    /// Whether only those listed may.
    pub enable_push_whitelist: bool,
    /// Who may push.
    pub push_whitelist_usernames: Vec<String>,
    /// How many approvals a merge needs.
    pub required_approvals: i64,
    /// Whether only approvals of those listed count.
    pub enable_approvals_whitelist: bool,
    /// Whose approvals count.
    pub approvals_whitelist_username: Vec<String>,
    /// Whether requested changes stop a merge.
    pub block_on_rejected_reviews: bool,
    /// Whether approvals of an older head do not count.
    pub ignore_stale_approvals: bool,
    /// Whether approvals of an older head are dismissed.
    pub dismiss_stale_approvals: bool,
    /// Whether administrators are bound too.
    pub block_admin_merge_override: bool,
    /// Whether a merge waits for statuses.
    pub enable_status_check: bool,
    /// Which.
    pub status_check_contexts: Vec<String>,
    /// Paths that nobody may change, by `;`.
    pub protected_file_patterns: String,
    /// Paths that any writer may push, by `;`.
    pub unprotected_file_patterns: String,
}

impl Forge {
    /// The repository: also the question whether the forge is there and is the one that is meant.
    pub async fn repository(&self) -> Result<Repository, ForgeError> {
        self.wire().read(&Call::get("the repository", &self.path(&[]))).await
    }

    /// A branch.
    pub async fn branch(&self, name: &str) -> Result<Branch, ForgeError> {
        self.wire().read(&Call::get(format!("the branch {name}"), &self.path(&["branches", name]))).await
    }

    /// The rules that protect branches. Only administrators of the repository may see them.
    pub async fn protections(&self) -> Result<Vec<Protection>, ForgeError> {
        self.wire().list(Call::get("the branch protections", &self.path(&["branch_protections"]))).await
    }

    /// Makes a rule.
    ///
    /// # Errors
    /// Also where there is one of this name already.
    pub async fn protect(&self, protection: &Protection) -> Result<Protection, ForgeError> {
        let body = serde_json::to_value(protection).unwrap_or_default();
        self.wire().read(&Call::post("a new branch protection", &self.path(&["branch_protections"]), body)).await
    }

    /// Puts a new file on a new branch that starts at `base`.
    ///
    /// # Errors
    /// Also where the path or the branch exists already.
    pub async fn add_file(&self, file: &AddedFile<'_>) -> Result<(), ForgeError> {
        let segments: Vec<&str> = std::iter::once("contents").chain(file.path.split('/')).collect();
        let body = json!({
            "content": file.content_base64, "message": file.message, "branch": file.base, "new_branch": file.branch
        });
        self.wire().ask(&Call::post(format!("a new file {}", file.path), &self.path(&segments), body)).await?;
        Ok(())
    }
}

/// A file that is added by a commit of the forge's.
#[derive(Debug, Clone, Copy)]
pub struct AddedFile<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its bytes, in base64.
    pub content_base64: &'a str,
    /// The commit's message.
    pub message: &'a str,
    /// The branch that it starts from.
    pub base: &'a str,
    /// The branch that is made.
    pub branch: &'a str,
}
