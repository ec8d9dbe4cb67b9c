//! What a person, or another tool, does to a run in Nomad past the dispatcher, while the dispatcher watches and while it is away.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::child::until;
use crate::testbed::Testbed;
use crate::world::{World, side_by_side};

/// Who looks on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dispatcher {
    Watching,
    Away,
}

/// What is done to the run, and as what it is then to end.
#[derive(Debug, Clone, Copy)]
struct Deed {
    name: &'static str,
    act: fn(&World, &str),
    /// State, reason and exit.
    end: (&'static str, &'static str, Option<i32>),
    /// Part of the message.
    words: &'static str,
    /// Allocations afterwards.
    allocations: usize,
}

const DEEDS: [Deed; 5] = [
    Deed {
        name: "alloc stop",
        act: |world, id| {
            world.nomad("PUT", &format!("/v1/allocation/{}/stop", world.allocation(id)), None);
            until("the second allocation to end", || world.are_all_over(id, 2).then_some(()));
        },
        end: ("cancelled", "stopped_in_nomad", Some(143)),
        words: "it was seen to begin more than once",
        allocations: 2,
    },
    Deed {
        name: "alloc restart",
        act: |world, id| {
            let path = format!("/v1/client/allocation/{}/restart", world.allocation(id));
            world.nomad("PUT", &path, Some(&json!({ "TaskName": "runner" })));
            until("the allocation to end", || world.are_all_over(id, 1).then_some(()));
        },
        end: ("cancelled", "stopped_in_nomad", Some(143)),
        words: "somebody restarted its task in Nomad",
        allocations: 1,
    },
    Deed {
        name: "alloc signal",
        act: |world, id| {
            let path = format!("/v1/client/allocation/{}/signal", world.allocation(id));
            world.nomad("PUT", &path, Some(&json!({ "Task": "runner", "Signal": "SIGKILL" })));
            until("the allocation to end", || world.are_all_over(id, 1).then_some(()));
        },
        end: ("failed", "signalled", Some(137)),
        words: "signal 9 ended the runner",
        allocations: 1,
    },
    Deed {
        name: "job stop",
        act: |world, id| {
            world.nomad("DELETE", &format!("/v1/job/{}", world.child(id)), None);
            until("the allocation to end", || world.are_all_over(id, 1).then_some(()));
        },
        end: ("cancelled", "stopped_in_nomad", Some(143)),
        words: "Nomad ended it",
        allocations: 1,
    },
    Deed {
        name: "job stop -purge",
        act: |world, id| {
            world.nomad("DELETE", &format!("/v1/job/{}?purge=true", world.child(id)), None);
        },
        end: ("lost", "exit_unknown", None),
        words: "",
        allocations: 0,
    },
];

fn interfere(deed: Deed, dispatcher: Dispatcher) -> Option<String> {
    let world = World::new();
    world.ask("run", "hold", "");
    let mut serving = world.serve(&[]);
    world.wait_until_begun("run");
    world.wait_for_state("run", "running");
    let child = world.child("run");
    if dispatcher == Dispatcher::Away {
        serving.signal(Signal::KILL);
        serving.end();
        (deed.act)(&world, "run");
        serving = world.serve(&[]);
    } else {
        (deed.act)(&world, "run");
    }
    let result = world.wait_for_result("run");
    serving.signal(Signal::TERM);
    serving.end();
    // A task that was purged goes on until its kill timeout.
    until("nothing to be left", || world.left_behind().is_empty().then_some(()));
    let (state, reason, exit) = deed.end;
    let exit = exit.map_or(Value::Null, Value::from);
    let mut wrong = world.wrong_with_end("run", state, reason, &exit);
    if !result["message"].as_str().unwrap_or_default().contains(deed.words) {
        wrong.push(format!("the message does not say `{}`: {result}", deed.words));
    }
    let path = format!("/v1/job/{child}/allocations");
    let allocations = world.nomad("GET", &path, None).as_array().map_or(0, Vec::len);
    if allocations != deed.allocations {
        wrong.push(format!("{allocations} allocations"));
    }
    (!wrong.is_empty()).then(|| format!("{} ({dispatcher:?}): {wrong:#?}\n{}", deed.name, world.logged()))
}

#[test]
fn who_interferes_with_an_allocation_ends_the_run_and_begins_no_second_one() {
    let cases = DEEDS.into_iter().flat_map(|deed| [(deed, Dispatcher::Watching), (deed, Dispatcher::Away)]);
    let wrong = side_by_side(cases.collect(), |(deed, dispatcher)| interfere(deed, dispatcher));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_second_allocation_that_finds_no_marker_is_stopped_by_the_wrapping_and_not_taken_for_the_run_or_a_thief() {
    let testbed = Testbed::get();
    let world = World::new().with_vault(&testbed.vault());
    world.ask("run", "hold", "");
    let serving = world.serve(&[]);
    world.wait_until_begun("run");
    world.wait_for_state("run", "running");
    // As on another client, to which the data of the first allocation did not come.
    let first = world.allocation("run");
    let place = testbed.folder().join("nomad/data/alloc").join(&first);
    fs::remove_file(place.join("alloc/data/fence")).unwrap();
    fs::rename(place.join("runner/local/run"), place.join("runner/local/elsewhere")).unwrap();
    world.nomad("PUT", &format!("/v1/allocation/{first}/stop"), None);
    let result = world.wait_for_result("run");
    serving.signal(Signal::TERM);
    serving.end();
    world.assert_ended("run", "cancelled", "stopped_in_nomad", &json!(143));
    assert!(result["message"].as_str().unwrap().contains("more than once"), "{result}");
    let second = &world.allocations("run")[1];
    let events = second["TaskStates"]["runner"]["Events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["ExitCode"] == 67), "it was not stopped by the wrapping: {events:#?}");
    assert_eq!(world.status()["alarms"]["grant_intercepted"].as_u64().unwrap_or(0), 0);
}

#[test]
fn a_second_allocation_that_finds_no_directory_of_the_first_is_stopped_by_the_marker() {
    let testbed = Testbed::get();
    let world = World::new();
    world.ask("run", "hold", "");
    let serving = world.serve(&[]);
    world.wait_until_begun("run");
    world.wait_for_state("run", "running");
    let first = world.allocation("run");
    let place = testbed.folder().join("nomad/data/alloc").join(&first).join("runner/local");
    fs::rename(place.join("run"), place.join("elsewhere")).unwrap();
    world.nomad("PUT", &format!("/v1/allocation/{first}/stop"), None);
    world.wait_for_result("run");
    serving.signal(Signal::TERM);
    serving.end();
    world.assert_ended("run", "cancelled", "stopped_in_nomad", &json!(143));
    let second = &world.allocations("run")[1];
    let events = second["TaskStates"]["runner"]["Events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["ExitCode"] == 65), "it was not stopped by the marker: {events:#?}");
}
