//! The verdict: all checks are asked, and their answers become one of four.
//!
//! Which answer decides, where several do not pass:
//! 1. an id that is spoken for: nothing about it is decided again, whatever else is wrong with the file by now;
//! 2. a rewritten primary branch: nothing read from it is acted upon, not even a rejection, until a person has looked;
//! 3. the first rejection by the number of its rule: it stands whatever the open questions turn out to be;
//! 4. the first open question.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::admitted::{Admitted, AdmittedFormula, Pinned};
use super::check::{Check, Judgement};
use super::checks::approval::{self, Approval};
use super::checks::{done, form, places, secrets, tier, when};
use super::explain::Explanation;
use super::reading::{Formula, Reading};
use super::rules::Rules;
use super::snapshot::{Arrival, Bundle, Content, Snapshot, Source};
use crate::action::diagnostic::Diagnostics;
use crate::action::reason::Reason;
use crate::action::request::Action;

/// What is to happen to an action. Exactly one of these leads to a result file by itself: [`Verdict::Rejected`].
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It may run. Its run writes the result.
    Admitted(Box<Admitted>),
    /// It never will. **A result file with the state `rejected` is written, once.** The entry stands directly in the folder of
    /// actions of the ops repo under a name that is an id, and that id was never taken up before.
    Rejected {
        /// The first rule that failed.
        reason: Reason,
        /// Why, in words, from every check that failed.
        message: String,
        /// What is wrong with the action's file, with lines and columns; `None` where the file is not at fault.
        diagnostics: Option<Box<Diagnostics>>,
    },
    /// It may be admitted later. Nothing is written; it is judged again.
    Waiting {
        /// What is waited for.
        reason: Reason,
        /// Why, in words.
        message: String,
        /// The earliest time at which another look can help, where that is known.
        until: Option<Timestamp>,
        /// What is proven of its approval by a forge, which may lose the evidence while something else is waited for.
        #[serde(skip)]
        approved: Option<Box<Approval>>,
    },
    /// Nothing can come of it and **nothing is written**: it is shown to people, and that is all. Either the id is spoken for
    /// (`id_already_used`, `foreign_result`), and a second result would stand in the place of the first; or the entry has no id
    /// of its own (nested deeper, or a name that is none), and its result would stand in the place of another action's; or it
    /// is a file of this machine, of which nothing is recorded.
    SetAside {
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
    },
}

impl Verdict {
    /// Why it is not admitted; `None`: it is.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Admitted(_) => None,
            Self::Rejected { reason, .. } | Self::Waiting { reason, .. } | Self::SetAside { reason, .. } => {
                Some(*reason)
            }
        }
    }
}

/// Judges one action: every check with its evidence, and what follows.
pub fn admit(snapshot: &Snapshot, rules: &Rules) -> Explanation {
    let reading = Reading::of(snapshot);
    let (approval_check, approval) = approval::judge(snapshot, rules, &reading);
    let checks = vec![
        form::judge(snapshot, &reading),
        secrets::judge(snapshot, rules, &reading),
        places::judge(snapshot, rules, &reading),
        tier::judge(snapshot, &reading),
        approval_check,
        done::judge(snapshot),
        when::judge(snapshot, &reading),
    ];
    let verdict = match checks.iter().min_by_key(|check| rank(check)) {
        Some(deciding) if rank(deciding).0 < PASSED => refusal(deciding, &checks, snapshot, &reading, approval),
        _ => admitted(snapshot, rules, &reading, approval, &checks),
    };
    Explanation { path: snapshot.entry.path.clone(), id: snapshot.entry.id(), checks, verdict }
}

const PASSED: u8 = 5;

/// The order of this module's head; a check that could not be judged stops the action like an open question.
pub(super) fn rank(check: &Check) -> (u8, u8) {
    let class = match check.judgement {
        Judgement::SetAside { .. } => 0,
        Judgement::Wait { reason: Reason::HistoryRewritten, .. } => 1,
        Judgement::Fail { .. } => 2,
        Judgement::Wait { .. } => 3,
        Judgement::NotReached => 4,
        Judgement::Pass => PASSED,
    };
    (class, check.number)
}

