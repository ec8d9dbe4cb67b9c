//! A Vault that is reached over TLS, by a CA that nobody else knows: the dispatcher is told of it, and so is the runner, in its envelope.

use std::fs;

use serde_json::Value;

use crate::bed::{Bed, payload, raw_exec};
use crate::testbed::Testbed;
use crate::world::World;

#[test]
fn dispatcher_and_runner_trust_a_ca_that_the_config_or_the_environment_names_and_no_other() {
    let server = Testbed::get().private_vault(&["--tls"]);
    let (address, ca) = (server.variable("TESTBED_VAULT_TLS"), server.variable("TESTBED_VAULT_CA"));
    let vault = World::at(server.api(), server.variable("TESTBED_VAULT_AUDIT").into());
    let bed = Bed::of(vault, &Testbed::get().nomad(), &raw_exec());
    let world = &bed.world;

    world.configure(address, "");
    let doctor = world.call("doctor", &[]).said;
    assert!(doctor.contains("UnknownIssuer"), "a server that cannot prove itself: {doctor}");
    let nobody = world.call("doctor", &[("VAULT_SKIP_VERIFY", "1")]).said;
    assert!(nobody.contains("VAULT_SKIP_VERIFY"), "{nobody}");

    world.configure(address, &format!("ca_cert = '{ca}'\n"));
    runs(&bed, "by-config", ca, &[]);
    world.configure(address, "");
    runs(&bed, "by-environment", ca, &[("VAULT_CACERT", ca)]);
}

/// A run whose runner reaches Vault over TLS; what it trusts is in its envelope.
fn runs(bed: &Bed, id: &str, ca: &str, environment: &[(&str, &str)]) {
    let world = &bed.world;
    let running = world.serve_with(environment);
    world.action(id, "report", &["A", "F"]);
    world.publish();
    bed.let_go(id);
    assert_eq!(world.wait_for_result(id)["state"], "succeeded", "{}", running.said());
    assert_eq!(world.call(&format!("logs {id}"), environment).said, bed.expected_report(&["A", "F"]));
    let envelope: Value = serde_json::from_slice(&payload(&bed.job(id))).unwrap();
    let wrapped = &envelope["handover"]["wrapped"];
    let ca = fs::read_to_string(ca).unwrap();
    assert!(wrapped["address"].as_str().unwrap().starts_with("https://") && wrapped["ca_pem"] == ca.as_str());
    world.wait_until_revoked(&format!("{id}@1"));
}
