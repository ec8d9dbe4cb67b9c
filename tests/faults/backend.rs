//! A backend that the config no longer has: what was launched there stands still and blocks nobody, and a person can give it up.

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use crate::child::{Running, until};
use crate::world::World;

/// `id` with `formula`, taken as far as `fault` lets it, on a backend that is then no longer there.
fn on_a_backend_that_is_gone(id: &str, formula: &str, fault: &[(&str, &str)]) -> World {
    let world = World::new();
    world.configure("[limits]\nmax_concurrent = 1\n");
    world.action(id, formula, "");
    world.publish("one");
    let mut serving = world.serve(fault);
    let known = || world.run(&format!("{id}@1")).is_some_and(|run| run.state.word() == "running");
    until("it to run, or the fault", || (serving.is_over() || known()).then_some(()));
    serving.signal(Signal::KILL);
    serving.end();
    // There is one backend only; what has another name is on none that is there.
    let journal = Connection::open(world.path("state/journal.db")).unwrap();
    let renamed = "UPDATE runs SET record = replace(record, '\"backend\":\"local\"', '\"backend\":\"gone\"'), \
                   admitted = replace(admitted, '\"backend\":\"local\"', '\"backend\":\"gone\"')";
    assert_eq!(journal.execute(renamed, []).unwrap(), 1);
    world
}

fn status(world: &World) -> Value {
    let said = world.command("status --output json").output().unwrap().stdout;
    serde_json::from_slice::<Value>(&said).unwrap_or_default()["data"].take()
}

fn says(world: &World, line: &str) {
    let output = world.command(line).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

fn stop(serving: Running) {
    serving.signal(Signal::TERM);
    let ended = serving.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
}

#[test]
fn a_run_on_a_backend_that_is_gone_is_shown_blocks_nobody_and_is_lost_when_it_is_cancelled() {
    let world = on_a_backend_that_is_gone("hold-1", "hold", &[]);
    let serving = world.serve(&[]);
    // The only slot is free for it.
    world.action("ok-2", "work", "");
    world.publish("another");
    world.wait_for_result("ok-2");
    let shown = status(&world);
    assert_eq!(shown["active"][0]["state"], "held", "{shown}");
    for words in [&shown["active"][0]["message"], &shown["problems"][0]] {
        assert!(words.as_str().unwrap().contains("the backend `gone`, which is not configured"), "{shown}");
    }
    says(&world, "cancel hold-1");
    let result = world.wait_for_result("hold-1");
    assert_eq!((&result["state"], &result["reason"]), (&"lost".into(), &"exit_unknown".into()), "{result}");
    assert!(result["message"].as_str().unwrap().contains("`gone`"), "{result}");
    until("nothing to be left to do", || (status(&world)["problems"].as_array()?.is_empty()).then_some(()));
    stop(serving);
    world.open_gate("hold-1");
    world.recover();
    assert_eq!(world.begun("hold-1"), 1);
    until("the run to be over", || world.left_behind().iter().all(|left| !left.starts_with("process")).then_some(()));
}

#[test]
fn a_run_that_stands_still_keeps_no_drain_waiting() {
    let world = on_a_backend_that_is_gone("hold-1", "hold", &[]);
    let serving = world.serve(&[]);
    until("it to be shown", || (status(&world)["active"][0]["state"] == "held").then_some(()));
    says(&world, "drain");
    assert_eq!(serving.end().status.code(), Some(0));
    assert_eq!(world.run("hold-1@1").unwrap().state.word(), "running");
    world.open_gate("hold-1");
    until("the run to be over", || world.left_behind().iter().all(|left| !left.starts_with("process")).then_some(()));
}

#[test]
fn one_that_was_not_launched_yet_waits_with_words_and_can_be_cancelled() {
    let world = on_a_backend_that_is_gone("can-1", "work", &[("DISPATCH_FAULT", "kill:journal.grant.before")]);
    let serving = world.serve(&[]);
    world.action("ok-2", "work", "");
    world.publish("another");
    world.wait_for_result("ok-2");
    let shown = until("why it waits", || {
        let shown = status(&world);
        (shown["waiting"][0]["reason"] == "backend_unavailable").then_some(shown)
    });
    assert!(shown["waiting"][0]["message"].as_str().unwrap().contains("the backend `gone` is not configured"));
    says(&world, "cancel can-1");
    assert_eq!(world.wait_for_result("can-1")["state"], "cancelled");
    stop(serving);
    assert_eq!(world.begun("can-1"), 0);
}
