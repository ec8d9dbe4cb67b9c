//! Which version of `vault/policy.toml` counts. Whoever can have something merged could otherwise lower a tier first and use that
//! afterwards: on a forge bytes can be merged that nobody approved. So a change of the policy counts only where it was approved
//! like an action of the high tier, by the same comparison of bytes, and in a request that was merged before the action came.
//! The approvals go into the journal when they are seen: a review that is deleted later takes nothing back.
//! A change that was made on top of one that nobody approved does not count either: its diff does not show what it would bring
//! into force.
//!
//! This is what the signed chain (`ops::Trust`) is for ops repos without a forge.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::SignedDuration;

use super::super::{ApprovedPolicy, Ledger, Scene, Sight};
use super::facts::File;
use super::search::{Hit, Mapped};
use super::{Look, LookedAt, Requests, unread};
use crate::action::Tier;
use crate::admission::checks::approval::Given;
use crate::admission::checks::approval::pull_request::{Finding, Terms, approvals_of};
use crate::admission::reading::read_policy;
use crate::admission::request::{Ownership, Request};
use crate::admission::rules::Rules;
use crate::admission::snapshot::TrustedFile;
use crate::ops::{Blob, OpsError};
use crate::support::clock::rfc3339_seconds;
use crate::support::ids::{BlobId, CommitId};

const PATH: &str = "vault/policy.toml";
/// Why a change has no effect that came by itself.
const NO_REQUEST: &str = "no pull request that was merged before the action brought it";
/// Why an approved change has no effect whose diff did not show all that it would bring into force.
const ON_TOP: &str = "it was made on top of a version that nobody approved; restore the version that counts first, in a request of \
                      its own, then make the change on top of that";
/// The most bytes of a policy: far beyond any honest one.
const LIMIT: u64 = 1 << 20;

/// What became of one change of the policy. It stays so: a merged request takes no more reviews.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    merge: CommitId,
    /// The policy on which it was made.
    made_on: Option<BlobId>,
    /// One sentence.
    words: String,
    counts: bool,
}

impl Judged {
    fn counts(approved: &ApprovedPolicy, how: &str) -> Self {
        let who: Vec<&str> = approved.given.iter().map(|given| given.login.as_str()).collect();
        let words = format!(
            "{PATH} as of {}, pull request {}, approved by {}{how}",
            approved.commit.short(),
            approved.pull_request,
            who.join(", ")
        );
        Self { merge: approved.merge.clone(), made_on: approved.made_on.clone(), words, counts: true }
    }

    fn ignored(change: &CommitId, merge: &CommitId, why: &str) -> Self {
        Self { merge: merge.clone(), made_on: None, words: no_effect(change, why), counts: false }
    }
}

fn no_effect(change: &CommitId, why: &str) -> String {
    format!("the change of {PATH} in {} has no effect: {why}", change.short())
}

/// A version on the way from the first one to the one that counts.
struct Version {
    blob: Option<BlobId>,
    words: String,
}

/// A change of the policy that is to be judged.
struct Change<'a> {
    commit: &'a CommitId,
    /// It is on the line up to here.
    at: &'a CommitId,
    seen: Sight,
}

