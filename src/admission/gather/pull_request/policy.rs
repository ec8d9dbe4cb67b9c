//! Which version of `vault/policy.toml` counts. Whoever can have something merged could otherwise lower a tier first and use that
//! afterwards: on a forge bytes can be merged that nobody approved. So a change of the policy counts only where it was approved
//! like an action of the high tier, by the same comparison of bytes, and in a request that was merged before the action came.
//! The approvals go into the journal when they are seen: a review that is deleted later takes nothing back.
//!
//! This is what the signed chain (`ops::Trust`) is for ops repos without a forge.

use std::collections::HashMap;

use super::super::{ApprovedPolicy, Ledger, Scene};
use super::facts::File;
use super::search::Hit;
use super::{Look, LookedAt, Requests, unread};
use crate::action::Tier;
use crate::admission::checks::approval::pull_request::{Finding, Terms, weigh};
use crate::admission::reading::read_policy;
use crate::admission::request::Ownership;
use crate::admission::rules::Rules;
use crate::admission::snapshot::TrustedFile;
use crate::ops::{self, Blob};
use crate::support::ids::{BlobId, CommitId};

/// The most bytes of a policy: far beyond any honest one.
const LIMIT: u64 = 1 << 20;

/// What became of one change of the policy. It stays so: a merged request takes no more reviews.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    merge: CommitId,
    /// One sentence.
    words: String,
    counts: bool,
}

impl Judged {
    fn counts(approved: &ApprovedPolicy, how: &str) -> Self {
        let who: Vec<&str> = approved.given.iter().map(|given| given.login.as_str()).collect();
        let words = format!(
            "{} as of {}, pull request {}, approved by {}{how}",
            ops::TrustedFile::Policy.path(),
            approved.commit.short(),
            approved.pull_request,
            who.join(", ")
        );
        Self { merge: approved.merge.clone(), words, counts: true }
    }
}

/// A version on the way from the first one to the one that counts.
struct Version {
    blob: Option<BlobId>,
    words: String,
}

