//! `dispatch doctor` as an operator meets it, and a start that refuses by the same findings.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::ops_world::OpsWorld;
use crate::world::{Answer, World};

fn finding<'a>(json: &'a serde_json::Value, subject: &str) -> &'a serde_json::Value {
    let findings = json.pointer("/data/findings").and_then(serde_json::Value::as_array).unwrap();
    findings.iter().find(|finding| finding["subject"] == subject).unwrap_or_else(|| panic!("{subject}: {json}"))
}

fn doctor(world: &OpsWorld) -> Answer {
    world.call("doctor --output json")
}

#[test]
fn a_setup_that_works_is_all_good_and_nothing_of_it_is_changed() {
    let world = OpsWorld::new("");
    let answer = world.call("doctor");
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    let subjects =
        ["config", "state directory", "journal", "tools: git", "tools: ssh-keygen", "ops repo: push", "secrets"];
    for subject in subjects {
        assert!(answer.stdout.lines().any(|line| line.contains(subject)), "{subject}: {}", answer.stdout);
    }
    assert!(!world.world.path("state").exists(), "the state directory is the first start's to make");
}

#[test]
fn beside_a_running_dispatcher_it_says_who_serves_and_disturbs_nobody() {
    let world = OpsWorld::new("");
    let mut serving = world.command("run").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while world.call("status").code != Some(0) {
        assert!(Instant::now() < patience, "the dispatcher does not serve");
    }
    let answer = doctor(&world);
    let status = world.call("status");
    serving.kill().unwrap();
    serving.wait().unwrap();
    assert_eq!((answer.code, status.code), (Some(0), Some(0)), "{}", answer.all());
    let json = answer.json();
    let evidence = finding(&json, "dispatcher")["evidence"].as_str().unwrap();
    assert!(evidence.contains(&format!("process {}", serving.id())), "{evidence}");
    assert_eq!(finding(&json, "local: bash")["standing"], "good");
}

#[test]
fn what_does_not_answer_exits_with_4_and_what_is_wrong_with_1() {
    let world = OpsWorld::new("");
    let answer = world.call("doctor --output json --ops-remote ssh://git@127.0.0.1:1/ops.git");
    assert_eq!(answer.code, Some(4), "{}", answer.all());
    assert_eq!(finding(&answer.json(), "ops repo: branch")["standing"], "unreachable");
    let answer = world.call("doctor --output json --ops-remote ./nowhere.git");
    assert_eq!(answer.code, Some(1), "{}", answer.all());
    let json = answer.json();
    let wrong = finding(&json, "ops repo: branch");
    assert_eq!(wrong["standing"], "wrong");
    assert!(wrong["fix"].as_str().unwrap().contains("ops.remote"), "{wrong}");
}

#[test]
fn a_configuration_that_does_not_hold_is_shown_as_everywhere() {
    let answer = World::configured("[ops]\nremotes = 'x'\n").call("doctor");
    assert_eq!(answer.code, Some(2));
    assert!(answer.stderr.contains("did you mean `remote`?"), "{}", answer.stderr);
}

#[test]
fn a_damaged_journal_and_a_warning_of_the_configuration_are_findings() {
    let world = OpsWorld::new("[debug]\nallow_unapproved = true\n");
    std::fs::create_dir(world.world.path("state")).unwrap();
    std::fs::write(world.world.path("state/journal.db"), "this is no database").unwrap();
    let answer = doctor(&world);
    assert_eq!(answer.code, Some(1), "{}", answer.all());
    let json = answer.json();
    assert_eq!(finding(&json, "journal")["standing"], "wrong");
    let findings = json["data"]["findings"].as_array().unwrap();
    let warned = findings.iter().any(|finding| {
        finding["subject"] == "config" && finding["evidence"].as_str().unwrap().contains("nobody approved")
    });
    assert!(warned && answer.stderr.is_empty(), "{}", answer.all());
}

#[test]
fn a_start_refuses_what_is_wrong_and_shows_all_that_was_looked_at() {
    let world = OpsWorld::new("[secrets.file]\ndirectory = 'nowhere'\nidentity = 'nowhere.key'\n");
    for verb in ["run", "once"] {
        let answer = world.call(verb);
        assert_eq!(answer.code, Some(1), "{}", answer.all());
        let lines = |word: &str| answer.stderr.lines().filter(|line| line.starts_with(word)).count();
        assert_eq!((lines("wrong"), lines("good") > 1), (2, true), "{}", answer.stderr);
        assert!(answer.stderr.contains("error: the dispatcher cannot start"), "{}", answer.stderr);
    }
}