impl Look<'_> {
    /// The policy that counts at `at`; before the first commit none does.
    pub(in crate::admission::gather) async fn policy(
        &self,
        at: Option<&CommitId>,
        rules: &Rules,
    ) -> Result<TrustedFile, String> {
        let Some(at) = at else {
            let evidence = vec![format!("there was no {PATH}")];
            return Ok(TrustedFile { path: PATH.to_owned(), bytes: None, evidence });
        };
        let (mut version, changes) = self.beginning(at).await?;
        let seen = self.ledger.policy_seen(&changes, &self.sight()).await.map_err(unread)?;
        let mut file = self.bytes(&version).await?;
        let mut ignored = Vec::new();
        for commit in &changes {
            let change = Change { commit, at, seen: self.first_sight(commit, &seen).await? };
            let judged = self.judged(&change, &file, rules).await?;
            let blob = self.policy_in(commit).await?;
            if !judged.counts || !self.requests.mirror.continues(&judged.merge, at).await.map_err(unread)? {
                ignored.push(judged.words);
            } else if judged.made_on != version.blob && blob != version.blob {
                ignored.push(no_effect(commit, ON_TOP));
            } else {
                version = Version { blob, words: judged.words };
                file = self.bytes(&version).await?;
            }
        }
        file.evidence.extend(ignored);
        Ok(file)
    }

    /// The version with which trust begins on the line up to `at`, and the changes after it, oldest first.
    async fn beginning(&self, at: &CommitId) -> Result<(Version, Vec<CommitId>), String> {
        let mut changes = self.requests.changes(at).await?;
        let first = match &self.requests.root {
            Some(root) => Some(root.clone()),
            None if changes.is_empty() => None,
            None => Some(changes.remove(0)),
        };
        let Some(first) = first else {
            return Ok((Version { blob: None, words: format!("there was no {PATH}") }, changes));
        };
        let blob = self.policy_in(&first).await?;
        let stands = if blob.is_some() { format!("{PATH} as of") } else { format!("there was no {PATH} in") };
        Ok((Version { blob, words: format!("{stands} {}, where trust begins", first.short()) }, changes))
    }

    /// Now, as something is seen.
    fn sight(&self) -> Sight {
        Sight { head: self.head.clone(), at: self.now }
    }

    /// When `change` was first seen. Whoever only looks ahead may be the first who sees it, and takes the commit's own word for when
    /// that could have been: on that nothing is decided.
    async fn first_sight(&self, change: &CommitId, seen: &BTreeMap<CommitId, Sight>) -> Result<Sight, String> {
        if let Some(seen) = seen.get(change) {
            return Ok(seen.clone());
        }
        let committed = self.requests.mirror.commit(change).await.map_err(unread)?.committer.at;
        Ok(Sight { at: committed.min(self.now), ..self.sight() })
    }

    /// What became of `change`; `so_far` is the policy before it.
    async fn judged(&self, change: &Change<'_>, so_far: &TrustedFile, rules: &Rules) -> Result<Judged, String> {
        if let Some(known) = self.requests.remembered(change.commit, rules).await {
            return Ok(known);
        }
        let needed = read_policy(so_far).map_or(1, |policy| policy.approvals(Tier::High));
        let terms = Terms::of(Tier::High, rules, needed);
        let kept = self.ledger.approved_policy(change.commit).await.map_err(unread)?;
        let kept = kept.filter(|kept| terms.satisfied_by(&kept.given));
        match (self.search(change.commit, change.at).await?, kept) {
            (Hit::Request(mapped), kept) => self.weighed(change, &mapped, &terms, kept, rules).await,
            (Hit::Nothing(_), Some(kept)) => {
                Ok(Judged::counts(&kept, ", as was seen when the forge still named the request"))
            }
            (Hit::Nothing(_), None) => {
                self.still_unnamed(change, rules)?;
                Ok(Judged::ignored(change.commit, change.commit, NO_REQUEST))
            }
        }
    }

    /// What the request comes to that the forge names for `change`; `kept` is what was seen of it earlier.
    async fn weighed(
        &self,
        change: &Change<'_>,
        mapped: &Mapped,
        terms: &Terms<'_>,
        kept: Option<ApprovedPolicy>,
        rules: &Rules,
    ) -> Result<Judged, String> {
        let request = self.facts(mapped, &self.file(change).await?).await?;
        let judged = match (approvals_of(&request, terms), kept) {
            (Ok(given), kept) => {
                let approved = approved(change.commit, &request, given);
                if kept.is_none() {
                    self.ledger.keep_policy(&approved).await.map_err(unread)?;
                }
                Judged::counts(&approved, "")
            }
            (Err(Finding::Refused { .. }), Some(kept)) => {
                let made_on = made_on(&request);
                Judged { made_on, ..Judged::counts(&kept, ", as was seen when their reviews were still there") }
            }
            (Err(Finding::Refused { words, .. }), None) => {
                // It may be a later request that the forge names, since it does not know of this one yet.
                if mapped.merge() != change.commit {
                    self.still_unnamed(change, rules)?;
                }
                Judged::ignored(change.commit, mapped.merge(), &words)
            }
            (Err(Finding::Open { words, .. }), _) => return Err(words),
        };
        // Where somebody else's request was found, the change may still turn out to belong to no request at all: not kept.
        if judged.counts || request.brought.own == Ownership::Request {
            self.requests.remember(change.commit, &judged, rules).await;
        }
        Ok(judged)
    }

    /// Fails while the forge may still come to name the request that brought `change`: it does so only some time after the merge.
    fn still_unnamed(&self, change: &Change<'_>, rules: &Rules) -> Result<(), String> {
        let wait = SignedDuration::try_from(rules.requests.wait).unwrap_or(SignedDuration::MAX);
        match change.seen.at.checked_add(wait) {
            Ok(end) if self.now < end => Err(format!(
                "waits for the forge to name the request of {}, which changed {PATH}; without one by {} the change has no effect",
                change.commit.short(),
                rfc3339_seconds(end)
            )),
            _ => Ok(()),
        }
    }

    /// The policy as `change` left it.
    async fn file(&self, change: &Change<'_>) -> Result<File, String> {
        let parents = self.requests.mirror.commit(change.commit).await.map_err(unread)?.parents;
        Ok(File {
            path: PATH.to_owned(),
            blob: self.policy_in(change.commit).await?,
            commit: change.commit.clone(),
            parent: parents.into_iter().next(),
            seen: Some(change.seen.head.clone()),
            beside: Vec::new(),
            counted: BTreeSet::new(),
        })
    }

    async fn policy_in(&self, commit: &CommitId) -> Result<Option<BlobId>, String> {
        let entry = self.requests.mirror.lookup(commit, &[PATH.to_owned()]).await.map_err(unread)?.pop().flatten();
        Ok(entry.filter(|entry| entry.mode.is_file()).map(|entry| entry.object))
    }

    async fn bytes(&self, version: &Version) -> Result<TrustedFile, String> {
        let bytes = match &version.blob {
            None => None,
            Some(blob) => {
                let mut found = self.requests.mirror.blobs(std::slice::from_ref(blob), LIMIT).await.map_err(unread)?;
                match found.remove(blob) {
                    Some(Blob::Whole(bytes)) => Some(bytes.into()),
                    Some(Blob::TooLarge { .. }) | None => return Err(format!("{PATH} ({blob}) cannot be read")),
                }
            }
        };
        Ok(TrustedFile { path: PATH.to_owned(), bytes, evidence: vec![version.words.clone()] })
    }
}

