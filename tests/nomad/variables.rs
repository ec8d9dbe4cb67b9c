//! The lock of a variable, as the lease uses it: one has it, the id is the caller's, and who may not is told what is missing.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use dispatch::backend::nomad::client::{Client, ClientError, LockState, LockTimes};

use crate::fault_proxy::{Fault, FaultProxy};
use crate::world::World;

const PATH: &str = "dispatch/lease";
const ONE: &str = "11111111-1111-4111-8111-111111111111";
const OTHER: &str = "22222222-2222-4222-8222-222222222222";
const TIMES: LockTimes = LockTimes { ttl: Duration::from_secs(10), delay: Duration::from_secs(5) };
const SOON: Duration = Duration::from_secs(5);

async fn acquire(client: &Client, id: &str) -> Result<u64, ClientError> {
    client.acquire_lock(PATH, id, TIMES, &BTreeMap::from([("holder", id.to_owned())])).await
}

/// A client whose token has these capabilities on the variable and no other right; with all of the shipped policy for `None`.
fn restricted(world: &World, capabilities: Option<&str>) -> Client {
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/nomad-lease.hcl")).unwrap();
    let rules = shipped.replace("namespace \"dispatch\"", &format!("namespace \"{}\"", world.namespace.name));
    let rules = match capabilities {
        Some(less) => rules.replace("[\"read\", \"write\"]", less),
        None => rules,
    };
    world.take_policy(&rules);
    world.client(&world.api.address)
}

#[tokio::test]
async fn one_has_the_lock_until_it_is_given_back_and_each_next_one_has_a_higher_index() {
    let world = World::bare();
    let client = restricted(&world, None);
    assert_eq!(client.lock_state(PATH).await.unwrap(), LockState::Absent);
    assert_eq!(client.variable(PATH, None).await.unwrap(), None);

    let first = acquire(&client, ONE).await.unwrap();
    assert!(matches!(acquire(&client, OTHER).await, Err(ClientError::Conflict { .. })));
    assert_eq!(client.lock_state(PATH).await.unwrap(), LockState::Held);
    client.renew_lock(PATH, ONE, SOON).await.unwrap();
    assert!(matches!(client.renew_lock(PATH, OTHER, SOON).await, Err(ClientError::Conflict { .. })));
    assert!(matches!(client.release_lock(PATH, OTHER).await, Err(ClientError::Conflict { .. })));
    let held = client.variable(PATH, None).await.unwrap().unwrap();
    assert_eq!(held.modify_index, first, "a renewal is no change");
    assert_eq!(held.items.unwrap()["holder"], ONE);

    client.release_lock(PATH, ONE).await.unwrap();
    assert_eq!(client.lock_state(PATH).await.unwrap(), LockState::Free);
    let free = client.variable(PATH, None).await.unwrap().unwrap();
    assert_eq!(free.items.unwrap()["holder"], ONE, "who had it last stays readable");
    assert!(matches!(client.renew_lock(PATH, ONE, SOON).await, Err(ClientError::Conflict { .. })));
    assert!(acquire(&client, OTHER).await.unwrap() > first);
}

#[tokio::test]
async fn a_waiting_reader_hears_of_the_lock_being_given_back() {
    let world = World::bare();
    let client = restricted(&world, None);
    let index = acquire(&client, ONE).await.unwrap();
    let reader = client.clone();
    // Longer than the test may take: only the change ends it.
    let reading = tokio::spawn(async move { reader.variable(PATH, Some((index, Duration::from_secs(300)))).await });
    client.renew_lock(PATH, ONE, SOON).await.unwrap();
    client.release_lock(PATH, ONE).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap().unwrap().unwrap().unwrap();
    assert!(read.modify_index > index);
}

#[tokio::test]
async fn a_lock_whose_answer_was_lost_is_ours_when_it_is_asked_for_again() {
    let world = World::bare();
    let proxy = FaultProxy::start(&world.api.address);
    let client = world.client(&proxy.url());
    proxy.spoil(1, "PUT /v1/var/*lock-acquire*", Fault::LoseAnswer);
    assert!(matches!(acquire(&client, ONE).await, Err(ClientError::NoAnswer { .. })));
    acquire(&client, ONE).await.unwrap();
    client.renew_lock(PATH, ONE, SOON).await.unwrap();
    proxy.spoil(1, "PUT /v1/var/*lock-renew*", Fault::Silence);
    let given_up = client.renew_lock(PATH, ONE, Duration::from_millis(200)).await;
    assert!(matches!(given_up, Err(ClientError::NoAnswer { .. })), "{given_up:?}");
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let world = World::bare();
    let reader = restricted(&world, Some("[\"read\"]"));
    for denied in [
        acquire(&reader, ONE).await.unwrap_err(),
        reader.renew_lock(PATH, ONE, SOON).await.unwrap_err(),
        reader.lock_state(PATH).await.unwrap_err(),
    ] {
        assert!(matches!(denied, ClientError::Denied { .. }), "{denied:?}");
        assert!(denied.to_string().contains("needs `write` on it: policies/nomad-lease.hcl"), "{denied}");
    }
    let writer = restricted(&world, Some("[\"write\"]"));
    let denied = writer.variable(PATH, None).await.unwrap_err().to_string();
    assert!(denied.contains("needs `read` on it: policies/nomad-lease.hcl"), "{denied}");
}
