//! Rule 5: somebody who may has approved these very bytes. Each proof is a file of its own:
//!
//! - [`branch`]: low: any commit on the primary branch.
//! - [`signature`]: medium and high, for an ops repo without a forge: the commit that brought the action is signed.
//! - [`pull_request`]: medium and high, with a forge: the merged pull request that brought it, and its reviews.

mod branch;
pub(in crate::admission) mod pull_request;
mod signature;

use std::collections::BTreeMap;

use jiff::Timestamp;

use serde::{Deserialize, Serialize};

use crate::action::Tier;
use crate::action::reason::Reason;
use crate::action::request::{Action, DispatchMode};
use crate::action::result::ApprovalRef;
use crate::admission::check::{Check, Rule};
use crate::admission::reading::Reading;
use crate::admission::rules::{LocalFiles, Rules};
use crate::admission::snapshot::{Arrival, Snapshot};
use crate::config::types::ApprovalMode;
use crate::support::ids::{BlobId, CommitId};

/// The number of this rule.
pub(in crate::admission) const NUMBER: u8 = 5;

const RULE: Rule = Rule { number: NUMBER, name: "approval" };

/// How an approval was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It stands on the primary branch (low tier).
    Branch,
    /// The commit that brought it is signed.
    Signature,
    /// A merged pull request brought it, and its reviewers approved these bytes.
    PullRequest,
    /// It was not: a file of this machine, for debugging. Its result is never published.
    None,
}

/// A proven approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// How.
    pub how: How,
    /// By whom.
    pub by: Vec<String>,
    /// The commit that carries the proof: the signed one, or the one that the merge left.
    pub commit: Option<CommitId>,
    /// For a pull request: what was seen of it when it was admitted. A forge lets reviews be deleted afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<Merged>,
}

impl Approval {
    /// Whether it was seen on a forge, of the file at `path` with these bytes.
    pub fn covers(&self, path: &str, blob: &BlobId) -> bool {
        self.merged.as_ref().is_some_and(|merged| merged.bundle.get(path) == Some(blob))
    }
}

/// A merged pull request, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// Its number.
    pub pull_request: u64,
    /// Its head at the merge, `refs/pull/N/head`.
    pub head: CommitId,
    /// What runs: which blob stood at which path in the tree of the merge.
    pub bundle: BTreeMap<String, BlobId>,
    /// The approvals that counted.
    pub given: Vec<Given>,
}

/// One person's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The name on the forge.
    pub login: String,
    /// The number behind it.
    pub id: i64,
    /// The commit that was approved; its tree holds the bundle.
    pub commit: CommitId,
    /// When.
    pub at: Option<Timestamp>,
    /// How it was said.
    pub word: Word,
    /// The number of the review, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<i64>,
}

/// How somebody approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// By a review.
    Review,
    /// By merging, where the config counts that.
    Merge,
}

impl From<&Approval> for ApprovalRef {
    fn from(approval: &Approval) -> Self {
        let how = match approval.how {
            How::Branch => "branch",
            How::Signature => "signature",
            How::PullRequest => "pull_request",
            How::None => "none",
        };
        Self {
            how: how.to_owned(),
            by: approval.by.clone(),
            pull_request: approval.merged.as_ref().map(|merged| merged.pull_request),
            commit: approval.commit.as_ref().map(ToString::to_string),
        }
    }
}

/// The check, and the approval that it proved.
pub(in crate::admission) fn judge(snapshot: &Snapshot, rules: &Rules, reading: &Reading) -> (Check, Option<Approval>) {
    let (Ok(action), Some(tier)) = (&reading.action, &reading.tier) else {
        return (RULE.not_reached("which approval it needs is not known: its tier is not (rules 1 and 4)"), None);
    };
    let arrived = match &snapshot.arrival {
        Arrival::Commit(arrived) => arrived,
        Arrival::LocalFile => return local_file(rules),
        Arrival::Unknown { detail } => return (RULE.wait(Reason::EvidenceUnavailable, detail), None),
    };
    if let Some(refused) = claimed_direct(action, tier.tier) {
        return (refused.because([arrived.words(&snapshot.entry)]), None);
    }
    let (check, approval) = match (tier.tier, rules.approval) {
        (Tier::Low, _) => branch::judge(arrived),
        (Tier::Medium | Tier::High, None) => (not_configured(tier.tier), None),
        (needed @ (Tier::Medium | Tier::High), Some(ApprovalMode::Signature)) => {
            signature::judge(needed, arrived, rules, reading)
        }
        (needed @ (Tier::Medium | Tier::High), Some(ApprovalMode::PullRequest)) => {
            pull_request::judge(needed, arrived, snapshot, rules, reading)
        }
    };
    (check.because([arrived.words(&snapshot.entry)]), approval)
}

