//! From an action in the ops repo to its result, under each driver that ships, with a mount.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::testbed::{PrivateServer, Testbed};
use crate::world::{World, raw_exec};

/// Says what it was given, tries to write where it must not, and exits with 3.
const LOOK: &str = "echo key: $(cat $DISPATCH_MOUNT_SSH/key)\n( : > $DISPATCH_MOUNT_SSH/new ) 2>/dev/null && echo mount written\n\
    ( : > /new ) 2>/dev/null && echo root written\necho user: $(id -u)\nexit 3\n";

/// A Nomad whose client has the host volume `runner-ssh` at `folder`.
fn nomad_with_volume(folder: &Path) -> PrivateServer {
    let text = format!(
        "client {{\n  host_volume \"runner-ssh\" {{\n    path = \"{}\"\n    read_only = true\n  }}\n}}\n",
        folder.display()
    );
    let config = folder.with_extension("hcl");
    fs::write(&config, text).unwrap();
    Testbed::get().private_nomad(&["--config", config.to_str().unwrap()])
}

/// Registers the jobs, runs the action once, and answers its result and its log.
fn run(world: &World, id: &str) -> (Value, String) {
    let applied = world.operate("jobs apply");
    assert_eq!(applied.code, Some(0), "{}", applied.all());
    world.ops.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    world.ops.write("formulas/look.sh", LOOK);
    let text = format!("id = \"{id}\"\nformula = \"look\"\ncontext = \"x\"\nsecrets = []\nmounts = [\"ssh\"]\n");
    world.ops.write(&format!("vault/actions/{id}.toml"), &text);
    world.ops.commit(id);
    world.ops.push();
    let once = world.call("once");
    let path = format!("main:vault/actions/{id}.result.json");
    let result = world.ops.remote_git(&["show", &path]);
    let result = serde_json::from_str(&result).unwrap_or_else(|error| panic!("{error}: {}", once.all()));
    (result, world.call(&format!("logs {id}")).stdout)
}

#[test]
fn an_action_runs_in_a_container_without_rights_and_as_a_process_of_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("key"), "k1").unwrap();
    let nomad = nomad_with_volume(&keys);
    let world = World::new(&nomad.api(), "default");

    let (image, docker) = ("dispatch-runner:tested", Testbed::get().variable("DOCKER_HOST"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/build-image");
    let arguments = ["--offline", "--tag", image, "--binary", env!("CARGO_BIN_EXE_dispatch")];
    let built = Command::new(script).args(arguments).env("DOCKER_HOST", docker).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let runner = format!("image = '{image}'\ncpu = 20\nmemory = 128\nmounts = ['ssh']");
    world.configure(&runner, "[mounts.ssh]\nnomad = 'runner-ssh'\n");
    let (result, log) = run(&world, "in-docker");
    assert_eq!((&result["state"], &result["exit"]), (&"failed".into(), &3.into()), "{result}\n{log}");
    assert_eq!(log, "key: k1\nuser: 10001\n", "it writes neither to its mount nor to its root");
    let job = result["job"]["id"].as_str().unwrap();
    assert!(job.starts_with("vault-runner-ssh/dispatch-"), "{result}");
    assert!(!result["job"]["allocation"].is_null() && !result["job"]["node"].is_null(), "{result}");

    let mounts = format!("[mounts.ssh]\nnomad = 'runner-ssh'\nnomad_path = '{}'\n", keys.display());
    world.configure(&format!("{}\nmounts = ['ssh']", raw_exec()), &mounts);
    let (result, log) = run(&world, "on-the-client");
    assert_eq!(result["exit"], 3, "{result}\n{log}");
    assert!(log.starts_with("key: k1\n"), "{log}");
}
