//! Rule 7: its time has come, and what it depends on has succeeded. Slots and concurrency keys are the queue's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::action::reason::Reason;
use crate::action::request::Action;
use crate::admission::check::{Check, Rule, listed};
use crate::admission::reading::Reading;
use crate::admission::snapshot::{Dependency, Snapshot};
use crate::support::clock::rfc3339_seconds;
use crate::support::ids::ActionId;

const RULE: Rule = Rule { number: 7, name: "when" };

pub(in crate::admission) fn judge(snapshot: &Snapshot, reading: &Reading) -> Check {
    let Ok(action) = &reading.action else { return RULE.not_reached(super::NO_ACTION) };
    expired(action, snapshot)
        .or_else(|| cyclic(action, snapshot))
        .or_else(|| failed(action, snapshot))
        .or_else(|| too_early(action, snapshot))
        .or_else(|| pending(action, snapshot))
        .unwrap_or_else(|| RULE.pass("nothing holds it back").because(succeeded(action)))
}

fn expired(action: &Action, snapshot: &Snapshot) -> Option<Check> {
    let end = action.not_after.filter(|end| snapshot.now > *end)?;
    let words = format!("it had to begin by {}; now it is {}", rfc3339_seconds(end), rfc3339_seconds(snapshot.now));
    Some(RULE.fail(Reason::Expired, words).help("file a new action with a later `not_after`"))
}

fn too_early(action: &Action, snapshot: &Snapshot) -> Option<Check> {
    let begin = action.not_before.filter(|begin| snapshot.now < *begin)?;
    Some(RULE.wait_until(begin, Reason::NotBefore, format!("it may begin at {}", rfc3339_seconds(begin))))
}

fn cyclic(action: &Action, snapshot: &Snapshot) -> Option<Check> {
    let cycle = cycle_through(action, &snapshot.dependencies)?;
    let path: Vec<&str> = cycle.iter().map(ActionId::as_str).collect();
    Some(RULE.fail(Reason::DependencyCycle, format!("it depends on itself: {}", path.join(" → "))))
}

fn failed(action: &Action, snapshot: &Snapshot) -> Option<Check> {
    let failed: Vec<String> = action
        .depends_on
        .iter()
        .filter_map(|id| match snapshot.dependencies.get(id) {
            Some(Dependency::Failed { state }) => Some(format!("`{id}` ended as {}", state.word())),
            _ => None,
        })
        .collect();
    (!failed.is_empty()).then(|| RULE.fail(Reason::DependencyFailed, failed.join("; ")))
}

fn pending(action: &Action, snapshot: &Snapshot) -> Option<Check> {
    let waits: Vec<String> = action
        .depends_on
        .iter()
        .filter_map(|id| match snapshot.dependencies.get(id) {
            Some(Dependency::Succeeded | Dependency::Failed { .. }) => None,
            Some(Dependency::Pending { .. }) => Some(format!("`{id}` has not ended yet")),
            Some(Dependency::Unknown) | None => Some(format!("there is no action `{id}` so far")),
        })
        .collect();
    (!waits.is_empty()).then(|| RULE.wait(Reason::DependencyPending, waits.join("; ")))
}

fn succeeded(action: &Action) -> Option<String> {
    (!action.depends_on.is_empty()).then(|| format!("{} succeeded before", listed(&action.depends_on)))
}

/// The shortest way from the action back to itself, both ends included.
fn cycle_through(action: &Action, known: &BTreeMap<ActionId, Dependency>) -> Option<Vec<ActionId>> {
    let mut reached = BTreeSet::new();
    let mut open: VecDeque<Vec<ActionId>> =
        action.depends_on.iter().map(|id| vec![action.id.clone(), id.clone()]).collect();
    while let Some(path) = open.pop_front() {
        let Some(last) = path.last() else { continue };
        if *last == action.id {
            return Some(path);
        }
        if !reached.insert(last.clone()) {
            continue;
        }
        if let Some(Dependency::Pending { on }) = known.get(last) {
            open.extend(on.iter().map(|next| [path.as_slice(), std::slice::from_ref(next)].concat()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::action::result::ResultState;
    use crate::admission::testing::{good, outcome, rules};

    fn of(snapshot: &Snapshot) -> String {
        outcome(snapshot, &rules(), 7)
    }

    fn id(text: &str) -> ActionId {
        text.parse().unwrap()
    }

    fn depending<const N: usize>(known: [(&str, Dependency); N]) -> Snapshot {
        let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let dependencies = Arc::new(known.map(|(name, what)| (id(name), what)).into());
        Snapshot { dependencies, ..good().adding(&format!("depends_on = [{}]", names.join(", "))) }
    }

    #[test]
    fn its_time_comes_and_goes() {
        assert_eq!(
            of(&good().adding("not_before = 2026-12-01T03:00:00Z")),
            "wait (not_before, until 2026-12-01T03:00:00Z)"
        );
        assert_eq!(of(&good().adding("not_after = 2026-11-20T11:59:59Z")), "fail (expired)");
        assert_eq!(of(&good().adding("not_after = 2026-11-20T12:00:00Z")), "pass");
    }

    #[test]
    fn it_waits_for_what_it_depends_on() {
        let pending = Dependency::Pending { on: BTreeSet::new() };
        assert_eq!(of(&depending([("a", Dependency::Succeeded)])), "pass");
        assert_eq!(of(&depending([("a", Dependency::Succeeded), ("b", pending)])), "wait (dependency_pending)");
        assert_eq!(of(&depending([("a", Dependency::Unknown)])), "wait (dependency_pending)");
        let mut nothing_known = depending([("a", Dependency::Succeeded)]);
        nothing_known.dependencies = Arc::default();
        assert_eq!(of(&nothing_known), "wait (dependency_pending)");
    }

    #[test]
    fn it_never_runs_after_a_failure_of_what_it_depends_on() {
        for state in [ResultState::Failed, ResultState::Lost, ResultState::Rejected, ResultState::TimedOut] {
            assert_eq!(of(&depending([("a", Dependency::Failed { state })])), "fail (dependency_failed)");
        }
    }

    #[test]
    fn a_circle_is_found_over_any_number_of_steps() {
        let on = |name: &str| Dependency::Pending { on: [id(name)].into() };
        let mut snapshot = depending([("a", on("b"))]);
        Arc::make_mut(&mut snapshot.dependencies).insert(id("b"), on("rotate-keys"));
        assert_eq!(of(&snapshot), "fail (dependency_cycle)");
        assert!(
            crate::admission::testing::check(&snapshot, &rules(), 7)
                .message
                .contains("rotate-keys → a → b → rotate-keys")
        );
        Arc::make_mut(&mut snapshot.dependencies).insert(id("b"), on("a"));
        assert_eq!(of(&snapshot), "wait (dependency_pending)", "a circle of others is theirs");
    }
}
