//! Verbs beside a running dispatcher: a log that is followed, garbage that is collected, a cancellation at the worst moment.

use std::fs;

use rustix::process::Signal;

use crate::check::Strictness;
use crate::child::{Running, until};
use crate::world::World;

fn stop(serving: Running) {
    serving.signal(Signal::TERM);
    let ended = serving.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
}

#[test]
fn a_log_that_is_followed_comes_while_the_run_goes_on_across_dispatchers_and_ends_with_it() {
    let world = World::new();
    world.action("hold-1", "hold", "");
    world.publish("one");
    let serving = world.serve(&[]);
    world.wait_until_begun("hold-1");
    let mut following = world.start("logs -f hold-1", &[]);
    until("the first lines", || following.said().contains("line 5\n").then_some(()));
    serving.signal(Signal::KILL);
    serving.end();
    let serving = world.serve(&[]);
    let before = following.said().lines().count();
    until("more lines", || (following.said().lines().count() > before + 5).then_some(()));
    assert!(!following.is_over(), "{}", following.said());
    world.open_gate("hold-1");
    let ended = following.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let (told, end): (Vec<&str>, Vec<&str>) = ended.said.lines().partition(|line| line.starts_with("line "));
    let expected: Vec<String> = (1..=told.len()).map(|n| format!("line {n}")).collect();
    assert_eq!(told, expected);
    assert!(end.len() == 1 && end[0].contains("succeeded"), "{end:?}");
    let log = fs::read_to_string(world.path("state/logs/hold-1@1.log")).unwrap();
    assert_eq!(log.lines().count(), told.len(), "the whole log was told");
    world.wait_for_result("hold-1");
    stop(serving);
    world.recover();
    world.assert_sound(Strictness::Exact);
}

#[test]
fn garbage_is_collected_beside_a_dispatcher_and_what_runs_keeps_everything() {
    let world = World::new();
    world.configure("[limits]\nkeep_days = 0\n");
    world.action("hold-1", "hold", "");
    world.action("ok-2", "work", "");
    world.publish("two");
    let serving = world.serve(&[]);
    let running = world.path("state/logs/hold-1@1.log");
    until("a part of a log", || fs::read_to_string(&running).is_ok_and(|log| log.lines().count() > 3).then_some(()));
    let done = || world.run("ok-2@1").filter(|run| run.state.word() == "published" && run.grant.is_none());
    until("a run to be over, and its grant taken back", || done().map(drop));
    let said = world.command("gc").output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.status.code(), Some(0), "{text}");
    assert!(text.contains("ok-2@1.log") && !text.contains("hold-1"), "{text}");
    assert!(text.contains("the mirror is not packed: a dispatcher is running"), "{text}");

    // Over and over, while runs begin and end.
    let ids: Vec<String> = (3..9).map(|n| format!("ok-{n}")).collect();
    for id in &ids {
        world.action(id, "work", "");
    }
    world.publish("more");
    until("their results", || {
        assert_eq!(world.command("gc").output().unwrap().status.code(), Some(0));
        ids.iter().all(|id| world.result(id).is_some()).then_some(())
    });
    world.open_gate("hold-1");
    assert_eq!(world.wait_for_result("hold-1")["log"]["truncated"], false);
    stop(serving);
    world.recover();
    world.assert_sound(Strictness::Exact);
    let lines = fs::read_to_string(&running).unwrap();
    assert!(lines.starts_with("line 1\nline 2\n"), "{lines}");
}

#[test]
fn a_run_that_is_cancelled_at_the_moment_at_which_it_returns_to_the_queue_is_settled() {
    let world = World::new();
    world.action("can-1", "work", "");
    world.publish("one");
    fs::write(world.path("pause"), "").unwrap();
    let (pause, trace) = (world.path("pause").display().to_string(), world.path("trace").display().to_string());
    // Nothing can be launched, and the way back to the queue is held up.
    let fault = format!("error:local.mkdir.before,pause:journal.return.after:{pause}");
    let serving = world.serve(&[("DISPATCH_FAULT", &fault), ("DISPATCH_FAULT_TRACE", &trace)]);
    until("its return", || fs::read_to_string(&trace).ok()?.contains("journal.return.after").then_some(()));
    assert_eq!(world.run("can-1@1").unwrap().state.word(), "admitted");
    let said = world.command("cancel can-1").output().unwrap();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(world.run("can-1@1").unwrap().state.word(), "finished");
    fs::remove_file(world.path("pause")).unwrap();
    assert_eq!(world.wait_for_result("can-1")["state"], "cancelled");
    stop(serving);
    world.recover();
    world.assert_sound(Strictness::Exact);
    assert_eq!(world.begun("can-1"), 0);
}
