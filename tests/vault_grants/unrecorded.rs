//! A grant that was made and is in no journal: nobody would come back to it.

use std::time::Duration;

use dispatch::run::journal::Alarm;

use crate::child::until;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::world::World;

/// With a time limit of seconds, so that a token which nobody takes back is dead in a moment.
const SHORT: (&str, &str) = ("DISPATCH_FAULT_MINUTE", "1");

fn world_with_an_action() -> World {
    let world = World::new();
    world.put_all();
    let secret = world.secret("A");
    let text = format!("id = 'cut'\nformula = 'show'\ncontext = 'x'\nsecrets = ['{secret}']\ntimeout_minutes = 30\n");
    world.repo.write("vault/actions/cut.toml", &text);
    world.publish();
    world
}

fn unanswered(world: &World) -> u64 {
    world.alarms(Alarm::GrantUnanswered.word())
}

#[test]
fn a_grant_that_the_journal_does_not_take_is_taken_back_at_once() {
    let world = world_with_an_action();
    let once = world.call("once", &[("DISPATCH_FAULT", "error:journal.grant.before:1")]);
    assert_eq!(world.result("cut").unwrap_or_else(|| panic!("{}", once.said))["state"], "succeeded");
    assert!(once.said.contains("trying again"), "the first was not taken: {}", once.said);
    world.wait_until_revoked("cut@1");
    assert_eq!(world.living_tokens("A"), [""; 0]);
    assert_eq!(unanswered(&world), 0, "no token was left: {}", once.said);
}

#[test]
fn where_it_cannot_be_taken_back_either_it_is_counted_and_dies_by_its_time() {
    let world = world_with_an_action();
    let proxy = FaultProxy::start(&world.vault.address);
    // The start tries a grant out, and takes it back.
    for fault in [Fault::DelayBefore(Duration::ZERO), Fault::Refuse(503)] {
        proxy.spoil(2, "POST /v1/auth/token/revoke-accessor", fault);
    }
    world.configure(&proxy.url(), &format!("wrap_ttl_seconds = 5\nrunner_address = '{}'\n", world.vault.address));
    let once = world.call("once", &[SHORT, ("DISPATCH_FAULT", "error:journal.grant.before:1")]);
    assert_eq!(world.result("cut").unwrap_or_else(|| panic!("{}", once.said))["state"], "succeeded");
    assert_eq!(unanswered(&world), 1, "{}", once.said);
    world.wait_until_revoked("cut@1");
    until("the token of nobody to be dead", || world.living_tokens("A").is_empty().then_some(()));
}

#[test]
fn a_grant_whose_dispatcher_was_killed_before_it_was_recorded_is_counted_and_dies_by_its_time() {
    let world = world_with_an_action();
    world.configure(&world.vault.address, "wrap_ttl_seconds = 5\n");
    let killed = world.call("once", &[SHORT, ("DISPATCH_FAULT", "kill:journal.grant.before")]);
    assert!(!killed.status.success(), "{}", killed.said);
    assert_eq!(world.living_tokens("A"), ["cut@1"], "what this is about");
    let again = world.call("once", &[SHORT]);
    assert_eq!(world.result("cut").unwrap_or_else(|| panic!("{}", again.said))["state"], "succeeded");
    assert_eq!(unanswered(&world), 1, "{}", again.said);
    world.wait_until_revoked("cut@1");
    until("the token of nobody to be dead", || world.living_tokens("A").is_empty().then_some(()));
    world.verify_journal();
}
