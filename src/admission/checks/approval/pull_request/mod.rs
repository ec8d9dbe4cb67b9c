//! Medium and high with a forge: a merged pull request brought these very bytes, and enough of the right people approved them.
//!
//! - [`request`]: the sub-rules a to c: which request, that it is merged into this branch, and that it brought the bytes.
//! - [`approvals`]: the sub-rules d and e: whose review counts, for which bytes, and how many are needed.
//!
//! Every sub-rule is judged and leaves its evidence, also where one before it does not hold; the first that does not decides.

mod approvals;
mod request;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Approval, Given, How, Merged, RULE};
use crate::action::Tier;
use crate::action::reason::Reason;
use crate::admission::check::Check;
use crate::admission::reading::Reading;
use crate::admission::request::{Request, Search};
use crate::admission::rules::{RequestRules, Rules};
use crate::admission::snapshot::{Arrived, Earlier, Snapshot, Source};
use crate::forge::PullNumber;
use crate::support::clock::rfc3339_seconds;
use crate::support::ids::{BlobId, CommitId};

pub(in crate::admission) use approvals::Terms;

/// What a sub-rule found.
#[derive(Debug)]
pub(in crate::admission) enum Finding {
    /// It does not hold, and will not by itself.
    Refused { reason: Reason, words: String, help: Option<String> },
    /// It may come to hold.
    Open { words: String, until: Option<Timestamp> },
}

/// What one sub-rule found.
struct Part {
    /// Its number and its name, as `explain` shows them.
    label: &'static str,
    evidence: Vec<String>,
    finding: Result<(), Finding>,
}

impl Part {
    fn words(&self) -> Vec<String> {
        let verdict = match &self.finding {
            Ok(()) => "holds",
            Err(Finding::Refused { .. }) => "does not hold",
            Err(Finding::Open { .. }) => "open",
        };
        let line = |(index, evidence): (usize, &String)| match index {
            0 => format!("{} {verdict}: {evidence}", self.label),
            _ => format!("{}: {evidence}", self.label),
        };
        self.evidence.iter().enumerate().map(line).collect()
    }
}

/// What all sub-rules together found.
struct Weighed {
    outcome: Result<Vec<Given>, Finding>,
    evidence: Vec<String>,
}

/// Who approved a file that a request brought, where that is enough.
pub(in crate::admission) fn approvals_of(request: &Request, terms: &Terms<'_>) -> Result<Vec<Given>, Finding> {
    weigh(request, terms, None, Vec::new()).outcome
}

/// Weighs a request for one file, with more to be said of its `bytes`, and with what was `seen` of it when its approvals counted, where
/// they did.
fn weigh(request: &Request, terms: &Terms<'_>, seen: Option<&Merged>, bytes: Vec<String>) -> Weighed {
    let mut brought = request::brought(request);
    brought.evidence.extend(bytes);
    let parts = [request::found(request), request::merged(request), brought];
    let mut evidence: Vec<String> = parts.iter().flat_map(Part::words).collect();
    let counted = approvals::count(request, terms, seen);
    let enough = if counted.outcome.is_ok() { "holds" } else { "does not hold" };
    let none = || vec!["nobody reviewed it".to_owned()];
    let reviews = if counted.reviews.is_empty() { none() } else { counted.reviews };
    evidence.extend(reviews.iter().map(|words| format!("5d approvals {enough}: {words}")));
    evidence.push(format!("5e merger: {}", counted.merger));
    let holds = parts.into_iter().try_for_each(|part| part.finding);
    Weighed { outcome: holds.and(counted.outcome), evidence }
}

pub(super) fn judge(
    tier: Tier,
    arrived: &Arrived,
    snapshot: &Snapshot,
    rules: &Rules,
    reading: &Reading,
) -> (Check, Option<Approval>) {
    let request = match &arrived.request {
        Search::Found(request) => request,
        Search::Forgotten(seen) => return forgotten(tier, seen, snapshot, rules, reading),
        other => return (not_found(other, arrived, snapshot, &rules.requests), None),
    };
    if !is_of(&request.merge.commit, reading) {
        let words = "the formula was not read from the merge commit of the pull request";
        return (RULE.wait(Reason::EvidenceUnavailable, words), None);
    }
    let terms = Terms::of(tier, rules, reading.approvals(tier));
    let seen = snapshot.earlier.as_ref().and_then(|earlier| seen_before(earlier, snapshot, request));
    let Weighed { outcome, evidence } = weigh(request, &terms, seen, bundle_words(request, reading));
    let (check, approval) = match outcome {
        Ok(given) => (passed(tier, request, &given), Some(approval(request, given))),
        Err(finding) => (refused(for_now(finding, request, snapshot, &rules.requests)), None),
    };
    (check.because(evidence), approval)
}

/// A refusal that may rest on the wrong request: where the forge does not name the one that left this commit yet, a later one was
/// found in its place.
fn for_now(finding: Finding, request: &Request, snapshot: &Snapshot, rules: &RequestRules) -> Finding {
    let seen = snapshot.earlier.as_ref().filter(|earlier| earlier.blob == snapshot.entry.blob);
    let seen = seen.map_or(snapshot.now, |earlier| earlier.since);
    let wait = SignedDuration::try_from(rules.wait).unwrap_or(SignedDuration::MAX);
    let end = seen.checked_add(wait).ok().filter(|end| snapshot.now < *end);
    match (finding, end) {
        (Finding::Refused { words, .. }, Some(end)) if request.merge.commit != request.brought.commit => {
            let commit = request.brought.commit.short();
            let at = rfc3339_seconds(end);
            let words =
                format!("{words}; unless the forge names another pull request for {commit} by {at}, it is rejected");
            Finding::Open { words, until: Some(end) }
        }
        (finding, _) => finding,
    }
}

