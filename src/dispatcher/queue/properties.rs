//! Properties of the queue, with runs that are active already: no limit is exceeded, nobody who could begin is passed over, and
//! each who waits is told what really holds it. What may begin beside what is written here anew, as rules over a list of claims.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Candidate, Capacity, Claim, Decision, decide};
use crate::action::reason::Reason;
use crate::support::ids::{FormulaName, RunId};

/// What a run claims, by small numbers, so that runs meet: its formula, the formula's limit, its backend, key and directory.
type Drawn = (Option<u8>, Option<u32>, bool, Option<u8>, Option<u8>);

fn drawn() -> impl Strategy<Value = Drawn> {
    let name = || prop::option::weighted(0.4, 0_u8..4);
    (
        prop::option::weighted(0.9, 0_u8..3),
        prop::option::weighted(0.4, 1_u32..4),
        prop::bool::weighted(0.3),
        name(),
        name(),
    )
}

fn formula(number: u8) -> FormulaName {
    format!("f{number}").parse().unwrap()
}

fn claim(name: &str, (number, formula_limit, elsewhere, key, directory): Drawn) -> Claim {
    Claim {
        run: format!("{name}@1").parse().unwrap(),
        formula: number.map(formula),
        formula_limit,
        backend: if elsewhere { "nomad" } else { "local" }.to_owned(),
        concurrency_key: key.map(|key| format!("k{key}")),
        working_directory: directory.map(|directory| format!("/d{directory}")),
    }
}

fn queue() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0_u8..4, any::<u16>(), drawn());
    prop::collection::vec(one, 0..20).prop_map(|all| {
        let queued = all.into_iter().enumerate().map(|(index, (priority, scatter, drawn))| Candidate {
            claim: claim(&format!("q{index}"), drawn),
            priority: priority + 1,
            // Not the order in which they are handed over, and each its own.
            order: i64::from(scatter) * 100 + i64::try_from(index).unwrap(),
        });
        queued.collect()
    })
}

/// Active runs as they may be after a restart with smaller limits: beyond the slots, without one, and several with one key.
fn active() -> impl Strategy<Value = Vec<(Option<u32>, Claim)>> {
    let slots = Just((0..12_u32).collect::<Vec<_>>()).prop_shuffle();
    let runs = prop::collection::vec((prop::bool::weighted(0.8), drawn()), 0..6);
    (slots, runs).prop_map(|(slots, runs)| {
        let numbered = runs.into_iter().zip(slots).enumerate();
        numbered
            .map(|(index, ((holds, drawn), slot))| (holds.then_some(slot), claim(&format!("a{index}"), drawn)))
            .collect()
    })
}

fn capacity() -> impl Strategy<Value = Capacity> {
    let by_formula = prop::collection::btree_map(0_u8..3, 0_u32..5, 0..3);
    let by_backend = prop::collection::btree_map(prop_oneof!["local", "nomad"], 0_u32..9, 0..2);
    (0_u32..9, by_formula, by_backend, prop::bool::weighted(0.2)).prop_map(|(slots, by_formula, backend, out)| {
        Capacity {
            slots,
            formula: by_formula.into_iter().map(|(number, limit)| (formula(number), limit)).collect(),
            backend,
            out: if out { BTreeMap::from([("nomad".to_owned(), "refused".to_owned())]) } else { BTreeMap::new() },
        }
    })
}

/// Everything that keeps `claim` from beginning beside `ahead`, of which so many slots are taken.
fn obstacles(claim: &Claim, ahead: &[&Claim], slots_taken: usize, capacity: &Capacity) -> Vec<Reason> {
    let count =
        |which: &dyn Fn(&Claim) -> bool| u32::try_from(ahead.iter().filter(|other| which(other)).count()).unwrap();
    let of_formula = count(&|other| claim.formula.is_some() && other.formula == claim.formula);
    let limits = claim.formula.as_ref().map(|formula| (capacity.formula.get(formula), claim.formula_limit.as_ref()));
    let reached = |limit: Option<&u32>, count: u32| limit.is_some_and(|limit| count >= *limit);
    let keys = |other: &Claim| claim.concurrency_key.is_some() && other.concurrency_key == claim.concurrency_key;
    let directories =
        |other: &Claim| claim.working_directory.is_some() && other.working_directory == claim.working_directory;
    let on_backend = count(&|other| other.backend == claim.backend);
    [
        (Reason::BackendUnavailable, capacity.out.contains_key(&claim.backend)),
        (Reason::KeyBusy, count(&keys) > 0),
        (Reason::DirectoryBusy, count(&directories) > 0),
        (Reason::FormulaBusy, limits.is_some_and(|(all, own)| reached(all, of_formula) || reached(own, of_formula))),
        (Reason::BackendBusy, reached(capacity.backend.get(&claim.backend), on_backend)),
        (Reason::QueueFull, slots_taken >= capacity.slots as usize),
    ]
    .into_iter()
    .filter_map(|(reason, holds)| holds.then_some(reason))
    .collect()
}

