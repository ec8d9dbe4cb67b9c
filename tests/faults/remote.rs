//! An ops repo that loses answers, refuses, is away, or has its history rewritten.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::check::Strictness;
use crate::child::until;
use crate::git_http::{Fault, GitHttp};
use crate::world::World;

fn one_action(formula: &str, id: &str) -> World {
    let world = World::new();
    world.action(id, formula, "");
    world.publish("one action");
    world
}

fn over_http(world: &World) -> GitHttp {
    world.repo.remote_git(&["config", "http.receivepack", "true"]);
    let server = GitHttp::start(&world.repo.remotes());
    world.configure_at(&server.url("ops.git"), "");
    server
}

fn commits_of_results(world: &World) -> usize {
    world.repo.remote_git(&["log", "--format=%s", "main", "--", "vault/actions/*.result.json"]).lines().count()
}

#[test]
fn a_push_that_was_accepted_and_never_answered_is_recognised() {
    let world = one_action("work", "ok-1");
    let server = over_http(&world);
    server.set_fault(Fault::DropAnswerOfPush);
    let serving = world.serve(&[]);
    world.wait_for_result("ok-1");
    until("the journal to know", || (world.run("ok-1@1")?.state.word() == "published").then_some(()));
    serving.signal(Signal::TERM);
    serving.end();
    server.set_fault(Fault::None);
    world.recover();
    world.assert_sound(Strictness::Exact);
    assert_eq!(commits_of_results(&world), 1);
}

#[test]
fn a_push_that_loses_the_race_five_times_in_a_row_wins_the_sixth() {
    let world = one_action("work", "ok-1");
    let counter = world.path("races");
    // Somebody else's commit gets in between the look and the push.
    let hook = format!(
        "#!/bin/sh\nn=$(cat {0} 2>/dev/null || echo 0)\n[ \"$n\" -ge 5 ] && exit 0\necho $((n + 1)) > {0}\n\
         unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n\
         export GIT_AUTHOR_NAME=b GIT_AUTHOR_EMAIL=b@x GIT_COMMITTER_NAME=b GIT_COMMITTER_EMAIL=b@x\n\
         other=$(git commit-tree -p main -m \"other $n\" 'main^{{tree}}') && git update-ref refs/heads/main \"$other\"\n",
        counter.display()
    );
    world.repo.hook("pre-receive", &hook);
    world.call("once", &[]);
    assert_eq!(fs::read_to_string(counter).unwrap().trim(), "5");
    world.recover();
    world.assert_sound(Strictness::Exact);
    assert_eq!(commits_of_results(&world), 1);
    let others = world.repo.remote_git(&["log", "--format=%s", "--grep=^other", "main"]).lines().count();
    assert_eq!(others, 5, "nobody's commit was thrown away");
}

#[test]
fn a_refused_result_stays_in_the_outbox_is_shown_and_goes_out_when_it_may() {
    let world = one_action("work", "ok-1");
    world.repo.hook("pre-receive", "#!/bin/sh\necho 'results are frozen' >&2\nexit 1\n");
    let ended = world.call("once", &[]);
    assert_eq!(ended.status.code(), Some(4), "{}", ended.said);
    assert!(ended.said.contains("results are frozen"), "{}", ended.said);

    let serving = world.serve(&[]);
    let status = until("the refusal in the status", || {
        let output = world.command("status --output json").output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        status["data"]["outbox"]["error"].is_string().then_some(status)
    });
    let outbox = &status["data"]["outbox"];
    assert_eq!(outbox["pending"], 1, "{outbox}");
    assert!(outbox["error"].as_str().unwrap().contains("results are frozen"), "{outbox}");

    fs::remove_file(world.repo.bare().join("hooks/pre-receive")).unwrap();
    world.wait_for_result("ok-1");
    serving.signal(Signal::TERM);
    serving.end();
    world.recover();
    world.assert_sound(Strictness::Exact);
}

#[test]
fn a_drain_does_not_wait_for_an_ops_repo_that_refuses_and_says_what_it_leaves() {
    for how in ["run --drain", "run"] {
        let world = one_action("work", "ok-1");
        world.repo.hook("pre-receive", "#!/bin/sh\necho 'results are frozen' >&2\nexit 1\n");
        let serving = world.start(how, &[]);
        world.wait_until_begun("ok-1");
        until("the result to be ready", || (world.run("ok-1@1")?.state.word() == "settled").then_some(()));
        if how == "run" {
            assert!(world.command("drain").output().unwrap().status.success());
        } else {
            serving.signal(Signal::TERM);
        }
        let ended = serving.end();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
        let left = ended.said.lines().find(|line| line.contains("left unpublished")).unwrap_or_default();
        assert!(left.contains("ok-1@1") && left.contains("results are frozen"), "{}", ended.said);
        let status = String::from_utf8(world.command("status").output().unwrap().stdout).unwrap();
        assert!(status.contains("1 results to push"), "{status}");

        fs::remove_file(world.repo.bare().join("hooks/pre-receive")).unwrap();
        world.recover();
        world.assert_sound(Strictness::Exact);
    }
}

