//! The shared servers answer and keep tests apart; a test's own server is its own.

use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use super::{SOON, job};
use crate::testbed::{Permission, Testbed, eventually, is_alive, processes_naming};

#[test]
fn nomad_answers_and_its_node_has_the_drivers() {
    let nodes = Testbed::get().nomad().must("GET", "/v1/nodes", None);
    for driver in ["raw_exec", "docker"] {
        assert_eq!(nodes[0]["Drivers"][driver]["Healthy"], json!(true), "{driver}: {nodes}");
    }
}

#[test]
fn nomad_refuses_who_brings_no_token() {
    let nomad = Testbed::get().nomad();
    let nobody = crate::testbed::Api::nomad(&nomad.address, "");
    assert_eq!(nobody.ask("GET", "/v1/jobs", None).status, 403);
}

#[test]
fn a_job_in_one_namespace_is_not_seen_in_another_and_goes_with_it() {
    let (mine, other) = (Testbed::get().namespace(), Testbed::get().namespace());
    mine.must("POST", "/v1/jobs", Some(&job("sleeper", "/bin/sleep", &["1000"])));
    assert_eq!(mine.must("GET", "/v1/jobs", None).as_array().unwrap().len(), 1);
    assert_eq!(other.must("GET", "/v1/jobs", None), json!([]));
    let running = eventually("the job runs", SOON, || {
        let allocations = mine.must("GET", "/v1/job/sleeper/allocations", None);
        (allocations[0]["ClientStatus"] == json!("running")).then(|| allocations[0]["ID"].as_str().unwrap().to_owned())
    });
    let name = mine.name.clone();
    drop(mine);
    let nomad = Testbed::get().nomad();
    assert_eq!(nomad.ask("GET", &format!("/v1/namespace/{name}"), None).status, 404);
    let folder = Testbed::get().folder().join("nomad/data/alloc").join(running);
    eventually("its task has ended", SOON, || processes_naming(&folder).is_empty().then_some(()));
}

#[test]
fn vault_keeps_secrets_and_writes_down_who_read_them() {
    let (vault, prefix) = (Testbed::get().vault(), Testbed::vault_prefix());
    let path = format!("/v1/kv/data/{prefix}/token");
    vault.must("POST", &path, Some(&json!({ "data": { "value": "v" } })));
    assert_eq!(vault.must("GET", &path, None)["data"]["data"]["value"], json!("v"));
    let accessor =
        vault.must("GET", "/v1/auth/token/lookup-self", None)["data"]["accessor"].as_str().unwrap().to_owned();
    let audit = std::fs::read_to_string(Testbed::get().variable("TESTBED_VAULT_AUDIT")).unwrap();
    assert!(audit.lines().any(|line| line.contains(&prefix) && line.contains(&accessor)), "the accessor is legible");
}

#[test]
fn a_repository_has_users_who_may_do_what_they_were_given() {
    let repository = Testbed::get().repository();
    let reader = repository.user("reader", Permission::Read, &["read:repository"]);
    let writer = repository.user("writer", Permission::Write, &["write:repository"]);
    let file = json!({ "content": "aGVsbG8=", "message": "a file", "branch": "main" });
    let path = repository.path("/contents/hello");
    assert_eq!(reader.api.ask("POST", &path, Some(&file)).status, 403);
    assert_eq!(writer.api.ask("POST", &path, Some(&file)).status, 201);
    assert_eq!(reader.api.must("GET", &path, None)["content"], json!("aGVsbG8="));
}

#[test]
fn the_docker_engine_runs_bash_in_the_base_image() {
    let mut docker = Command::new("docker");
    docker.env("DOCKER_HOST", Testbed::get().variable("DOCKER_HOST"));
    docker.args(["run", "--rm", "dispatch-testbed-base:testbed", "bash", "-c", "echo $((6 * 7))"]);
    let output = docker.output().expect("docker");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "42\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn sshd_lets_its_user_in_with_the_key_and_nobody_without() {
    let testbed = Testbed::get();
    let login = |key: &str| {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o"]);
        ssh.arg(format!("UserKnownHostsFile={}", testbed.variable("TESTBED_SSHD_KNOWN_HOSTS")));
        ssh.args(["-i", key, "-p", testbed.variable("TESTBED_SSHD_PORT"), "-l", testbed.variable("TESTBED_SSHD_USER")]);
        ssh.env_remove("SSH_AUTH_SOCK").args(["127.0.0.1", "echo in"]).output().expect("ssh")
    };
    let welcome = login(testbed.variable("TESTBED_SSHD_KEY"));
    assert_eq!(String::from_utf8_lossy(&welcome.stdout), "in\n", "{}", String::from_utf8_lossy(&welcome.stderr));
    let host_key = testbed.folder().join("sshd/host_key");
    assert_eq!(login(host_key.to_str().unwrap()).status.code(), Some(255));
}

