//! What a run finds of the client: the mounts that its action names, and no other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use dispatch::runner::envelope::{Envelope, FormulaKind, Handover, Limits, PROTOCOL, Sealed};
use dispatch::support::ids::{BlobId, LaunchKey, sha256_hex};
use serde_json::{Value, json};

use crate::serving::{Serving, docker, end, image};
use crate::testbed::{Api, PrivateServer, Testbed, eventually};
use crate::world::{World, raw_exec};

/// Says what there is of each mount, and tries to write into it.
const FORMULA: &str = r#"for name in SSH GPG; do
  variable=DISPATCH_MOUNT_$name
  place=${!variable:-none}
  echo "$name: $place $(cat "$place/key" 2> /dev/null)"
  ( : > "$place/new" ) 2> /dev/null && echo "$name was written"
done
ls /mnt
exit 0
"#;

/// A Nomad whose client has a host volume for each of `names`, a folder below `folder` that everybody may write to.
fn nomad_with(folder: &Path, names: &[&str]) -> PrivateServer {
    let volume = |name: &&str| {
        let path = folder.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(path.join("key"), format!("the key of {name}")).unwrap();
        format!("  host_volume \"{name}\" {{\n    path = \"{}\"\n  }}\n", path.display())
    };
    let config = folder.join("volumes.hcl");
    fs::write(&config, format!("client {{\n{}}}\n", names.iter().map(volume).collect::<String>())).unwrap();
    Testbed::get().private_nomad(&["--config", config.to_str().unwrap()])
}

fn logs(result: &Value) -> Vec<&str> {
    result["logs"].as_str().unwrap().lines().collect()
}

#[test]
fn a_run_has_the_mounts_that_its_action_names_read_only_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    // Others must be able to reach what is in it.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let nomad = nomad_with(folder.path(), &["runner-ssh", "runner-gpg"]);
    let world = World::new(&nomad.api(), "default");
    let mounts = "mounts = ['ssh', 'gpg']";
    world.configure(
        &format!("{}\n{mounts}", docker(&image())),
        "[limits]\nmax_concurrent = 10\n[mounts.ssh]\nnomad = 'runner-ssh'\n[mounts.gpg]\nnomad = 'runner-gpg'\n",
    );
    {
        let serving = Serving::start(&world);
        let actions = [
            ("plain", ""),
            ("ssh", "mounts = ['ssh']"),
            ("gpg", "mounts = ['gpg']"),
            ("both", "mounts = ['ssh', 'gpg']"),
        ];
        serving.land(FORMULA, &actions);
        let (ssh, gpg) = ("SSH: /mnt/ssh the key of runner-ssh", "GPG: /mnt/gpg the key of runner-gpg");
        let of = |id: &str| serving.result(id);
        let plain = of("plain");
        assert_eq!(end(&plain).0, "succeeded", "{plain:#}");
        // What `ls` complains of is of the other stream, and may come between.
        let lines: Vec<&str> = logs(&plain).into_iter().filter(|line| !line.starts_with("ls:")).collect();
        assert_eq!(lines, ["SSH: none ", "GPG: none "], "{plain:#}");
        assert!(!plain["logs"].as_str().unwrap().contains("ssh\n"), "nothing is below /mnt: {plain:#}");
        assert_eq!(logs(&of("ssh")), [ssh, "GPG: none ", "ssh"]);
        assert_eq!(logs(&of("gpg")), ["SSH: none ", gpg, "gpg"]);
        // The set is not among those that the config lets Nomad have.
        let both = of("both");
        assert_eq!(end(&both), ("not_started", "launch_refused", None), "{both:#}");
        assert!(both["message"].as_str().unwrap().contains("backends.nomad.runner.mounts"), "{both:#}");
    }
    // Nothing is mounted: the formula is told where it lies, and of one that is not named it is not told.
    let place = |name: &str| folder.path().join(name).display().to_string();
    let keys = format!(
        "[mounts.ssh]\nnomad = 'runner-ssh'\nnomad_path = '{}'\n[mounts.gpg]\nnomad = 'runner-gpg'\nnomad_path = '{}'\n",
        place("runner-ssh"),
        place("runner-gpg")
    );
    world.configure(&format!("{}\n{mounts}", raw_exec()), &keys);
    let serving = Serving::start(&world);
    serving
        .land(&FORMULA.replace("ls /mnt\n", "").replace("( : >", "( false && : >"), &[("raw-ssh", "mounts = ['ssh']")]);
    let raw = serving.result("raw-ssh");
    let ssh = format!("SSH: {} the key of runner-ssh", place("runner-ssh"));
    assert_eq!(logs(&raw), [ssh.as_str(), "GPG: none "], "{raw:#}");
}

