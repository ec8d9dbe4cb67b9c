//! Every step executed twice has the outcome of every step executed once.

use std::collections::BTreeSet;
use std::fs;

use crate::check::Strictness;
use rustix::process::Signal;

use crate::child::until;
use crate::points::{eventful_round, eventful_world};
use crate::rare::rewritten_head;
use crate::world::World;

/// What a round with a cancellation and a retry does twice: each step that is promised to be safe twice, but for [`NOTE`].
const STEPS: [&str; 12] = [
    "journal.step",
    "journal.steps",
    "journal.sight",
    "journal.set",
    "backend.launch",
    "backend.cancel",
    "backend.remove",
    "grant.revoke",
    "log.record",
    "ops.fetch",
    "ops.import",
    "ops.push",
];

/// What only an event that belongs to no run does.
const NOTE: &str = "journal.note";

/// Which steps were executed twice.
fn repeated(world: &World) -> BTreeSet<String> {
    let trace = fs::read_to_string(world.path("trace")).unwrap();
    trace.lines().filter_map(|line| line.strip_prefix("twice:")).map(str::to_owned).collect()
}

/// The environment that asks for it, with a trace.
fn twice(world: &World) -> [(&'static str, String); 2] {
    [("DISPATCH_FAULT_TWICE", "1".to_owned()), ("DISPATCH_FAULT_TRACE", world.path("trace").display().to_string())]
}

/// What the log says of each run, without the times.
fn told(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.split_once(" INFO ")).map(|(_, words)| words).collect()
}

#[test]
fn every_step_executed_twice_leads_to_the_same() {
    let world = World::with_a_bit_of_everything();
    let ended = world.call("once", &[("DISPATCH_FAULT_TWICE", "1")]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    world.assert_sound(Strictness::Exact);
    assert_eq!(world.tally().len(), 3, "{:?}", world.tally());
}

#[test]
fn a_busy_round_with_every_step_executed_twice_leads_to_the_same_and_tells_each_step_once() {
    let world = eventful_world();
    let environment = twice(&world);
    eventful_round(&world, &environment.each_ref().map(|(name, value)| (*name, value.as_str())));
    assert_eq!(repeated(&world), STEPS.map(str::to_owned).into());
    let said = fs::read_to_string(world.path("run.log")).unwrap();
    world.recover();
    world.assert_sound(Strictness::Exact);
    assert_eq!((world.begun("ok-1"), world.begun("can-1")), (2, 1), "{:?}", world.tally());
    assert_eq!(world.result("can-1").unwrap()["state"], "cancelled");
    let told = told(&said);
    let unique: BTreeSet<&&str> = told.iter().collect();
    assert!(told.len() > 30 && told.len() == unique.len(), "a step was told twice: {said}");
}

#[test]
fn a_recovery_with_every_step_executed_twice_leads_to_the_same() {
    for point in [
        "journal.launch.after",
        "local.handover.before",
        "journal.start.before",
        "journal.settle.after",
        "ops.push.after",
    ] {
        let world = World::with_a_bit_of_everything();
        let ended = world.call("once", &[("DISPATCH_FAULT", &format!("kill:{point}:1"))]);
        assert_eq!(ended.status.code(), None, "{point}: {}", ended.said);
        world.call("once", &[("DISPATCH_FAULT_TWICE", "1")]);
        world.recover();
        world.assert_sound(Strictness::Exact);
        assert_eq!(world.tally().len(), 3, "{point}: {:?}", world.tally());
    }
}

#[test]
fn a_rewrite_that_is_accepted_with_every_step_executed_twice_is_accepted_once() {
    let world = World::new();
    world.action("ok-1", "work", "");
    world.publish("one");
    world.recover();
    world.repo.git(&["checkout", "--quiet", "--orphan", "other"]);
    world.repo.commit("another history");
    world.action("ok-2", "work", "");
    world.repo.commit("an action in it");
    world.repo.push();
    let environment = twice(&world);
    let serving = world.serve(&environment.each_ref().map(|(name, value)| (*name, value.as_str())));
    let head = until("the rewrite", || rewritten_head(&world));
    world.command(&format!("ops accept-rewrite {head}")).output().unwrap();
    world.wait_for_result("ok-2");
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().status.code(), Some(0));
    assert!(repeated(&world).contains(NOTE), "{:?}", repeated(&world));
    world.recover();
    assert_eq!((world.begun("ok-1"), world.begun("ok-2")), (1, 1), "{:?}", world.tally());
    assert_eq!(rewritten_head(&world), None);
}
