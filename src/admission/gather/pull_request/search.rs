//! Which request a commit came from: the first commit from it on, along first parents, that the forge maps to one. Never read
//! from a message or a title.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Look, Seen, unread};
use crate::admission::request::Nothing;
use crate::forge::{PullRequest, Which};
use crate::support::ids::CommitId;

/// The most commits that are asked about: a request of more commits than this is found by none of them but the last.
const MOST: usize = 200;

/// The forge maps a merge to its request up to a second after the branch has moved, so that a dispatcher that looks at once
/// asks a few times more before it leaves it to the next look.
const SETTLING: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(600)];

/// What a search came to.
#[derive(Debug)]
pub(in crate::admission::gather) enum Hit {
    /// No commit has a request of the primary branch.
    Nothing(Nothing),
    /// One has.
    Request(Box<Mapped>),
}

/// A request and the commit that the forge maps to it.
#[derive(Debug, Clone)]
pub(in crate::admission::gather) struct Mapped {
    pub(super) request: PullRequest,
    pub(super) merge: CommitId,
    pub(super) passed_over: Vec<String>,
}

impl Mapped {
    /// The commit that the merge left on the primary branch.
    pub(in crate::admission::gather) fn merge(&self) -> &CommitId {
        &self.merge
    }
}

impl Look<'_> {
    /// The request that brought `from`, as far as the line up to `to` shows one. Asked at once after a merge, it waits a moment.
    /// `since`: when the dispatcher saw these bytes first, where its journal says so.
    pub(in crate::admission::gather) async fn settled(
        &self,
        from: &CommitId,
        to: &CommitId,
        since: Option<Timestamp>,
    ) -> Result<Hit, String> {
        let first = self.search(from, to).await?;
        let Hit::Nothing(nothing) = first else {
            self.requests.known.lock().await.without.remove(from);
            return Ok(first);
        };
        let first_seen = since.unwrap_or(self.now);
        let (since, seen) = self.requests.known.lock().await.without_since(from, first_seen);
        for pause in SETTLING.iter().filter(|_| seen == Seen::First) {
            tokio::time::sleep(*pause).await;
            self.answers.lock().await.mapped.retain(|_, request| request.is_some());
            if let found @ Hit::Request(_) = self.search(from, to).await? {
                return Ok(found);
            }
        }
        Ok(Hit::Nothing(Nothing { since, ..nothing }))
    }

    /// The request that brought `from`, as far as the line up to `to` shows one.
    pub(super) async fn search(&self, from: &CommitId, to: &CommitId) -> Result<Hit, String> {
        let line = self.requests.mirror.line(from, to).await.map_err(unread)?;
        let mut passed_over = Vec::new();
        let mut asked = 0;
        for commit in std::iter::once(from).chain(&line).take(MOST) {
            asked += 1;
            let Some(request) = self.mapped(commit).await? else { continue };
            if let Some(request) = self.of_primary(commit, request, &mut passed_over).await? {
                return Ok(Hit::Request(Box::new(Mapped { request, merge: commit.clone(), passed_over })));
            }
        }
        Ok(Hit::Nothing(Nothing { since: self.now, asked, passed_over }))
    }

    async fn mapped(&self, commit: &CommitId) -> Result<Option<PullRequest>, String> {
        if let Some(known) = self.answers.lock().await.mapped.get(commit) {
            return Ok(known.clone());
        }
        let found = self.requests.forge.request_of(commit).await.map_err(unread)?;
        self.answers.lock().await.mapped.insert(commit.clone(), found.clone());
        Ok(found)
    }

    /// `request`, where it went to the primary branch; otherwise another one that names the same commit and did: of two the
    /// forge tells only the one with the lower number.
    async fn of_primary(
        &self,
        commit: &CommitId,
        request: PullRequest,
        passed_over: &mut Vec<String>,
    ) -> Result<Option<PullRequest>, String> {
        if request.merge_commit_sha.as_ref() != Some(commit) {
            return Err(format!(
                "the forge maps {} to pull request {}, and says that another commit is its merge",
                commit.short(),
                request.number
            ));
        }
        if self.is_of_primary(&request) {
            return Ok(Some(request));
        }
        passed_over.push(format!(
            "{} was merged by pull request {} into {}, which is not the primary branch",
            commit.short(),
            request.number,
            request.base.reference
        ));
        let closed = self.closed().await?;
        let same = |other: &&PullRequest| {
            other.merge_commit_sha.as_ref() == Some(commit) && other.merged && self.is_of_primary(other)
        };
        Ok(closed.iter().find(same).cloned())
    }

    fn is_of_primary(&self, request: &PullRequest) -> bool {
        request.base.reference == self.requests.branch && request.base.repo_id == self.repository
    }

    async fn closed(&self) -> Result<Arc<Vec<PullRequest>>, String> {
        let mut answers = self.answers.lock().await;
        if let Some(closed) = &answers.closed {
            return Ok(Arc::clone(closed));
        }
        let closed = self.requests.forge.requests(Which::Closed).await.map_err(unread)?;
        Ok(Arc::clone(answers.closed.insert(Arc::new(closed))))
    }
}
