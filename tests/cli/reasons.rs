//! Reasons as a person finds them: in the result that is committed for an action, with the state beside it.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::ops_world::{OpsWorld, action};
use crate::serving::Serving;

/// The result of `id` as it stands in the ops repo.
fn result(world: &OpsWorld, id: &str) -> Value {
    let text = world.ops.remote_git(&["show", &format!("main:vault/actions/{id}.result.json")]);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn each_refusal_has_its_state_and_reason_in_the_result() {
    let world = OpsWorld::new(
        "working_directories = ['/srv/allowed']\nbackends.allow = ['local']\nmounts.ssh.local = '/tmp'\n",
    );
    world.ops.write("formulas/bare.sh", "true\n");
    world.ops.write("formulas/bare.meta.toml", "mounts = []\n");
    world.ops.write("formulas/fails.sh", "exit 1\n");
    world.ops.write("formulas/agent.toml", "prompt = \"do it\"\n");
    let tiers = ["echo", "bare", "fails", "agent"].map(|name| format!("{name} = \"low\"\n")).concat();
    world.ops.write("vault/policy.toml", &format!("[tiers]\n{tiers}"));
    world.ops.signed_commit("more formulas", &world.alice);
    let cases = [
        ("a-agent", "agent", "", "rejected", "formula_unsupported"),
        ("a-mount", "echo", "mounts = ['nowhere']\n", "rejected", "mount_unknown"),
        ("a-beyond", "bare", "mounts = ['ssh']\n", "rejected", "mount_beyond_formula"),
        ("a-backend", "echo", "backend = 'nomad'\n", "rejected", "backend_not_allowed"),
        ("a-directory", "echo", "working_directory = '/srv'\n", "rejected", "working_directory_not_allowed"),
        ("a-fails", "fails", "", "failed", "exit_nonzero"),
        ("a-behind", "echo", "depends_on = ['a-fails']\n", "rejected", "dependency_failed"),
    ];
    for (id, formula, more, ..) in cases {
        world.ops.write(&format!("vault/actions/{id}.toml"), &action(id, formula, more));
    }
    world.ops.commit("all of them");
    world.ops.push();
    assert_eq!(world.call("once").code, Some(1));
    for (id, _, _, state, reason) in cases {
        let result = result(&world, id);
        assert_eq!((&result["state"], &result["reason"]), (&state.into(), &reason.into()), "{id}: {result}");
    }
}

#[test]
fn an_executable_file_is_an_action_and_a_link_and_a_submodule_are_none() {
    let world = OpsWorld::new("");
    let place = |name: &str| world.ops.work().join("vault/actions").join(name);
    world.ops.write("vault/actions/a-program.toml", &action("a-program", "echo", ""));
    std::fs::set_permissions(place("a-program.toml"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("a-program.toml", place("a-link.toml")).unwrap();
    world.ops.git(&["add", "--all"]);
    let commit = world.ops.head().to_string();
    let entry = format!("160000,{commit},vault/actions/a-submodule.toml");
    world.ops.git(&["update-index", "--add", "--cacheinfo", &entry]);
    world.ops.git(&["commit", "--quiet", "-m", "three kinds of entries"]);
    world.ops.push();
    let modes = world.ops.remote_git(&["ls-tree", "main", "vault/actions/"]);
    for mode in ["100755 blob", "120000 blob", "160000 commit"] {
        assert!(modes.contains(mode), "{modes}");
    }
    assert_eq!(world.call("once").code, Some(3));
    for (id, state, reason) in [
        ("a-program", "succeeded", "succeeded"),
        ("a-link", "rejected", "not_a_plain_file"),
        ("a-submodule", "rejected", "not_a_plain_file"),
    ] {
        let result = result(&world, id);
        assert_eq!((&result["state"], &result["reason"]), (&state.into(), &reason.into()), "{id}: {result}");
    }
}

#[test]
fn what_is_removed_before_its_launch_is_cancelled_and_says_so() {
    let serving = Serving::new();
    serving.configure("limits.max_concurrent = 1\n");
    serving.action("hold-1", "hold", "");
    serving.action("hold-2", "hold", "");
    serving.publish();
    let running = serving.serve();
    serving.wait_until_it_waits_for("hold-2@1", "queue_full");
    std::fs::remove_file(serving.ops.work().join("vault/actions/hold-2.toml")).unwrap();
    serving.publish();
    let result = serving.wait_for_result("hold-2");
    let found = (&result["state"], &result["reason"]);
    assert_eq!(found, (&"cancelled".into(), &"removed_before_launch".into()), "{result}");
    assert!(!serving.begun("hold-2"));
    serving.open_gate("hold-1");
    serving.wait_for_result("hold-1");
    running.signal(Signal::TERM);
    assert_eq!(running.end().status.code(), Some(0));
}
