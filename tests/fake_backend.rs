//! The fake backend keeps the same contract as the real ones; without that, what is tested on it would prove nothing.
#![cfg(feature = "fault-points")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod backend_contract;

use std::collections::BTreeMap;

use backend_contract as contract;
use dispatch::backend::End;
use dispatch::backend::fake::{FakeBackend, Script, Step};
use dispatch::runner::envelope::{Envelope, FormulaKind, Handover, Limits, PROTOCOL, Sealed};
use dispatch::support::ids::{BlobId, LaunchKey};

fn key() -> LaunchKey {
    LaunchKey::of_action(&"a".parse().unwrap(), &BlobId::try_from("0".repeat(40)).unwrap(), 1)
}

fn envelope() -> Envelope {
    let nothing = Sealed { sha256: String::new(), bytes: Vec::new() };
    Envelope {
        protocol: PROTOCOL,
        run: "a@1".parse().unwrap(),
        key: key(),
        slot: 0,
        action: nothing.clone(),
        formula: "f".parse().unwrap(),
        kind: FormulaKind::Mechanical,
        script: nothing,
        context_files: BTreeMap::new(),
        params: BTreeMap::new(),
        mounts: BTreeMap::new(),
        environment: BTreeMap::new(),
        handover: Handover::Values(BTreeMap::new()),
        limits: Limits { timeout_seconds: 1, grace_seconds: 1 },
        working_directory: None,
        traceparent: None,
    }
}

fn fake() -> FakeBackend {
    let fake = FakeBackend::new();
    let steps = vec![Step::Events(b"hello\n".to_vec())];
    fake.usually(Script { steps, end: Some(End::Exited(7)), ..Script::default() });
    fake
}

#[tokio::test(start_paused = true)]
async fn the_contract_holds_from_launch_to_exit() {
    let fake = fake();
    contract::a_run_is_followed_to_its_exit_and_again_from_its_last_cursor(&fake, &key(), &envelope()).await;
    assert_eq!(fake.executions(&key()), 1);
}

#[tokio::test(start_paused = true)]
async fn the_contract_holds_for_a_second_launch() {
    let fake = fake();
    contract::a_second_launch_answers_the_first(&fake, &key(), &envelope()).await;
    assert_eq!((fake.executions(&key()), fake.launches(&key())), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn the_contract_holds_for_find() {
    contract::find_tells_before_during_and_after(&fake(), &key(), &envelope()).await;
}

#[tokio::test(start_paused = true)]
async fn the_contract_holds_for_cancel_remove_and_list() {
    contract::what_is_over_may_be_cancelled_and_removed_twice(&fake(), &key(), &envelope()).await;
}
