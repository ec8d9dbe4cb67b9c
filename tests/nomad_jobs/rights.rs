//! With ACLs on: the shipped policies suffice, and taking one capability away breaks a named thing in words that name it.

use std::fs;

use crate::testbed::{Api, Namespace, Testbed};
use crate::world::{World, policy, raw_exec, token};

fn registered(api: &Api, namespace: &Namespace) -> World {
    let world = World::new(api, &namespace.name);
    world.configure(&raw_exec(), "");
    let applied = world.call("jobs apply");
    assert_eq!(applied.code, Some(0), "{}", applied.all());
    world
}

/// `rules` without the line that names `capability`.
fn without(rules: &str, capability: &str) -> String {
    let quoted = format!("\"{capability}\",");
    let kept: Vec<&str> = rules.lines().filter(|line| !line.trim_start().starts_with(&quoted)).collect();
    assert!(kept.len() < rules.lines().count(), "{capability} is in the shipped policy");
    kept.join("\n")
}

/// Everything that a dispatcher does with Nomad: it looks around, launches, follows to the end, reads the log, finds and lists, and
/// cancels at the time limit. What was said, all of it.
fn work(world: &World, id: &str, script: &str) -> String {
    world.ops.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    world.ops.write("formulas/look.sh", script);
    let text = format!("id = \"{id}\"\nformula = \"look\"\ncontext = \"x\"\nsecrets = []\n");
    world.ops.write(&format!("vault/actions/{id}.toml"), &text);
    world.ops.commit(id);
    world.ops.push();
    let said = [
        world.call("doctor"),
        world.call("once"),
        world.call(&format!("show {id}")),
        world.call(&format!("logs {id}")),
    ];
    said.iter().map(crate::world::Answer::all).collect()
}

#[test]
fn the_dispatchers_policy_suffices_for_a_run_from_its_check_to_its_log() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = registered(&api, &namespace);
    fs::write(world.path("token"), token(&api, &policy("nomad-dispatcher.hcl", &namespace.name))).unwrap();
    let doctor = world.call("doctor --output json");
    assert_eq!(doctor.code, Some(0), "{}", doctor.all());
    let findings = doctor.data()["findings"].clone();
    let nomad = |finding: &&serde_json::Value| finding["subject"].as_str().unwrap().starts_with("nomad: ");
    // That no Vault stops a second execution elsewhere is no matter of rights.
    let of_rights = |finding: &&serde_json::Value| finding["subject"] != "nomad: second execution";
    let nomad: Vec<_> = findings.as_array().unwrap().iter().filter(nomad).filter(of_rights).collect();
    assert!(nomad.len() >= 6 && nomad.iter().all(|finding| finding["standing"] == "good"), "{nomad:?}");
    let said = work(&world, "a", "echo seen by its log\n");
    assert!(said.contains("succeeded") && said.contains("seen by its log"), "{said}");
}

#[test]
fn each_capability_of_the_dispatcher_is_needed_and_named_where_it_is_missing() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = registered(&api, &namespace);
    let rules = policy("nomad-dispatcher.hcl", &namespace.name);
    for capability in ["dispatch-job", "read-job", "list-jobs", "read-logs", "deregister-job"] {
        fs::write(world.path("token"), token(&api, &without(&rules, capability))).unwrap();
        let said = work(&world, &format!("without-{capability}"), "true\n");
        assert!(said.contains(&format!("needs {capability}")), "{capability}: {said}");
    }
    fs::write(world.path("token"), token(&api, &rules.replace("policy = \"read\"", "policy = \"deny\""))).unwrap();
    let doctor = world.call("doctor");
    assert_eq!(doctor.code, Some(0), "{}", doctor.all());
    assert!(doctor.stdout.contains("agent { policy = \"read\" }"), "{}", doctor.stdout);
}

#[test]
fn the_dispatchers_token_registers_nothing_and_the_operators_does() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = World::new(&api, &namespace.name);
    world.configure(&raw_exec(), "");
    fs::write(world.path("token"), token(&api, &policy("nomad-dispatcher.hcl", &namespace.name))).unwrap();
    let refused = world.call("jobs apply");
    assert_eq!(refused.code, Some(1), "{}", refused.all());
    assert!(refused.stderr.contains("parse-job") && refused.stderr.contains("operator's token"), "{}", refused.stderr);
    let operator = policy("nomad-operator.hcl", &namespace.name);
    let applied = world.call_as("jobs apply", Some(&token(&api, &operator)));
    assert_eq!(applied.code, Some(0), "{}", applied.all());
    for (capability, verb) in [("parse-job", "plan"), ("plan-job", "plan"), ("read-job", "validate")] {
        let lesser = token(&api, &without(&operator, capability));
        let answer = world.call_as(&format!("jobs {verb}"), Some(&lesser));
        assert_eq!(answer.code, Some(1), "{}", answer.all());
        assert!(answer.stderr.contains(&format!("needs {capability}")), "{}", answer.stderr);
    }
    world.configure(&raw_exec().replace("memory = 64", "memory = 96"), "");
    let answer = world.call_as("jobs apply", Some(&token(&api, &without(&operator, "register-job"))));
    assert!(answer.code == Some(1) && answer.stderr.contains("needs register-job"), "{}", answer.all());
}
