//! Planning, applying, validating; and what a changed configuration looks like.

use std::path::Path;
use std::process::Command;

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
    let validated = world.operate("jobs validate --output json");
    assert_eq!(validated.code, Some(0), "{}", validated.all());
    let planned = world.operate("jobs plan --output json");
    assert_eq!(planned.code, Some(1), "{}", planned.all());
    let (plain, ssh, sidecar) = ("vault-runner", "vault-runner-ssh", "sidecar");
    assert_eq!(states(&planned.data()), [(plain, "new"), (ssh, "new"), (sidecar, "new")]);
    let applied = world.operate("jobs apply --output json");
    assert_eq!(applied.code, Some(0), "{}", applied.all());
    assert_eq!(states(&applied.data()), [(plain, "created"), (ssh, "created"), (sidecar, "created")]);
    assert_eq!(world.operate("jobs plan").code, Some(0), "nothing is left to do");
    assert_eq!(states(&world.operate("jobs apply --output json").data())[0], (plain, "unchanged"));
}

#[test]
fn a_changed_configuration_shows_field_by_field_and_to_the_doctor() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = World::new(&api, &namespace.name);
    world.configure(&raw_exec(), "");
    assert_eq!(world.operate("jobs apply").code, Some(0));
    assert_eq!(world.call("doctor").code, Some(0), "{}", world.call("doctor").all());
    world.configure(&raw_exec().replace("memory = 64", "memory = 96"), "");
    let doctor = world.call("doctor");
    assert_eq!(doctor.code, Some(1), "{}", doctor.all());
    assert!(doctor.stdout.contains("dispatch jobs apply"), "{}", doctor.stdout);
    let planned = world.operate("jobs plan --output json");
    assert_eq!(planned.code, Some(1));
    let changes = planned.data()["jobs"][0]["changes"].clone();
    let memory = json!({ "field": "group run / task runner / Resources / MemoryMB", "old": "64", "new": "96" });
    assert!(changes.as_array().unwrap().contains(&memory), "{changes}");
    let text = world.operate("jobs plan").stdout;
    assert!(text.contains("Resources / MemoryMB: \"64\" -> \"96\""), "{text}");
    assert_eq!(states(&world.operate("jobs apply --output json").data()), [("vault-runner", "updated")]);
    assert_eq!(world.call("doctor").code, Some(0));
}

#[test]
fn a_job_that_somebody_stopped_is_brought_back() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = World::new(&api, &namespace.name);
    world.configure(&raw_exec(), "");
    assert_eq!(world.operate("jobs apply").code, Some(0));
    namespace.must("DELETE", "/v1/job/vault-runner", None);
    assert_eq!(world.call("doctor").code, Some(1));
    assert_eq!(states(&world.operate("jobs apply --output json").data()), [("vault-runner", "updated")]);
    assert_eq!(world.call("doctor").code, Some(0));
}

/// What doctor says of the job `id`.
fn finding(world: &World, id: &str) -> Value {
    let findings = world.call("doctor --output json").data()["findings"].clone();
    let subject = format!("nomad: job {id}");
    findings.as_array().unwrap().iter().find(|one| one["subject"] == subject.as_str()).cloned().unwrap_or_default()
}

#[test]
fn what_keeps_a_run_from_a_second_execution_is_seen_to_be_changed_by_hand_and_brought_back() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = World::new(&api, &namespace.name);
    world.configure(&raw_exec(), "");
    assert_eq!(world.operate("jobs apply").code, Some(0));
    let changes = [
        ("/RestartPolicy/Attempts", json!(3), "restart.attempts"),
        ("/Disconnect/LostAfter", json!(60_000_000_000_u64), "disconnect.lost_after"),
        ("/ReschedulePolicy/Attempts", json!(2), "reschedule of group run"),
    ];
    for (path, value, words) in changes {
        let mut job = namespace.must("GET", "/v1/job/vault-runner", None);
        *job["TaskGroups"][0].pointer_mut(path).unwrap() = value;
        if path == "/ReschedulePolicy/Attempts" {
            job["TaskGroups"][0]["ReschedulePolicy"]["Interval"] = json!(3_600_000_000_000_u64);
        }
        if path == "/RestartPolicy/Attempts" {
            // A task's own, which the server has filled in, goes before its group's.
            job["TaskGroups"][0]["Tasks"][0]["RestartPolicy"]["Attempts"] = json!(3);
        }
        namespace.must("PUT", "/v1/jobs", Some(&json!({ "Job": job })));
        let found = finding(&world, "vault-runner");
        assert_eq!(found["standing"], "wrong", "{path}: {found}");
        assert!(found["evidence"].as_str().unwrap().contains(words), "{found}");
        assert_eq!(states(&world.operate("jobs apply --output json").data()), [("vault-runner", "updated")], "{path}");
        assert_eq!(finding(&world, "vault-runner")["standing"], "good", "{path}");
    }
}

#[test]
fn the_doctor_looks_at_the_sidecars_job_where_there_is_to_be_one() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = World::new(&api, &namespace.name);
    world.configure(&raw_exec(), "");
    assert_eq!(world.operate("jobs apply").code, Some(0));
    assert_eq!(finding(&world, "sidecar"), Value::Null);
    let sidecar = format!("[backends.nomad.sidecar]\n{}\n", raw_exec());
    world.configure(&raw_exec(), &sidecar);
    let found = finding(&world, "sidecar");
    // No action waits for it.
    assert_eq!(
        (&found["standing"], &found["evidence"]),
        (&"warning".into(), &"it is not registered".into()),
        "{found}"
    );
    assert!(found["fix"].as_str().unwrap().contains("dispatch jobs apply"), "{found}");
    assert_eq!(world.operate("jobs apply").code, Some(0));
    assert_eq!(finding(&world, "sidecar")["standing"], "good");
    world.configure(&raw_exec(), &sidecar.replace("memory = 64", "memory = 96"));
    assert_eq!(finding(&world, "sidecar")["standing"], "warning");
}

#[test]
fn both_shipped_files_pass_nomads_own_validation_with_each_driver() {
    let testbed = Testbed::get();
    let api = testbed.nomad();
    for file in ["vault-runner", "sidecar"] {
        for driver in ["docker", "exec", "raw_exec"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("jobs/{file}.hcl"));
            let mut command = Command::new(testbed.variable("TESTBED_NOMAD"));
            command
                .args(["job", "validate", "-var", &format!("driver={driver}"), "-var", "namespace=default"])
                .arg(path);
            command.env_clear().env("NOMAD_ADDR", &api.address).env("NOMAD_TOKEN", &api.token);
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success() && said.contains("Job validation successful"), "{file}, {driver}: {said}");
        }
    }
}
