//! Medium and high with a forge: a merged pull request brought these very bytes, and enough of the right people approved them.
//!
//! - [`request`]: the sub-rules a to c: which request, that it is merged into this branch, and that it brought the bytes.
//! - [`approvals`]: the sub-rules d and e: whose review counts, for which bytes, and how many are needed.
//!
//! Every step leaves its evidence, also where it does not hold.

mod approvals;
mod request;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

use super::{Approval, Given, How, Merged, RULE};
use crate::action::Tier;
use crate::action::reason::Reason;
use crate::admission::check::Check;
use crate::admission::reading::Reading;
use crate::admission::request::{Request, Search};
use crate::admission::rules::{RequestRules, Rules};
use crate::admission::snapshot::{Arrived, Snapshot, Source};
use crate::support::clock::rfc3339_seconds;

pub(in crate::admission) use approvals::Terms;

/// What a sub-rule found.
#[derive(Debug)]
pub(in crate::admission) enum Finding {
    /// It does not hold, and will not by itself.
    Refused { reason: Reason, words: String, help: Option<String> },
    /// It may come to hold.
    Open { words: String, until: Option<Timestamp> },
}

/// What all sub-rules together found.
pub(in crate::admission) struct Weighed {
    pub(in crate::admission) outcome: Result<Vec<Given>, Finding>,
    pub(in crate::admission) evidence: Vec<String>,
}

/// Weighs a request for one file and what belongs to it.
pub(in crate::admission) fn weigh(request: &Request, terms: &Terms<'_>) -> Weighed {
    let mut evidence = request::words(request);
    let outcome = request::holds(request).and_then(|()| {
        let counted = approvals::count(request, terms);
        evidence.extend(counted.evidence);
        counted.outcome
    });
    Weighed { outcome, evidence }
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
        other => return (not_found(other, arrived, snapshot, &rules.requests), None),
    };
    if !bundle_is_of_merge(request, reading) {
        let words = "the formula was not read from the merge commit of the pull request";
        return (RULE.wait(Reason::EvidenceUnavailable, words), None);
    }
    let terms = Terms::of(tier, rules, reading.approvals(tier));
    let weighed = weigh(request, &terms);
    let evidence = weighed.evidence.into_iter().chain(bundle_words(request, reading));
    let (check, approval) = match weighed.outcome {
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
        Search::NotAsked | Search::Found(_) => {
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
            bundle: request.bundle.iter().filter_map(|(path, blob)| Some((path.clone(), blob.clone()?))).collect(),
            given,
        }),
    }
}

/// A formula of the ops repo must be the one in the tree that was weighed; one from elsewhere is the config's choice, pinned by
/// its hash.
fn bundle_is_of_merge(request: &Request, reading: &Reading) -> bool {
    match reading.formula.as_ref().map(|formula| &formula.bundle.source) {
        Ok(Source::Ops { commit }) => *commit == request.merge.commit,
        Ok(Source::Directory { .. } | Source::Git { .. }) | Err(_) => true,
    }
}

fn bundle_words(request: &Request, reading: &Reading) -> Vec<String> {
    let Ok(formula) = &reading.formula else { return Vec::new() };
    let Source::Ops { .. } = &formula.bundle.source else {
        let elsewhere = &formula.bundle.source;
        return vec![format!("the formula comes from {elsewhere}, which no review covers; it is pinned by its hash")];
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
