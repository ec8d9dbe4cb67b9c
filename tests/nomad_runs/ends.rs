//! How runs end, as their results say it: each with its own state and reason, under `docker` and `raw_exec`.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::serving::{Serving, assert_placed, docker, end, image};
use crate::testbed::{Namespace, Testbed, eventually, exit_code_is_lost};
use crate::world::{World, policy, raw_exec, token};

/// Does what the action's id says.
const FORMULA: &str = r#"echo "here is $1"
case $1 in
  exits-*) exit 3 ;;
  signalled-*) kill -9 $$ ;;
  hungry-*) x=$(head -c 314572800 /dev/zero | tr '\0' x); echo "${#x}"; exit 0 ;;
  slow-*) sleep 300 ;;
  held-*) trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.1; done ;;
esac
"#;

/// Registers the jobs in a namespace of its own.
fn world(runner: &str, more: &str) -> (Namespace, World) {
    let testbed = Testbed::get();
    let namespace = testbed.namespace();
    let world = World::new(&testbed.nomad(), &namespace.name);
    world.configure(runner, more);
    (namespace, world)
}

/// What `dispatch logs` shows of a run that goes on.
fn prints(world: &World, id: &str, line: &str) {
    let log = world.path(&format!("state/logs/{id}@1.log"));
    let there = || fs::read_to_string(&log).unwrap_or_default().lines().any(|one| one == line).then_some(());
    eventually(&format!("{id} prints {line}"), crate::child::BOUND, there);
}

/// The ends that need nothing of the driver; the results by id, which hold where each was placed.
fn ends_of(name: &str, world: &World, namespace: &Namespace) {
    let serving = Serving::start(world);
    let id = |case: &str| format!("{case}-{name}");
    let actions = [id("fine"), id("exits"), id("signalled"), id("slow"), id("held")];
    let actions: Vec<(&str, &str)> = actions
        .iter()
        .map(|id| (id.as_str(), if id.starts_with("slow") { "timeout_minutes = 2" } else { "timeout_minutes = 120" }))
        .collect();
    serving.land(FORMULA, &actions);
    prints(world, &id("held"), "ready");
    let cancelled = world.call(&format!("cancel {}", id("held")));
    assert_eq!(cancelled.code, Some(0), "{}", cancelled.all());
    let expected = [
        ("fine", ("succeeded", "succeeded", Some(0))),
        ("exits", ("failed", "exit_nonzero", Some(3))),
        ("signalled", ("failed", "signalled", Some(137))),
        ("slow", ("timed_out", "timed_out", Some(124))),
        ("held", ("cancelled", "cancelled_by_operator", Some(143))),
    ];
    for (case, expected) in expected {
        let result = serving.result(&id(case));
        let at = format!("/v1/allocation/{}", result["job"]["allocation"].as_str().unwrap());
        let lost = case == "held" && exit_code_is_lost(&namespace.must("GET", &at, None));
        let expected = if lost { (expected.0, expected.1, None) } else { expected };
        assert_eq!(end(&result), expected, "{case}: {result:#}");
        let logs = result["logs"].as_str().unwrap();
        assert!(logs.starts_with(&format!("here is {}\n", id(case))), "{result:#}");
        assert_eq!(logs.contains("bye"), case == "held", "{result:#}");
        assert_eq!((&result["backend"], &result["attempt"]), (&"nomad".into(), &1.into()));
        assert_eq!(result["exit_code"].as_i64(), result["exit"].as_i64().or(Some(125)));
        assert_placed(&Testbed::get().nomad(), &namespace.name, &result);
    }
}

#[test]
fn under_raw_exec_each_end_has_its_own_state_and_reason() {
    let (namespace, world) = world(&raw_exec(), "[limits]\nmax_concurrent = 10\ngrace_seconds = 2\n");
    ends_of("raw", &world, &namespace);
}