fn local_file(rules: &Rules) -> (Check, Option<Approval>) {
    match rules.local_files {
        LocalFiles::ForDebugging => {
            let approval = Approval { how: How::None, by: Vec::new(), commit: None, merged: None };
            let words = "nobody approved it; `debug.allow_unapproved` lets it run, and its result is not published";
            (RULE.pass(words), Some(approval))
        }
        LocalFiles::Refused => {
            let check = RULE.fail(Reason::ApprovalNotConfigured, "a file of this machine has no approval").help(
                "file the action in the ops repo, or set `debug.allow_unapproved = true` on a machine for trying out",
            );
            (check, None)
        }
    }
}

/// The claim is never believed; a claim that contradicts the tier shows a request that was meant to pass unseen.
fn claimed_direct(action: &Action, tier: Tier) -> Option<Check> {
    (action.dispatch_mode == Some(DispatchMode::Direct) && tier > Tier::Low).then(|| {
        RULE.fail(Reason::DirectNotAllowed, format!("`dispatch_mode = \"direct\"` is for the low tier; this is {tier}"))
            .help("file it again with `dispatch_mode = \"pr\"` and have it approved")
    })
}

fn not_configured(tier: Tier) -> Check {
    RULE.fail(
        Reason::ApprovalNotConfigured,
        format!("the config names no way to prove an approval, and {tier} needs one"),
    )
    .help("set `approval.mode` in dispatch.toml, then file a new action")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::testing::{good, outcome, rejection, rules};
    use crate::admission::verdict::{Verdict, admit};

    const LOW: &str = "[tiers]\nrotate = \"low\"\n";

    #[test]
    fn low_needs_no_signature() {
        let snapshot = good().with_policy(LOW).with_signature(None);
        let Verdict::Admitted(admitted) = admit(&snapshot, &rules()).verdict else { panic!("it is low") };
        assert_eq!((admitted.tier, admitted.approval.how), (Tier::Low, How::Branch));
        assert_eq!(admitted.formula.script.bytes, b"echo newer", "low runs what stands at the head");
    }

    #[test]
    fn a_claim_of_a_direct_commit_is_rejected_above_low_whoever_signed_it() {
        assert_eq!(rejection(&good().adding("dispatch_mode = \"direct\""), &rules()), Some(Reason::DirectNotAllowed));
        let low = good().with_policy(LOW).adding("dispatch_mode = \"direct\"");
        assert_eq!(outcome(&low, &rules(), 5), "pass");
        let raised = low.adding("dispatch_mode = \"direct\"\nblast_radius = \"medium\"");
        assert_eq!(rejection(&raised.with_policy(LOW), &rules()), Some(Reason::DirectNotAllowed));
    }

    #[test]
    fn without_a_way_to_prove_approvals_nothing_above_low_runs() {
        let unset = Rules { approval: None, ..rules() };
        assert_eq!(rejection(&good(), &unset), Some(Reason::ApprovalNotConfigured));
        assert_eq!(outcome(&good().with_policy(LOW), &unset, 5), "pass");
    }

    #[test]
    fn an_action_of_unknown_origin_waits_even_when_it_is_low() {
        let snapshot = Snapshot { arrival: Arrival::Unknown { detail: "git was stopped".to_owned() }, ..good() };
        assert_eq!(outcome(&snapshot.with_policy(LOW), &rules(), 5), "wait (evidence_unavailable)");
    }

    #[test]
    fn a_file_of_this_machine_runs_only_where_the_config_allows_it_and_leaves_no_result() {
        let snapshot = Snapshot { arrival: Arrival::LocalFile, ..good() };
        let refused = admit(&snapshot, &rules()).verdict;
        assert!(matches!(refused, Verdict::SetAside { reason: Reason::ApprovalNotConfigured, .. }), "{refused:?}");
        let debugging = Rules { local_files: LocalFiles::ForDebugging, ..rules() };
        let Verdict::Admitted(admitted) = admit(&snapshot, &debugging).verdict else { panic!("it is allowed") };
        assert_eq!(admitted.approval.how, How::None);
    }
}
