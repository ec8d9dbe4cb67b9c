//! Answers that are refused, doubled, cut short or never come: nothing runs without its secrets, a token that nobody
//! holds is dead when its time is over, and only what may be theft is called that.

use std::collections::BTreeSet;
use std::time::Duration;

use dispatch::grant::{Ask, SecretProvider as _};
use serde_json::json;

use crate::child::until;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::testbed::Testbed;
use crate::world::World;

const MINT: &str = "POST /v1/auth/token/create/*";
const UNWRAP: &str = "POST /v1/sys/wrapping/unwrap*";
const LOOKUP: &str = "POST /v1/sys/wrapping/lookup*";

/// A minute of a time limit is a second here.
const SHORT: (&str, &str) = ("DISPATCH_FAULT_MINUTE", "1");

/// A world whose dispatcher comes to Vault through a proxy, and whose runners come straight.
fn behind_a_proxy() -> (World, FaultProxy) {
    let world = World::new();
    world.put_all();
    let proxy = FaultProxy::start(&world.vault.address);
    world.configure(&proxy.url(), &format!("wrap_ttl_seconds = 5\nrunner_address = '{}'\n", world.vault.address));
    (world, proxy)
}

#[tokio::test]
async fn a_token_that_cannot_do_what_it_was_minted_for_is_taken_back_at_once() {
    let world = World::new();
    world.put_all();
    let policy = format!("/v1/sys/policies/acl/runner-{}", world.secret("A").to_lowercase());
    world.vault.must("DELETE", &policy, None);
    let (run, secrets) = ("one@1".parse().unwrap(), BTreeSet::from([world.secret("A").parse().unwrap()]));
    let ask = Ask { run: &run, secrets: &secrets, life: Duration::from_secs(60) };
    let refused = world.provider(&world.vault.address).mint(ask).await.unwrap_err().to_string();
    assert!(refused.contains("is deny"), "it was minted and looked at: {refused}");
    assert_eq!(world.living_tokens("A"), [""; 0]);
}

#[test]
fn a_rate_limit_on_the_mint_is_waited_out() {
    let (world, proxy) = behind_a_proxy();
    let _running = world.serve();
    proxy.spoil(2, MINT, Fault::Refuse(429));
    world.action("limited", "show", &["A"]);
    world.publish();
    assert_eq!(world.wait_for_result("limited")["state"], "succeeded");
    assert_eq!((proxy.fired(), world.alarms("grant_unanswered")), (2, 0), "nothing can have been minted unseen");
    world.wait_until_revoked("limited@1");
}

#[test]
fn tokens_that_nobody_holds_are_counted_and_dead_when_their_time_is_over() {
    let (world, proxy) = behind_a_proxy();
    let _running = world.serve_with(&[SHORT]);
    for fault in [Fault::LoseAnswer, Fault::Truncate, Fault::ResetMidBody, Fault::ErrorAfter] {
        proxy.spoil(1, MINT, fault);
    }
    // This one cannot be noticed: the server has minted two, and its second answer came.
    proxy.spoil(1, MINT, Fault::Duplicate);
    let secret = world.secret("A");
    let action = format!("id = 'many'\nformula = 'show'\ncontext = 'x'\nsecrets = ['{secret}']\ntimeout_minutes = 1\n");
    world.repo.write("vault/actions/many.toml", &action);
    world.publish();
    assert_eq!(world.wait_for_result("many")["state"], "succeeded");
    assert_eq!((proxy.fired(), world.alarms("grant_unanswered")), (5, 4));
    assert_eq!(world.seen("many"), ["A"]);
    world.wait_until_revoked("many@1");
    until("the tokens of nobody to be dead", || world.living_tokens("A").is_empty().then_some(()));
}

