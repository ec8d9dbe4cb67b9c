//! With ACLs on: the shipped policies suffice, and taking one capability away breaks a named thing in words that name it.

use std::fs;

use serde_json::Value;

use crate::testbed::{Api, Namespace, Testbed};
use crate::world::{Answer, World, policy, raw_exec, token};

fn registered(api: &Api, namespace: &Namespace) -> World {
    let world = World::new(api, &namespace.name);
    world.configure(&raw_exec(), "");
    let applied = world.operate("jobs apply");
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

/// `rules` without the rule for this host volume.
fn without_volume(rules: &str, volume: &str) -> String {
    let (before, rest) =
        rules.split_once(&format!("host_volume \"{volume}\" {{")).expect("it is in the shipped policy");
    let (_, after) = rest.split_once("}\n").unwrap();
    format!("{before}{after}")
}

/// Everything that a dispatcher does with Nomad in one start.
struct Work {
    doctor: Answer,
    once: Answer,
    logs: Answer,
    /// What is in the ops repo of it.
    result: Option<Value>,
}

impl Work {
    /// Looks around, launches, follows to the end, reads the log, finds and lists, and marks it as done with.
    fn of(world: &World, id: &str, script: &str) -> Self {
        world.ops.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
        world.ops.write("formulas/look.sh", script);
        let text = format!("id = \"{id}\"\nformula = \"look\"\ncontext = \"x\"\nsecrets = []\n");
        world.ops.write(&format!("vault/actions/{id}.toml"), &text);
        world.ops.commit(id);
        world.ops.push();
        let (doctor, once, logs) = (world.call("doctor"), world.call("once"), world.call(&format!("logs {id}")));
        let path = format!("vault/actions/{id}.result.json");
        let there = !world.ops.remote_git(&["ls-tree", "main", "--", &path]).is_empty();
        let result =
            there.then(|| serde_json::from_str(&world.ops.remote_git(&["show", &format!("main:{path}")])).unwrap());
        Self { doctor, once, logs, result }
    }

    /// Its state, its reason, and whether its log is whole.
    fn end(&self) -> (&str, &str, bool) {
        let result = self.result.as_ref().unwrap_or_else(|| panic!("no result: {}", self.once.all()));
        let incomplete = result["log"]["incomplete"] == true;
        (result["state"].as_str().unwrap(), result["reason"].as_str().unwrap(), !incomplete)
    }

    /// What was started did not start, and said why.
    fn was_refused(&self, words: &str) -> bool {
        self.result.is_none() && self.once.code == Some(1) && self.once.all().contains(words)
    }
}

#[test]
fn the_dispatchers_policy_suffices_for_a_run_from_its_check_to_its_log() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = registered(&api, &namespace);
    let doctor = world.call("doctor --output json");
    assert_eq!(doctor.code, Some(0), "{}", doctor.all());
    let findings = doctor.data()["findings"].clone();
    let nomad = |finding: &&serde_json::Value| finding["subject"].as_str().unwrap().starts_with("nomad: ");
    // That no Vault stops a second execution elsewhere is no matter of rights.
    let of_rights = |finding: &&serde_json::Value| finding["subject"] != "nomad: second execution";
    let nomad: Vec<_> = findings.as_array().unwrap().iter().filter(nomad).filter(of_rights).collect();
    assert!(nomad.len() >= 6 && nomad.iter().all(|finding| finding["standing"] == "good"), "{nomad:?}");
    let work = Work::of(&world, "a", "echo seen by its log\n");
    assert_eq!(work.end(), ("succeeded", "succeeded", true), "{}", work.once.all());
    assert_eq!(work.logs.stdout, "seen by its log\n");
    assert!(!work.once.all().contains("the token's policy needs"), "{}", work.once.all());
}

#[test]
fn each_capability_of_the_dispatcher_is_needed_and_named_where_it_is_missing() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = registered(&api, &namespace);
    let rules = policy("nomad-dispatcher.hcl", &namespace.name);
    let try_without = |capability: &str| {
        fs::write(world.path("token"), token(&api, &without(&rules, capability))).unwrap();
        Work::of(&world, &format!("without-{capability}"), "echo seen\n")
    };
    let needs = |capability: &str| format!("the token's policy needs {capability}");

    // Nothing is launched, and the result says why.
    let work = try_without("dispatch-job");
    assert_eq!(work.end().0, "not_started", "{}", work.once.all());
    assert_eq!(work.end().1, "launch_refused");
    let message = work.result.as_ref().unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("dispatching the job") && message.contains(&needs("dispatch-job")), "{message}");

    // Without seeing its jobs a dispatcher does not start.
    for (capability, does) in [("read-job", "reading the job"), ("list-jobs", "listing jobs")] {
        let work = try_without(capability);
        for said in [work.doctor.all(), work.once.all()] {
            assert!(said.contains(does) && said.contains(&needs(capability)), "{capability}: {said}");
        }
        assert!(work.doctor.code == Some(1) && work.was_refused(&needs(capability)), "{}", work.once.all());
    }

    // The run is as it was; of its log it is said that it is not whole, and why.
    let work = try_without("read-logs");
    assert_eq!(work.end(), ("succeeded", "succeeded", false), "{}", work.once.all());
    let log = &work.logs.stdout;
    assert!(
        !log.contains("seen") && log.contains("reading the run's log") && log.contains(&needs("read-logs")),
        "{log}"
    );

    // So is this one, and it is not marked as done with. (What cannot be stopped: tests of faults.)
    let work = try_without("deregister-job");
    assert_eq!(work.end(), ("succeeded", "succeeded", true), "{}", work.once.all());
    let said = work.once.all();
    assert!(said.contains("deregistering the job") && said.contains(&needs("deregister-job")), "{said}");

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
    let mounts = "[backends.nomad.sidecar]\n[mounts.ssh]\nnomad = 'runner-ssh'\nnomad_path = '/srv/ssh'\n";
    let runner = format!("{}\nmounts = ['ssh']", raw_exec());
    world.configure(&runner, mounts);
    let refused = world.call("jobs apply");
    assert_eq!(refused.code, Some(1), "{}", refused.all());
    assert!(refused.stderr.contains("parse-job") && refused.stderr.contains("operator's token"), "{}", refused.stderr);
    let operator = policy("nomad-operator.hcl", &namespace.name);
    // One after the other stops at the first job that mounts the volume.
    for volume in ["runner-*", "ops-repo", "project-repos", "agent-data"] {
        let answer = world.call_as("jobs apply", Some(&token(&api, &without_volume(&operator, volume))));
        assert!(answer.code == Some(1) && answer.stderr.contains("`host_volume` rule"), "{volume}: {}", answer.all());
    }
    let applied = world.call_as("jobs apply", Some(&token(&api, &operator)));
    assert_eq!(applied.code, Some(0), "{}", applied.all());
    for (capability, verb) in [("parse-job", "plan"), ("plan-job", "plan"), ("read-job", "validate")] {
        let lesser = token(&api, &without(&operator, capability));
        let answer = world.call_as(&format!("jobs {verb}"), Some(&lesser));
        assert_eq!(answer.code, Some(1), "{}", answer.all());
        assert!(answer.stderr.contains(&format!("needs {capability}")), "{}", answer.stderr);
    }
    world.configure(&runner.replace("memory = 64", "memory = 96"), mounts);
    let answer = world.call_as("jobs apply", Some(&token(&api, &without(&operator, "register-job"))));
    assert!(answer.code == Some(1) && answer.stderr.contains("needs register-job"), "{}", answer.all());
}
