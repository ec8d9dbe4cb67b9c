//! Tests of the fake: what it does, and that it notices a caller who breaks the contract.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::backend::End;
use crate::runner::envelope::{FormulaKind, Handover, Limits, PROTOCOL, Sealed};
use crate::support::ids::BlobId;

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

fn scripted(script: Script) -> FakeBackend {
    let fake = FakeBackend::new();
    fake.usually(script);
    fake
}

/// Observes to an answer; the events are thrown away.
async fn observe(fake: &FakeBackend, handle: &Handle) -> Result<Ended, BackendError> {
    fake.observe(handle, &Cursor::default(), mpsc::channel(64).0).await
}

#[tokio::test(start_paused = true)]
async fn a_launch_whose_answer_was_lost_is_found_and_ran_once() {
    let fake = scripted(Script { launch: LaunchAnswer::DoneButAmbiguous, ..Script::default() });
    assert!(matches!(fake.launch(&key(), &envelope()).await, Err(BackendError::Ambiguous { .. })));
    let Found::Launched(handle) = fake.find(&key()).await.unwrap() else { panic!("not found") };
    assert_eq!(observe(&fake, &handle).await.unwrap().how, End::Exited(0));
    assert_eq!((fake.executions(&key()), fake.violations()), (1, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_late_launch_never_takes_effect_once_find_has_answered() {
    let late = LaunchAnswer::AmbiguousAndLate(Duration::from_secs(5));
    let fake = scripted(Script { launch: late, ..Script::default() });
    assert!(fake.launch(&key(), &envelope()).await.is_err());
    assert_eq!(fake.find(&key()).await.unwrap(), Found::NotLaunched);
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(fake.executions(&key()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_without_an_end_goes_on_until_it_is_cancelled_and_has_stopped() {
    let script = Script { end: None, cancel_takes: Duration::from_secs(3), ..Script::default() };
    let fake = scripted(script);
    let handle = fake.launch(&key(), &envelope()).await.unwrap();
    let began = Instant::now();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        fake.cancel(&handle).await.unwrap();
    };
    let (ended, ()) = tokio::join!(observe(&fake, &handle), stop);
    assert_eq!((ended.unwrap().how, began.elapsed()), (End::Exited(143), Duration::from_secs(63)));
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn events_come_at_their_time_and_a_lost_connection_goes_on_behind_the_cursor() {
    let steps = vec![
        Step::Events(b"one\n".to_vec()),
        Step::Wait(Duration::from_secs(10)),
        Step::ConnectionLost,
        Step::Events(b"two\n".to_vec()),
    ];
    let fake = scripted(Script { steps, end: Some(End::Exited(4)), ..Script::default() });
    let handle = fake.launch(&key(), &envelope()).await.unwrap();
    let (sender, mut news) = mpsc::channel(64);
    assert!(fake.observe(&handle, &Cursor::default(), sender).await.is_err());
    let mut cursor = Cursor::default();
    while let Some(one) = news.recv().await {
        if let Observation::Events { bytes, cursor: behind } = one {
            assert_eq!(bytes, b"one\n");
            cursor = behind;
        }
    }
    let (sender, mut news) = mpsc::channel(64);
    assert_eq!(fake.observe(&handle, &cursor, sender).await.unwrap().how, End::Exited(4));
    assert!(matches!(news.recv().await, Some(Observation::Started { .. })));
    assert!(matches!(news.recv().await, Some(Observation::Events { bytes, .. }) if bytes == b"two\n"));
}

#[tokio::test(start_paused = true)]
async fn what_the_contract_forbids_is_noted() {
    let fake = FakeBackend::new();
    let handle = fake.launch(&key(), &envelope()).await.unwrap();
    fake.launch(&key(), &envelope()).await.unwrap();
    fake.remove(&handle).await.unwrap();
    let _ = observe(&fake, &handle).await;
    let noted = fake.violations().join("\n");
    for words in ["launched again after a success", "removed before `observe`", "observed after it was removed"] {
        assert!(noted.contains(words), "{noted}");
    }

    let fake = scripted(Script { launch_takes: Duration::from_secs(1), ..Script::default() });
    let (key, envelope) = (key(), envelope());
    let _ = tokio::join!(fake.launch(&key, &envelope), fake.find(&key));
    assert!(fake.violations().join("\n").contains("at once"));
}