impl Look<'_> {
    /// The policy that counts at `at`; before the first commit none does.
    pub(in crate::admission::gather) async fn policy(
        &self,
        at: Option<&CommitId>,
        rules: &Rules,
    ) -> Result<TrustedFile, String> {
        let path = ops::TrustedFile::Policy.path();
        let none =
            || TrustedFile { path: path.to_owned(), bytes: None, evidence: vec![format!("there was no {path}")] };
        let Some(at) = at else { return Ok(none()) };
        let changes = self.requests.mirror.first_parent_changes(at, path).await.map_err(unread)?;
        let begins = self.requests.begins(&changes).await?;
        let Some((root, later)) = changes.get(begins..).and_then(<[CommitId]>::split_first) else { return Ok(none()) };
        let mut version = Version {
            blob: self.policy_in(root).await?,
            words: format!("{path} as of {}, where trust begins", root.short()),
        };
        let mut file = self.bytes(&version).await?;
        let mut ignored = Vec::new();
        for change in later {
            let judged = self.judged(change, at, &file, rules).await?;
            if judged.counts && self.requests.mirror.continues(&judged.merge, at).await.map_err(unread)? {
                version = Version { blob: self.policy_in(change).await?, words: judged.words };
                file = self.bytes(&version).await?;
            } else {
                ignored.push(judged.words);
            }
        }
        file.evidence.extend(ignored);
        Ok(file)
    }

    /// What became of `change`, which must be on the line up to `at`; `so_far` is the policy before it.
    async fn judged(
        &self,
        change: &CommitId,
        at: &CommitId,
        so_far: &TrustedFile,
        rules: &Rules,
    ) -> Result<Judged, String> {
        if let Some(known) = self.requests.remembered(change, rules).await {
            return Ok(known);
        }
        let path = ops::TrustedFile::Policy.path();
        let ignored = |why: &str| format!("the change of {path} in {} has no effect: {why}", change.short());
        let mapped = match self.search(change, at).await? {
            Hit::Request(mapped) => mapped,
            Hit::Nothing(_) => {
                let words = ignored("no pull request that was merged before the action brought it");
                return Ok(Judged { merge: change.clone(), words, counts: false });
            }
        };
        let parent = self.requests.mirror.commit(change).await.map_err(unread)?.parents.first().cloned();
        let file = File {
            path: path.to_owned(),
            blob: self.policy_in(change).await?,
            commit: change.clone(),
            parent,
            beside: Vec::new(),
        };
        let request = self.facts(&mapped, &file).await?;
        let needed = read_policy(so_far).map_or(1, |policy| policy.approvals(Tier::High));
        let terms = Terms::of(Tier::High, rules, needed);
        let kept = self.ledger.approved_policy(change).await.map_err(unread)?;
        let kept = kept.filter(|kept| terms.satisfied_by(&kept.given));
        let judged = match (weigh(&request, &terms).outcome, kept) {
            (Ok(given), kept) => {
                let (pull_request, merge) = (request.number, request.merge.commit.clone());
                let approved = ApprovedPolicy { commit: change.clone(), pull_request, merge, given };
                if kept.is_none() {
                    self.ledger.keep_policy(&approved).await.map_err(unread)?;
                }
                Judged::counts(&approved, "")
            }
            (Err(Finding::Refused { .. }), Some(kept)) => {
                Judged::counts(&kept, ", as was seen when their reviews were still there")
            }
            (Err(Finding::Refused { words, .. }), None) => {
                Judged { merge: request.merge.commit.clone(), words: ignored(&words), counts: false }
            }
            (Err(Finding::Open { words, .. }), _) => return Err(words),
        };
        // Where somebody else's request was found, the change may still turn out to belong to no request at all: not kept.
        if judged.counts || request.brought.own == Ownership::Request {
            self.requests.remember(change, &judged, rules).await;
        }
        Ok(judged)
    }

    async fn policy_in(&self, commit: &CommitId) -> Result<Option<BlobId>, String> {
        let path = ops::TrustedFile::Policy.path().to_owned();
        let entry = self.requests.mirror.lookup(commit, &[path]).await.map_err(unread)?.pop().flatten();
        Ok(entry.filter(|entry| entry.mode.is_file()).map(|entry| entry.object))
    }

    async fn bytes(&self, version: &Version) -> Result<TrustedFile, String> {
        let path = ops::TrustedFile::Policy.path().to_owned();
        let bytes = match &version.blob {
            None => None,
            Some(blob) => {
                let mut found = self.requests.mirror.blobs(std::slice::from_ref(blob), LIMIT).await.map_err(unread)?;
                match found.remove(blob) {
                    Some(Blob::Whole(bytes)) => Some(bytes.into()),
                    Some(Blob::TooLarge { .. }) | None => return Err(format!("{path} ({blob}) cannot be read")),
                }
            }
        };
        Ok(TrustedFile { path, bytes, evidence: vec![version.words.clone()] })
    }
}

impl Requests {
    /// [`super::super::Gatherer::keep_policy`].
    pub(in crate::admission::gather) async fn keep_policy(
        &self,
        scene: &Scene,
        rules: &Rules,
        ledger: &dyn Ledger,
    ) -> Result<(), String> {
        let path = ops::TrustedFile::Policy.path().to_owned();
        let standing = self.mirror.lookup(&scene.head, &[path]).await.map_err(unread)?.pop().flatten();
        let standing = standing.map_or(LookedAt::Absent, |entry| LookedAt::Standing(entry.object));
        if self.known.lock().await.looked_at != standing {
            self.look(scene.now, ledger).await?.policy(Some(&scene.head), rules).await?;
            self.known.lock().await.looked_at = standing;
        }
        Ok(())
    }

    /// The place of the version from which on changes must be approved.
    async fn begins(&self, changes: &[CommitId]) -> Result<usize, String> {
        let Some(root) = &self.root else { return Ok(0) };
        let mut begins = 0;
        for (place, change) in changes.iter().enumerate() {
            if self.mirror.is_ancestor(change, root).await.map_err(unread)? {
                begins = place;
            }
        }
        Ok(begins)
    }

    async fn remembered(&self, change: &CommitId, rules: &Rules) -> Option<Judged> {
        let known = self.known.lock().await;
        let (by, policies) = known.policies.as_ref()?;
        (*by == rules.requests).then(|| policies.get(change).cloned()).flatten()
    }

    async fn remember(&self, change: &CommitId, judged: &Judged, rules: &Rules) {
        let mut known = self.known.lock().await;
        let fresh = || (rules.requests.clone(), HashMap::new());
        let (by, policies) = known.policies.get_or_insert_with(fresh);
        if *by != rules.requests {
            (*by, *policies) = fresh();
        }
        policies.insert(change.clone(), judged.clone());
    }
}
