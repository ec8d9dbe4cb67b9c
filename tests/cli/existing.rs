//! An ops repo as they are today, taken as it is: no field that this dispatcher added, and tools that read the four fields
//! results have always had.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use dispatch::grant::{generate_identity, seal_for};
use secrecy::ExposeSecret as _;

use crate::ops_world::OpsWorld;

const CONFIG: &str = "
secrets.allow = ['CLAWHUB_TOKEN', 'GITHUB_TOKEN']
secrets.file = { directory = 'secrets', identity = 'age.key' }
mounts.ssh.local = 'ssh'
";

fn world() -> OpsWorld {
    let world = OpsWorld::new(CONFIG);
    let identity = generate_identity();
    let key = world.world.path("age.key");
    fs::write(&key, identity.file.expose_secret()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for (folder, name, content) in [("ssh", "id_ed25519", "a key"), ("ssh", "known_hosts", "a host")] {
        fs::create_dir_all(world.world.path(folder)).unwrap();
        fs::write(world.world.path(folder).join(name), content).unwrap();
    }
    fs::create_dir_all(world.world.path("secrets")).unwrap();
    for name in ["CLAWHUB_TOKEN", "GITHUB_TOKEN"] {
        let sealed = seal_for(&identity.recipient, format!("value-of-{name}\n").as_bytes()).unwrap();
        fs::write(world.world.path("secrets").join(format!("{name}.enc")), sealed).unwrap();
    }
    world
}

#[test]
fn actions_of_today_run_and_results_keep_their_four_fields_first() {
    let world = world();
    let formula = "echo \"$1: ${#CLAWHUB_TOKEN} ${#GITHUB_TOKEN} $(ls \"${DISPATCH_MOUNT_SSH:-/dev/null/none}\" 2> /dev/null | tr '\\n' ' ')\"\n";
    world.ops.write("formulas/clawhub-publish.sh", formula);
    world.ops.write("vault/policy.toml", "[tiers]\n\"clawhub-publish\" = \"low\"\n");
    world.ops.signed_commit("the formula", &world.alice);
    let plain = "# Bumped by hand\nid = \"publish-skill-20260331\"\nformula = \"clawhub-publish\"\n\
        context = \"SKILL.md bumped to 0.3.0 — größer, schneller\"\nsecrets = []\n";
    let full = "id = \"release-v1.2.0\"\nformula = \"clawhub-publish\"\ncontext = \"release\"\n\
        secrets = [\n  \"CLAWHUB_TOKEN\", # for the hub\n  \"GITHUB_TOKEN\",\n]\nmounts = [\"ssh\"]\n\
        model = \"sonnet\"\ntools = [\"playwright\"]\ntimeout_minutes = 30\n";
    world.ops.write("vault/actions/publish-skill-20260331.toml", plain);
    world.ops.write("vault/actions/release-v1.2.0.toml", full);
    world.ops.write("vault/actions/README.md", "people write here too");
    world.ops.commit("two requests");
    world.ops.push();

    let answer = world.call("once");
    assert_eq!(answer.code, Some(0), "{}", answer.all());

    world.ops.git(&["pull", "--quiet", "origin", "main"]);
    let logs = BTreeMap::from([
        ("publish-skill-20260331", "publish-skill-20260331: 0 0 \n"),
        ("release-v1.2.0", "release-v1.2.0: 22 21 id_ed25519 known_hosts \n"),
    ]);
    for (id, log) in logs {
        let path = world.ops.work().join(format!("vault/actions/{id}.result.json"));
        let text = fs::read_to_string(path).unwrap();
        let keys: Vec<&str> = text.lines().skip(1).filter_map(|line| line.trim().split('"').nth(1)).take(4).collect();
        assert_eq!(keys, ["id", "exit_code", "timestamp", "logs"], "{text}");
        let result: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&result["id"], &result["exit_code"], &result["logs"]), (&id.into(), &0.into(), &log.into()));
        let timestamp = result["timestamp"].as_str().unwrap();
        assert!(timestamp.parse::<jiff::Timestamp>().is_ok() && timestamp.ends_with('Z') && timestamp.len() == 20);
    }
}