#[test]
fn a_remote_that_is_away_at_the_start_or_in_the_middle_is_waited_for() {
    let world = one_action("hold", "hold-1");
    let server = over_http(&world);
    server.set_fault(Fault::Error500);
    let ended = world.call("once", &[]);
    assert_eq!(ended.status.code(), Some(4), "{}", ended.said);

    let serving = world.serve(&[]);
    server.set_fault(Fault::None);
    world.wait_until_begun("hold-1");
    server.set_fault(Fault::Error500);
    world.open_gate("hold-1");
    until("the result to be ready", || (world.run("hold-1@1")?.state.word() == "settled").then_some(()));
    server.set_fault(Fault::None);
    world.wait_for_result("hold-1");
    serving.signal(Signal::TERM);
    serving.end();
    world.recover();
    world.assert_sound(Strictness::Exact);
}

/// A world in which `hold-1` runs under a dispatcher, and the branch was then replaced by one of another history that
/// brings `ok-2`.
fn rewritten() -> (World, crate::child::Running, String) {
    let world = one_action("hold", "hold-1");
    let serving = world.serve(&[]);
    world.wait_until_begun("hold-1");
    let old = world.repo.head().to_string();
    world.repo.git(&["checkout", "--quiet", "--orphan", "other"]);
    world.repo.commit("another history");
    // Of its own: the policy counts as it stood before the action came.
    world.action("ok-2", "work", "");
    world.repo.commit("an action in it");
    world.repo.push();
    until("the rewrite in the status", || {
        let said = world.command("status").output().unwrap().stdout;
        String::from_utf8(said).unwrap().contains("rewritten").then_some(())
    });
    (world, serving, old)
}

/// A person accepts the head that the status names, and what is new on the branch runs.
fn accepted(world: &World, serving: crate::child::Running) {
    until("the acceptance", || {
        let said = String::from_utf8(world.command("status").output().unwrap().stdout).unwrap();
        let words: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let head = words.split("accept-rewrite ").nth(1)?.get(..40)?.to_owned();
        world.command(&format!("ops accept-rewrite {head}")).output().unwrap().status.success().then_some(())
    });
    world.wait_for_result("ok-2");
    serving.signal(Signal::TERM);
    serving.end();
    world.recover();
    world.assert_sound(Strictness::Exact);
}

#[test]
fn on_a_rewritten_branch_nothing_new_begins_results_still_go_out_and_a_person_accepts_it() {
    let (world, serving, _) = rewritten();
    let head = world.repo.head().to_string();
    let said = String::from_utf8(world.command("status").output().unwrap().stdout).unwrap();
    assert!(said.contains(&format!("dispatch ops accept-rewrite {head}")), "{said}");
    world.open_gate("hold-1");
    world.wait_for_result("hold-1");
    assert_eq!((world.begun("ok-2"), world.result("ok-2")), (0, None));

    // The result is on the branch now: what is accepted is the head that the status names.
    accepted(&world, serving);
}

#[test]
fn a_rewrite_is_accepted_also_where_the_mirror_was_lost() {
    let (world, serving, _) = rewritten();
    world.open_gate("hold-1");
    world.wait_for_result("hold-1");
    serving.signal(Signal::TERM);
    serving.end();
    fs::remove_dir_all(world.path("state/mirror.git")).unwrap();
    let serving = world.serve(&[]);
    accepted(&world, serving);
}

#[test]
fn a_rewrite_that_is_undone_goes_on_by_itself() {
    let (world, serving, old) = rewritten();
    world.repo.git(&["checkout", "--quiet", "-f", "main"]);
    assert_eq!(world.repo.head().to_string(), old);
    world.action("ok-3", "work", "");
    world.repo.commit("the old history goes on");
    world.repo.push();
    world.wait_for_result("ok-3");
    assert_eq!(world.begun("ok-2"), 0);
    world.open_gate("hold-1");
    world.wait_for_result("hold-1");
    serving.signal(Signal::TERM);
    serving.end();
    world.recover();
    world.assert_sound(Strictness::Exact);
}