#[test]
fn a_private_nomad_survives_kill_9_with_its_data_and_ends_at_drop_with_its_tasks() {
    let mut nomad = Testbed::get().private_nomad(&[]);
    nomad.api().must("POST", "/v1/jobs", Some(&job("sleeper", "/usr/bin/env", &["-i", "sleep", "1000"])));
    eventually("the job runs", SOON, || {
        let allocations = nomad.api().must("GET", "/v1/job/sleeper/allocations", None);
        (allocations[0]["ClientStatus"] == json!("running")).then_some(())
    });
    let address = nomad.api().address;
    nomad.end(Signal::KILL);
    nomad.start_again(&[]);
    assert_eq!(nomad.api().address, address);
    assert_eq!(nomad.api().must("GET", "/v1/jobs", None)[0]["ID"], json!("sleeper"));
    let (pid, folder) = (nomad.pid(), nomad.folder.clone());
    drop(nomad);
    assert!(!is_alive(pid) && !folder.exists());
    assert_eq!(processes_naming(&folder), Vec::<i32>::new());
}

#[test]
fn a_private_nomad_takes_its_containers_with_it() {
    let nomad = Testbed::get().private_nomad(&[]);
    let config = json!({ "image": "dispatch-testbed-base:testbed", "network_mode": "none", "command": "sleep", "args": ["1000"] });
    let task = json!({ "Name": "task", "Driver": "docker", "Config": config });
    let groups = json!([{ "Name": "group", "Tasks": [task] }]);
    nomad.api().must(
        "POST",
        "/v1/jobs",
        Some(&json!({ "Job": { "ID": "box", "Type": "batch", "TaskGroups": groups } })),
    );
    let id = eventually("the container runs", SOON, || {
        let allocations = nomad.api().must("GET", "/v1/job/box/allocations", None);
        (allocations[0]["ClientStatus"] == json!("running")).then(|| allocations[0]["ID"].as_str().unwrap().to_owned())
    });
    let containers = || {
        let mut docker = Command::new("docker");
        docker.env("DOCKER_HOST", Testbed::get().variable("DOCKER_HOST")).args([
            "ps",
            "--all",
            "--format",
            "{{.Names}}",
        ]);
        String::from_utf8(docker.output().expect("docker").stdout).unwrap()
    };
    assert!(containers().contains(&id));
    drop(nomad);
    assert!(!containers().contains(&id));
}

#[test]
fn a_client_of_its_own_joins_a_private_nomad_server() {
    let server = Testbed::get().private_nomad(&["--no-client"]);
    let client = Testbed::get().private_nomad(&["--server-of", server.folder.to_str().unwrap()]);
    assert_eq!(client.api().address, server.api().address);
    let nodes = server.api().must("GET", "/v1/nodes", None);
    assert_eq!(nodes[0]["Status"], json!("ready"));
    assert_eq!(nodes.as_array().unwrap().len(), 1);
}

#[test]
fn a_private_vault_can_be_killed_sealed_and_started_again() {
    let mut vault = Testbed::get().private_vault(&["--durable"]);
    vault.api().must("POST", "/v1/kv/data/a", Some(&json!({ "data": { "b": "c" } })));
    vault.end(Signal::KILL);
    vault.start_again(&["--sealed"]);
    assert_eq!(vault.api().ask("GET", "/v1/kv/data/a", None).status, 503);
    let key = json!({ "key": vault.variable("TESTBED_UNSEAL_KEY") });
    vault.api().must("PUT", "/v1/sys/unseal", Some(&key));
    assert_eq!(vault.api().must("GET", "/v1/kv/data/a", None)["data"]["data"]["b"], json!("c"));
    let pid = vault.pid();
    drop(vault);
    assert!(!is_alive(pid));
}
