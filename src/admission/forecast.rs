//! What would become of an action that is not merged yet: every check but the approval, which it cannot have before. Pure.

use std::collections::BTreeSet;

use super::check::{Check, Judgement};
use super::checks::approval;
use super::reading::Reading;
use super::rules::Rules;
use super::snapshot::Snapshot;
use super::verdict::{admit, rank};
use crate::action::Tier;
use crate::action::reason::Reason;
use crate::support::ids::{FormulaName, MountName, SecretName};

/// What would become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forecast {
    /// It would run once it is merged and approved.
    Runs(Planned),
    /// It would never run as it is.
    Refused {
        /// Why.
        reason: Reason,
        /// In words; may have several lines.
        message: String,
    },
    /// It cannot be said now.
    Open {
        /// What is waited for.
        reason: Reason,
        /// In words.
        message: String,
    },
}

/// What would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// How far it reaches.
    pub tier: Tier,
    /// The formula.
    pub formula: FormulaName,
    /// The secrets that it would get.
    pub secrets: BTreeSet<SecretName>,
    /// The mounts.
    pub mounts: BTreeSet<MountName>,
}

impl Forecast {
    /// By the same checks and the same order as [`admit`]; that a later time or another action is waited for does not stop it.
    pub fn of(snapshot: &Snapshot, rules: &Rules) -> Self {
        let explanation = admit(snapshot, rules);
        let counts = |check: &&Check| !is_approval_to_come(check) && !is_only_later(check);
        let deciding = explanation.checks.iter().filter(counts).min_by_key(|check| rank(check));
        let verdict = deciding.and_then(|check| {
            let message = check.message.clone();
            match check.judgement {
                Judgement::Fail { reason } | Judgement::SetAside { reason } => Some(Self::Refused { reason, message }),
                Judgement::Wait { reason, .. } => Some(Self::Open { reason, message }),
                Judgement::Pass | Judgement::NotReached => None,
            }
        });
        verdict.or_else(|| Planned::of(snapshot).map(Self::Runs)).unwrap_or_else(|| Self::Open {
            reason: Reason::EvidenceUnavailable,
            message: "a part of what decides could not be read".to_owned(),
        })
    }
}

/// The approval that a request cannot have yet. That none can be proven for its tier, or that it claims not to need one, stays so.
fn is_approval_to_come(check: &Check) -> bool {
    let stays = [Reason::DirectNotAllowed, Reason::ApprovalNotConfigured];
    let lasting = matches!(check.judgement, Judgement::Fail { reason } if stays.contains(&reason));
    check.number == approval::NUMBER && !lasting
}

/// It waits as it was meant to: for a date, or for what it depends on.
fn is_only_later(check: &Check) -> bool {
    matches!(check.judgement, Judgement::Wait { reason: Reason::NotBefore | Reason::DependencyPending, .. })
}

impl Planned {
    fn of(snapshot: &Snapshot) -> Option<Self> {
        let reading = Reading::of(snapshot);
        let action = reading.action.as_ref().ok()?;
        Some(Self {
            tier: reading.tier.as_ref()?.tier,
            formula: action.formula.clone(),
            secrets: action.secrets.clone(),
            mounts: action.mounts.clone(),
        })
    }
}
