//! What fails for ever although everything beside it works: after ten minutes a person is called.

use dispatch::run::journal::Alarm;

use crate::child::until;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::world::World;

/// A minute is a second here: ten of them are over in a moment.
const SHORT: (&str, &str) = ("DISPATCH_FAULT_MINUTE", "1");

const MINT: &str = "POST /v1/auth/token/create/*";
const REVOKE: &str = "POST /v1/auth/token/revoke-accessor";

fn behind_a_proxy() -> (World, FaultProxy) {
    let world = World::new();
    world.put_all();
    let proxy = FaultProxy::start(&world.vault.address);
    world.configure(&proxy.url(), &format!("runner_address = '{}'\n", world.vault.address));
    (world, proxy)
}

fn problems(world: &World) -> String {
    world.status()["problems"].to_string()
}

fn wait_until_called(world: &World, words: &str) {
    until(&format!("a person to be called: {words}"), || problems(world).contains(words).then_some(()));
}

#[test]
fn a_mint_that_always_fails_is_told_although_metadata_and_other_grants_come() {
    let (world, proxy) = behind_a_proxy();
    let _running = world.serve_with(&[SHORT]);
    proxy.spoil(usize::MAX, MINT, Fault::Refuse(500));
    world.action("waits", "show", &["A"]);
    world.publish();
    until("a mint to fail", || (proxy.fired() > 0).then_some(()));
    world.action("beside", "show", &[]);
    world.publish();
    assert_eq!(world.wait_for_result("beside")["state"], "succeeded");
    let words = format!("secrets: no grant of {} could be made for 1", world.secret("A"));
    wait_until_called(&world, &words);
    assert!(world.grants("waits@1").is_empty() && !world.begun("waits"));
    proxy.heal();
    assert_eq!(world.wait_for_result("waits")["state"], "succeeded");
    assert!(!problems(&world).contains("no grant"), "{}", problems(&world));
    assert!(world.alarms(Alarm::GrantUnanswered.word()) > 1, "each may have made a token");
}

#[test]
fn a_policy_that_is_missing_for_ever_is_told() {
    let world = World::new();
    world.put_all();
    let policy = format!("/v1/sys/policies/acl/runner-{}", world.secret("A").to_lowercase());
    world.vault.must("DELETE", &policy, None);
    let _running = world.serve_with(&[SHORT]);
    world.action("waits", "show", &["A"]);
    world.publish();
    wait_until_called(&world, &format!("no grant of {} could be made for 1", world.secret("A")));
    assert!(problems(&world).contains("is deny"), "with its reason: {}", problems(&world));
    assert!(world.administer("policies apply").status.success());
    assert_eq!(world.wait_for_result("waits")["state"], "succeeded");
}

#[test]
fn a_revocation_that_is_always_denied_is_told_although_mints_work() {
    let (world, proxy) = behind_a_proxy();
    let _running = world.serve_with(&[SHORT]);
    proxy.spoil(usize::MAX, REVOKE, Fault::Refuse(403));
    world.action("first", "show", &["A"]);
    world.publish();
    assert_eq!(world.wait_for_result("first")["state"], "succeeded");
    until("a revocation to fail", || (proxy.fired() > 0).then_some(()));
    world.action("second", "show", &["B"]);
    world.publish();
    assert_eq!(world.wait_for_result("second")["state"], "succeeded", "mints work");
    wait_until_called(&world, "secrets: a grant could not be taken back for 1");
    assert!(problems(&world).contains("revoke-accessor"), "with its reason: {}", problems(&world));
    proxy.heal();
    for run in ["first@1", "second@1"] {
        world.wait_until_revoked(run);
        world.wait_until_not_owed(run);
    }
    assert!(!problems(&world).contains("taken back"), "{}", problems(&world));
}
