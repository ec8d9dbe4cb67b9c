//! `dispatch jobs`, and a Nomad that does not answer: what a person sees without any server.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::ops_world::{OpsWorld, action};
use crate::world::World;

/// Nothing listens on port 1 of this machine.
const NOWHERE: &str = "[backends]\ndefault = 'nomad'\n[backends.nomad]\naddress = 'http://127.0.0.1:1'\n";

/// A dispatcher, ended at drop.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_nomad_in_the_configuration_there_are_no_jobs() {
    let answer = World::configured("[ops]\nremote = 'x'\n").call("jobs plan");
    assert_eq!(answer.code, Some(2));
    assert!(answer.stderr.contains("[backends.nomad]") && answer.stderr.contains("docs/nomad.md"), "{}", answer.stderr);
}

#[test]
fn sets_of_mounts_that_cannot_be_are_named() {
    let of = |runner: &str, mounts: &str| {
        let text = format!("{NOWHERE}[backends.nomad.runner]\n{runner}\n{mounts}\n[ops]\nremote = 'x'\n");
        let answer = World::configured(&text).call("jobs plan");
        assert_eq!(answer.code, Some(2), "{}", answer.all());
        answer.stderr
    };
    let unknown = of("mounts = ['ssh+gpg']", "[mounts.ssh]\nnomad = 'runner-ssh'");
    assert!(unknown.contains("`gpg`") && unknown.contains("[mounts.gpg]"), "{unknown}");
    let placeless = of("driver = 'raw_exec'\nmounts = ['ssh']", "[mounts.ssh]\nnomad = 'runner-ssh'");
    assert!(placeless.contains("`nomad_path`"), "{placeless}");
}

#[test]
fn a_nomad_that_does_not_answer_exits_with_4() {
    let world = World::configured(&format!("{NOWHERE}[ops]\nremote = 'x'\n"));
    for verb in ["jobs plan", "jobs apply", "jobs validate"] {
        let answer = world.call(verb);
        assert_eq!(answer.code, Some(4), "{}", answer.all());
        assert!(answer.stderr.contains("backends.nomad.address"), "{}", answer.stderr);
    }
}

#[test]
fn once_stops_where_nomad_does_not_answer_and_shows_what_it_looked_at() {
    let answer = OpsWorld::new(NOWHERE).call("once");
    assert_eq!(answer.code, Some(4), "{}", answer.all());
    assert!(answer.stderr.lines().any(|line| line.starts_with("unreachable  nomad: leader")), "{}", answer.stderr);
}

#[test]
fn run_starts_all_the_same_says_what_is_out_and_launches_nothing_there() {
    // A first start compares its new journal with every backend, and begins nothing before; this is one after that.
    let world = OpsWorld::new("");
    assert_eq!(world.call("once").code, Some(0));
    let file = world.world.path("dispatch.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("[ops]", &format!("{NOWHERE}[ops]"), 1)).unwrap();
    world.file_pulled("waits", &action("waits", "echo", ""));
    let _serving = Serving(world.command("run").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let patience = Instant::now() + Duration::from_secs(60);
    let status = loop {
        assert!(Instant::now() < patience, "the action does not come to wait");
        let answer = world.call("status --output json");
        if answer.code == Some(0) && answer.json()["data"]["waiting"][0]["reason"] == "backend_unavailable" {
            break answer.json();
        }
    };
    let problems = status["data"]["problems"].to_string();
    assert!(problems.contains("nomad: leader") && problems.contains("127.0.0.1:1"), "{problems}");
    assert_eq!(status["data"]["active"], serde_json::json!([]));
}