#[test]
fn in_a_container_each_end_has_its_own_state_and_reason() {
    let (namespace, world) = world(&docker(&image()), "[limits]\nmax_concurrent = 10\ngrace_seconds = 2\n");
    ends_of("docker", &world, &namespace);
    let serving = Serving::start(&world);
    serving.land(FORMULA, &[("hungry-docker", "timeout_minutes = 120")]);
    let result = serving.result("hungry-docker");
    assert_eq!(end(&result), ("failed", "out_of_memory", Some(137)), "{result:#}");
    assert!(result["message"].as_str().unwrap().contains("memory"), "{result:#}");
    assert!(result["job"]["image"].as_str().unwrap().starts_with("runner:"), "{result:#}");

    let killed = |id: &str| {
        serving.land(FORMULA, &[(id, "timeout_minutes = 120")]);
        prints(&world, id, "ready");
        kill_container(&namespace, id);
        serving.result(id)
    };
    // Without a look into the runner's own file, a stream that breaks off is not told from one whose end Docker has lost.
    let result = killed("held-unseen");
    assert_eq!(end(&result), ("failed", "exit_nonzero", Some(137)), "{result:#}");
    assert_eq!(result["log"]["incomplete"], true, "{result:#}");
    let rules = policy("nomad-dispatcher.hcl", &namespace.name).replace("\"read-logs\"", "\"read-logs\", \"read-fs\"");
    assert!(rules.contains("read-fs"), "{rules}");
    fs::write(world.path("token"), token(&Testbed::get().nomad(), &rules)).unwrap();
    let result = killed("held-killed");
    assert_eq!(end(&result), ("failed", "signalled", Some(137)), "{result:#}");
}

/// Ends the container of `id` past Nomad, which notes no signal then.
fn kill_container(namespace: &Namespace, id: &str) {
    let children = namespace.must("GET", "/v1/jobs?prefix=vault-runner/dispatch-", None);
    let ids = children.as_array().unwrap().iter().map(|job| job["ID"].as_str().unwrap());
    let child = ids.into_iter().find(|job| job.contains(id)).unwrap();
    let allocations = namespace.must("GET", &format!("/v1/job/{child}/allocations"), None);
    let container = format!("runner-{}", allocations[0]["ID"].as_str().unwrap());
    let mut command = Command::new("docker");
    let killed = command.args(["kill", &container]).env("DOCKER_HOST", Testbed::get().variable("DOCKER_HOST"));
    assert!(killed.output().unwrap().status.success());
}

/// The result of one action, which may wait for a place for a second.
fn alone(world: &World, id: &str) -> Value {
    assert_eq!(world.operate("jobs apply").code, Some(0));
    let serving = Serving::start_placing_within(world, 1);
    serving.land(FORMULA, &[(id, "timeout_minutes = 120")]);
    serving.result(id)
}

#[test]
fn a_run_that_no_client_has_room_for_is_taken_back_and_the_result_says_what_is_short() {
    let runner = raw_exec().replace("memory = 64", "memory = 9000000");
    let (namespace, world) = world(&runner, "[limits]\ngrace_seconds = 2\n");
    let result = alone(&world, "roomy");
    assert_eq!(end(&result), ("not_started", "never_placed", None), "{result:#}");
    assert_eq!((&result["exit_code"], &result["logs"]), (&125.into(), &"".into()));
    let message = result["message"].as_str().unwrap();
    assert!(message.contains("no client has enough memory"), "{message}");
    let job = namespace.must("GET", &format!("/v1/job/{}", result["job"]["id"].as_str().unwrap()), None);
    assert_eq!((&job["Stop"], &result["job"]["allocation"]), (&true.into(), &Value::Null));
}

#[test]
fn a_run_whose_image_is_missing_never_started_and_the_result_names_the_image() {
    let (namespace, world) = world(&docker("dispatch-runner:absent"), "[limits]\ngrace_seconds = 2\n");
    let result = alone(&world, "imageless");
    assert_eq!(end(&result), ("not_started", "setup_failed", None), "{result:#}");
    let message = result["message"].as_str().unwrap();
    assert!(message.contains("dispatch-runner:absent"), "{message}");
    assert_eq!((&result["exit_code"], &result["job"]["image"]), (&125.into(), &"dispatch-runner:absent".into()));
    assert_placed(&Testbed::get().nomad(), &namespace.name, &result);
}
