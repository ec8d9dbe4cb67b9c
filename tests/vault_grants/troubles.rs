//! A thief, and a Vault that is sealed, restarted, slow, or loses its answers: nothing runs without its secrets, and nothing is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use dispatch::grant::{Ask, SecretProvider as _};
use serde_json::json;

use crate::child::until;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::testbed::Testbed;
use crate::world::World;

#[test]
fn a_grant_that_somebody_else_opened_stops_the_run_and_is_an_alarm() {
    let world = World::new();
    world.put_all();
    // The runner looks at its wrapping only after the thief was there.
    let proxy = FaultProxy::start(&world.vault.address);
    proxy.spoil(10, "POST /v1/sys/wrapping/lookup*", Fault::DelayBefore(Duration::from_secs(3)));
    world.configure(&world.vault.address, &format!("runner_address = '{}'\n", proxy.url()));
    let running = world.serve();
    world.action("stolen", "show", &["A"]);
    world.publish();
    let record = until("the grant", || world.grants("stolen@1").pop());
    let wrapping = record["wrapping"]["accessor"].as_str().unwrap();
    // Gone before its time, as after an unwrap; the token inside lives.
    world.vault.must("POST", "/v1/auth/token/revoke-accessor", Some(&json!({ "accessor": wrapping })));
    let result = world.wait_for_result("stolen");
    assert_eq!((&result["state"], &result["reason"]), (&json!("failed"), &json!("grant_intercepted")), "{result}");
    assert!(!world.begun("stolen"));
    world.wait_until_revoked("stolen@1");
    world.wait_until_not_owed("stolen@1");
    assert_eq!(world.alarms("grant_intercepted"), 1);
    assert!(running.said().contains("grant_intercepted"), "{}", running.said());
    let shown = world.call("show stolen", &[]).said;
    assert!(shown.contains("grant_intercepted"), "{shown}");
    drop(running);
    world.verify_journal();
}

#[test]
fn a_grant_that_expired_before_it_could_be_opened_is_made_anew_a_bounded_number_of_times() {
    let world = World::new();
    world.put_all();
    let proxy = FaultProxy::start(&world.vault.address);
    proxy.spoil(1000, "POST /v1/sys/wrapping/lookup*", Fault::Refuse(503));
    world.configure(&world.vault.address, &format!("runner_address = '{}'\nwrap_ttl_seconds = 5\n", proxy.url()));
    let running = world.serve();
    world.action("late", "show", &["A"]);
    world.publish();
    until("a second attempt", || (!world.grants("late@2").is_empty()).then_some(()));
    assert_eq!(world.result("late").unwrap()["reason"], "grant_expired");
    proxy.heal();
    until("its success", || (world.result("late")?["state"] == "succeeded").then_some(()));
    drop(running);
    for run in ["late@1", "late@2"] {
        world.wait_until_revoked(run);
    }
}

#[test]
fn a_mint_whose_answer_was_lost_is_counted_and_the_run_gets_another() {
    let world = World::new();
    world.put_all();
    let proxy = FaultProxy::start(&world.vault.address);
    world.configure(&proxy.url(), &format!("runner_address = '{}'\n", world.vault.address));
    let running = world.serve();
    for fault in [Fault::LoseAnswer, Fault::ErrorAfter] {
        proxy.spoil(1, "POST /v1/auth/token/create/*", fault);
    }
    world.action("lost", "show", &["A"]);
    world.publish();
    assert_eq!(world.wait_for_result("lost")["state"], "succeeded");
    assert_eq!(world.alarms("grant_unanswered"), 2);
    drop(running);
    world.wait_until_revoked("lost@1");
}

