//! The dispatcher is killed at every point that a run in Nomad passes, and started again. Which points there are is learned from a
//! good round, not written here.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;

use crate::world::{World, side_by_side};

/// Points of the dispatcher that a good round passes.
fn points() -> BTreeSet<String> {
    let world = World::new();
    let trace = world.path("trace").display().to_string();
    world.ask("one", "fail", "");
    let ended = world.call("once", &[("DISPATCH_FAULT_TRACE", &trace)]);
    world.assert_ended("one", "failed", "exit_nonzero", &json!(3));
    let passed: BTreeSet<String> = fs::read_to_string(trace).unwrap().lines().map(str::to_owned).collect();
    for point in ["nomad.dispatch", "nomad.look", "nomad.rest", "journal.launch", "journal.finish", "ops.push"] {
        for side in ["before", "after"] {
            assert!(passed.contains(&format!("{point}.{side}")), "{point}.{side}: {passed:?}\n{}", ended.said);
        }
    }
    passed
}

/// Killed there and started again.
fn kill_at(point: &str) -> Option<String> {
    let world = World::new();
    world.ask("one", "fail", "");
    let killed = world.call("once", &[("DISPATCH_FAULT", &format!("kill:{point}:1"))]);
    if killed.status.code().is_some() {
        return Some(format!("{point}: it was not killed: {}", killed.said));
    }
    world.recover();
    let wrong = world.wrong_with_end("one", "failed", "exit_nonzero", &json!(3));
    (!wrong.is_empty()).then(|| format!("killed at {point}: {wrong:#?}"))
}

#[test]
fn killed_at_any_point_of_launch_and_watch_a_run_is_adopted_and_has_one_result() {
    let wrong = side_by_side(points().into_iter().collect(), |point: String| kill_at(&point));
    assert!(wrong.is_empty(), "{} kills were not survived:\n{}", wrong.len(), wrong.join("\n"));
}