/// An envelope for `script`, as it travels.
fn envelope(script: &str) -> String {
    let seal = |text: &str| Sealed { sha256: sha256_hex(text.as_bytes()), bytes: text.as_bytes().to_vec() };
    let blob = BlobId::try_from("0".repeat(40)).unwrap();
    let envelope = Envelope {
        protocol: PROTOCOL,
        run: "issue-7@1".parse().unwrap(),
        key: LaunchKey::of_action(&"issue-7".parse().unwrap(), &blob, 1),
        slot: 0,
        action: seal("id = \"issue-7\"\n"),
        formula: "reproduce".parse().unwrap(),
        kind: FormulaKind::Mechanical,
        script: seal(script),
        context_files: [].into(),
        params: [].into(),
        mounts: [].into(),
        environment: [].into(),
        handover: Handover::Values([].into()),
        limits: Limits { timeout_seconds: 100, grace_seconds: 1 },
        working_directory: None,
        traceparent: None,
    };
    base64::engine::general_purpose::STANDARD.encode(&*envelope.to_handover().unwrap())
}

/// The allocation of `child`, once it is over.
fn over(api: &Api, child: &str) -> Value {
    eventually("the sidecar to be over", crate::child::BOUND, || {
        let all = api.must("GET", &format!("/v1/job/{child}/allocations"), None);
        let one = all.as_array().unwrap().first()?.clone();
        ["complete", "failed"].contains(&one["ClientStatus"].as_str().unwrap()).then_some(one)
    })
}

#[test]
fn a_sidecar_reads_the_ops_repo_and_writes_to_its_cache_and_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let names = ["ops-repo", "project-repos", "agent-data"];
    let nomad = nomad_with(folder.path(), &names);
    let (api, world) = (nomad.api(), World::new(&nomad.api(), "default"));
    let sidecar = docker(&image());
    world.configure(&raw_exec(), &format!("[backends.nomad.sidecar]\n{sidecar}\n"));
    let applied = world.operate("jobs apply");
    assert_eq!(applied.code, Some(0), "{}", applied.all());

    let script = "for name in ops-repo project-repos agent-data; do echo \"$(cat /mnt/$name/key)\"\n\
                  ( echo seen > /mnt/$name/seen ) 2> /dev/null && echo written; done\nid -u\n";
    let meta = json!({ "run_id": "issue-7@1", "issue_number": "7", "formula": "reproduce", "project_toml": "projects/a.toml" });
    let body = json!({ "Meta": meta, "Payload": envelope(script) });
    let dispatched = api.must("PUT", "/v1/job/sidecar/dispatch", Some(&body));
    let allocation = over(&api, dispatched["DispatchedJobID"].as_str().unwrap());
    assert_eq!(allocation["ClientStatus"], "complete", "{allocation:#}");
    let id = allocation["ID"].as_str().unwrap();
    let log = api.ask("GET", &format!("/v1/client/fs/logs/{id}?task=runner&type=stdout&plain=true"), None).text;
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<&str> = events.iter().filter_map(|event| event["text"].as_str()).collect();
    let key = |name: &str| format!("the key of {name}");
    let expected = [key(names[0]), key(names[1]), "written".into(), key(names[2]), "written".into(), "10001".into()];
    assert_eq!(lines, expected, "{log}");
    let seen = |name: &&str| folder.path().join(name).join("seen").exists();
    assert_eq!(names.iter().filter(|name| seen(name)).collect::<Vec<_>>(), [&"project-repos", &"agent-data"]);
}
