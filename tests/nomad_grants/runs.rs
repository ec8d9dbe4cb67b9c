//! Exactly the secrets that were named, with each way of running.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::bed::{Bed, SIX, docker, raw_exec};
use crate::fault_proxy::FaultProxy;

#[test]
fn as_a_process_of_a_nomad_client_a_run_has_exactly_the_secrets_it_names() {
    exactly_the_named(&Bed::nomad(&raw_exec()));
}

#[test]
fn in_a_container_of_nomad_a_run_has_exactly_the_secrets_it_names() {
    let bed = Bed::nomad(&docker());
    // Where runs are, Vault has another address than where the dispatcher is.
    let there = FaultProxy::start(&bed.world.vault.address);
    bed.world.configure(&bed.world.vault.address, &format!("runner_address = '{}'\n", there.url()));
    exactly_the_named(&bed);
    assert_eq!(there.seen("POST /v1/sys/wrapping/unwrap*").len(), 4);
    assert_eq!(there.seen("POST /v1/auth/token/*"), [""; 0], "the dispatcher does not come that way");
}

#[test]
fn beside_the_dispatcher_a_run_has_exactly_the_secrets_it_names() {
    exactly_the_named(&Bed::local());
}

/// Nothing, one, two and six, at the same time.
pub(crate) fn exactly_the_named(bed: &Bed) {
    let world = &bed.world;
    let cases: [(&str, &[&str]); 4] = [("none", &[]), ("one", &["B"]), ("two", &["A", "C"]), ("six", &SIX)];
    for (id, names) in cases {
        world.action(id, "report", names);
    }
    world.publish();
    let running = world.serve();
    for (id, names) in cases {
        bed.wait_until_begun(id);
        let record = world.grants(&format!("{id}@1"))[0].clone();
        let wrapping = record["wrapping"]["accessor"].as_str().unwrap();
        assert!(!world.lives(wrapping), "{id}: it was opened");
        match record["wrapping"]["wrapped"].as_str() {
            Some(token) => assert_eq!(policies(bed, token), wanted(bed, names), "{id}"),
            None => assert!(names.is_empty(), "{id} has no token"),
        }
    }
    for (id, names) in cases {
        bed.let_go(id);
        let result = world.wait_for_result(id);
        assert_eq!(result["state"], "succeeded", "{id}: {result}\n{}", running.said());
        assert_eq!(bed.log(id), bed.expected_report(names), "{id}");
        world.wait_until_revoked(&format!("{id}@1"));
        assert_eq!(bed.gate.executions(id), 1);
    }
    drop(running);
    world.verify_journal();
}

/// What the server says that the token behind an accessor may.
fn policies(bed: &Bed, accessor: &str) -> BTreeSet<String> {
    let asked = json!({ "accessor": accessor });
    let found = bed.world.vault.must("POST", "/v1/auth/token/lookup-accessor", Some(&asked));
    assert_eq!(found["data"]["identity_policies"], Value::Null);
    found["data"]["policies"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

fn wanted(bed: &Bed, names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| format!("runner-{}", bed.world.secret(name).to_lowercase())).collect()
}