#[test]
fn a_mint_that_is_never_answered_is_given_up_and_counted() {
    let (world, proxy) = behind_a_proxy();
    let _running = world.serve();
    proxy.spoil(1, MINT, Fault::SilenceAfter);
    world.action("slow", "show", &["A"]);
    world.publish();
    assert_eq!(world.wait_for_result("slow")["state"], "succeeded");
    assert_eq!(world.alarms("grant_unanswered"), 1);
}

#[test]
fn a_vault_that_is_slow_in_everything_delays_a_run_and_changes_nothing() {
    let world = World::new();
    world.put_all();
    let proxy = FaultProxy::start(&world.vault.address);
    world.configure(&proxy.url(), "");
    proxy.spoil(1000, "*", Fault::DelayAnswer(Duration::from_millis(300)));
    world.action("slow", "show", &["A", "B"]);
    world.publish();
    let once = world.call("once", &[]);
    assert_eq!(world.result("slow").unwrap_or_else(|| panic!("{}", once.said))["state"], "succeeded");
    assert_eq!(world.seen("slow"), ["A", "B"]);
    world.wait_until_revoked("slow@1");
}

#[test]
fn an_unwrap_that_was_carried_out_twice_gave_the_grant_to_somebody_else() {
    let world = World::new();
    world.put_all();
    let proxy = FaultProxy::start(&world.vault.address);
    world.configure(&world.vault.address, &format!("runner_address = '{}'\n", proxy.url()));
    proxy.spoil(1, UNWRAP, Fault::Duplicate);
    let _running = world.serve();
    world.action("doubled", "show", &["A"]);
    world.publish();
    assert_eq!(world.wait_for_result("doubled")["reason"], "grant_intercepted");
    assert!(!world.begun("doubled") && world.alarms("grant_intercepted") == 1);
    world.wait_until_revoked("doubled@1");
}

#[test]
fn grants_that_expire_three_times_in_a_row_are_left_to_a_person() {
    let world = World::new();
    world.put_all();
    let proxy = FaultProxy::start(&world.vault.address);
    proxy.spoil(usize::MAX, LOOKUP, Fault::Refuse(503));
    world.configure(&world.vault.address, &format!("runner_address = '{}'\nwrap_ttl_seconds = 5\n", proxy.url()));
    let running = world.serve();
    world.action("late", "show", &["A"]);
    world.publish();
    until("the end of trying", || {
        running.said().contains("the grants of 3 attempts in a row had expired before they were opened").then_some(())
    });
    let result = world.result("late").unwrap();
    assert_eq!((&result["attempt"], &result["reason"]), (&json!(3), &json!("grant_expired")), "{result}");
    assert!(!world.begun("late") && world.grants("late@4").is_empty());
    for attempt in 1..=3 {
        world.wait_until_revoked(&format!("late@{attempt}"));
    }
    assert_eq!(world.alarms("grant_intercepted"), 0);
}

#[test]
fn a_vault_that_is_killed_before_a_run_opened_its_grant_is_waited_for() {
    let mut server = Testbed::get().private_vault(&["--durable"]);
    let world = World::at(server.api(), server.variable("TESTBED_VAULT_AUDIT").into());
    world.put_all();
    let proxy = FaultProxy::start(&world.vault.address);
    proxy.spoil(usize::MAX, LOOKUP, Fault::Refuse(503));
    world.configure(&world.vault.address, &format!("runner_address = '{}'\n", proxy.url()));
    let _running = world.serve();
    for (id, secrets) in [("one", &["A"][..]), ("none", &[])] {
        world.action(id, "show", secrets);
    }
    world.publish();
    proxy.wait_for(2, LOOKUP, Duration::from_secs(60));
    server.end(rustix::process::Signal::KILL);
    proxy.heal();
    // Wrappings outlive the server's process.
    server.start_again(&["--durable"]);
    for id in ["one", "none"] {
        assert_eq!(world.wait_for_result(id)["state"], "succeeded", "{id}");
        world.wait_until_revoked(&format!("{id}@1"));
    }
}
