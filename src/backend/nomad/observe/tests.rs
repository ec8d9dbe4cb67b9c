//! How long a process has gone on, by clocks that differ.

use serde_json::{Value, json};

use super::*;

const SECOND: i64 = 1_000_000_000;
/// The servers' time at which the allocation was made.
const MADE: i64 = 1_800_000_000;

/// An allocation whose task had these events, by the client's clock, after it was made.
fn with(events: &[(&str, i64)]) -> Allocation {
    let events: Vec<Value> =
        events.iter().map(|(kind, after)| json!({ "Type": kind, "Time": (MADE + after) * SECOND })).collect();
    serde_json::from_value(json!({ "CreateTime": MADE * SECOND, "TaskStates": { "runner": { "Events": events } } }))
        .unwrap()
}

/// As seen so many seconds after it was made.
fn seen(events: &[(&str, i64)], after: i64) -> Option<Duration> {
    lasted(&with(events), Some(Timestamp::from_second(MADE + after).unwrap()))
}

#[test]
fn a_process_has_gone_on_since_its_start_and_one_that_is_over_until_its_end() {
    let seconds = |number| Some(Duration::from_secs(number));
    assert_eq!(seen(&[("Received", 0), ("Started", 8)], 10), seconds(2));
    assert_eq!(seen(&[("Started", 8), ("Terminated", 11)], 1_000), seconds(3));
    assert_eq!(seen(&[("Started", 8), ("Terminated", 11), ("Started", 12), ("Terminated", 13)], 1_000), seconds(5));
}

#[test]
fn a_client_whose_clock_is_off_makes_no_process_older_than_its_allocation() {
    let seconds = |number| Some(Duration::from_secs(number));
    assert_eq!(seen(&[("Started", -3_600)], 10), seconds(10));
    assert_eq!(seen(&[("Started", 3_600)], 10), seconds(0));
    // And what was added to its limit once is not added again by the next who adopts it.
    assert_eq!(seen(&[("Started", 3_600)], 3_610), seconds(10));
}

#[test]
fn of_a_start_that_was_not_dated_nothing_is_said() {
    assert_eq!(seen(&[("Terminated", 11)], 20), None);
    assert_eq!(lasted(&with(&[("Started", 8)]), None), None);
}

#[test]
fn what_was_given_up_says_what_it_did_not_come_to_unless_it_had_started() {
    let fate = |how| Fate { how, ..Fate::unknown() };
    let given_up = |reason| Some(GivenUp { reason, why: "no client has enough memory (1 nodes)".to_owned() });
    let told = explained(fate(End::NotStarted), given_up(Reason::NeverPlaced));
    assert_eq!(told.reason, Some(Reason::NeverPlaced));
    let words = "it found no place in time and was taken back: no client has enough memory (1 nodes)";
    assert_eq!(told.detail.as_deref(), Some(words));
    let told = explained(fate(End::NotStarted), given_up(Reason::SetupFailed));
    assert_eq!(told.reason, Some(Reason::SetupFailed));
    assert!(told.detail.unwrap().starts_with("it was not set up in time and was taken back: "));
    assert_eq!(explained(fate(End::Exited(3)), given_up(Reason::SetupFailed)), fate(End::Exited(3)));
}
