//! A journal that is missing, damaged or older than what was done under it: nothing runs twice, and what runs is adopted.

use std::fs;

use rustix::process::Signal;

use crate::check::Strictness;
use crate::child::until;
use crate::world::World;

/// Three runs: one whose result is published, one that is over and whose result could not be pushed, and one that goes on
/// without a dispatcher.
fn three_stages() -> World {
    let world = World::new();
    world.action("ok-1", "work", "");
    world.publish("one");
    world.recover();
    let hook = "#!/bin/sh\necho no >&2\nexit 1\n";
    world.action("ok-2", "work", "");
    world.action("hold-3", "hold", "");
    world.publish("two more");
    world.repo.hook("pre-receive", hook);
    let serving = world.serve(&[]);
    world.wait_until_begun("hold-3");
    until("ok-2 to be over", || (world.run("ok-2@1")?.state.word() == "settled").then_some(()));
    kill(serving);
    fs::remove_file(world.repo.bare().join("hooks/pre-receive")).unwrap();
    world
}

fn kill(serving: crate::child::Running) {
    serving.signal(Signal::KILL);
    serving.end();
}

/// All files of the journal.
fn journal_files(world: &World) -> Vec<std::path::PathBuf> {
    ["", "-wal", "-shm"].map(|suffix| world.path(&format!("state/journal.db{suffix}"))).to_vec()
}

fn keep_copy(world: &World) {
    for file in journal_files(world).into_iter().filter(|file| file.exists()) {
        fs::copy(&file, world.path(&format!("copy-{}", file.file_name().unwrap().display()))).unwrap();
    }
}

fn restore_copy(world: &World) {
    for file in journal_files(world) {
        let _ = fs::remove_file(&file);
        let copy = world.path(&format!("copy-{}", file.file_name().unwrap().display()));
        if copy.exists() {
            fs::copy(copy, file).unwrap();
        }
    }
}

/// Everything is finished, each ran once, each has its result.
fn assert_each_ran_once(world: &World, ids: &[&str]) {
    for id in ids {
        assert_eq!(world.begun(id), 1, "{id}: {:?}", world.tally());
        assert_eq!(world.result(id).unwrap()["state"], "succeeded", "{id}");
    }
    assert_eq!(world.left_behind(), Vec::<String>::new());
}

#[test]
fn without_its_journal_a_dispatcher_adopts_what_runs_and_repeats_nothing() {
    let world = three_stages();
    for file in journal_files(&world) {
        let _ = fs::remove_file(file);
    }
    world.open_gate("hold-3");
    world.recover();
    assert_each_ran_once(&world, &["ok-1", "ok-2", "hold-3"]);
}

#[test]
fn a_journal_whose_database_alone_is_gone_is_rebuilt_too() {
    let world = three_stages();
    fs::remove_file(world.path("state/journal.db")).unwrap();
    world.open_gate("hold-3");
    world.recover();
    assert_each_ran_once(&world, &["ok-1", "ok-2", "hold-3"]);
}

#[test]
fn a_rebuild_that_is_broken_off_anywhere_is_begun_again() {
    for point in ["journal.set.before", "journal.set.after", "journal.sight.after", "journal.recover.after"] {
        let world = three_stages();
        for file in journal_files(&world) {
            let _ = fs::remove_file(file);
        }
        world.open_gate("hold-3");
        world.call("once", &[("DISPATCH_FAULT", &format!("kill:{point}:1"))]);
        world.recover();
        assert_each_ran_once(&world, &["ok-1", "ok-2", "hold-3"]);
    }
}

#[test]
fn a_damaged_journal_is_set_aside_and_rebuilt_also_when_that_is_broken_off() {
    for fault in
        ["none", "kill:journal.set_aside.before", "kill:journal.set_aside.after:1", "kill:journal.note.after:1"]
    {
        let world = three_stages();
        let database = world.path("state/journal.db");
        let length = fs::metadata(&database).unwrap().len().max(4096);
        fs::write(&database, b"garbage!".repeat(usize::try_from(length / 8).unwrap())).unwrap();
        world.open_gate("hold-3");
        world.call("once", &[("DISPATCH_FAULT", fault)]);
        world.recover();
        assert_each_ran_once(&world, &["ok-1", "ok-2", "hold-3"]);
        let names = fs::read_dir(world.path("state")).unwrap().map(|entry| entry.unwrap().file_name());
        let kept = names.filter(|name| name.to_string_lossy().contains("damaged")).count();
        assert!(kept > 0, "{fault}: the damaged journal is not there any more");
    }
}

