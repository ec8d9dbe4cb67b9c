//! One instance, signals, limits, cancellation, and the order in which runs take their turns: through the real loop.

use std::fs;
use std::process::Command;

use dispatch::support::clock::{Clock as _, SystemClock};
use rustix::process::Signal;

use crate::check::Strictness;
use crate::child::{Running, until};
use crate::world::World;

fn stop(serving: Running) {
    serving.signal(Signal::TERM);
    let ended = serving.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
}

fn says(world: &World, line: &str) {
    let output = world.command(line).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_second_dispatcher_refuses_and_names_the_first() {
    let world = World::new();
    let serving = world.serve(&[]);
    for verb in ["run", "once"] {
        let output = world.command(verb).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("process {}", serving.pid())), "{said}");
    }
    stop(serving);
}

#[test]
fn a_launch_that_was_broken_off_is_cancelled_while_the_ops_repo_is_away() {
    let world = World::new();
    world.action("hold-1", "hold", "");
    world.publish("one");
    world.call("once", &[("DISPATCH_FAULT", "kill:journal.launch.after")]);
    let (here, away) = (world.repo.bare(), world.path("away"));
    fs::rename(&here, &away).unwrap();
    let serving = world.serve(&[]);
    says(&world, "cancel hold-1");
    until("its end to be on record", || (world.run("hold-1@1")?.state.word() == "settled").then_some(()));
    fs::rename(&away, &here).unwrap();
    let result = world.wait_for_result("hold-1");
    assert_eq!((result["state"].as_str(), world.begun("hold-1")), (Some("cancelled"), 0), "{result}");
    stop(serving);
}

#[test]
fn a_source_of_formulas_that_does_not_answer_keeps_only_those_waiting_that_want_it() {
    let world = World::new();
    // Takes connections and says nothing, for as long as the test goes on.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let source =
        format!("[[formulas.sources]]\ngit = 'http://{}/formulas.git'\nref = 'main'\n", silent.local_addr().unwrap());
    world.configure(&source);
    world.repo.write("vault/policy.toml", "[tiers]\nwork = 'low'\nelsewhere = 'low'\n");
    world.publish("a formula that only the source may have");
    world.action("ok-1", "work", "");
    world.action("elsewhere-1", "elsewhere", "");
    world.publish("two");
    let serving = world.serve(&[]);
    assert_eq!(world.wait_for_result("ok-1")["state"], "succeeded");
    assert_eq!(world.result("elsewhere-1"), None);
    let waits = world.run("elsewhere-1@1").unwrap().held.unwrap();
    assert_eq!(waits.reason.to_string(), "evidence_unavailable", "{}", waits.message);
    stop(serving);
}

#[test]
fn a_run_goes_on_without_its_dispatcher_and_its_log_has_no_gap_and_no_repeat() {
    for signal in [Signal::TERM, Signal::KILL] {
        let world = World::new();
        world.action("hold-1", "hold", "");
        world.publish("one");
        let serving = world.serve(&[]);
        let log = world.path("state/logs/hold-1@1.log");
        let lines = || fs::read_to_string(&log).unwrap_or_default().lines().count();
        until("a part of the log", || (lines() > 5).then_some(()));
        serving.signal(signal);
        serving.end();
        let serving = world.serve(&[]);
        let before = lines();
        until("more of the log", || (lines() > before + 3).then_some(()));
        world.open_gate("hold-1");
        world.wait_for_result("hold-1");
        stop(serving);
        world.recover();
        world.assert_sound(Strictness::Exact);
        let text = fs::read_to_string(&log).unwrap();
        let expected: Vec<String> = (1..=text.lines().count()).map(|n| format!("line {n}")).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{signal:?}");
    }
}

#[test]
fn a_process_tree_survives_the_dispatcher_and_lands_once() {
    let world = World::new();
    world.action("tree-1", "tree", "");
    world.publish("one");
    let serving = world.serve(&[]);
    world.wait_until_begun("tree-1");
    serving.signal(Signal::KILL);
    serving.end();
    world.open_gate("tree-1");
    until("the grandchild's word", || world.path("ends").exists().then_some(()));
    world.recover();
    world.assert_sound(Strictness::Exact);
    assert_eq!(fs::read_to_string(world.path("ends")).unwrap().lines().count(), 1);
}

#[test]
fn a_drain_waits_for_what_runs_and_takes_up_nothing_new() {
    let world = World::new();
    world.action("hold-1", "hold", "");
    world.publish("one");
    let mut serving = world.start("run --drain", &[]);
    world.wait_until_begun("hold-1");
    serving.signal(Signal::TERM);
    until("the drain", || {
        let output = world.command("status --output json").output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        (status["data"]["draining"] == true).then_some(())
    });
    world.action("ok-2", "work", "");
    world.publish("too late");
    assert!(!serving.is_over());
    world.open_gate("hold-1");
    let ended = serving.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    assert_eq!((world.begun("ok-2"), world.result("hold-1").is_some()), (0, true));
    world.recover();
    world.assert_sound(Strictness::Exact);
}

