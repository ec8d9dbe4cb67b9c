//! What every backend must do.

use dispatch::backend::Backend as _;
use dispatch::support::checkup::Standing;

use crate::backend_contract as contract;
use crate::world::{HELLO, World, key};

#[tokio::test]
async fn the_contract_holds_from_launch_to_exit() {
    let world = World::new().await;
    let (backend, envelope) = (world.backend(), world.envelope(&key(1), HELLO));
    let findings = backend.check().await;
    assert!(findings.iter().all(|finding| finding.standing <= Standing::Warning), "{findings:#?}");
    contract::a_run_is_followed_to_its_exit_and_again_from_its_last_cursor(&backend, &key(1), &envelope).await;
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn the_contract_holds_for_a_second_launch() {
    let world = World::new().await;
    let envelope = world.envelope(&key(1), HELLO);
    contract::a_second_launch_answers_the_first(&world.backend(), &key(1), &envelope).await;
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn the_contract_holds_for_find() {
    let world = World::new().await;
    let envelope = world.envelope(&key(1), HELLO);
    contract::find_tells_before_during_and_after(&world.backend(), &key(1), &envelope).await;
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn the_contract_holds_for_cancel_remove_and_list() {
    let world = World::new().await;
    let envelope = world.envelope(&key(1), HELLO);
    contract::what_is_over_may_be_cancelled_and_removed_twice(&world.backend(), &key(1), &envelope).await;
}