#[test]
fn an_older_journal_from_before_the_launch_runs_nothing_that_was_published_since() {
    let world = World::new();
    world.action("ok-1", "work", "");
    world.publish("one");
    let ended = world.call("once", &[("DISPATCH_FAULT", "kill:journal.grant.before")]);
    assert_eq!(ended.status.code(), None);
    keep_copy(&world);
    world.recover();
    restore_copy(&world);
    world.recover();
    assert_each_ran_once(&world, &["ok-1"]);
}

#[test]
fn an_older_journal_from_before_the_launch_adopts_what_still_runs() {
    let world = World::new();
    world.action("hold-1", "hold", "");
    world.publish("one");
    let ended = world.call("once", &[("DISPATCH_FAULT", "kill:journal.grant.before")]);
    assert_eq!(ended.status.code(), None);
    keep_copy(&world);
    let serving = world.serve(&[]);
    world.wait_until_begun("hold-1");
    kill(serving);
    restore_copy(&world);
    world.open_gate("hold-1");
    world.recover();
    world.assert_sound(Strictness::Exact);
    assert_each_ran_once(&world, &["hold-1"]);
}

#[test]
fn an_older_journal_in_which_a_published_run_still_runs_does_not_wait_for_it() {
    let world = World::new();
    world.action("hold-1", "hold", "");
    world.publish("one");
    let serving = world.serve(&[]);
    world.wait_until_begun("hold-1");
    until("it to be known", || (world.run("hold-1@1")?.state.word() == "running").then_some(()));
    kill(serving);
    keep_copy(&world);
    world.open_gate("hold-1");
    world.recover();
    restore_copy(&world);
    world.recover();
    assert_each_ran_once(&world, &["hold-1"]);
}

/// `ok-1` done once, and a second attempt asked for; the journal was copied before that one was launched.
fn retried(copy_at: &str) -> World {
    let world = World::new();
    world.action("ok-1", "work", "");
    world.publish("one");
    world.recover();
    if copy_at == "asked" {
        // Nothing begins: the dispatcher dies when it comes to the grant.
        let mut serving = world.serve(&[("DISPATCH_FAULT", "kill:journal.grant.before")]);
        world.command("retry ok-1").output().unwrap();
        until("the dispatcher to die", || serving.is_over().then_some(()));
    }
    keep_copy(&world);
    if copy_at == "before" {
        let serving = world.serve(&[]);
        let asked = world.command("retry ok-1").output().unwrap();
        assert!(asked.status.success(), "{asked:?}");
        until("the second result", || (world.result("ok-1")?["attempt"] == 2).then_some(()));
        serving.signal(Signal::TERM);
        serving.end();
    }
    world.recover();
    assert_eq!((world.begun("ok-1"), &world.result("ok-1").unwrap()["attempt"]), (2, &2.into()));
    restore_copy(&world);
    world
}

#[test]
fn an_older_journal_does_not_repeat_a_retry_that_was_published_since() {
    for copy_at in ["asked", "before"] {
        let world = retried(copy_at);
        world.recover();
        assert_eq!(world.begun("ok-1"), 2, "{copy_at}: {:?}", world.tally());
        assert_eq!(world.result("ok-1").unwrap()["attempt"], 2, "{copy_at}");
        assert_eq!(world.left_behind(), Vec::<String>::new());
        let events = world.command("once").output().unwrap();
        assert!(events.status.success(), "{copy_at}: {}", String::from_utf8_lossy(&events.stderr));
    }
}

#[test]
fn an_older_journal_says_that_it_is_older() {
    let world = retried("before");
    let ended = world.call("once", &[]);
    assert!(ended.said.contains("the journal is older than the results written under it"), "{}", ended.said);
}

