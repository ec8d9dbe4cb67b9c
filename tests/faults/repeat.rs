//! Every step executed twice has the outcome of every step executed once.

use std::collections::BTreeSet;
use std::fs;

use crate::check::Strictness;
use crate::points::{eventful_round, eventful_world};
use crate::world::World;

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
    eventful_round(&world, &[("DISPATCH_FAULT_TWICE", "1")]);
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
