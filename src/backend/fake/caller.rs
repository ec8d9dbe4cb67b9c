//! Watches the caller of the fake backend: which calls it makes in which order, and at once.

use std::collections::BTreeMap;

use crate::support::ids::LaunchKey;

/// A call for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Launch,
    Find,
    Observe,
    Cancel,
    Remove,
}

/// How far the caller has come with one key, as far as the caller can know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Knows {
    #[default]
    Nothing,
    Launched,
    Ended,
    Removed,
}

/// What happened since the caller last asked `find`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum SinceFind {
    #[default]
    NoSuccess,
    Success,
}

#[derive(Debug, Default)]
struct History {
    knows: Knows,
    since_find: SinceFind,
    launches: usize,
    in_flight: Vec<Call>,
}

/// Everything that the caller did.
#[derive(Debug, Default)]
pub(super) struct Caller {
    histories: BTreeMap<LaunchKey, History>,
    violations: Vec<String>,
}

impl Caller {
    pub(super) fn begin(&mut self, key: &LaunchKey, call: Call) {
        let history = self.histories.entry(key.clone()).or_default();
        let wrong = wrong_order(history, call).or_else(|| wrong_at_once(&history.in_flight, call));
        history.in_flight.push(call);
        history.launches += usize::from(call == Call::Launch);
        if call == Call::Remove {
            history.knows = Knows::Removed;
        }
        self.violations.extend(wrong.map(|words| format!("{key}: {words}")));
    }

    pub(super) fn end(&mut self, key: &LaunchKey, call: Call) {
        if let Some(history) = self.histories.get_mut(key)
            && let Some(at) = history.in_flight.iter().position(|one| *one == call)
        {
            history.in_flight.remove(at);
        }
    }

    /// `launch` has answered with success.
    pub(super) fn launched(&mut self, key: &LaunchKey) {
        let history = self.histories.entry(key.clone()).or_default();
        (history.knows, history.since_find) = (Knows::Launched, SinceFind::Success);
    }

    /// `find` was asked: another launch is not made blindly any more.
    pub(super) fn found(&mut self, key: &LaunchKey) {
        self.histories.entry(key.clone()).or_default().since_find = SinceFind::NoSuccess;
    }

    /// `observe` has answered an end.
    pub(super) fn ended(&mut self, key: &LaunchKey) {
        self.histories.entry(key.clone()).or_default().knows = Knows::Ended;
    }

    pub(super) fn launches(&self, key: &LaunchKey) -> usize {
        self.histories.get(key).map_or(0, |history| history.launches)
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.violations.clone()
    }
}

fn wrong_order(history: &History, call: Call) -> Option<&'static str> {
    match (call, history.knows) {
        (Call::Launch, _) if history.since_find == SinceFind::Success => {
            Some("launched again after a success, without asking `find`")
        }
        (Call::Observe, Knows::Removed) => Some("observed after it was removed"),
        (Call::Remove, Knows::Nothing | Knows::Launched) => Some("removed before `observe` told its end"),
        _ => None,
    }
}

fn wrong_at_once(in_flight: &[Call], call: Call) -> Option<&'static str> {
    let allowed = |one: &Call| matches!((one, call), (Call::Observe, Call::Cancel) | (Call::Cancel, Call::Observe));
    (!in_flight.iter().all(allowed)).then_some("called at once with another call for the same key")
}