/// `again-1` was done once and is being done again, and the dispatcher is gone.
fn in_its_second_attempt() -> World {
    let world = World::new();
    world.action("again-1", "hold", "");
    world.publish("one");
    world.open_gate("again-1");
    world.recover();
    fs::remove_file(world.path("gates/again-1")).unwrap();
    let serving = world.serve(&[]);
    let asked = world.command("retry again-1").output().unwrap();
    assert!(asked.status.success(), "{asked:?}");
    until("the second attempt", || (world.begun("again-1") == 2).then_some(()));
    until("it to be known", || (world.run("again-1@2")?.state.word() == "running").then_some(()));
    kill(serving);
    world
}

fn assert_second_result_landed(world: &World) {
    assert_eq!(world.begun("again-1"), 2, "{:?}", world.tally());
    assert_eq!(world.result("again-1").unwrap()["attempt"], 2);
    assert_eq!(world.run("again-1@2").unwrap().kept_aside, None);
    assert_eq!(world.left_behind(), Vec::<String>::new());
}

#[test]
fn the_result_of_a_second_attempt_lands_also_when_the_journal_of_the_first_is_lost() {
    let world = in_its_second_attempt();
    for file in journal_files(&world) {
        let _ = fs::remove_file(file);
    }
    world.open_gate("again-1");
    world.recover();
    assert_second_result_landed(&world);
}

#[test]
fn the_result_of_a_second_attempt_lands_also_under_a_journal_from_before_the_first() {
    let world = World::new();
    world.action("again-1", "hold", "");
    world.publish("one");
    let ended = world.call("once", &[("DISPATCH_FAULT", "kill:journal.grant.before")]);
    assert_eq!(ended.status.code(), None);
    keep_copy(&world);
    world.open_gate("again-1");
    world.recover();
    fs::remove_file(world.path("gates/again-1")).unwrap();
    let serving = world.serve(&[]);
    assert!(world.command("retry again-1").output().unwrap().status.success());
    until("the second attempt", || (world.begun("again-1") == 2).then_some(()));
    kill(serving);
    restore_copy(&world);
    world.open_gate("again-1");
    world.recover();
    assert_second_result_landed(&world);
}

#[test]
fn a_result_that_somebody_changed_is_not_replaced_by_a_second_attempt() {
    let world = in_its_second_attempt();
    let path = "vault/actions/again-1.result.json";
    world.repo.git(&["pull", "--quiet", "--no-edit", "--no-rebase", "origin", "main"]);
    world.repo.write(path, &fs::read_to_string(world.repo.work().join(path)).unwrap().replace("hold", "edited"));
    world.publish("an edited result");
    world.open_gate("again-1");
    world.recover();
    assert_eq!(world.result("again-1").unwrap()["attempt"], 1);
    assert!(world.run("again-1@2").unwrap().kept_aside.is_some());
}

#[test]
fn under_an_older_journal_a_retry_that_is_asked_for_again_does_not_run_the_same_attempt_twice() {
    for when in ["at_once", "after_a_look"] {
        let world = retried("before");
        let serving = world.serve(&[]);
        if when == "after_a_look" {
            until("a look", || says_looked(&world).then_some(()));
        }
        assert!(world.command("retry ok-1").output().unwrap().status.success());
        until("it to be dealt with", || (world.run("ok-1@2")?.state.word() == "published").then_some(()));
        assert_eq!(world.begun("ok-1"), 2, "{when}: {:?}", world.tally());
        assert_eq!(world.result("ok-1").unwrap()["attempt"], 2, "{when}");
        // Whoever still wants another one says so again.
        assert!(world.command("retry ok-1").output().unwrap().status.success());
        until("the third", || (world.result("ok-1")?["attempt"] == 3).then_some(()));
        serving.signal(Signal::TERM);
        serving.end();
        assert_eq!(world.begun("ok-1"), 3, "{when}: {:?}", world.tally());
    }
}

fn says_looked(world: &World) -> bool {
    let said = world.command("status --output json").output().unwrap().stdout;
    let status: serde_json::Value = serde_json::from_slice(&said).unwrap_or_default();
    status["data"]["ops"]["looked_at"].is_string()
}
