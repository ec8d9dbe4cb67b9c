//! Pull requests, their reviews, commits and files; and which request a commit came from.
//!
//! What the forge says of itself here (`stale`, `official`, the live tips of branches) is kept as evidence and decides nothing.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::Forge;
use super::error::{Effect, ForgeError};
use super::people::User;
use super::repository::RepositoryId;
use super::wire::Call;
use crate::support::ids::CommitId;

/// The number of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PullNumber(pub u64);

impl fmt::Display for PullNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: PullNumber,
    /// Who opened it; a deleted user has the id -1.
    pub user: Option<User>,
    /// `open` or `closed`
    pub state: String,
    /// Whether it is merged.
    #[serde(default)]
    pub merged: bool,
    /// Who merged it. For one that was marked as merged by hand, whoever the forge makes of a commit's e-mail.
    #[serde(default)]
    pub merged_by: Option<User>,
    /// When.
    #[serde(default)]
    pub merged_at: Option<Timestamp>,
    /// The commit that the merge left on the base; whatever was said, where it was marked as merged by hand.
    #[serde(default, deserialize_with = "commit")]
    pub merge_commit_sha: Option<CommitId>,
    /// Where it goes.
    pub base: Side,
    /// Where it comes from; its `sha` is the live tip of that branch, also after the merge, and is never to be believed.
    pub head: Side,
    /// Where people read it.
    #[serde(default)]
    pub html_url: String,
}

/// One side of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Side {
    /// The branch.
    #[serde(rename = "ref", default)]
    pub reference: String,
    /// The repository; -1 where it was deleted.
    pub repo_id: RepositoryId,
    /// The tip of the branch now.
    #[serde(default, deserialize_with = "commit")]
    pub sha: Option<CommitId>,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Review {
    /// Its number: later reviews have higher ones.
    pub id: i64,
    /// Who; `None`: a team was asked.
    pub user: Option<User>,
    /// What it says.
    pub state: ReviewState,
    /// The commit that the reviewer's client named.
    #[serde(default, deserialize_with = "commit")]
    pub commit_id: Option<CommitId>,
    /// Whether it was taken back, or overtaken by another of the same user; its state stays as it was.
    #[serde(default)]
    pub dismissed: bool,
    /// Whether the forge thinks that the request has changed since. No evidence.
    #[serde(default)]
    pub stale: bool,
    /// Whether the forge counts it. No evidence.
    #[serde(default)]
    pub official: bool,
    /// When.
    #[serde(default)]
    pub submitted_at: Option<Timestamp>,
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReviewState {
    /// Yes.
    Approved,
    /// No.
    RequestChanges,
    /// Neither.
    Comment,
    /// It is being written.
    Pending,
    /// It was asked for.
    RequestReview,
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

/// An entry of what happened to a request, as far as it matters here. Entries have numbers that rise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Happening {
    /// Its number.
    pub id: i64,
    /// `review`, `change_target_branch`, `pull_push`, `merge_pull` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Whose doing it was.
    #[serde(default)]
    pub user: Option<User>,
    /// Of a review: its number.
    #[serde(default)]
    pub review_id: i64,
    /// Of a change of the target: the branch that it was before.
    #[serde(default)]
    pub old_ref: String,
}

/// A commit of a request, with the users that the forge found by the e-mails in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RequestCommit {
    /// Its id.
    pub sha: CommitId,
    /// By the author's e-mail.
    #[serde(default)]
    pub author: Option<User>,
    /// By the committer's e-mail.
    #[serde(default)]
    pub committer: Option<User>,
}

/// A file that a request changes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ChangedFile {
    /// Its path.
    pub filename: String,
    /// `added`, `changed`, `deleted`, `renamed` …
    #[serde(default)]
    pub status: String,
}

/// Which requests a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that can still be merged.
    Open,
    /// Those that were merged or given up.
    Closed,
}

/// What the forge says of a commit that no request left behind. It answers 404 also where the repository was renamed or removed, or
/// where the token's user may not see it any more, and nothing but the words tells the two apart.
const NO_SUCH_REQUEST: &str = "pull request does not exist";

/// A 404 that says nothing of the request.
fn lost_sight(what: String, said: &str) -> ForgeError {
    let why = format!(
        "it is a 404 that does not say that there is no such request, but \"{said}\": see that the repository is still there under \
         that name, and that the token's user may read it"
    );
    ForgeError::NotAnAnswer { what, effect: Effect::Reads, why }
}

/// An empty text, which stands for "none" in answers, and anything else that is no commit id.
fn commit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<CommitId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