fn not_found(search: &Search, arrived: &Arrived, snapshot: &Snapshot, rules: &RequestRules) -> Check {
    match search {
        Search::None(nothing) => {
            refused(request::nothing(nothing, arrived, snapshot.now, rules)).because(&nothing.passed_over)
        }
        Search::Unknown { detail } => RULE.wait(Reason::EvidenceUnavailable, detail),
        Search::NotAsked | Search::Found(_) | Search::Forgotten(_) => {
            RULE.wait(Reason::EvidenceUnavailable, "the pull request was not looked for")
        }
    }
}

fn refused(finding: Finding) -> Check {
    match finding {
        Finding::Open { words, until: None } => RULE.wait(Reason::EvidenceUnavailable, words),
        Finding::Open { words, until: Some(at) } => RULE.wait_until(at, Reason::EvidenceUnavailable, words),
        Finding::Refused { reason, words, help: None } => RULE.fail(reason, words),
        Finding::Refused { reason, words, help: Some(help) } => RULE.fail(reason, words).help(help),
    }
}

/// What was seen of `request` when its approvals counted: of the same bytes, from the same merge.
fn seen_before<'a>(earlier: &'a Earlier, snapshot: &Snapshot, request: &Request) -> Option<&'a Merged> {
    let entry = &snapshot.entry;
    let approval = earlier.approved.as_ref().filter(|_| earlier.blob == entry.blob)?;
    let same_merge = approval.commit.as_ref() == Some(&request.merge.commit);
    let merged = approval.merged.as_ref().filter(|merged| merged.pull_request == request.number.0)?;
    (same_merge && approval.covers(&entry.path, &entry.blob) && merged.bundle == standing(request)).then_some(merged)
}

/// The files that stand at the paths of what runs.
fn standing(request: &Request) -> BTreeMap<String, BlobId> {
    request.bundle.iter().filter_map(|(path, blob)| Some((path.clone(), blob.clone()?))).collect()
}

/// The forge has forgotten the request. What was seen of it when its approvals counted is in the journal, and what it merged is in git.
fn forgotten(
    tier: Tier,
    seen: &Approval,
    snapshot: &Snapshot,
    rules: &Rules,
    reading: &Reading,
) -> (Check, Option<Approval>) {
    let covers = seen.covers(&snapshot.entry.path, &snapshot.entry.blob);
    let (Some(merged), Some(commit), true) = (&seen.merged, &seen.commit, covers) else {
        return (RULE.wait(Reason::EvidenceUnavailable, "what was seen of the pull request is not known"), None);
    };
    let number = PullNumber(merged.pull_request);
    if !is_of(commit, reading) {
        let words = "the formula was not read from the merge commit of the pull request";
        return (RULE.wait(Reason::EvidenceUnavailable, words), None);
    }
    let terms = Terms::of(tier, rules, reading.approvals(tier));
    if !terms.satisfied_by(merged.given.iter().filter(|given| terms.at_head(given, &merged.head))) {
        let words = format!("the forge has no pull request {number} any more, and who approved it is not enough now");
        return (RULE.fail(Reason::NotEnoughApprovals, words).help("file it under a new id"), None);
    }
    let who: Vec<&str> = merged.given.iter().map(|given| given.login.as_str()).collect();
    let words = format!(
        "{tier}: pull request {number} brought it, approved by {}, as was seen when the forge still had it",
        who.join(", ")
    );
    (RULE.pass(words), Some(seen.clone()))
}

fn passed(tier: Tier, request: &Request, given: &[Given]) -> Check {
    let who: Vec<&str> = given.iter().map(|given| given.login.as_str()).collect();
    let number = request.number;
    RULE.pass(format!("{tier}: pull request {number} brought it, approved by {}", who.join(", ")))
}

fn approval(request: &Request, given: Vec<Given>) -> Approval {
    Approval {
        how: How::PullRequest,
        by: given.iter().map(|given| given.login.clone()).collect(),
        commit: Some(request.merge.commit.clone()),
        merged: Some(Merged {
            pull_request: request.number.0,
            head: request.head.clone(),
            bundle: standing(request),
            given,
        }),
    }
}

/// A formula of the ops repo must be the one in the tree that was weighed; one from elsewhere is the config's choice, pinned by
/// its hash.
fn is_of(merge: &CommitId, reading: &Reading) -> bool {
    match reading.formula.as_ref().map(|formula| &formula.bundle.source) {
        Ok(Source::Ops { commit }) => commit == merge,
        Ok(Source::Directory { .. } | Source::Git { .. }) | Err(_) => true,
    }
}

fn bundle_words(request: &Request, reading: &Reading) -> Vec<String> {
    let Ok(formula) = &reading.formula else { return Vec::new() };
    let Source::Ops { .. } = &formula.bundle.source else {
        let elsewhere = &formula.bundle.source;
        let words = format!("the formula comes from {elsewhere}, which no review covers; it is pinned by its hash");
        return vec![words];
    };
    let blobs = request.bundle.iter().filter_map(|(path, blob)| Some(format!("{path} = {}", blob.as_ref()?.short())));
    let blobs = blobs.collect::<Vec<_>>().join(", ");
    let mut words = vec![format!("what runs is the tree of {}: {blobs}", request.merge.commit.short())];
    if !request.untouched.is_empty() {
        let untouched: Vec<&str> = request.untouched.iter().map(String::as_str).collect();
        words.push(format!(
            "as the primary branch had it, and so in no diff of pull request {}: {}",
            request.number,
            untouched.join(", ")
        ));
    }
    words
}
