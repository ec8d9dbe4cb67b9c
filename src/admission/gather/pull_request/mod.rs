//! Asks the forge and git about the pull requests that brought files, and puts their answers together as plain data.
//!
//! - [`search`]: which request a commit came from.
//! - [`facts`]: what is known of it, for one file and what belongs to it.
//! - [`target`]: which branch a request went to when it was reviewed.
//! - [`policy`]: which version of `vault/policy.toml` counts, by the requests that brought its changes.
//!
//! A forge that does not answer, or answers in part, makes actions wait: every failure here is words, and no verdict.

mod facts;
mod policy;
mod search;
mod target;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Mutex;

pub(super) use self::facts::File;
use self::policy::Judged;
pub(super) use self::search::Hit;
use super::{Ledger, Scene};
use crate::admission::request::ByHand;
use crate::admission::rules::RequestRules;
use crate::config::Config;
use crate::forge::{As, Forge, ForgeError, Happening, PullNumber, PullRequest, RepositoryId, RequestCommit, Review};
use crate::ops::Mirror;
use crate::support::chain;
use crate::support::ids::{BlobId, CommitId};

/// Commits and requests that are remembered between two looks; beyond that everything is asked anew.
const KEPT: usize = 1000;

/// Looks for pull requests, and remembers what cannot change any more. One for each ops repo and process.
#[derive(Debug)]
pub struct Requests {
    forge: Forge,
    mirror: Mirror,
    /// The primary branch.
    branch: String,
    /// Where the history of the policy begins to be trusted; `None`: with its first version.
    root: Option<CommitId>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The repository, by the config or by the first answer.
    repository: Option<RepositoryId>,
    /// Since when a commit has been without a request.
    without: HashMap<CommitId, Timestamp>,
    /// `refs/pull/N/head` of merged requests, where it stays.
    heads: HashMap<PullNumber, CommitId>,
    /// What became of changes of the policy, by these rules.
    policies: Option<(RequestRules, HashMap<CommitId, Judged>)>,
    /// The policy on the primary branch that was looked at last.
    looked_at: LookedAt,
}

/// Which policy on the primary branch was looked at last.
#[derive(Debug, Default, PartialEq, Eq)]
enum LookedAt {
    /// None so far.
    #[default]
    Nothing,
    /// There was none.
    Absent,
    /// This one.
    Standing(BlobId),
}

/// One look: what the forge says is asked once for all actions of a batch.
#[derive(Debug)]
pub(super) struct Look<'a> {
    requests: &'a Requests,
    repository: RepositoryId,
    by_hand: ByHand,
    /// The commit that is looked at.
    head: CommitId,
    now: Timestamp,
    ledger: &'a dyn Ledger,
    answers: Mutex<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    mapped: HashMap<CommitId, Option<PullRequest>>,
    closed: Option<Arc<Vec<PullRequest>>>,
    details: HashMap<PullNumber, Arc<Details>>,
}

/// What the forge says of one request beside the request itself.
#[derive(Debug)]
struct Details {
    reviews: Vec<Review>,
    commits: Vec<RequestCommit>,
    happenings: Vec<Happening>,
}

impl Requests {
    /// For the forge of the config; asks nobody yet.
    ///
    /// # Errors
    /// As [`Forge::open`].
    pub fn open(config: &Config, mirror: Mirror) -> Result<Self, ForgeError> {
        let repository = config.forge.repository_id.map(RepositoryId);
        Ok(Self {
            forge: Forge::open(config, As::Reader)?,
            mirror,
            branch: config.ops.branch.clone(),
            root: config.approval.trust_root.as_ref().and_then(|root| root.parse().ok()),
            known: Mutex::new(Known { repository, ..Known::default() }),
        })
    }

    /// Begins a look: the forge must be there, and be the one that is meant.
    pub(super) async fn look<'a>(&'a self, scene: &Scene, ledger: &'a dyn Ledger) -> Result<Look<'a>, String> {
        let here = self.forge.repository().await.map_err(unread)?;
        let mut known = self.known.lock().await;
        let pinned = *known.repository.get_or_insert(here.id);
        if pinned != here.id {
            return Err(format!(
                "ALARM: {} on the forge is repository {} now, and was {pinned}: nothing that it says counts until \
                 `forge.repository_id` names it",
                here.full_name, here.id
            ));
        }
        if here.has_pull_requests == Some(false) {
            return Err(format!("pull requests are switched off for {}", here.full_name));
        }
        let off = here.allow_manual_merge == Some(false) && here.autodetect_manual_merge != Some(true);
        let by_hand = if off { ByHand::Off } else { ByHand::Possible };
        let (head, now) = (scene.head.clone(), scene.now);
        Ok(Look { requests: self, repository: here.id, by_hand, head, now, ledger, answers: Mutex::default() })
    }
}

impl Known {
    /// Since when `commit` is without a request; now, where it was not seen before.
    fn without_since(&mut self, commit: &CommitId, now: Timestamp) -> (Timestamp, Seen) {
        if let Some(since) = self.without.get(commit) {
            return (*since, Seen::Before);
        }
        if self.without.len() >= KEPT {
            self.without.clear();
        }
        self.without.insert(commit.clone(), now);
        (now, Seen::First)
    }
}

/// Why something could not be read, in words.
fn unread<E: std::error::Error>(error: E) -> String {
    chain::words(&error)
}

/// Whether something was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    First,
    Before,
}

impl Look<'_> {
    /// Whether along first parents `from` leads to `merge`, and that to the commit that is looked at.
    pub(super) async fn leads_on(&self, from: &CommitId, merge: &CommitId) -> Result<bool, String> {
        let mirror = &self.requests.mirror;
        let leads = mirror.continues(from, merge).await.map_err(unread)?;
        Ok(leads && mirror.continues(merge, &self.head).await.map_err(unread)?)
    }

    async fn details(&self, number: PullNumber) -> Result<Arc<Details>, String> {
        let mut answers = self.answers.lock().await;
        if let Some(details) = answers.details.get(&number) {
            return Ok(Arc::clone(details));
        }
        let forge = &self.requests.forge;
        let all = tokio::try_join!(forge.reviews(number), forge.request_commits(number), forge.happenings(number));
        let (reviews, commits, happenings) = all.map_err(unread)?;
        let ids: BTreeSet<i64> = reviews.iter().map(|review| review.id).collect();
        if ids.len() != reviews.len() {
            return Err(format!("a review of pull request {number} stands in its list twice"));
        }
        let details = Arc::new(Details { reviews, commits, happenings });
        answers.details.insert(number, Arc::clone(&details));
        Ok(details)
    }
}
