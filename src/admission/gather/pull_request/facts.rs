//! What is known of a request, for one file and what belongs to it: whose commits, which bytes where, and what each reviewed
//! commit holds. Bytes are compared by their ids in git; nothing is taken from what the forge shows of a diff.

use std::collections::{BTreeMap, BTreeSet};

use super::search::Mapped;
use super::target::target_at;
use super::{Details, KEPT, Look, unread};
use crate::admission::request::{Brought, Difference, Merge, Ownership, People, Request, Reviewed, Standing};
use crate::forge::{Happening, PullNumber, Review, ReviewState, UserId};
use crate::support::ids::{BlobId, CommitId};

/// A file that a request is asked about.
#[derive(Debug, Clone)]
pub(in crate::admission::gather) struct File {
    /// Its path.
    pub(in crate::admission::gather) path: String,
    /// Its bytes; `None`: it is gone.
    pub(in crate::admission::gather) blob: Option<BlobId>,
    /// The first-parent commit in which they appeared.
    pub(in crate::admission::gather) commit: CommitId,
    /// That commit's first parent.
    pub(in crate::admission::gather) parent: Option<CommitId>,
    /// The head of the primary branch in which this dispatcher saw them first; `None`: it has not yet.
    pub(in crate::admission::gather) seen: Option<CommitId>,
    /// What belongs to it, by path: looked at together with it.
    pub(in crate::admission::gather) beside: Vec<String>,
    /// The reviews that were seen to count before, by their numbers.
    pub(in crate::admission::gather) counted: BTreeSet<i64>,
}

/// What the forge calls it that a request was closed, that it was opened again, and that something was pushed to its branch.
const CLOSED: &str = "close";
const REOPENED: &str = "reopen";
const PUSHED: &str = "pull_push";

/// By path: the plain file that stands there.
type Tree = BTreeMap<String, Option<BlobId>>;

/// A request's head, its own commits by the forge's list, and the commit of the primary branch on which it was put.
struct Span<'a> {
    head: &'a CommitId,
    listed: BTreeSet<&'a CommitId>,
    own: Ownership,
    before: Option<CommitId>,
}

