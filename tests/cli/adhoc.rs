//! `once --action FILE`: a file that nobody approved.

use std::fs;
use std::process::Stdio;

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

#[test]
fn an_interrupt_cancels_it_and_waits_for_its_end() {
    use std::io::{BufRead as _, BufReader};
    let world = with_file(ALLOWED, "long-1.toml", &action("long-1", "long", ""));
    world.ops.write("formulas/long.sh", "echo begun\nsleep 600\n");
    world.ops.commit("a formula");
    world.ops.push();
    let mut command = world.command("--output json once --action long-1.toml");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "begun"), "its log is shown while it runs");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["data"]["state"], "cancelled");
}
