//! Somebody who may read jobs takes the wrapping out of a payload while its run waits for a client: the run ends before its formula, and
//! says why; what was stolen is dead. Who comes second, with a copy of the payload or as a second execution, gets nothing.

use std::fs;

use serde_json::{Value, json};

use crate::bed::{Bed, escaped, payload, raw_exec};
use crate::child::until;
use crate::testbed::{Api, PrivateServer, Testbed};

/// The wrapping token of a run, as its job shows it.
fn wrapping_token(bed: &Bed, id: &str) -> String {
    let envelope: Value = serde_json::from_slice(&payload(&bed.job(id))).unwrap();
    envelope["handover"]["wrapped"]["token"].as_str().unwrap().to_owned()
}

/// Whether clients take runs.
fn let_clients_work(nomad: &PrivateServer, may: bool) {
    for node in nomad.api().must("GET", "/v1/nodes", None).as_array().unwrap() {
        let id = node["ID"].as_str().unwrap();
        let eligibility = if may { "eligible" } else { "ineligible" };
        let body = json!({ "NodeID": id, "Eligibility": eligibility });
        nomad.api().must("PUT", &format!("/v1/node/{id}/eligibility"), Some(&body));
    }
}

/// What a thief does with a wrapping token; the answer is the token that came out, where one did.
fn steal(vault: &Api, wrapping: &str, how: &str) -> Option<String> {
    let thief = Api::vault(&vault.address, wrapping);
    match how {
        // Whoever may wrap anew: the thief of our test is an administrator.
        "rewraps" => {
            let again = vault.must("POST", "/v1/sys/wrapping/rewrap", Some(&json!({ "token": wrapping })));
            let again = Api::vault(&vault.address, again["wrap_info"]["token"].as_str().unwrap());
            Some(text(&again.must("POST", "/v1/sys/wrapping/unwrap", None)["auth"]["client_token"]))
        }
        "cubbyhole" => {
            let inside = text(&thief.must("GET", "/v1/cubbyhole/response", None)["data"]["response"]);
            Some(text(&serde_json::from_str::<Value>(&inside).unwrap()["auth"]["client_token"]))
        }
        "looks" => {
            vault.must("POST", "/v1/sys/wrapping/lookup", Some(&json!({ "token": wrapping })));
            None
        }
        _ => {
            let opened = thief.must("POST", "/v1/sys/wrapping/unwrap", None);
            opened["auth"]["client_token"].as_str().map(str::to_owned)
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[test]
fn a_payload_that_was_read_while_its_run_waited_for_a_client_is_worth_an_alarm_and_nothing_else() {
    let nomad = Testbed::get().private_nomad(&[]);
    let bed = Bed::at(&nomad.api(), &raw_exec());
    let world = &bed.world;
    let_clients_work(&nomad, false);
    let running = world.serve();
    let thefts = ["unwraps", "cubbyhole", "rewraps"];
    for id in thefts.into_iter().chain(["looks"]) {
        world.action(id, "report", &["A"]);
    }
    world.publish();
    let stolen = thefts.map(|id| steal(&world.vault, &wrapping_token(&bed, id), id).unwrap());
    steal(&world.vault, &wrapping_token(&bed, "looks"), "looks");
    for token in &stolen {
        let thief = Api::vault(&world.vault.address, token);
        let path = format!("/v1/kv/data/disinto/runner/{}", world.secret("A"));
        assert_eq!(thief.ask("GET", &path, None).status, 200, "until it is noticed, the thief reads: that is the risk");
    }

    let_clients_work(&nomad, true);
    for id in thefts {
        let result = world.wait_for_result(id);
        assert_eq!((&result["state"], &result["reason"]), (&json!("failed"), &json!("grant_intercepted")), "{result}");
        assert_eq!(result["exit"], 67, "the runner itself saw it: {result}");
        world.wait_until_revoked(&format!("{id}@1"));
        world.wait_until_not_owed(&format!("{id}@1"));
        assert_eq!(bed.gate.executions(id), 0, "{id} began");
    }
    bed.let_go("looks");
    assert_eq!(world.wait_for_result("looks")["state"], "succeeded", "a look opens nothing");
    for token in &stolen {
        let thief = Api::vault(&world.vault.address, token);
        let path = format!("/v1/kv/data/disinto/runner/{}", world.secret("A"));
        assert_eq!(thief.ask("GET", &path, None).status, 403, "what was stolen is dead");
    }
    assert_eq!(world.alarms("grant_intercepted"), 3);
    assert!(running.said().contains("grant_intercepted"), "{}", running.said());

    // A run without secrets has a nonce for a fence; it opens once as well, whoever wraps its content anew.
    let_clients_work(&nomad, false);
    world.action("nonce", "report", &[]);
    world.publish();
    let thief = Api::vault(&world.vault.address, &wrapping_token(&bed, "nonce"));
    let nonce = thief.must("POST", "/v1/sys/wrapping/unwrap", None)["data"].clone();
    assert!(nonce["nonce"].is_string(), "{nonce}");
    let_clients_work(&nomad, true);
    let result = world.wait_for_result("nonce");
    assert_eq!((&result["reason"], bed.gate.executions("nonce")), (&json!("grant_intercepted"), 0), "{result}");
    assert_eq!(world.alarms("grant_intercepted"), 4);
    drop(running);
    world.verify_journal();
}

#[test]
fn a_copy_of_a_payload_that_is_dispatched_again_gets_nothing() {
    let bed = Bed::nomad(&raw_exec());
    let world = &bed.world;
    let running = world.serve();
    world.action("first", "report", &["A"]);
    world.action("bare", "report", &[]);
    world.publish();
    for id in ["first", "bare"] {
        bed.wait_until_begun(id);
        let job = bed.job(id);
        let copy = json!({ "Payload": job["Payload"], "Meta": { "run_id": format!("{id}@1") } });
        let made = bed.nomad_namespace().must("PUT", "/v1/job/vault-runner/dispatch", Some(&copy));
        let path = format!("/v1/job/{}/allocations", escaped(made["DispatchedJobID"].as_str().unwrap()));
        let code = until("the copy to end", || {
            let all = bed.nomad_namespace().must("GET", &path, None);
            let events = all[0]["TaskStates"]["runner"]["Events"].as_array()?.clone();
            events.iter().find(|event| event["Type"] == "Terminated")?["ExitCode"].as_i64()
        });
        assert_eq!(code, 67, "the wrapping was spent before");
        bed.let_go(id);
        assert_eq!(world.wait_for_result(id)["state"], "succeeded", "{}", running.said());
        assert_eq!((bed.gate.executions(id), world.alarms("grant_intercepted")), (1, 0));
    }
}

#[test]
fn a_second_allocation_of_a_run_that_opened_its_grant_is_no_thief() {
    let nomad = Testbed::get().private_nomad(&[]);
    let bed = Bed::at(&nomad.api(), &raw_exec());
    let world = &bed.world;
    let running = world.serve();
    world.action("twice", "report", &["A"]);
    world.publish();
    bed.wait_until_begun("twice");
    let job = bed.job("twice");
    let first = text(&bed.allocations(&job)[0]["ID"]);
    // As if the second one came to another client: there neither the marker of the first nor its directory is.
    let allocation = nomad.folder.join(format!("data/alloc/{first}"));
    fs::remove_file(allocation.join("alloc/data/fence")).unwrap();
    fs::remove_dir_all(allocation.join("runner/local/run")).unwrap();
    bed.nomad_namespace().must("PUT", &format!("/v1/allocation/{first}/stop"), Some(&json!({})));
    let result = world.wait_for_result("twice");
    let second = bed.allocations(&job).last().unwrap().clone();
    let events = second["TaskStates"]["runner"]["Events"].to_string();
    assert!(text(&second["ID"]) != first && events.contains("\"ExitCode\":67"), "{events}");
    assert_eq!((&result["state"], &result["reason"]), (&json!("cancelled"), &json!("stopped_in_nomad")), "{result}");
    assert_eq!((bed.gate.executions("twice"), world.alarms("grant_intercepted")), (1, 0), "{}", running.said());
    world.wait_until_revoked("twice@1");
}