impl Look<'_> {
    /// Everything that is known of the request for `file`.
    pub(in crate::admission::gather) async fn facts(&self, mapped: &Mapped, file: &File) -> Result<Request, String> {
        let (request, merge) = (&mapped.request, &mapped.merge);
        let number = request.number;
        let head = self.head(number).await?;
        let details = self.details(number).await?;
        let span = self.span(&head, merge, &details, file).await?;
        let fork = match &span.before {
            Some(before) => self.requests.mirror.merge_base(&head, before).await.map_err(unread)?,
            None => None,
        };
        let paths: Vec<String> = std::iter::once(&file.path).chain(&file.beside).cloned().collect();
        let bundle = self.tree(merge, &paths).await?;
        let mut reviews = Vec::with_capacity(details.reviews.len());
        for review in &details.reviews {
            let mut reviewed = self.reviewed(review, &head, fork.as_ref(), &bundle).await?;
            if review.state == ReviewState::Approved {
                reviewed.target = match target_at(&details.happenings, review.id, request) {
                    // Who can comment may delete what tells of it; where it went then was seen.
                    Err(_) if file.counted.contains(&review.id) => None,
                    target => Some(target?),
                };
            }
            reviews.push(reviewed);
        }
        let people = self.people(number, &span, &details).await?;
        let mut at_fork = match &fork {
            Some(fork) => self.tree(fork, &paths).await?,
            None => Tree::new(),
        };
        let same = bundle.iter().filter(|(path, blob)| blob.is_some() && at_fork.get(*path) == Some(*blob));
        let untouched = same.map(|(path, _)| path.clone()).collect();
        Ok(Request {
            number,
            author: request.user.clone(),
            base: (request.base.reference.clone(), request.base.repo_id),
            primary: (self.requests.branch.clone(), self.repository),
            merge: Merge {
                merged: request.merged,
                commit: merge.clone(),
                by: request.merged_by.clone(),
                at: request.merged_at,
                by_hand: self.by_hand,
            },
            brought: Brought {
                path: file.path.clone(),
                blob: file.blob.clone(),
                commit: file.commit.clone(),
                own: span.own,
                seen_before: self.seen_before(merge, file.seen.as_ref()).await?,
                fork: fork.map(|fork| (fork, at_fork.remove(&file.path).flatten())),
            },
            head,
            bundle,
            untouched,
            people,
            reviews,
            passed_over: mapped.passed_over.clone(),
        })
    }

    /// `refs/pull/N/head`. The API's own `head.sha` follows the live branch, also after the merge.
    async fn head(&self, number: PullNumber) -> Result<CommitId, String> {
        let mut known = self.requests.known.lock().await;
        if let Some(head) = known.heads.get(&number) {
            return Ok(head.clone());
        }
        let head = self.requests.mirror.fetch_request(number.0).await.map_err(unread)?;
        if known.heads.len() >= KEPT {
            known.heads.clear();
        }
        known.heads.insert(number, head.clone());
        Ok(head)
    }

    /// Whose commit brought the file, and where the primary branch stood before the request.
    ///
    /// A squash, a rebase or a merge makes new commits, so that the one that brought the file is not in the history of the
    /// request's head. Where it is, the primary branch was moved forward to that head, or the request's branch took it over.
    async fn span<'b>(
        &self,
        head: &'b CommitId,
        merge: &CommitId,
        details: &'b Details,
        file: &File,
    ) -> Result<Span<'b>, String> {
        let listed: BTreeSet<&CommitId> = details.commits.iter().map(|commit| &commit.sha).collect();
        let mirror = &self.requests.mirror;
        let inside = mirror.is_ancestor(&file.commit, head).await.map_err(unread)?;
        let mut before = file.parent.clone();
        if !inside {
            return Ok(Span { head, listed, own: Ownership::Request, before });
        }
        if head != merge || !listed.contains(&file.commit) {
            return Ok(Span { head, listed, own: Ownership::Elsewhere, before });
        }
        while let Some(commit) = before.as_ref().filter(|commit| listed.contains(*commit)) {
            before = mirror.commit(commit).await.map_err(unread)?.parents.first().cloned();
        }
        Ok(Span { head, listed, own: forwarded(details), before })
    }

    /// The head in which a file was `seen` first, where `merge` was not in it. A head that a rewritten history has left behind says
    /// nothing of the line that stands now.
    async fn seen_before(&self, merge: &CommitId, seen: Option<&CommitId>) -> Result<Option<CommitId>, String> {
        let Some(seen) = seen else { return Ok(None) };
        let mirror = &self.requests.mirror;
        let before = !mirror.is_ancestor(merge, seen).await.map_err(unread)?
            && mirror.continues(seen, &self.head).await.map_err(unread)?;
        Ok(before.then(|| seen.clone()))
    }

    /// Whoever wrote or committed a part of the request: the users by the forge's list, which must hold every commit that git
    /// knows of, and the e-mails by the commits themselves.
    async fn people(&self, number: PullNumber, span: &Span<'_>, details: &Details) -> Result<People, String> {
        // Its branch took commits of the primary branch over, which are nobody's here; it is refused for that, whoever approved.
        if span.own != Ownership::Request {
            return Ok(People::default());
        }
        let written = self.requests.mirror.written(span.before.as_ref(), span.head).await.map_err(unread)?;
        if let Some(missing) = written.iter().find(|written| !span.listed.contains(&written.commit)) {
            return Err(format!(
                "the forge's list of the commits of pull request {number} does not name {}, which is one of them",
                missing.commit.short()
            ));
        }
        let users = details.commits.iter().flat_map(|commit| [&commit.author, &commit.committer]).flatten();
        let emails = written.into_iter().flat_map(|written| written.emails);
        Ok(People {
            users: users.map(|user| user.id).filter(|id| id.is_somebody()).collect(),
            emails: emails.map(|email| email.to_lowercase()).collect(),
            pushers: pushers(&details.happenings).map_err(|kind| {
                format!("the forge does not say whose doing a `{kind}` of pull request {number} was")
            })?,
        })
    }

    /// The plain files at `paths` in the tree of `commit`.
    async fn tree(&self, commit: &CommitId, paths: &[String]) -> Result<Tree, String> {
        let entries = self.requests.mirror.lookup(commit, paths).await.map_err(unread)?;
        let blobs =
            entries.into_iter().map(|entry| entry.filter(|entry| entry.mode.is_file()).map(|entry| entry.object));
        Ok(paths.iter().cloned().zip(blobs).collect())
    }

    async fn reviewed(
        &self,
        review: &Review,
        head: &CommitId,
        fork: Option<&CommitId>,
        bundle: &Tree,
    ) -> Result<Reviewed, String> {
        let commit = match &review.commit_id {
            Some(commit) => Some((commit.clone(), self.standing(commit, head, fork, bundle).await?)),
            None => None,
        };
        let remarks = [(review.stale, "stale"), (review.official, "official")];
        Ok(Reviewed {
            id: review.id,
            user: review.user.clone(),
            state: review.state,
            dismissed: review.dismissed,
            remarks: remarks.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect(),
            at: review.submitted_at,
            commit,
            target: None,
        })
    }

    /// What a commit that somebody reviewed is to the request. The reviewer's client names it, so it may be any.
    async fn standing(
        &self,
        commit: &CommitId,
        head: &CommitId,
        fork: Option<&CommitId>,
        bundle: &Tree,
    ) -> Result<Standing, String> {
        let mirror = &self.requests.mirror;
        let behind_fork = match fork {
            Some(fork) => mirror.is_ancestor(commit, fork).await.map_err(unread)?,
            None => false,
        };
        if behind_fork || !mirror.is_ancestor(commit, head).await.map_err(unread)? {
            return Ok(Standing::NotOfRequest);
        }
        let paths: Vec<String> = bundle.keys().cloned().collect();
        let then = self.tree(commit, &paths).await?;
        let mut differs = Vec::new();
        for path in paths.into_iter().filter(|path| then.get(path) != bundle.get(path)) {
            let changed_in = mirror.changed_in(commit, head, std::slice::from_ref(&path)).await.map_err(unread)?;
            differs.push(Difference { path, changed_in });
        }
        Ok(if commit == head { Standing::Head { differs } } else { Standing::Earlier { differs } })
    }
}

