//! `explain`, `plan` and `once --dry-run`: what would be decided and launched, and nothing of it done.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::ops_world::{OpsWorld, action, assert_settled_snapshot};
use crate::world::World;

const TAGGED: &str = "params = { tag = \"v1\" }\n";

fn world() -> OpsWorld {
    OpsWorld::new("")
}

#[test]
fn an_action_that_is_admitted_is_explained_with_every_check() {
    let world = world();
    world.file_signed("deploy-1", &action("deploy-1", "deploy", TAGGED));
    let answer = world.call("explain deploy-1");
    assert_settled_snapshot!(answer.all());
    assert!(!world.world.path("state").exists(), "nothing was made");
}

#[test]
fn an_unsigned_one_is_rejected_with_3() {
    let world = world();
    world.file("deploy-1", &action("deploy-1", "deploy", TAGGED));
    assert_settled_snapshot!(world.call("explain deploy-1").all());
    let json = world.call("--output json explain deploy-1");
    assert_eq!((json.code, &json.json()["data"]["reason"]), (Some(3), &"not_signed".into()));
}

#[test]
fn what_may_still_come_about_waits_with_0() {
    let world = world();
    world.file("echo-1", &action("echo-1", "echo", "not_before = 2999-01-01T00:00:00Z\n"));
    let json = world.call("--output json explain echo-1");
    assert_eq!((json.code, &json.json()["data"]["verdict"]), (Some(0), &"waiting".into()));
    let plan = world.call("plan echo-1");
    assert_eq!(plan.code, Some(0));
    assert!(plan.stdout.contains("nothing would be granted, mounted or launched"), "{}", plan.stdout);
}

#[test]
fn what_was_decided_earlier_is_told_from_the_journal_and_stays_the_verdict() {
    let world = world();
    world.file("echo-1", &action("echo-1", "echo", ""));
    world.file("deploy-1", &action("deploy-1", "deploy", TAGGED));
    assert_eq!(world.call("once").code, Some(3), "one runs, the other is rejected");
    let done = world.call("explain echo-1");
    assert_settled_snapshot!(done.all());
    let refused = world.call("--output json explain deploy-1");
    assert_eq!((refused.code, &refused.json()["data"]["reason"]), (Some(3), &"not_signed".into()));
    world.ops.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    world.ops.git(&["rm", "--quiet", "vault/actions/echo-1.toml"]);
    world.ops.commit("tidy");
    world.ops.push();
    let gone = world.call("--output json explain echo-1").json();
    assert_eq!(gone["data"]["verdict"], "admitted");
    assert_eq!(gone["data"]["checks"].as_array().map(Vec::len), Some(0));
}

#[test]
fn the_journal_is_the_same_after_an_explanation_and_no_lock_is_needed() {
    let world = world();
    world.file("echo-1", &action("echo-1", "echo", ""));
    assert_eq!(world.call("once").code, Some(0));
    let events = || {
        let path = world.world.path("state/journal.db");
        let journal = dispatch::run::journal::store::open_to_read(&path).unwrap();
        dispatch::run::journal::chain::tip(&journal).unwrap().seq
    };
    let before = events();
    let _held = dispatch::dispatcher::lock::StateLock::take(&world.world.path("state"), "a test").unwrap();
    world.file_pulled("echo-2", &action("echo-2", "echo", ""));
    assert_eq!(world.call("explain echo-2").code, Some(0));
    assert_eq!(world.call("once --dry-run").code, Some(0));
    assert_eq!(events(), before);
}

#[test]
fn one_that_nobody_knows_is_an_error_that_says_how_to_look_at_a_branch() {
    assert_settled_snapshot!(world().call("explain nothing-1").all());
}

#[test]
fn a_branch_that_is_not_merged_is_judged_as_if_it_were() {
    let world = world();
    world.ops.write("vault/actions/deploy-9.toml", &action("deploy-9", "deploy", TAGGED));
    world.ops.signed_commit("request deploy-9", &world.alice);
    world.ops.git(&["push", "--quiet", "origin", "HEAD:refs/heads/request/deploy-9"]);
    assert_eq!(world.call("explain deploy-9").code, Some(1));
    let json = world.call("--output json explain deploy-9 --ref request/deploy-9").json();
    assert_eq!(json["data"]["verdict"], "admitted", "{json}");
}