#[test]
fn a_revocation_that_fails_holds_no_result_back_and_is_done_when_it_can_be() {
    let world = World::new();
    world.put_all();
    let proxy = FaultProxy::start(&world.vault.address);
    world.configure(&proxy.url(), &format!("runner_address = '{}'\n", world.vault.address));
    let _running = world.serve();
    for fault in [Fault::Refuse(503), Fault::Refuse(429), Fault::Refuse(500)] {
        proxy.spoil(8, "POST /v1/auth/token/revoke-accessor", fault);
    }
    world.action("kept", "show", &["A"]);
    world.publish();
    assert_eq!(world.wait_for_result("kept")["state"], "succeeded");
    let token = world.grants("kept@1")[0]["wrapping"]["wrapped"].as_str().unwrap().to_owned();
    assert!(world.lives(&token), "the result is there before the revocation could be");
    proxy.heal();
    world.wait_until_revoked("kept@1");
}

#[tokio::test]
async fn where_one_accessor_of_a_grant_cannot_be_revoked_the_other_is_all_the_same() {
    const REVOKE: &str = "POST /v1/auth/token/revoke-accessor";
    let world = World::new();
    world.put_all();
    let proxy = FaultProxy::start(&world.vault.address);
    let provider = world.provider(&proxy.url());
    let secrets = BTreeSet::from([world.secret("A").parse().unwrap()]);
    let run = "one@1".parse().unwrap();
    for failing in [0, 1] {
        let ask = Ask { run: &run, secrets: &secrets, life: Duration::from_secs(60) };
        let record = provider.mint(ask).await.unwrap().record;
        let accessors: BTreeSet<&String> = record.accessors.iter().collect();
        let living = || accessors.iter().map(|accessor| world.lives(accessor)).collect::<Vec<bool>>();
        assert_eq!(living(), [true, true]);
        proxy.spoil(failing, REVOKE, Fault::DelayBefore(Duration::ZERO));
        proxy.spoil(1, REVOKE, Fault::Refuse(500));
        provider.revoke(&record).await.unwrap_err();
        assert_eq!(living(), [failing == 0, failing == 1], "only the one that the server was not asked for lives");
        provider.revoke(&record).await.unwrap();
        assert_eq!(living(), [false, false]);
    }
}

#[test]
fn a_sealed_vault_lets_runs_wait_and_they_run_when_it_is_unsealed() {
    let server = Testbed::get().private_vault(&["--durable"]);
    let world = World::at(server.api(), server.variable("TESTBED_VAULT_AUDIT").into());
    world.put_all();
    world.vault.must("PUT", "/v1/sys/seal", None);
    let _running = world.serve();
    world.action("none", "show", &[]);
    world.action("one", "show", &["A"]);
    world.publish();
    until("both to wait for the seal", || {
        let waiting = world.status()["waiting"].clone();
        let sealed =
            waiting.as_array()?.iter().filter(|run| run["message"].as_str().is_some_and(|m| m.contains("sealed")));
        (sealed.count() == 2).then_some(())
    });
    assert!(!world.begun("none") && !world.begun("one"));
    let key = json!({ "key": server.variable("TESTBED_UNSEAL_KEY") });
    world.vault.must("PUT", "/v1/sys/unseal", Some(&key));
    for id in ["none", "one"] {
        assert_eq!(world.wait_for_result(id)["state"], "succeeded", "{id}");
        world.wait_until_revoked(&format!("{id}@1"));
    }
}

#[test]
fn a_vault_that_is_killed_while_a_run_goes_on_has_its_token_revoked_when_it_is_back() {
    let mut server = Testbed::get().private_vault(&["--durable"]);
    let world = World::at(server.api(), server.variable("TESTBED_VAULT_AUDIT").into());
    world.put_all();
    let _running = world.serve();
    world.action("long", "hold", &["A"]);
    world.publish();
    world.wait_until_begun("long");
    server.end(rustix::process::Signal::KILL);
    world.open_gate("long");
    assert_eq!(world.wait_for_result("long")["state"], "succeeded", "no result waits for Vault");
    server.start_again(&["--durable"]);
    world.wait_until_revoked("long@1");
}