/// Whose the commits of a request are that was merged by moving the primary branch to its head: its own, by the forge's list. The
/// forge counts that list from where the request forked off, and (seen with Gitea 1.25) does not find that place anew when the
/// request is closed and opened again through the API: what was pushed to the primary branch in between stands in it too.
fn forwarded(details: &Details) -> Ownership {
    let reopened = details.happenings.iter().any(|one| one.kind == REOPENED);
    if reopened { Ownership::Untold } else { Ownership::Request }
}

/// Whoever put commits into the request beside those that its author brought: who pushed to its branch, and where it was opened again, who
/// closed it and who opened it, since nothing tells who pushed in between. The kind of what is nobody's doing where the forge does not say.
fn pushers(happenings: &[Happening]) -> Result<BTreeSet<UserId>, String> {
    let reopened = happenings.iter().any(|one| one.kind == REOPENED);
    let kinds: &[&str] = if reopened { &[PUSHED, CLOSED, REOPENED] } else { &[PUSHED] };
    let theirs = happenings.iter().filter(|one| kinds.contains(&one.kind.as_str()));
    theirs.map(|one| Ok(one.user.as_ref().ok_or_else(|| one.kind.clone())?.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::User;

    fn one(kind: &str, user: i64) -> Happening {
        let user = User { id: UserId(user), login: String::new(), email: String::new() };
        Happening { id: 1, kind: kind.to_owned(), user: Some(user), review_id: 0, old_ref: String::new() }
    }

    #[test]
    fn who_closes_and_opens_again_may_have_pushed_in_between() {
        let pushed = |all: &[Happening]| pushers(all).unwrap().into_iter().map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(pushed(&[one("pull_push", 1), one("comment", 2), one("close", 3)]), [1]);
        assert_eq!(pushed(&[one("close", 3), one("reopen", 4)]), [3, 4]);
    }

    #[test]
    fn a_push_of_which_the_forge_does_not_say_whose_it_was_is_no_answer() {
        let nobodys = Happening { user: None, ..one("pull_push", 1) };
        assert_eq!(pushers(&[nobodys]).unwrap_err(), "pull_push");
    }
}
