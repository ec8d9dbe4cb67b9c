//! The queue: which admitted runs may begin now, in which slot, and why each of the others waits. Pure.
//!
//! Higher priority goes first, then order of arrival. A run that cannot begin does not hold back one behind it that can: a busy
//! formula, key, backend or directory delays only its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::reason::Reason;
use crate::support::ids::{FormulaName, RunId};

/// What a run claims while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// Its formula; not known of a run that was recovered from a backend alone.
    pub formula: Option<FormulaName>,
    /// How often the formula itself says that it may run at once.
    pub formula_limit: Option<u32>,
    /// Its backend.
    pub backend: String,
    /// At most one run at a time with the same key.
    pub concurrency_key: Option<String>,
    /// At most one run at a time in the same directory.
    pub working_directory: Option<String>,
}

/// An admitted run that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What it would claim.
    pub claim: Claim,
    /// 1 to 100; higher goes first.
    pub priority: u8,
    /// Order of arrival.
    pub order: i64,
}

/// How much may run at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capacity {
    /// In all: the number of slots.
    pub slots: u32,
    /// By formula.
    pub formula: BTreeMap<FormulaName, u32>,
    /// By backend.
    pub backend: BTreeMap<String, u32>,
    /// Backends that do not answer, and in which words: nothing begins on these.
    pub out: BTreeMap<String, String>,
}

/// What is decided for one candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It begins, in this slot.
    Begin {
        /// The run.
        run: RunId,
        /// The slot, from 0.
        slot: u32,
    },
    /// It waits.
    Wait {
        /// The run.
        run: RunId,
        /// The stable reason.
        reason: Reason,
        /// Behind what, in words.
        message: String,
    },
}

/// Decides for all candidates, given what runs already, each with its slot where it holds one. Slots are stable: the lowest
/// free one is taken, and runs that were adopted keep theirs, also beyond the capacity.
pub fn decide(mut candidates: Vec<Candidate>, active: &[(Option<u32>, Claim)], capacity: &Capacity) -> Vec<Decision> {
    candidates.sort_by_key(|candidate| (std::cmp::Reverse(candidate.priority), candidate.order));
    let mut taken = Taken::of(active);
    candidates.into_iter().map(|candidate| taken.decide(candidate.claim, capacity)).collect()
}

/// What is taken, by active runs and by the candidates that were let in before.
#[derive(Default)]
struct Taken {
    slots: BTreeSet<u32>,
    claims: Vec<Claim>,
}

impl Taken {
    fn of(active: &[(Option<u32>, Claim)]) -> Self {
        Self {
            slots: active.iter().filter_map(|(slot, _)| *slot).collect(),
            claims: active.iter().map(|(_, claim)| claim.clone()).collect(),
        }
    }

    fn decide(&mut self, claim: Claim, capacity: &Capacity) -> Decision {
        let obstacle = self.obstacle(&claim, capacity);
        let free = (0..capacity.slots).find(|slot| !self.slots.contains(slot));
        match (obstacle, free) {
            (Some((reason, message)), _) => Decision::Wait { run: claim.run, reason, message },
            (None, None) => Decision::Wait {
                run: claim.run,
                reason: Reason::QueueFull,
                message: format!("all {} slots are taken", capacity.slots),
            },
            (None, Some(slot)) => {
                let run = claim.run.clone();
                self.slots.insert(slot);
                self.claims.push(claim);
                Decision::Begin { run, slot }
            }
        }
    }

    fn obstacle(&self, claim: &Claim, capacity: &Capacity) -> Option<(Reason, String)> {
        if let Some(words) = capacity.out.get(&claim.backend) {
            let message = format!("backend `{}` cannot be reached: {words}", claim.backend);
            return Some((Reason::BackendUnavailable, message));
        }
        let same = |of: fn(&Claim) -> &Option<String>| {
            of(claim).as_ref().and_then(|mine| self.claims.iter().find(|other| of(other).as_ref() == Some(mine)))
        };
        if let Some(other) = same(|claim| &claim.concurrency_key) {
            return Some((Reason::KeyBusy, format!("behind {}, which holds the same concurrency key", other.run)));
        }
        if let Some(other) = same(|claim| &claim.working_directory) {
            return Some((Reason::DirectoryBusy, format!("behind {}, which uses the same directory", other.run)));
        }
        if let Some(formula) = &claim.formula {
            let limit = [capacity.formula.get(formula).copied(), claim.formula_limit].into_iter().flatten().min();
            let active = self.count(|other| other.formula.as_ref() == Some(formula));
            if limit.is_some_and(|limit| active >= limit) {
                let message = format!("{active} runs of {formula} are active, as many as may be at once");
                return Some((Reason::FormulaBusy, message));
            }
        }
        let on_backend = self.count(|other| other.backend == claim.backend);
        if capacity.backend.get(&claim.backend).is_some_and(|limit| on_backend >= *limit) {
            let message = format!("{on_backend} runs are active on {}, as many as may be at once", claim.backend);
            return Some((Reason::BackendBusy, message));
        }
        None
    }