fn refusal(
    deciding: &Check,
    checks: &[Check],
    snapshot: &Snapshot,
    reading: &Reading,
    approval: Option<Approval>,
) -> Verdict {
    match deciding.judgement {
        Judgement::SetAside { reason } => Verdict::SetAside { reason, message: deciding.message.clone() },
        Judgement::Wait { reason, until } => {
            let approved = approval.filter(|approval| approval.merged.is_some()).map(Box::new);
            Verdict::Waiting { reason, message: deciding.message.clone(), until, approved }
        }
        Judgement::Fail { reason } => rejected(reason, checks, snapshot, reading),
        Judgement::NotReached | Judgement::Pass => incomplete(),
    }
}

fn rejected(reason: Reason, checks: &[Check], snapshot: &Snapshot, reading: &Reading) -> Verdict {
    let failed = checks.iter().filter(|check| matches!(check.judgement, Judgement::Fail { .. }));
    let message = failed.map(|check| check.message.as_str()).collect::<Vec<_>>().join("\n");
    // Beside the other action's, a result whose name differs only by case would be the same file to some checkouts.
    let nameless = snapshot.entry.id().is_none() || reason == Reason::IdCaseCollision;
    if nameless || matches!(snapshot.arrival, Arrival::LocalFile) {
        return Verdict::SetAside { reason, message };
    }
    let diagnostics = reading.action.as_ref().err().and_then(|refusal| refusal.diagnostics.clone());
    Verdict::Rejected { reason, message, diagnostics }
}

/// No check failed and yet something is missing: a snapshot that was gathered in part.
fn incomplete() -> Verdict {
    let message = "not everything that must be looked at could be read".to_owned();
    Verdict::Waiting { reason: Reason::EvidenceUnavailable, message, until: None, approved: None }
}

/// Every part of an admitted action must be there; what every check has passed without it is not believed.
fn admitted(
    snapshot: &Snapshot,
    rules: &Rules,
    reading: &Reading,
    approval: Option<Approval>,
    checks: &[Check],
) -> Verdict {
    let (Ok(action), Ok(formula), Some(tier), Some(approval), Content::File(bytes)) =
        (&reading.action, &reading.formula, &reading.tier, approval, &snapshot.entry.content)
    else {
        return incomplete();
    };
    Verdict::Admitted(Box::new(Admitted {
        id: action.id.clone(),
        blob: snapshot.entry.blob.clone(),
        action: Pinned::of(bytes),
        context: action.context.clone(),
        formula: admitted_formula(action, formula),
        params: formula.params.clone(),
        tier: tier.tier,
        approval,
        arrived: match &snapshot.arrival {
            Arrival::Commit(arrived) => Some(arrived.commit.clone()),
            Arrival::LocalFile | Arrival::Unknown { .. } => None,
        },
        head: snapshot.head.clone(),
        backend: places::backend(action, rules).to_owned(),
        mounts: action.mounts.clone(),
        secrets: action.secrets.clone(),
        timeout_minutes: action.timeout_minutes.or(formula.meta.timeout_minutes).unwrap_or(rules.timeout_minutes),
        priority: action.priority,
        concurrency_key: action.concurrency_key.clone(),
        working_directory: action.working_directory.clone(),
        not_after: action.not_after,
        depends_on: action.depends_on.clone(),
        evidence: checks.iter().flat_map(|check| check.evidence.iter().cloned()).collect(),
    }))
}

fn admitted_formula(action: &Action, formula: &Formula) -> AdmittedFormula {
    let bundle = &formula.bundle;
    let pinned = |(path, bytes): (&String, &super::snapshot::Shared)| (path.clone(), Pinned::of(bytes));
    AdmittedFormula {
        name: action.formula.clone(),
        kind: bundle.kind,
        source: source_words(bundle),
        script: Pinned::of(&bundle.script),
        meta: bundle.meta.as_ref().map(|(_, bytes)| Pinned::of(bytes)),
        context_files: bundle.context_files.iter().map(pinned).collect::<BTreeMap<_, _>>(),
        idempotent: formula.meta.idempotent,
        max_concurrent: formula.meta.max_concurrent,
    }
}

fn source_words(bundle: &Bundle) -> String {
    match &bundle.source {
        Source::Ops { .. } => format!("ops:{}", bundle.path),
        Source::Directory { directory } => format!("{directory}/{}", bundle.path),
        Source::Git { remote, commit } => format!("{remote}@{commit}:{}", bundle.path),
    }
}