impl Forge {
    /// The request that the forge maps this commit to, by its merge commit alone, whatever the base; of two, the lower number.
    ///
    /// `None`: it knows of none, or not yet: for up to a second after a merge, and longer while a slow hook runs.
    pub async fn request_of(&self, commit: &CommitId) -> Result<Option<PullRequest>, ForgeError> {
        let what = format!("the pull request of commit {}", commit.short());
        match self.wire().read(&Call::get(what, &self.path(&["commits", commit.as_str(), "pull"]))).await {
            Ok(request) => Ok(Some(request)),
            Err(ForgeError::NotFound { said, .. }) if said.contains(NO_SUCH_REQUEST) => Ok(None),
            Err(ForgeError::NotFound { what, said }) => Err(lost_sight(what, &said)),
            Err(error) => Err(error),
        }
    }

    /// A pull request.
    pub async fn request(&self, number: PullNumber) -> Result<PullRequest, ForgeError> {
        let digits = number.0.to_string();
        self.wire().read(&Call::get(format!("pull request {number}"), &self.path(&["pulls", &digits]))).await
    }

    /// All requests that are open, or all that are closed.
    pub async fn requests(&self, which: Which) -> Result<Vec<PullRequest>, ForgeError> {
        let (state, what) = match which {
            Which::Open => ("open", "the open pull requests"),
            Which::Closed => ("closed", "the closed pull requests"),
        };
        self.wire().list(Call::get(what, &self.path(&["pulls"])).query("state", state).query("sort", "oldest")).await
    }

    /// All reviews, the oldest first. Those that are being written are seen by their authors only.
    pub async fn reviews(&self, number: PullNumber) -> Result<Vec<Review>, ForgeError> {
        let digits = number.0.to_string();
        let path = ["pulls", &digits, "reviews"];
        self.wire().list(Call::get(format!("the reviews of pull request {number}"), &self.path(&path))).await
    }

    /// What happened to a request, in the order in which it did. Without a page all of it comes; what each page of a list says of
    /// its length is the length of that page, so that whoever relies on this looks for a beginning and an end.
    pub async fn happenings(&self, number: PullNumber) -> Result<Vec<Happening>, ForgeError> {
        let digits = number.0.to_string();
        let path = ["issues", &digits, "timeline"];
        self.wire().read(&Call::get(format!("what happened to pull request {number}"), &self.path(&path))).await
    }

    /// All commits of the request.
    pub async fn request_commits(&self, number: PullNumber) -> Result<Vec<RequestCommit>, ForgeError> {
        let digits = number.0.to_string();
        let path = ["pulls", &digits, "commits"];
        let call = Call::get(format!("the commits of pull request {number}"), &self.path(&path));
        self.wire().list(call.query("files", "false").query("verification", "false")).await
    }

    /// All files that the request changes.
    pub async fn request_files(&self, number: PullNumber) -> Result<Vec<ChangedFile>, ForgeError> {
        let digits = number.0.to_string();
        let path = ["pulls", &digits, "files"];
        self.wire().list(Call::get(format!("the files of pull request {number}"), &self.path(&path))).await
    }

    /// Opens a request.
    pub async fn open_request(
        &self,
        head: &str,
        base: &str,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, ForgeError> {
        let content = json!({ "head": head, "base": base, "title": title, "body": body });
        self.wire().read(&Call::post("a new pull request", &self.path(&["pulls"]), content)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_commit_id_is_none_and_an_unknown_state_is_no_approval() {
        let review = r#"{"id":1,"user":null,"state":"REQUEST_REVIEW","commit_id":""}"#;
        assert_eq!(serde_json::from_str::<Review>(review).unwrap().commit_id, None);
        let review = r#"{"id":1,"user":null,"state":"APPROVED_ISH"}"#;
        assert_eq!(serde_json::from_str::<Review>(review).unwrap().state, ReviewState::Unknown);
    }

    #[test]
    fn an_open_request_has_no_merge_and_a_deleted_fork_no_repository() {
        let text = r#"{"number":3,"user":{"id":-1,"login":"Ghost"},"state":"open","merged":false,"merge_commit_sha":null,
            "merged_by":null,"merged_at":null,"base":{"ref":"main","repo_id":7,"sha":"x"},
            "head":{"ref":"refs/pull/3/head","repo_id":-1,"repo":null}}"#;
        let request: PullRequest = serde_json::from_str(text).unwrap();
        assert_eq!((request.merge_commit_sha, request.head.repo_id), (None, RepositoryId(-1)));
        assert!(!request.user.unwrap().id.is_somebody());
    }
}