#[test]
fn a_file_that_is_nowhere_yet_waits_for_its_approval_and_fails_for_anything_else() {
    let world = world();
    let file = |name: &str, text: String| fs::write(world.world.path(name), text).unwrap();
    file("deploy-2.toml", action("deploy-2", "deploy", TAGGED));
    let good = world.call("--output json explain --file deploy-2.toml");
    assert_eq!((good.code, &good.json()["data"]["verdict"]), (Some(0), &"waiting".into()), "{}", good.stdout);
    file("deploy-3.toml", action("deploy-3", "deploy", "params = { tag = \"latest\" }\n"));
    let bad = world.call("--output json explain --file deploy-3.toml");
    assert_eq!((bad.code, &bad.json()["data"]["reason"]), (Some(3), &"param_invalid".into()), "{}", bad.stdout);
}

#[test]
fn a_remote_that_is_gone_leaves_what_was_seen_last_or_exits_with_4() {
    let world = world();
    world.file("echo-1", &action("echo-1", "echo", "not_before = 2999-01-01T00:00:00Z\n"));
    fs::rename(world.ops.bare(), world.ops.remotes().join("away.git")).unwrap();
    assert_eq!(world.call("explain echo-1").code, Some(4), "nothing was ever seen");
    fs::rename(world.ops.remotes().join("away.git"), world.ops.bare()).unwrap();
    assert_eq!(world.call("once").code, Some(0));
    fs::rename(world.ops.bare(), world.ops.remotes().join("away.git")).unwrap();
    let json = world.call("--output json explain echo-1");
    assert_eq!((json.code, &json.json()["data"]["verdict"]), (Some(0), &"waiting".into()), "{}", json.all());
    assert!(json.json()["data"]["note"].as_str().unwrap().contains("does not answer"));
}

#[test]
fn a_formula_source_that_cannot_be_fetched_makes_its_formulas_wait() {
    let world = OpsWorld::new("[[formulas.sources]]\ngit = 'file:///nowhere/formulas.git'\nref = 'main'\n");
    world.file_signed("other-1", &action("other-1", "other", ""));
    let json = world.call("--output json explain other-1");
    assert_eq!(
        (json.code, &json.json()["data"]["reason"]),
        (Some(0), &"evidence_unavailable".into()),
        "{}",
        json.all()
    );
}

#[test]
fn a_formula_of_another_repository_is_found_and_pinned_to_its_commit() {
    let formulas = crate::ops_repo::OpsRepo::new();
    formulas.write("formulas/other.sh", "echo other\n");
    let commit = formulas.commit("a formula");
    formulas.push();
    let source = formulas.bare().display().to_string();
    let world = OpsWorld::new(&format!("[[formulas.sources]]\ngit = 'file://{source}'\nref = 'main'\n"));
    world.file_signed("other-1", &action("other-1", "other", ""));
    let json = world.call("--output json plan other-1").json();
    assert_eq!(json["data"]["source"], format!("file://{source}@{commit}:formulas/other.sh"), "{json}");
}

#[test]
fn a_plan_says_what_would_be_granted_and_launched() {
    let world = world();
    world.file_signed("deploy-1", &action("deploy-1", "deploy", TAGGED));
    assert_settled_snapshot!(world.call("plan deploy-1").all());
}

#[test]
fn a_dry_round_plans_what_is_open_and_runs_nothing() {
    let world = world();
    world.file("echo-1", &action("echo-1", "echo", ""));
    assert_eq!(world.call("once").code, Some(0));
    world.file_pulled("echo-2", &action("echo-2", "echo", ""));
    let json = world.call("--output json once --dry-run").json();
    let plans: Vec<_> = json["data"]["plans"].as_array().unwrap().iter().map(|plan| &plan["action"]).collect();
    assert_eq!(plans, ["echo-2"]);
    assert!(!world.ops.remote_git(&["ls-tree", "-r", "--name-only", "main"]).contains("echo-2.result"));
}

#[test]
fn one_that_is_told_to_end_while_it_waits_for_the_ops_repo_leaves_no_scratch_behind() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = format!("http://{}/ops.git", server.local_addr().unwrap());
    let world = World::configured(&format!("state_dir = \"state\"\nops.remote = \"{remote}\"\n"));
    for signal in [Signal::TERM, Signal::INT] {
        let scratch = world.path("scratch");
        fs::create_dir_all(&scratch).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let mut command = world.command("explain deploy-1");
        command.env("TMPDIR", &scratch).env("PATH", path).stderr(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        // It asks, and is not answered.
        let asked = server.accept().unwrap();
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 1);
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal:?}");
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "{signal:?}");
        drop(asked);
    }
}
