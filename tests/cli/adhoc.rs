//! `once --action FILE`: a file that nobody approved.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::ops_world::{OpsWorld, action, assert_settled_snapshot};

const ALLOWED: &str = "[debug]\nallow_unapproved = true\n";

fn with_file(config: &str, name: &str, text: &str) -> OpsWorld {
    let world = OpsWorld::new(config);
    fs::write(world.world.path(name), text).unwrap();
    world
}

#[test]
fn a_file_is_refused_where_the_config_does_not_allow_it() {
    let world = with_file("", "echo-1.toml", &action("echo-1", "echo", ""));
    assert_settled_snapshot!(world.call("once --action echo-1.toml").all());
}

#[test]
fn a_file_runs_where_it_is_allowed_and_leaves_nothing_anywhere() {
    let world = with_file(ALLOWED, "echo-1.toml", &action("echo-1", "echo", ""));
    let before = world.ops.remote_git(&["rev-parse", "main"]);
    assert_settled_snapshot!(world.call("once --action echo-1.toml").all());
    assert_eq!(world.ops.remote_git(&["rev-parse", "main"]), before, "nothing was published");
    assert!(!world.world.path("state/journal.db").exists(), "the dispatcher's journal knows nothing of it");
    assert_eq!(fs::read_dir(world.world.path("state/adhoc")).unwrap().count(), 0);
}

#[test]
fn its_exit_code_and_its_json_tell_what_became_of_it() {
    let world = with_file(ALLOWED, "bad-1.toml", &action("bad-1", "bad", ""));
    world.ops.write("formulas/bad.sh", "exit 7\n");
    world.ops.commit("a formula");
    world.ops.push();
    let answer = world.call("--output json once --action bad-1.toml");
    let data = &answer.json()["data"];
    assert_eq!(
        (answer.code, &data["state"], &data["exit"]),
        (Some(1), &"failed".into(), &7.into()),
        "{}",
        answer.all()
    );
}

#[test]
fn a_file_that_breaks_a_rule_does_not_run() {
    let world = with_file(ALLOWED, "deploy-1.toml", &action("deploy-1", "deploy", "params = { tag = \"latest\" }\n"));
    let answer = world.call("once --action deploy-1.toml");
    assert_eq!(answer.code, Some(3));
    assert!(answer.stderr.contains("explain --file"), "{}", answer.stderr);
}

#[test]
fn a_dry_run_only_plans() {
    let world = with_file(ALLOWED, "echo-1.toml", &action("echo-1", "echo", ""));
    let json = world.call("--output json once --dry-run --action echo-1.toml");
    assert_eq!((json.code, &json.json()["data"]["formula"]), (Some(0), &"echo".into()));
    assert!(!world.world.path("state").exists());
}

/// A file whose formula says that it begins and then goes on until `$OPS/gate` is there; the call that runs it has come so far.
fn under_way(config: &str) -> (OpsWorld, Child) {
    let world = with_file(config, "long-1.toml", &action("long-1", "long", ""));
    let gate = world.ops.path().join("gate");
    let script =
        format!("echo begun\nfor n in $(seq 1 6000); do [ -e {} ] && exit 0; sleep 0.1; done\n", gate.display());
    world.ops.write("formulas/long.sh", &script);
    world.ops.commit("a formula");
    world.ops.push();
    let mut command = world.command("--output json once --action long-1.toml");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "begun"), "its log is shown while it runs");
    (world, child)
}

fn left(world: &OpsWorld) -> usize {
    fs::read_dir(world.world.path("state/adhoc")).unwrap().count()
}

#[test]
fn what_a_killed_one_left_is_removed_by_gc_once_it_is_over_and_not_before() {
    let (world, mut child) = under_way(&format!("{ALLOWED}[limits]\nkeep_days = 0\n"));
    // Without a dispatcher there is no journal, and `gc` needs one.
    assert_eq!(world.call("once").code, Some(0));
    let held = world.call("gc");
    assert_eq!((held.code, left(&world)), (Some(0), 1), "its process looks after it: {}", held.all());
    child.kill().unwrap();
    child.wait().unwrap();
    let going = world.call("gc");
    assert_eq!((going.code, left(&world)), (Some(1), 1), "it goes on without its process: {}", going.all());
    assert!(going.stdout.contains("is not over"), "{}", going.all());

    fs::write(world.ops.path().join("gate"), "").unwrap();
    let dry = world.call("gc --dry-run");
    assert!(
        dry.stdout.contains("state/adhoc/run-") && dry.stdout.contains("1 entry would be removed"),
        "{}",
        dry.all()
    );
    let end = Instant::now() + Duration::from_secs(60);
    while world.call("gc").code != Some(0) {
        assert!(Instant::now() < end, "the run does not end");
    }
    assert_eq!(left(&world), 0);
}

#[test]
fn an_error_leaves_nothing_behind_unless_the_run_may_still_go_on() {
    for (fault, code, kept) in [
        ("error:local.mkdir.before", 4, 0),
        ("error:journal.finish.before", 1, 0),
        // Launched, and this is not on record: it is asked to stop, and its folder is its own until it has.
        ("error:journal.start.before", 1, 1),
    ] {
        let world = with_file(ALLOWED, "slow-1.toml", &action("slow-1", "slow", ""));
        let script = if kept == 0 { "exit 0\n" } else { "trap '' TERM\nsleep 2\n" };
        world.ops.write("formulas/slow.sh", script);
        world.ops.commit("a formula");
        world.ops.push();
        let output = world.command("once --action slow-1.toml").env("DISPATCH_FAULT", fault).output().unwrap();
        let answer = world.world.answer(&output);
        assert_eq!((answer.code, left(&world)), (Some(code), kept), "{fault}: {}", answer.all());
        assert_eq!(answer.stderr.contains("may still go on"), kept == 1, "{fault}: {}", answer.all());
    }
}

#[test]
fn an_interrupt_cancels_it_and_waits_for_its_end() {
    let (_world, child) = under_way(ALLOWED);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["data"]["state"], "cancelled");
}
