//! `--output json` over all verbs: what each answers is one document in the envelope, whether it succeeds or fails.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use dispatch::cli::args::Cli;
use serde_json::{Value, json};

use crate::daemon::served;
use crate::ops_world::{OpsWorld, action};
use crate::world::{Answer, World};

/// Verbs that print what they are asked for, without the envelope (docs/cli.md).
const BARE: [&str; 3] = ["schema", "completions", "man"];

/// The one document on stdout, which has the version and the kind.
fn document(answer: &Answer, line: &str) -> Value {
    assert_eq!(answer.stdout.lines().count(), 1, "{line}: {}", answer.all());
    let document = answer.json();
    assert_eq!(document["dispatch"], 1, "{line}: {document}");
    document
}

fn data(answer: &Answer, line: &str, kind: &str) -> Value {
    let document = document(answer, line);
    assert_eq!(document["kind"], kind, "{line}: {document}");
    let fields: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["dispatch", "kind", "data"], "{line}");
    document["data"].clone()
}

/// Every verb that can be called, each with those above it.
fn verbs(command: &clap::Command, above: &str) -> BTreeSet<String> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown
        .flat_map(|verb| {
            let name = format!("{above} {}", verb.get_name()).trim().to_owned();
            if verb.has_subcommands() { verbs(verb, &name) } else { BTreeSet::from([name]) }
        })
        .collect()
}

#[test]
fn what_the_dispatcher_carries_out_is_answered_in_the_envelope() {
    let commit = "0".repeat(40);
    for (line, kind) in [
        ("cancel v1.0@2", "cancel"),
        ("retry v1.0", "retry"),
        ("drain", "drain"),
        (&format!("ops accept-rewrite {commit}"), "ops.accept_rewrite"),
    ] {
        let (world, asked) = served("{\"ok\":{\"run\":\"v1.0@2\"}}\n");
        let answer = world.call(&format!("{line} --output json"));
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{line}");
        assert_eq!(data(&answer, line, kind), json!({ "run": "v1.0@2" }), "{line}");
        asked.join().unwrap();

        let (world, asked) = served("{\"error\":{\"code\":\"conflict\",\"message\":\"it is over\"}}\n");
        let answer = world.call(&format!("{line} --output json"));
        let refusal = document(&answer, line);
        assert_eq!((answer.code, &refusal["kind"]), (Some(1), &"error".into()), "{line}");
        assert_eq!((&refusal["error"]["code"], &refusal["error"]["message"]), (&"failed".into(), &"it is over".into()));
        asked.join().unwrap();
    }
}

#[test]
fn what_succeeds_without_a_dispatcher_is_answered_in_the_envelope() {
    let world = OpsWorld::new("");
    world.file("good", &action("good", "echo", ""));
    for (line, kind, field) in [
        ("check $OPS/work", "check", "files"),
        ("explain good", "explain", "checks"),
        ("plan good", "plan", "verdict"),
        ("once --dry-run", "once.plan", "plans"),
        ("once", "once", "runs"),
        ("status", "status", "counts"),
        ("list", "list", "runs"),
        ("show good", "show", "events"),
        ("logs good", "logs", "text"),
        ("gc", "gc", "removed"),
        ("audit verify", "audit.verify", "events"),
        ("doctor", "doctor", "findings"),
        ("config show", "config.show", "settings"),
        ("ops init new", "ops.init", "created"),
    ] {
        let ops = world.ops.path().display().to_string();
        let answer = world.call(&format!("{} --output json", line.replace("$OPS", &ops)));
        assert_eq!(answer.code, Some(0), "{line}: {}", answer.all());
        let data = data(&answer, line, kind);
        assert!(data.get(field).is_some(), "{line}: {data}");
    }
}

#[test]
fn every_verb_tells_its_failure_as_one_document_with_its_exit_code() {
    // With a configuration that does not hold, or, where none is read, with what is not there.
    let lines = [
        "run",
        "once",
        "check nowhere",
        "explain a",
        "plan a",
        "request echo --context why",
        "status",
        "list",
        "show a",
        "logs a",
        "cancel a",
        "retry a",
        "drain",
        "doctor",
        "jobs plan",
        "jobs apply",
        "jobs validate",
        "gc",
        "audit verify",
        "ops init",
        "ops accept-rewrite 0",
        "policies plan",
        "policies check",
        "policies apply",
        "policies add token",
        "schema nothing",
        "config show",
        "completions nothing",
        "man --dir dispatch.toml",
        "demo --dir dispatch.toml",
    ];
    let called: BTreeSet<String> = verbs(&Cli::command(), "")
        .into_iter()
        .filter(|verb| lines.iter().any(|line| *line == verb || line.starts_with(&format!("{verb} "))))
        .collect();
    assert_eq!(called, verbs(&Cli::command(), ""), "each verb has its line");
    for line in lines {
        let world = World::configured("colour = 'blue'\n");
        let answer = world.call(&format!("{line} --output json"));
        let document = document(&answer, line);
        assert_eq!(document["kind"], "error", "{line}: {document}");
        let error = &document["error"];
        let code = match error["code"].as_str().unwrap() {
            "failed" => 1,
            "usage" => 2,
            other => panic!("{line}: {other}"),
        };
        assert_eq!(answer.code, Some(code), "{line}: {}", answer.all());
        assert!(error["message"].as_str().is_some_and(|words| !words.is_empty()), "{line}: {document}");
        assert!(
            error["causes"].is_array() && error.get("hint").is_some() && error.get("place").is_some(),
            "{document}"
        );
    }
}

#[test]
fn the_verbs_without_an_envelope_print_what_they_are_asked_for() {
    for (verb, line) in BARE.iter().zip(["schema config", "completions bash", "man"]) {
        assert!(line.starts_with(verb));
        let world = World::new();
        let (text, json) = (world.call(line), world.call(&format!("{line} --output json")));
        assert_eq!((text.code, json.code), (Some(0), Some(0)), "{line}");
        assert_eq!(text.stdout, json.stdout, "{line}");
    }
}