#[test]
fn a_second_signal_ends_a_drain_at_once_and_the_run_is_adopted() {
    let world = World::new();
    world.action("hold-1", "hold", "");
    world.publish("one");
    let serving = world.start("run --drain", &[]);
    world.wait_until_begun("hold-1");
    serving.signal(Signal::TERM);
    until("the first signal", || serving.said().contains("told to stop").then_some(()));
    serving.signal(Signal::TERM);
    let ended = serving.end();
    assert!(ended.said.contains("a second time"), "{}", ended.said);
    world.open_gate("hold-1");
    world.recover();
    world.assert_sound(Strictness::Exact);
}

#[test]
fn a_config_that_does_not_hold_changes_nothing_at_a_hangup() {
    let world = World::new();
    let serving = world.serve(&[]);
    let good = fs::read_to_string(world.path("dispatch.toml")).unwrap();
    fs::write(world.path("dispatch.toml"), "colour = 'blue'\n").unwrap();
    serving.signal(Signal::HUP);
    until("the refusal", || serving.said().contains("the old configuration stays").then_some(()));
    fs::write(world.path("dispatch.toml"), good).unwrap();
    world.action("ok-1", "work", "");
    world.publish("one");
    world.wait_for_result("ok-1");
    serving.signal(Signal::HUP);
    until("the reload", || serving.said().contains("the configuration was loaded again").then_some(()));
    stop(serving);
    world.recover();
    world.assert_sound(Strictness::Exact);
}

#[test]
fn a_run_over_its_limit_is_timed_out_when_it_has_stopped() {
    let world = World::new();
    world.configure("[limits]\ngrace_seconds = 1\n");
    world.action("hold-1", "hold", "timeout_minutes = 1");
    world.action("stubborn-1", "stubborn", "timeout_minutes = 1");
    world.publish("two");
    let ended = world.call("once", &[("DISPATCH_FAULT_MINUTE", "1")]);
    assert_eq!(ended.status.code(), Some(5), "{}", ended.said);
    for id in ["hold-1", "stubborn-1"] {
        assert_eq!(world.result(id).unwrap()["state"], "timed_out");
        assert_eq!(world.begun(id), 1);
    }
    world.recover();
    assert_eq!(world.left_behind(), Vec::<String>::new());
}

#[test]
fn a_polite_and_a_stubborn_run_are_both_cancelled() {
    let world = World::new();
    world.configure("[limits]\ngrace_seconds = 1\n");
    world.action("can-1", "hold", "");
    world.action("can-2", "stubborn", "");
    world.publish("two");
    let serving = world.serve(&[]);
    for id in ["can-1", "can-2"] {
        world.wait_until_begun(id);
        until("it to be known", || (world.run(&format!("{id}@1"))?.state.word() == "running").then_some(()));
        says(&world, &format!("cancel {id}"));
        assert_eq!(world.wait_for_result(id)["state"], "cancelled");
    }
    stop(serving);
    world.recover();
    world.assert_sound(Strictness::Exact);
}

/// Makes as many loose objects in the mirror as a long time of fetches leaves.
fn clutter(world: &World) {
    let blobs = (0..9_000).flat_map(|n| ["blob\ndata 5\n".to_owned(), format!("{n:05}\n")]);
    fs::write(world.path("blobs"), blobs.chain(["done\n".to_owned()]).collect::<String>()).unwrap();
    let mut import = Command::new("git");
    import.arg("--git-dir").arg(world.path("state/mirror.git"));
    import.args(["-c", "fastimport.unpackLimit=100000", "fast-import", "--quiet", "--done"]);
    let import = import.stdin(fs::File::open(world.path("blobs")).unwrap()).output().unwrap();
    assert!(import.status.success(), "{import:?}");
}

#[test]
fn the_mirror_is_packed_while_nothing_runs_and_goes_on_to_serve() {
    let world = World::new();
    world.action("ok-1", "work", "");
    world.publish("one");
    world.recover();
    clutter(&world);
    let serving = world.serve(&[("DISPATCH_FAULT_MINUTE", "1")]);
    let loose = || fs::read_dir(world.path("state/mirror.git/objects/17")).map_or(0, Iterator::count);
    until("the mirror to be packed", || (loose() == 0).then_some(()));
    world.action("ok-2", "work", "");
    world.publish("another");
    world.wait_for_result("ok-2");
    stop(serving);
    world.recover();
    world.assert_sound(Strictness::Exact);
}

/// One run that holds the only slot, and `second` behind it.
fn behind_one(second: &str) -> (World, Running) {
    let world = World::new();
    world.configure("[limits]\nmax_concurrent = 1\n");
    world.action("hold-1", "hold", "");
    world.publish("the first");
    let serving = world.serve(&[]);
    world.wait_until_begun("hold-1");
    world.action(second, "work", "");
    world.publish("the second");
    let admitted = || (world.run(&format!("{second}@1"))?.state.word() == "admitted").then_some(());
    until("the second to be admitted", admitted);
    (world, serving)
}

fn finish(world: &World, serving: Running) {
    world.open_gate("hold-1");
    world.wait_for_result("hold-1");
    stop(serving);
    world.recover();
}

