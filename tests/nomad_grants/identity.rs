//! Grants by the runs' own identities: the payload holds no token, the wrapping token is deposited for one allocation, and goes away
//! with its run.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use dispatch::runner::envelope::{Envelope, FormulaKind, Handover, Limits, PROTOCOL, Sealed, Secrets};
use dispatch::support::ids::{LaunchKey, sha256_hex};
use serde_json::{Value, json};

use crate::bed::{Bed, docker, escaped, payload, raw_exec};
use crate::child::until;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::runs::exactly_the_named;
use crate::testbed::{Answer, Api, Testbed};
use crate::world::World;

/// The folder of deposits, below `data/` or `metadata/`.
const FOLDER: &str = "disinto/handover";

/// What stands in the folder of deposits.
fn deposits(world: &World) -> Vec<String> {
    let found = world.vault.ask("LIST", &format!("/v1/kv/metadata/{FOLDER}"), None);
    let keys = found.json()["data"]["keys"].as_array().cloned().unwrap_or_default();
    keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

fn wait_until_cleared(world: &World) {
    until("all deposits to be removed", || deposits(world).is_empty().then_some(()));
}

/// The allocation of a run that has one.
fn allocation(bed: &Bed, id: &str) -> String {
    let job = bed.job(id);
    until(&format!("{id} to be placed"), || Some(bed.allocations(&job).first()?["ID"].as_str()?.to_owned()))
}

/// Who is on the client as root has it.
fn identity_file(allocation: &str) -> PathBuf {
    Testbed::get().folder().join(format!("nomad/data/alloc/{allocation}/runner/secrets/nomad_dispatch.jwt"))
}

fn log_in(vault: &Api, identity: &str) -> Answer {
    let body = json!({ "role": "dispatch-run", "jwt": identity });
    Api::vault(&vault.address, "").ask("POST", "/v1/auth/jwt-nomad/login", Some(&body))
}

fn read(vault: &Api, allocation: &str) -> Answer {
    vault.ask("GET", &format!("/v1/kv/data/{FOLDER}/{allocation}"), None)
}

#[test]
fn a_process_of_a_client_takes_exactly_its_secrets_by_its_identity() {
    let (_vault, bed) = Bed::with_identities(&Testbed::get().nomad(), &raw_exec());
    takes_its_own(&bed);
}

#[test]
fn a_container_takes_exactly_its_secrets_by_its_identity() {
    let (_vault, bed) = Bed::with_identities(&Testbed::get().nomad(), &docker());
    takes_its_own(&bed);
}

fn takes_its_own(bed: &Bed) {
    exactly_the_named(bed);
    for id in ["none", "one", "two", "six"] {
        let text = String::from_utf8(payload(&bed.job(id))).unwrap();
        let envelope: Value = serde_json::from_str(&text).unwrap();
        let wrapped = &envelope["handover"]["wrapped"];
        assert!(wrapped.get("token").is_none() && wrapped["deposit"]["role"] == "dispatch-run", "{wrapped}");
        assert!(!text.contains("hvs.") && !text.contains("hvb."), "{text}");
    }
    wait_until_cleared(&bed.world);
    // One for each run: what this delivery costs the server.
    let entities = bed.world.vault.must("LIST", "/v1/identity/entity/id", None);
    assert_eq!(entities["data"]["keys"].as_array().unwrap().len(), 4);
}

#[test]
fn what_is_deposited_for_a_run_is_read_by_its_own_identity_alone() {
    let nomad = Testbed::get().nomad();
    let (_vault, bed) = Bed::with_identities(&nomad, &raw_exec());
    let world = &bed.world;
    let running = world.serve();
    for id in ["mine", "other"] {
        world.action(id, "report", &["A"]);
    }
    world.publish();
    for id in ["mine", "other"] {
        bed.wait_until_begun(id);
    }
    let [mine, other] = ["mine", "other"].map(|id| allocation(&bed, id));
    let login = log_in(&world.vault, fs::read_to_string(identity_file(&mine)).unwrap().trim()).json();
    let session = Api::vault(&world.vault.address, login["auth"]["client_token"].as_str().unwrap());
    assert_eq!(login["auth"]["policies"], json!(["dispatch-handover"]));
    assert!(login["auth"]["token_type"] == "batch" && login["auth"]["lease_duration"].as_u64() <= Some(120), "{login}");
    assert_eq!(read(&session, &other).status, 403, "another run of the same job");
    let own = read(&session, &mine);
    let token = own.json()["data"]["data"]["token"].as_str().unwrap().to_owned();
    let again = Api::vault(&world.vault.address, &token).ask("POST", "/v1/sys/wrapping/unwrap", None);
    assert_eq!(again.status, 400, "it was opened once, and by the run: {}", again.text);
    for (method, path) in [("GET", format!("kv/metadata/{FOLDER}/{mine}")), ("LIST", format!("kv/metadata/{FOLDER}"))] {
        assert_eq!(session.ask(method, &format!("/v1/{path}"), None).status, 403, "{method} {path}");
    }
    let written = json!({ "data": { "token": "another" } });
    assert_eq!(session.ask("POST", &format!("/v1/kv/data/{FOLDER}/{mine}"), Some(&written)).status, 403);
    let secret = format!("/v1/kv/data/disinto/runner/{}", world.secret("A"));
    assert_eq!(session.ask("GET", &secret, None).status, 403, "the identity itself reads no secret");

    // The same job in another namespace is nobody.
    let elsewhere = Testbed::get().namespace();
    let mut parent = bed.nomad_namespace().must("GET", "/v1/job/vault-runner", None);
    parent["Namespace"] = json!(elsewhere.name);
    elsewhere.must("PUT", "/v1/jobs", Some(&json!({ "Job": parent })));
    // The runner ends at once over this, and its directory stays.
    let nothing = json!({ "Payload": "e30=", "Meta": { "run_id": "mine@1" } });
    let made = elsewhere.must("PUT", "/v1/job/vault-runner/dispatch", Some(&nothing));
    let path = format!("/v1/job/{}/allocations", escaped(made["DispatchedJobID"].as_str().unwrap()));
    let foreign = until("an identity of the other namespace", || {
        let all = elsewhere.must("GET", &path, None);
        fs::read_to_string(identity_file(all[0]["ID"].as_str()?)).ok().filter(|text| !text.is_empty())
    });
    let refused = log_in(&world.vault, foreign.trim());
    assert!(refused.status == 400 && refused.text.contains("nomad_namespace"), "{}", refused.text);

    for id in ["mine", "other"] {
        bed.let_go(id);
        assert_eq!(world.wait_for_result(id)["state"], "succeeded", "{}", running.said());
        world.wait_until_revoked(&format!("{id}@1"));
    }
    wait_until_cleared(world);
    assert_eq!(world.alarms("grant_intercepted"), 0);
    drop(running);
    world.verify_journal();
}

#[test]
fn a_payload_alone_opens_nothing_not_even_as_another_run_of_its_job() {
    let (_vault, bed) = Bed::with_identities(&Testbed::get().nomad(), &raw_exec());
    let world = &bed.world;
    world.configure(&world.vault.address, "wrap_ttl_seconds = 10\n");
    let running = world.serve();
    world.action("first", "report", &["A"]);
    world.publish();
    bed.wait_until_begun("first");
    let job = bed.job("first");
    let copy = json!({ "Payload": job["Payload"], "Meta": { "run_id": "first@1" } });
    let made = bed.nomad_namespace().must("PUT", "/v1/job/vault-runner/dispatch", Some(&copy));
    let path = format!("/v1/job/{}/allocations", escaped(made["DispatchedJobID"].as_str().unwrap()));
    let code = until("the copy to end", || {
        let all = bed.nomad_namespace().must("GET", &path, None);
        let events = all[0]["TaskStates"]["runner"]["Events"].as_array()?.clone();
        events.iter().find(|event| event["Type"] == "Terminated")?["ExitCode"].as_i64()
    });
    assert_eq!(code, 66, "nothing was deposited for it");
    bed.let_go("first");
    assert_eq!(world.wait_for_result("first")["state"], "succeeded", "{}", running.said());
    assert_eq!((bed.gate.executions("first"), world.alarms("grant_intercepted")), (1, 0));
}

#[test]
fn who_reads_a_deposit_as_an_administrator_and_opens_it_first_is_noticed() {
    let (_vault, bed) = Bed::with_identities(&Testbed::get().nomad(), &raw_exec());
    let world = &bed.world;
    let proxy = FaultProxy::start(&world.vault.address);
    proxy.spoil(10, "POST /v1/auth/jwt-nomad/login", Fault::DelayBefore(Duration::from_secs(4)));
    world.configure(&world.vault.address, &format!("runner_address = '{}'\n", proxy.url()));
    let running = world.serve();
    world.action("stolen", "report", &["A"]);
    world.publish();
    let allocation = allocation(&bed, "stolen");
    let token = until("the deposit", || {
        Some(read(&world.vault, &allocation).json()["data"]["data"]["token"].as_str()?.to_owned())
    });
    let stolen = Api::vault(&world.vault.address, &token).must("POST", "/v1/sys/wrapping/unwrap", None);
    assert!(stolen["auth"]["client_token"].is_string());
    let result = world.wait_for_result("stolen");
    assert_eq!((&result["state"], &result["reason"]), (&json!("failed"), &json!("grant_intercepted")), "{result}");
    assert_eq!((bed.gate.executions("stolen"), world.alarms("grant_intercepted")), (0, 1), "{}", running.said());
    world.wait_until_revoked("stolen@1");
    wait_until_cleared(world);
}

#[test]
fn a_run_that_would_have_no_identity_is_refused_and_its_grant_taken_back() {
    let (_vault, bed) = Bed::with_identities(&Testbed::get().nomad(), &raw_exec());
    let world = &bed.world;
    world.action("here", "report", &["A"]);
    world.publish();
    let once = world.call("once --backend local", &[]);
    let result = world.result("here").unwrap_or_else(|| panic!("{}", once.said));
    assert_eq!((&result["state"], &result["reason"]), (&json!("not_started"), &json!("launch_refused")), "{result}");
    assert!(result["message"].as_str().unwrap().contains("has no identity"), "{result}");
    assert_eq!(bed.gate.executions("here"), 0);
    world.wait_until_revoked("here@1");
}

/// An envelope that anybody can write who may dispatch the job: a script of their own, and no grant.
fn forged(bed: &Bed, id: &str, key: &LaunchKey) -> Vec<u8> {
    let sealed = |text: &str| Sealed { sha256: sha256_hex(text.as_bytes()), bytes: text.as_bytes().to_vec() };
    let envelope = Envelope {
        protocol: PROTOCOL,
        run: format!("{id}@1").parse().unwrap(),
        key: key.clone(),
        slot: 0,
        action: sealed("id = 'x'\n"),
        formula: "report".parse().unwrap(),
        kind: FormulaKind::Mechanical,
        script: sealed(&bed.gate.knock()),
        context_files: BTreeMap::new(),
        params: BTreeMap::new(),
        mounts: BTreeMap::new(),
        environment: BTreeMap::new(),
        handover: Handover::Values(Secrets::new()),
        limits: Limits { timeout_seconds: 60, grace_seconds: 2 },
        working_directory: None,
        traceparent: None,
    };
    envelope.to_handover().unwrap().to_vec()
}

#[test]
fn who_takes_a_runs_key_between_the_look_and_the_launch_is_not_handed_its_grant() {
    let (_vault, bed) = Bed::with_identities(&Testbed::get().nomad(), &raw_exec());
    let world = &bed.world;
    let proxy = FaultProxy::start(&world.vault.address);
    world.configure(&proxy.url(), &format!("runner_address = '{}'\n", world.vault.address));
    // Proven before, so that the next mint is the run's own.
    world.action("before", "report", &["A"]);
    world.publish();
    let running = world.serve();
    bed.let_go("before");
    assert_eq!(world.wait_for_result("before")["state"], "succeeded", "{}", running.said());

    world.action("taken", "report", &["A"]);
    proxy.spoil(1, "POST /v1/auth/token/create/runner*", Fault::DelayAnswer(Duration::from_secs(5)));
    let asked = proxy.seen("POST /v1/auth/token/create/runner*").len();
    world.publish();
    let blob = world.repo.remote_git(&["rev-parse", "main:vault/actions/taken.toml"]);
    let key = LaunchKey::of_action(&"taken".parse().unwrap(), &blob.trim().parse().unwrap(), 1);
    until("the mint", || (proxy.seen("POST /v1/auth/token/create/runner*").len() > asked).then_some(()));
    let dispatch = json!({
        "Payload": base64::engine::general_purpose::STANDARD.encode(forged(&bed, "taken", &key)),
        "Meta": { "run_id": "taken@1", "launch_key": key.to_string() },
        "IdPrefixTemplate": format!("{}-run-1-taken", &key.as_str()[..16]),
    });
    let path = format!("/v1/job/vault-runner/dispatch?idempotency_token={key}");
    bed.nomad_namespace().must("PUT", &path, Some(&dispatch));
    until("it to be noticed", || running.said().contains("somebody else has made it").then_some(()));
    bed.wait_until_begun("taken");
    assert_eq!(proxy.seen(&format!("POST /v1/kv/data/{FOLDER}/*")).len(), 1, "that of the run before");
    assert!(deposits(world).is_empty());
    bed.gate.open("taken");
    world.wait_for_result("taken");
    world.wait_until_revoked("taken@1");
    assert!(deposits(world).is_empty());
}

#[test]
fn a_dispatcher_that_is_killed_around_the_deposit_leaves_nothing_behind_and_the_run_is_attempted_again() {
    for (point, first_ends) in [
        ("journal.start.after", true),
        ("journal.deposit.after", true),
        ("deposit.before", true),
        ("deposit.after", false),
    ] {
        let (_vault, bed) = Bed::with_identities(&Testbed::get().nomad(), &raw_exec());
        let world = &bed.world;
        world.configure(&world.vault.address, "wrap_ttl_seconds = 5\n");
        world.action("cut", "report", &["A"]);
        world.publish();
        let killed = world.call("once", &[("DISPATCH_FAULT", &format!("kill:{point}"))]);
        assert!(!killed.status.success(), "{point}: {}", killed.said);
        let running = world.serve();
        until("its formula to begin", || (bed.gate.executions("cut") > 0).then_some(()));
        if first_ends {
            let result = world.result("cut").unwrap();
            assert_eq!(
                (&result["state"], &result["reason"]),
                (&json!("not_started"), &json!("grant_expired")),
                "{point}"
            );
        }
        bed.gate.open("cut");
        until("its success", || (world.result("cut")?["state"] == "succeeded").then_some(()));
        assert_eq!(world.grants("cut@2").is_empty(), !first_ends, "{point}");
        assert_eq!((bed.gate.executions("cut"), world.alarms("grant_intercepted")), (1, 0), "{point}");
        world.wait_until_revoked("cut@1");
        wait_until_cleared(world);
        drop(running);
        world.verify_journal();
    }
}

#[test]
fn a_deposit_that_vault_does_not_take_is_tried_again_while_the_run_waits() {
    let (_vault, bed) = Bed::with_identities(&Testbed::get().nomad(), &raw_exec());
    let world = &bed.world;
    let proxy = FaultProxy::start(&world.vault.address);
    for fault in [Fault::Refuse(503), Fault::LoseAnswer] {
        proxy.spoil(2, "POST /v1/kv/data/disinto/handover/*", fault);
    }
    world.configure(&proxy.url(), &format!("runner_address = '{}'\n", world.vault.address));
    let running = world.serve();
    world.action("late", "report", &["A", "B"]);
    world.publish();
    bed.let_go("late");
    assert_eq!(world.wait_for_result("late")["state"], "succeeded", "{}", running.said());
    assert_eq!(bed.log("late"), bed.expected_report(&["A", "B"]));
    assert!(proxy.seen("POST /v1/kv/data/disinto/handover/*").len() >= 3, "two were refused");
    world.wait_until_revoked("late@1");
    wait_until_cleared(world);
}

/// Nothing is deposited for a child whose payload was not read back, and what goes wrong with the reading costs no run.
#[test]
fn the_reading_back_of_a_payload_may_go_wrong_in_each_way() {
    let ways = [
        Fault::DropBefore,
        Fault::Silence,
        Fault::Refuse(503),
        Fault::LoseAnswer,
        Fault::ErrorAfter,
        Fault::ResetMidBody,
        Fault::Truncate,
        Fault::WrongContentType,
        Fault::Duplicate,
    ];
    let nomad = Testbed::get().nomad();
    let proxy = FaultProxy::start(&nomad.address);
    let (_vault, bed) = Bed::with_identities(&nomad.at(&proxy.url()), &raw_exec());
    let world = &bed.world;
    let cases: Vec<(String, Fault)> = ways.iter().zip(0..).map(|(way, n)| (format!("way-{n}-x"), *way)).collect();
    for (id, way) in &cases {
        world.action(id, "report", &["A"]);
        proxy.spoil(1, &format!("GET /v1/job/*-run-1-{id}-*"), *way);
    }
    world.publish();
    let running = world.serve();
    for (id, way) in &cases {
        bed.let_go(id);
        assert_eq!(world.wait_for_result(id)["state"], "succeeded", "{way:?}: {}", running.said());
        assert_eq!(bed.gate.executions(id), 1, "{way:?}");
        world.wait_until_revoked(&format!("{id}@1"));
    }
    assert_eq!(proxy.fired(), cases.len(), "each rule applies to one request");
    wait_until_cleared(world);
    assert_eq!(world.alarms("grant_intercepted"), 0);
}
