//! The dispatcher is killed at every point that a run in Nomad passes, and started again: at the first passing, and at the next ones of
//! those that are passed more than once. Which points there are, and how often, is learned from a good round, not written here.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use crate::world::{World, side_by_side};

/// Passings of one point at which the dispatcher is killed.
const PASSINGS: usize = 3;

/// Points of the dispatcher that a good round passes, and how often.
fn points() -> BTreeMap<String, usize> {
    let world = World::new();
    let trace = world.path("trace").display().to_string();
    world.ask("one", "fail", "");
    let ended = world.call("once", &[("DISPATCH_FAULT_TRACE", &trace)]);
    world.assert_ended("one", "failed", "exit_nonzero", &json!(3));
    let mut passed = BTreeMap::new();
    for point in fs::read_to_string(trace).unwrap().lines() {
        *passed.entry(point.to_owned()).or_default() += 1;
    }
    let expected = [
        "nomad.tidemark",
        "nomad.dispatch",
        "nomad.look",
        "nomad.rest",
        "nomad.remove",
        "journal.launch",
        "journal.finish",
        "ops.push",
    ];
    for point in expected {
        for side in ["before", "after"] {
            assert!(passed.contains_key(&format!("{point}.{side}")), "{point}.{side}: {passed:?}\n{}", ended.said);
        }
    }
    passed
}

/// Killed there and started again.
fn kill_at(point: &str, passing: usize) -> Option<String> {
    let world = World::new();
    world.ask("one", "fail", "");
    let killed = world.call("once", &[("DISPATCH_FAULT", &format!("kill:{point}:{passing}"))]);
    // How often something is looked at depends on what comes first; that it is looked at does not.
    if passing == 1 && killed.status.code().is_some() {
        return Some(format!("{point}: it was not killed: {}", killed.said));
    }
    world.recover();
    let wrong = world.wrong_with_end("one", "failed", "exit_nonzero", &json!(3));
    (!wrong.is_empty()).then(|| format!("killed at passing {passing} of {point}: {wrong:#?}"))
}

#[test]
fn killed_at_any_point_of_launch_and_watch_a_run_is_adopted_and_has_one_result() {
    let points = points();
    let cases: Vec<(&str, usize)> =
        points.iter().flat_map(|(point, count)| (1..=PASSINGS.min(*count)).map(|n| (point.as_str(), n))).collect();
    assert!(cases.iter().any(|(point, passing)| *point == "nomad.look.before" && *passing > 1), "{points:?}");
    let wrong = side_by_side(cases, |(point, passing)| kill_at(point, passing));
    assert!(wrong.is_empty(), "{} kills were not survived:\n{}", wrong.len(), wrong.join("\n"));
}

/// Killed before its dispatch, and again there while the launch is ruled out.
fn kill_while_ruling_out(point: &str) -> Option<String> {
    let world = World::new();
    world.ask("one", "fail", "");
    let killed = world.call("once", &[("DISPATCH_FAULT", "kill:nomad.dispatch.before:1")]);
    let again = world.call("once", &[("DISPATCH_FAULT", &format!("kill:{point}:1"))]);
    if killed.status.code().is_some() || again.status.code().is_some() {
        return Some(format!("{point}: it was not killed: {}{}", killed.said, again.said));
    }
    world.recover();
    let wrong = world.wrong_with_end("one", "failed", "exit_nonzero", &json!(3));
    (!wrong.is_empty()).then(|| format!("killed at {point}: {wrong:#?}\n{}", world.logged()))
}

#[test]
fn killed_while_a_launch_is_ruled_out_it_is_ruled_out_all_the_same_and_made_once() {
    let points = ["nomad.seal.before", "nomad.seal.made", "nomad.seal.after"];
    let wrong = side_by_side(points.to_vec(), kill_while_ruling_out);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