    fn count(&self, which: impl Fn(&Claim) -> bool) -> u32 {
        u32::try_from(self.claims.iter().filter(|claim| which(claim)).count()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(name: &str) -> Claim {
        Claim {
            run: format!("{name}@1").parse().unwrap(),
            formula: Some("release".parse().unwrap()),
            formula_limit: None,
            backend: "local".to_owned(),
            concurrency_key: None,
            working_directory: None,
        }
    }

    fn candidate(name: &str, priority: u8, order: i64) -> Candidate {
        Candidate { claim: claim(name), priority, order }
    }

    fn slots(slots: u32) -> Capacity {
        Capacity { slots, ..Capacity::default() }
    }

    fn begun(decisions: &[Decision]) -> Vec<(String, u32)> {
        decisions
            .iter()
            .filter_map(|decision| match decision {
                Decision::Begin { run, slot } => Some((run.action().to_string(), *slot)),
                Decision::Wait { .. } => None,
            })
            .collect()
    }

    #[test]
    fn higher_priority_goes_first_and_then_the_earlier_one() {
        let queue = vec![candidate("late", 50, 3), candidate("early", 50, 1), candidate("urgent", 90, 9)];
        let decisions = decide(queue, &[], &slots(2));
        assert_eq!(begun(&decisions), [("urgent".to_owned(), 0), ("early".to_owned(), 1)]);
        assert!(matches!(&decisions[2], Decision::Wait { reason: Reason::QueueFull, .. }));
    }

    #[test]
    fn the_lowest_free_slot_is_taken() {
        let active = [(Some(0), claim("a")), (Some(2), claim("b"))];
        assert_eq!(begun(&decide(vec![candidate("c", 50, 1)], &active, &slots(4))), [("c".to_owned(), 1)]);
    }

    #[test]
    fn one_without_a_slot_still_has_its_key_and_takes_nobodys_slot() {
        let keyed = |name: &str| Claim { concurrency_key: Some("deploy-prod".to_owned()), ..claim(name) };
        let same_key = Candidate { claim: keyed("b"), priority: 50, order: 1 };
        let decisions = decide(vec![same_key, candidate("c", 50, 2)], &[(None, keyed("a"))], &slots(1));
        assert_eq!(begun(&decisions), [("c".to_owned(), 0)]);
        assert!(matches!(&decisions[0], Decision::Wait { reason: Reason::KeyBusy, .. }));
    }

    #[test]
    fn one_that_waits_for_its_key_holds_nobody_else_back() {
        let keyed = |name: &str, order| {
            let mut candidate = candidate(name, 50, order);
            candidate.claim.concurrency_key = Some("deploy-prod".to_owned());
            candidate
        };
        let decisions = decide(vec![keyed("a", 1), keyed("b", 2), candidate("c", 50, 3)], &[], &slots(4));
        assert_eq!(begun(&decisions), [("a".to_owned(), 0), ("c".to_owned(), 1)]);
        assert!(
            matches!(&decisions[1], Decision::Wait { reason: Reason::KeyBusy, message, .. } if message.contains("a@1"))
        );
    }

    #[test]
    fn the_smaller_of_the_two_limits_of_a_formula_counts() {
        let mut capacity = slots(4);
        capacity.formula.insert("release".parse().unwrap(), 3);
        let mut limited = candidate("b", 50, 1);
        limited.claim.formula_limit = Some(1);
        let decisions = decide(vec![limited], &[(Some(0), claim("a"))], &capacity);
        assert!(matches!(&decisions[0], Decision::Wait { reason: Reason::FormulaBusy, .. }));
    }

    #[test]
    fn nothing_begins_on_a_backend_that_does_not_answer_and_others_are_not_held_back() {
        let mut capacity = slots(4);
        capacity.out.insert("nomad".to_owned(), "connection refused".to_owned());
        let mut remote = candidate("a", 90, 1);
        remote.claim.backend = "nomad".to_owned();
        let decisions = decide(vec![remote, candidate("b", 50, 2)], &[], &capacity);
        assert_eq!(begun(&decisions), [("b".to_owned(), 0)]);
        assert!(matches!(&decisions[0], Decision::Wait { reason: Reason::BackendUnavailable, message, .. }
            if message.contains("connection refused")));
    }

    #[test]
    fn the_same_directory_is_used_by_one_at_a_time_and_holds_nobody_else_back() {
        let within = |name: &str, directory: &str| {
            let mut claim = claim(name);
            claim.working_directory = Some(directory.to_owned());
            claim
        };
        let queued = |name, order, directory| Candidate { claim: within(name, directory), priority: 50, order };
        let active = [(Some(0), within("a", "/srv/site"))];
        let decisions = decide(vec![queued("b", 1, "/srv/site"), queued("c", 2, "/srv/other")], &active, &slots(4));
        assert_eq!(begun(&decisions), [("c".to_owned(), 1)]);
        assert!(
            matches!(&decisions[0], Decision::Wait { reason: Reason::DirectoryBusy, message, .. } if message.contains("a@1"))
        );
        assert_eq!(Reason::DirectoryBusy.code(), "directory_busy");
    }
}

#[cfg(test)]
mod properties;
