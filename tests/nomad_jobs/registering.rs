//! Planning, applying, validating; and what a changed configuration looks like.

use serde_json::{Value, json};

use crate::testbed::Testbed;
use crate::world::{World, raw_exec};

const MOUNTS: &str = "[mounts.ssh]\nnomad = 'runner-ssh'\nnomad_path = '/srv/ssh'\n";

fn states(data: &Value) -> Vec<(&str, &str)> {
    let jobs = data["jobs"].as_array().unwrap();
    jobs.iter().map(|job| (job["id"].as_str().unwrap(), job["state"].as_str().unwrap())).collect()
}

#[test]
fn the_jobs_are_planned_registered_and_then_as_they_should_be() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = World::new(&api, &namespace.name);
    world.configure(&format!("{}\nmounts = ['ssh']", raw_exec()), &format!("[backends.nomad.sidecar]\n{MOUNTS}"));
    let validated = world.call("jobs validate --output json");
    assert_eq!(validated.code, Some(0), "{}", validated.all());
    let planned = world.call("jobs plan --output json");
    assert_eq!(planned.code, Some(1), "{}", planned.all());
    let (plain, ssh, sidecar) = ("vault-runner", "vault-runner-ssh", "sidecar");
    assert_eq!(states(&planned.data()), [(plain, "new"), (ssh, "new"), (sidecar, "new")]);
    let applied = world.call("jobs apply --output json");
    assert_eq!(applied.code, Some(0), "{}", applied.all());
    assert_eq!(states(&applied.data()), [(plain, "created"), (ssh, "created"), (sidecar, "created")]);
    assert_eq!(world.call("jobs plan").code, Some(0), "nothing is left to do");
    assert_eq!(states(&world.call("jobs apply --output json").data())[0], (plain, "unchanged"));
}

#[test]
fn a_changed_configuration_shows_field_by_field_and_to_the_doctor() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = World::new(&api, &namespace.name);
    world.configure(&raw_exec(), "");
    assert_eq!(world.call("jobs apply").code, Some(0));
    assert_eq!(world.call("doctor").code, Some(0), "{}", world.call("doctor").all());
    world.configure(&raw_exec().replace("memory = 64", "memory = 96"), "");
    let doctor = world.call("doctor");
    assert_eq!(doctor.code, Some(1), "{}", doctor.all());
    assert!(doctor.stdout.contains("dispatch jobs apply"), "{}", doctor.stdout);
    let planned = world.call("jobs plan --output json");
    assert_eq!(planned.code, Some(1));
    let changes = planned.data()["jobs"][0]["changes"].clone();
    let memory = json!({ "field": "group run / task runner / Resources / MemoryMB", "old": "64", "new": "96" });
    assert!(changes.as_array().unwrap().contains(&memory), "{changes}");
    let text = world.call("jobs plan").stdout;
    assert!(text.contains("Resources / MemoryMB: \"64\" -> \"96\""), "{text}");
    assert_eq!(states(&world.call("jobs apply --output json").data()), [("vault-runner", "updated")]);
    assert_eq!(world.call("doctor").code, Some(0));
}

#[test]
fn a_job_that_somebody_stopped_or_changed_by_hand_is_brought_back() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = World::new(&api, &namespace.name);
    world.configure(&raw_exec(), "");
    assert_eq!(world.call("jobs apply").code, Some(0));
    namespace.must("DELETE", "/v1/job/vault-runner", None);
    assert_eq!(world.call("doctor").code, Some(1));
    assert_eq!(states(&world.call("jobs apply --output json").data()), [("vault-runner", "updated")]);
    assert_eq!(world.call("doctor").code, Some(0));
}
