//! What is told back: statuses of commits, comments, hooks; and issues with their labels. Failing to tell never affects a run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Forge;
use super::error::ForgeError;
use super::people::User;
use super::requests::PullNumber;
use super::wire::Call;
use crate::support::ids::CommitId;

/// How something stands. The forge takes any text here and shows what it knows, so the words are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusState {
    /// Under way.
    Pending,
    /// Well.
    Success,
    /// It went through and the answer is no.
    Failure,
    /// It did not go through.
    Error,
    /// Worth a look.
    Warning,
}

/// A status of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How it stands.
    #[serde(alias = "status")]
    pub state: StatusState,
    /// Whose word it is: `dispatch/check`. The newest of each context is shown.
    pub context: String,
    /// One line.
    #[serde(default)]
    pub description: String,
    /// Where to read more; empty: nowhere.
    #[serde(default)]
    pub target_url: String,
}

/// A status as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Told {
    /// Its number: later ones have higher ones.
    pub id: i64,
    /// Who told it. Any writer may tell anything of any commit, under any context.
    #[serde(default)]
    pub creator: Option<User>,
    /// What.
    #[serde(flatten)]
    pub status: Status,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Comment {
    /// Its number.
    pub id: i64,
    /// Who.
    pub user: Option<User>,
    /// The text. Any writer may edit anybody's.
    #[serde(default)]
    pub body: String,
}

/// A label.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// Its number; two labels may have the same name.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// An issue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Issue {
    /// Its number, from the same row as those of pull requests.
    pub number: PullNumber,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// Its text.
    #[serde(default)]
    pub body: String,
    /// `open` or `closed`
    pub state: String,
    /// Its labels.
    #[serde(default)]
    pub labels: Vec<Label>,
}

/// A hook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hook {
    /// Its number.
    pub id: i64,
    /// Whether it is called.
    #[serde(default)]
    pub active: bool,
    /// What it is called for.
    #[serde(default)]
    pub events: Vec<String>,
    /// Where it goes.
    #[serde(default)]
    pub config: HookConfig,
}

/// Where a hook goes; its secret is never told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct HookConfig {
    /// The address.
    #[serde(default)]
    pub url: String,
}

impl Forge {
    /// Adds a status; earlier ones of its context stay in the list and are no longer shown.
    pub async fn tell_status(&self, commit: &CommitId, status: &Status) -> Result<(), ForgeError> {
        let body = serde_json::to_value(status).unwrap_or_default();
        let what = format!("a status of commit {}", commit.short());
        self.wire().ask(&Call::post(what, &self.path(&["statuses", commit.as_str()]), body)).await?;
        Ok(())
    }

    /// All statuses that a commit ever got, the oldest first. By their numbers: the forge's own orders are not what they are
    /// called (`leastindex` begins with the highest), and without one those of the same second come in any.
    pub async fn statuses(&self, commit: &CommitId) -> Result<Vec<Told>, ForgeError> {
        let what = format!("the statuses of commit {}", commit.short());
        let mut all: Vec<Told> = self
            .wire()
            .list(Call::get(what, &self.path(&["statuses", commit.as_str()])).query("sort", "oldest"))
            .await?;
        all.sort_by_key(|one| one.id);
        Ok(all)
    }

    /// All comments on an issue or a pull request. The forge gives them in one piece.
    pub async fn comments(&self, number: PullNumber) -> Result<Vec<Comment>, ForgeError> {
        let digits = number.0.to_string();
        let path = ["issues", &digits, "comments"];
        self.wire().read(&Call::get(format!("the comments of {number}"), &self.path(&path))).await
    }

    /// Comments on an issue or a pull request.
    pub async fn comment(&self, number: PullNumber, text: &str) -> Result<Comment, ForgeError> {
        let digits = number.0.to_string();
        let path = ["issues", &digits, "comments"];
        self.wire()
            .read(&Call::post(format!("a comment on {number}"), &self.path(&path), json!({ "body": text })))
            .await
    }

    /// Changes a comment.
    pub async fn edit_comment(&self, id: i64, text: &str) -> Result<Comment, ForgeError> {
        let digits = id.to_string();
        let path = ["issues", "comments", &digits];
        self.wire()
            .read(&Call::patch(format!("a change of comment {id}"), &self.path(&path), json!({ "body": text })))
            .await
    }

    /// An issue.
    pub async fn issue(&self, number: PullNumber) -> Result<Issue, ForgeError> {
        let digits = number.0.to_string();
        self.wire().read(&Call::get(format!("issue {number}"), &self.path(&["issues", &digits]))).await
    }

    /// The open issues that have all of `labels`. The forge drops names that it does not know from its filter and then answers
    /// with every issue, so the labels are compared here once more.
    pub async fn open_issues(&self, labels: &[&str]) -> Result<Vec<Issue>, ForgeError> {
        let call = Call::get("the open issues", &self.path(&["issues"])).query("state", "open").query("type", "issues");
        let mut issues: Vec<Issue> = self.wire().list(call.query("labels", labels.join(","))).await?;
        issues.retain(|issue| {
            let has: BTreeSet<&str> = issue.labels.iter().map(|label| label.name.as_str()).collect();
            labels.iter().all(|label| has.contains(label))
        });
        Ok(issues)
    }

    /// All labels of the repository.
    pub async fn labels(&self) -> Result<Vec<Label>, ForgeError> {
        self.wire().list(Call::get("the labels", &self.path(&["labels"]))).await
    }

    /// All hooks of the repository. Only its administrators may see them.
    pub async fn hooks(&self) -> Result<Vec<Hook>, ForgeError> {
        self.wire().list(Call::get("the hooks", &self.path(&["hooks"]))).await
    }

    /// Adds a hook that signs what it sends with `secret`.
    pub async fn add_hook(
        &self,
        url: &str,
        events: &[&str],
        secret: &secrecy::SecretString,
    ) -> Result<Hook, ForgeError> {
        use secrecy::ExposeSecret as _;
        let config = json!({ "url": url, "content_type": "json", "secret": secret.expose_secret() });
        let body = json!({ "type": "gitea", "active": true, "events": events, "config": config });
        self.wire().read(&Call::post("a new hook", &self.path(&["hooks"]), body)).await
    }
}