/// What there is to keep of a change that is approved now.
fn approved(change: &CommitId, request: &Request, given: Vec<Given>) -> ApprovedPolicy {
    ApprovedPolicy {
        commit: change.clone(),
        pull_request: request.number,
        merge: request.merge.commit.clone(),
        given,
        made_on: made_on(request),
    }
}

/// The policy where a request forked off.
fn made_on(request: &Request) -> Option<BlobId> {
    request.brought.fork.as_ref().and_then(|(_, blob)| blob.clone())
}

impl Requests {
    /// [`super::super::Gatherer::keep_policy`].
    pub(in crate::admission::gather) async fn keep_policy(
        &self,
        scene: &Scene,
        rules: &Rules,
        ledger: &dyn Ledger,
    ) -> Result<(), String> {
        let standing = self.mirror.lookup(&scene.head, &[PATH.to_owned()]).await.map_err(unread)?.pop().flatten();
        let standing = standing.map_or(LookedAt::Absent, |entry| LookedAt::Standing(entry.object));
        if self.known.lock().await.looked_at != standing {
            // First, since it needs no forge: in which head a change was seen tells whether its request was merged before.
            let sight = Sight { head: scene.head.clone(), at: scene.now };
            ledger.policy_seen(&self.changes(&scene.head).await?, &sight).await.map_err(unread)?;
            self.look(scene, ledger).await?.policy(Some(&scene.head), rules).await?;
            self.known.lock().await.looked_at = standing;
        }
        Ok(())
    }

    /// The commits on the line up to `at` that changed the policy, behind the root where there is one, oldest first.
    async fn changes(&self, at: &CommitId) -> Result<Vec<CommitId>, String> {
        if let Some(root) = &self.root
            && !self.mirror.continues(root, at).await.map_err(unread)?
        {
            return Err(unread(OpsError::TrustRoot { root: root.clone(), at: at.clone() }));
        }
        self.mirror.first_parent_changes(self.root.as_ref(), at, PATH).await.map_err(unread)
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