fn run_of(decision: &Decision) -> &RunId {
    match decision {
        Decision::Begin { run, .. } | Decision::Wait { run, .. } => run,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn who_begins_may_and_who_waits_is_held_by_what_it_is_told(
        queue in queue(), active in active(), capacity in capacity(),
    ) {
        let mut turns = queue.clone();
        turns.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.order.cmp(&b.order)));
        let decisions = decide(queue, &active, &capacity);
        let decided: Vec<&RunId> = decisions.iter().map(run_of).collect();
        prop_assert_eq!(decided, turns.iter().map(|one| &one.claim.run).collect::<Vec<_>>(), "each once, in its turn");

        let mut ahead: Vec<&Claim> = active.iter().map(|(_, claim)| claim).collect();
        let mut taken: BTreeSet<u32> = active.iter().filter_map(|(slot, _)| *slot).collect();
        for (decision, Candidate { claim, .. }) in decisions.iter().zip(&turns) {
            let slots_taken = (0..capacity.slots).filter(|slot| taken.contains(slot)).count();
            let held = obstacles(claim, &ahead, slots_taken, &capacity);
            match decision {
                Decision::Begin { slot, .. } => {
                    prop_assert_eq!(&held, &[], "{} begins", claim.run);
                    prop_assert_eq!(Some(*slot), (0..capacity.slots).find(|slot| !taken.contains(slot)));
                    taken.insert(*slot);
                    ahead.push(claim);
                }
                Decision::Wait { reason, .. } => prop_assert!(held.contains(reason), "{}: {reason} of {held:?}", claim.run),
            }
        }
    }

    #[test]
    fn no_limit_is_exceeded_by_anybody_who_begins(queue in queue(), active in active(), capacity in capacity()) {
        let decisions = decide(queue.clone(), &active, &capacity);
        let begins = |claim: &&Claim| {
            decisions.iter().any(|decision| matches!(decision, Decision::Begin { run, .. } if *run == claim.run))
        };
        let begun: Vec<&Claim> = queue.iter().map(|one| &one.claim).filter(begins).collect();
        let all: Vec<&Claim> = active.iter().map(|(_, claim)| claim).chain(begun.iter().copied()).collect();
        let count = |which: &dyn Fn(&Claim) -> bool| u32::try_from(all.iter().filter(|claim| which(claim)).count()).unwrap();
        for claim in &begun {
            if let Some(key) = &claim.concurrency_key {
                prop_assert_eq!(count(&|other| other.concurrency_key.as_ref() == Some(key)), 1);
            }
            if let Some(directory) = &claim.working_directory {
                prop_assert_eq!(count(&|other| other.working_directory.as_ref() == Some(directory)), 1);
            }
            if let Some(limit) = claim.formula.as_ref().and_then(|formula| capacity.formula.get(formula)) {
                prop_assert!(count(&|other| other.formula == claim.formula) <= *limit);
            }
            if let Some(limit) = capacity.backend.get(&claim.backend) {
                prop_assert!(count(&|other| other.backend == claim.backend) <= *limit);
            }
            prop_assert!(!capacity.out.contains_key(&claim.backend));
        }
        let within = active.iter().filter(|(slot, _)| slot.is_some_and(|slot| slot < capacity.slots)).count();
        prop_assert!(begun.len() + within <= (capacity.slots as usize).max(within));
    }

    #[test]
    fn with_room_for_all_and_nothing_shared_all_begin(count in 0_usize..20) {
        let queue: Vec<_> = (0..count)
            .map(|index| Candidate {
                claim: claim(&format!("q{index}"), (Some(0), None, false, None, None)),
                priority: 50,
                order: i64::try_from(index).unwrap(),
            })
            .collect();
        let decisions = decide(queue, &[], &Capacity { slots: 20, ..Capacity::default() });
        let begun = decisions.iter().filter(|decision| matches!(decision, Decision::Begin { .. })).count();
        prop_assert_eq!(begun, count);
    }
}
