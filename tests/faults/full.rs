//! A disk that is full until somebody frees it: every step of a kind fails for as long. Runs wait, nothing is lost, nothing runs
//! twice, and it goes on by itself.

use std::fs;

use rustix::process::Signal;

use crate::check::Strictness;
use crate::child::until;
use crate::world::World;

/// How many steps have come to a point whose name begins so.
fn tried(world: &World, kind: &str) -> usize {
    let trace = fs::read_to_string(world.path("trace")).unwrap_or_default();
    trace.lines().filter(|point| point.starts_with(kind)).count()
}

/// A round in which one run is under way, and others come, while nothing of `kind` can be written.
fn round(kind: &str) -> World {
    let world = World::with_a_bit_of_everything();
    world.action("hold-1", "hold", "");
    world.publish("one that takes long");
    let full = world.path("full");
    let environment = [
        ("DISPATCH_FAULT", format!("full:{kind}:{}", full.display())),
        ("DISPATCH_FAULT_TRACE", world.path("trace").display().to_string()),
    ];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let serving = world.serve(&environment);
    world.wait_until_begun("hold-1");
    until("it to be known", || (world.run("hold-1@1")?.state.word() == "running").then_some(()));
    for id in ["ok-1", "bad-1", "rej-1", "sec-1"] {
        world.wait_for_result(id);
    }
    fs::write(&full, "").unwrap();
    let before = tried(&world, kind);
    world.action("ok-2", "work", "");
    world.action("sec-2", "secret", "");
    world.publish("while the disk is full");
    world.open_gate("hold-1");
    until(&format!("some vain tries at {kind}"), || (tried(&world, kind) > before + 3).then_some(()));
    fs::remove_file(&full).unwrap();
    for id in ["hold-1", "ok-2", "sec-2"] {
        world.wait_for_result(id);
    }
    serving.signal(Signal::TERM);
    let ended = serving.end();
    assert_eq!(ended.status.code(), Some(0), "{kind}: {}", ended.said);
    world.recover();
    world
}

#[test]
fn a_full_disk_under_the_journal_holds_everything_up_until_it_is_freed() {
    round("journal.").assert_sound(Strictness::Exact);
}

#[test]
fn a_full_disk_under_the_mirror_holds_results_up_until_it_is_freed() {
    round("ops.").assert_sound(Strictness::Exact);
}

#[test]
fn a_full_disk_under_the_run_directories_holds_launches_up_until_it_is_freed() {
    for kind in ["local.mkdir.", "local.launchfile.", "local.spawn."] {
        round(kind).assert_sound(Strictness::Exact);
    }
}

#[test]
fn a_full_disk_under_the_logs_holds_ends_up_until_it_is_freed() {
    round("log.").assert_sound(Strictness::Exact);
}

#[test]
fn a_full_disk_under_everything_even_the_runs_themselves_repeats_nothing() {
    round("").assert_sound(Strictness::AtMostOnce);
}
