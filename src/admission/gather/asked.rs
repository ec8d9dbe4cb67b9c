//! What the actions of a batch ask for, as far as they can be read: which formulas, in which version, and which secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arrivals::Origin;
use super::formulas::Answers;
use super::power::Power;
use crate::action::{Action, Tier};
use crate::admission::reading::claimed_tier;
use crate::admission::rules::Rules;
use crate::admission::snapshot::Entry;
use crate::grant::{Presence, SecretProvider};
use crate::support::ids::{FormulaName, SecretName};

/// What one action asks for, as far as it can be read.
pub(super) struct Asked {
    pub(super) entry: Entry,
    pub(super) action: Option<Action>,
    pub(super) arrival: Result<Arc<Origin>, String>,
    pub(super) power: Arc<Power>,
    /// The tier by the policy and the action's own claim; the formula may still raise it.
    pub(super) tier: Tier,
}

/// The formulas that are asked for.
pub(super) fn names(asked: &[Asked]) -> BTreeSet<FormulaName> {
    asked.iter().filter_map(|one| Some(one.action.as_ref()?.formula.clone())).collect()
}

/// Whether an action is above low by anybody's word: then what was approved with it must be looked at.
pub(super) fn is_above_low(one: &Asked, at_head: &Answers) -> bool {
    let Some(action) = &one.action else { return false };
    let claimed = at_head.get(&action.formula).and_then(claimed_tier);
    one.tier > Tier::Low || claimed > Some(Tier::Low)
}

/// Only secrets of the allowlist are asked for: an action cannot find out what else the provider has.
pub(super) async fn presence(
    asked: &[Asked],
    rules: &Rules,
    provider: &dyn SecretProvider,
) -> BTreeMap<SecretName, Presence> {
    let named = asked.iter().filter_map(|one| one.action.as_ref()).flat_map(|action| &action.secrets);
    let wanted: BTreeSet<&SecretName> = named.filter(|name| rules.secrets.contains(*name)).collect();
    let mut known = BTreeMap::new();
    for name in wanted {
        known.insert(name.clone(), provider.presence(name).await);
    }
    known
}