#[test]
fn what_is_cancelled_before_its_launch_never_begins() {
    let (world, serving) = behind_one("can-2");
    says(&world, "cancel can-2");
    assert_eq!(world.wait_for_result("can-2")["state"], "cancelled");
    finish(&world, serving);
    world.assert_sound(Strictness::Exact);
    assert_eq!(world.begun("can-2"), 0);
}

#[test]
fn what_is_removed_before_its_launch_never_begins() {
    let (world, serving) = behind_one("can-2");
    fs::remove_file(world.repo.work().join("vault/actions/can-2.toml")).unwrap();
    world.publish("second thoughts");
    assert_eq!(world.wait_for_result("can-2")["state"], "cancelled");
    finish(&world, serving);
    assert_eq!((world.begun("can-2"), world.left_behind()), (0, Vec::new()));
}

#[test]
fn what_is_amended_before_its_launch_runs_once_as_amended() {
    let (world, serving) = behind_one("bad-2");
    world.action("bad-2", "fail", "");
    world.publish("another formula");
    until("the amendment", || {
        (world.run("bad-2@1")?.request?.head.to_string() == world.repo.head().to_string()).then_some(())
    });
    finish(&world, serving);
    world.assert_sound(Strictness::Exact);
    assert_eq!(world.begun("bad-2"), 1);
}

#[test]
fn an_id_that_is_used_again_after_its_result_runs_no_second_time() {
    let world = World::new();
    world.action("ok-1", "work", "");
    world.publish("one");
    world.recover();
    world.action("ok-1", "fail", "");
    world.publish("the same id with other bytes");
    world.recover();
    world.assert_sound(Strictness::Exact);
    assert_eq!(world.begun("ok-1"), 1);
}

#[test]
fn runs_take_their_turns_by_priority_then_arrival_and_wait_for_what_they_depend_on() {
    let world = World::new();
    world.configure("[limits]\nmax_concurrent = 1\n");
    let soon = SystemClock.now().saturating_add(jiff::SignedDuration::from_secs(3)).unwrap();
    world.action("ok-a-late", "work", &format!("priority = 99\nnot_before = {}", soon.strftime("%Y-%m-%dT%H:%M:%SZ")));
    world.action("ok-b-depends", "work", "priority = 98\ndepends_on = ['ok-e-low']");
    world.action("ok-c-plain", "work", "");
    world.action("ok-d-high", "work", "priority = 90");
    world.action("ok-e-low", "work", "priority = 10");
    world.publish("five");
    let serving = world.serve(&[]);
    for id in ["ok-a-late", "ok-b-depends"] {
        world.wait_for_result(id);
    }
    stop(serving);
    world.recover();
    world.assert_sound(Strictness::Exact);
    let tally = world.tally();
    let place = |id: &str| tally.iter().position(|line| line == id).unwrap();
    assert!(place("ok-d-high") < place("ok-c-plain") && place("ok-c-plain") < place("ok-e-low"), "{tally:?}");
    assert!(place("ok-e-low") < place("ok-b-depends"), "{tally:?}");
    assert!(world.run("ok-a-late@1").unwrap().started_at.unwrap() >= soon - jiff::SignedDuration::from_secs(1));
}

#[test]
fn runs_with_the_same_concurrency_key_take_turns_and_others_pass_them() {
    let world = World::new();
    world.action("hold-1", "hold", "concurrency_key = 'k'");
    world.action("hold-2", "hold", "concurrency_key = 'k'");
    world.action("ok-3", "work", "");
    world.publish("three");
    let serving = world.serve(&[]);
    world.wait_for_result("ok-3");
    world.wait_until_begun("hold-1");
    assert_eq!(world.begun("hold-2"), 0);
    world.open_gate("hold-1");
    world.wait_until_begun("hold-2");
    assert!(world.run("hold-1@1").unwrap().finish.is_some(), "the first was over");
    world.open_gate("hold-2");
    world.wait_for_result("hold-2");
    stop(serving);
    world.recover();
    world.assert_sound(Strictness::Exact);
}

#[test]
fn an_action_whose_time_passes_while_it_queues_does_not_begin() {
    let world = World::new();
    let soon = SystemClock.now().checked_add(jiff::SignedDuration::from_secs(10)).unwrap();
    world.action("hold-1", "hold", "concurrency_key = 'k'");
    let late = format!("concurrency_key = 'k'\nnot_after = {}", soon.strftime("%Y-%m-%dT%H:%M:%SZ"));
    world.action("ok-late", "work", &late);
    world.publish("both");
    let serving = world.serve(&[]);
    world.wait_until_begun("hold-1");
    until("its time to pass", || (SystemClock.now() > soon).then_some(()));
    world.open_gate("hold-1");
    until("its result", || world.result("ok-late"));
    let result = world.result("ok-late").unwrap();
    assert_eq!((&result["state"], &result["reason"]), (&"not_started".into(), &"expired".into()), "{result}");
    assert_eq!(world.begun("ok-late"), 0);
    stop(serving);
}
