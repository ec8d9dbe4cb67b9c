//! Payloads that are encrypted to a key of the clients: who may read jobs sees not even the wrapping.

use std::fs;
use std::path::Path;

use dispatch::support::seal::generate_identity;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::bed::{Bed, docker, payload, raw_exec, value};
use crate::search::Search;
use crate::testbed::Testbed;

/// What the formula's environment begins with, the identity, and what lies in the config for it.
fn sealed(runner: &str, recipient: &str, identity: &Path, volume: &str) -> String {
    let identity = identity.display();
    format!("{runner}\n[backends.nomad.seal]\nrecipient = '{recipient}'\nidentity = '{identity}'\n{volume}\n")
}

#[test]
fn a_payload_that_is_sealed_shows_neither_wrapping_nor_action_and_opens_with_its_identity_alone() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("runner.key");
    let made = generate_identity();
    fs::write(&key, made.file.expose_secret()).unwrap();
    let bed = Bed::nomad(&sealed(&raw_exec(), &made.recipient, &key, ""));
    let world = &bed.world;
    let running = world.serve();
    world.action("sealed", "report", &["A", "B"]);
    world.publish();
    bed.wait_until_begun("sealed");
    let payload = payload(&bed.job("sealed"));
    assert!(payload.starts_with(b"age-encryption.org/v1\n"));
    let record = world.grants("sealed@1")[0].clone();
    let told = [
        record["wrapping"]["wrapped"].as_str().unwrap(),
        record["wrapping"]["creation_time"].as_str().unwrap(),
        "auth/token/create/runner",
        "disinto/runner/",
        "protocol",
        "hvs.CAES",
    ];
    for values in [told.map(str::to_owned).to_vec(), ["A", "B"].map(|name| value(world, name)).to_vec()] {
        assert!(!Search::of(&values).is_in(&payload), "one of {values:?} is in the payload");
    }
    bed.let_go("sealed");
    assert_eq!(world.wait_for_result("sealed")["state"], "succeeded", "{}", running.said());
    assert_eq!(bed.log("sealed"), bed.expected_report(&["A", "B"]));

    fs::write(&key, generate_identity().file.expose_secret()).unwrap();
    world.action("another-key", "report", &["A"]);
    world.publish();
    refused(&bed, "another-key", "it is encrypted to another recipient than the configured identity");
    fs::remove_file(&key).unwrap();
    world.action("no-key", "report", &[]);
    world.publish();
    refused(&bed, "no-key", "the age identity");
}

/// The run did not begin, and says why; nobody took its grant.
fn refused(bed: &Bed, id: &str, words: &str) {
    let world = &bed.world;
    let result = world.wait_for_result(id);
    assert_eq!((&result["state"], &result["reason"]), (&json!("not_started"), &json!("bad_envelope")), "{result}");
    assert!(result["message"].as_str().unwrap().contains(words), "{result}");
    assert_eq!((bed.gate.executions(id), world.alarms("grant_intercepted")), (0, 0));
    world.wait_until_revoked(&format!("{id}@1"));
}

#[test]
fn in_a_container_the_identity_comes_from_a_volume_of_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::create_dir(&keys).unwrap();
    let made = generate_identity();
    fs::write(keys.join("runner.key"), made.file.expose_secret()).unwrap();
    let config = folder.path().join("volume.hcl");
    let text = format!(
        "client {{\n  host_volume \"runner-key\" {{\n    path = \"{}\"\n    read_only = true\n  }}\n}}\n",
        keys.display()
    );
    fs::write(&config, text).unwrap();
    let nomad = Testbed::get().private_nomad(&["--config", config.to_str().unwrap()]);
    let volume = "volume = 'runner-key'";
    let bed = Bed::at(&nomad.api(), &sealed(&docker(), &made.recipient, Path::new("/mnt/key/runner.key"), volume));
    let world = &bed.world;
    let running = world.serve();
    world.action("contained", "report", &["C"]);
    world.publish();
    bed.let_go("contained");
    assert_eq!(world.wait_for_result("contained")["state"], "succeeded", "{}", running.said());
    assert!(payload(&bed.job("contained")).starts_with(b"age-encryption.org/v1\n"));
    assert_eq!(bed.log("contained"), bed.expected_report(&["C"]));
}
