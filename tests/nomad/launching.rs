//! How a launch stays one, whatever becomes of its answer.

use std::collections::BTreeSet;
use std::time::Duration;

use dispatch::backend::{Backend as _, BackendError, Cursor, End, Found, Mark};
use dispatch::runner::envelope::Handover;
use dispatch::support::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::backend_contract::observe;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::testbed::eventually;
use crate::world::{HELLO, PLACEMENT, World, all, job_of, key};

const DISPATCH: &str = "PUT /v1/job/*/dispatch*";

/// Waits for what `find` waits for a moment only: on a busy machine its mark takes longer. The server writes to its allocation once more
/// after it is over; a launch that is asked for before that cannot be ruled out.
fn mark_is_over(world: &World) {
    eventually("the mark to be over", Duration::from_secs(60), || {
        let marks = world.namespace.must("GET", "/v1/jobs?prefix=vault-runner/dispatch-tidemark-", None);
        let id = marks[0]["ID"].as_str()?.to_owned();
        let running = |one: &Value| ["pending", "running"].contains(&one["ClientStatus"].as_str().unwrap());
        let of = |what: &str| world.namespace.must("GET", &format!("/v1/job/{id}/{what}"), None);
        let waits = of("evaluations").as_array()?.iter().any(|one| one["Status"] == "pending");
        let a_second_ago = i64::try_from(SystemClock.now().as_nanosecond()).unwrap() - 1_000_000_000;
        let recent = |one: &Value| one["ModifyTime"].as_i64().unwrap() > a_second_ago;
        let goes_on = |one: &Value| running(one) || recent(one);
        (!waits && !of("allocations").as_array()?.iter().any(goes_on)).then_some(())
    });
}

#[tokio::test]
async fn of_many_launches_at_once_under_one_key_one_run_comes_and_all_answer_it() {
    let world = World::new().await;
    let envelope = world.envelope(&key(1), HELLO);
    let backends: Vec<_> = (0..4).map(|_| world.backend()).collect();
    let key = key(1);
    let launches = backends.iter().map(|backend| backend.launch(&key, &envelope));
    let mut answered = BTreeSet::new();
    for handle in all(launches).await {
        answered.insert(job_of(&handle.unwrap()));
    }
    assert_eq!(answered.len(), 1, "{answered:?}");
    let children = world.children();
    assert_eq!(children.len(), 1, "{children:?}");
    let handle = backends[0].launch(&key, &envelope).await.unwrap();
    assert_eq!(observe(&backends[0], &handle, &Cursor::default()).await.ended.how, End::Exited(7));
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn a_dispatch_whose_answer_is_lost_or_a_500_is_one_run() {
    for fault in [Fault::LoseAnswer, Fault::ErrorAfter, Fault::ResetMidBody, Fault::WrongContentType, Fault::DropBefore]
    {
        let world = World::new().await;
        let proxy = FaultProxy::start(&world.api.address);
        proxy.spoil(1, DISPATCH, fault);
        let backend = world.backend_at(&proxy.url(), PLACEMENT);
        let handle = backend.launch(&key(1), &world.envelope(&key(1), HELLO)).await.unwrap();
        assert_eq!(proxy.fired(), 1, "{fault:?}");
        assert_eq!(observe(&world.backend(), &handle, &Cursor::default()).await.ended.how, End::Exited(7), "{fault:?}");
        assert_eq!((world.children().len(), world.executions()), (1, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn a_token_that_a_server_does_not_know_for_a_moment_after_its_start_ends_no_run() {
    let world = World::new().await;
    let proxy = FaultProxy::start(&world.api.address);
    proxy.spoil(2, DISPATCH, Fault::Refuse(403));
    proxy.spoil(1, "GET /v1/job/*", Fault::Refuse(403));
    let backend = world.backend_at(&proxy.url(), PLACEMENT);
    let handle = backend.launch(&key(1), &world.envelope(&key(1), HELLO)).await.unwrap();
    assert_eq!(proxy.fired(), 3);
    assert_eq!(observe(&world.backend(), &handle, &Cursor::default()).await.ended.how, End::Exited(7));
    assert_eq!((world.children().len(), world.executions()), (1, 1));
}

#[tokio::test]
async fn a_launch_that_stays_in_doubt_is_found_and_one_that_never_arrived_is_ruled_out() {
    for (fault, arrives) in [(Fault::LoseAnswer, true), (Fault::DropBefore, false)] {
        let world = World::new().await;
        let proxy = FaultProxy::start(&world.api.address);
        let backend = world.backend_at(&proxy.url(), PLACEMENT);
        // As before every launch; leaves the mark by which a launch can be ruled out later.
        assert_eq!(backend.find(&key(1)).await.unwrap(), Found::NotLaunched);
        mark_is_over(&world);
        let before = backend.mark().await;
        assert!(before.is_some());
        proxy.spoil(usize::MAX, DISPATCH, fault);
        let error = backend.launch(&key(1), &world.envelope(&key(1), HELLO)).await.unwrap_err();
        assert!(matches!(error, BackendError::Ambiguous { .. }), "{error}");

        let after = world.backend();
        let found = after.rule_out(&key(1), before.as_ref()).await.unwrap();
        if arrives {
            let Found::Launched(handle) = found else { panic!("{found:?}") };
            assert_eq!(observe(&after, &handle, &Cursor::default()).await.ended.how, End::Exited(7));
        } else {
            assert_eq!(found, Found::NotLaunched);
        }
        assert_eq!(world.executions(), usize::from(arrives));
    }
}

#[tokio::test]
async fn a_launch_that_was_ruled_out_cannot_come_late_and_the_next_one_runs() {
    let world = World::new().await;
    let backend = world.backend();
    assert_eq!(backend.find(&key(1)).await.unwrap(), Found::NotLaunched);
    mark_is_over(&world);
    let before = backend.mark().await;
    assert_eq!(backend.rule_out(&key(1), before.as_ref()).await.unwrap(), Found::NotLaunched);

    // The dispatch of a dispatcher that is gone, carried out by a server that was frozen meanwhile.
    let token = key(1).to_string();
    let late = world.namespace.must(
        "PUT",
        &format!("/v1/job/vault-runner/dispatch?idempotency_token={token}"),
        Some(&json!({ "Meta": { "run_id": "a@1" }, "Payload": "e30=" })),
    );
    assert!(late["DispatchedJobID"].as_str().unwrap().contains("-seal-1-"), "{late}");
    assert_eq!(backend.find(&key(1)).await.unwrap(), Found::NotLaunched);
    assert_eq!(world.executions(), 0);

    let handle = backend.launch(&key(1), &world.envelope(&key(1), HELLO)).await.unwrap();
    assert_eq!(observe(&backend, &handle, &Cursor::default()).await.ended.how, End::Exited(7));
    assert_eq!(backend.launch(&key(1), &world.envelope(&key(1), HELLO)).await.unwrap(), handle);
    assert_eq!(backend.rule_out(&key(1), None).await.unwrap(), Found::Launched(handle));
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn a_launch_without_a_mark_of_before_it_cannot_be_ruled_out_whatever_marks_there_are_now() {
    let world = World::new().await;
    let backend = world.backend();
    assert_eq!(backend.mark().await, None);
    assert_eq!(backend.find(&key(1)).await.unwrap(), Found::NotLaunched);
    mark_is_over(&world);
    let now = backend.mark().await.unwrap();
    let forgotten = Mark(json!({ "job": "vault-runner/dispatch-tidemark-1-00000000", "index": now.0["index"] }));
    let changed = Mark(json!({ "job": now.0["job"], "index": 1 }));
    for before in [None, Some(&forgotten), Some(&changed)] {
        let found = backend.rule_out(&key(1), before).await.unwrap();
        assert!(matches!(&found, Found::Unknown(words) if words.contains("collected")), "{before:?}: {found:?}");
    }
    assert_eq!(backend.rule_out(&key(1), Some(&now)).await.unwrap(), Found::NotLaunched);
}

#[tokio::test]
async fn launches_do_not_queue_up_behind_a_mark_that_is_slow_to_come() {
    let world = World::new().await;
    let proxy = FaultProxy::start(&world.api.address);
    proxy.spoil(usize::MAX, "GET /v1/job/*tidemark*/evaluations*", Fault::Refuse(500));
    let backend = world.backend_at(&proxy.url(), PLACEMENT);
    let keys: Vec<_> = (1..=20).map(key).collect();
    for found in all(keys.iter().map(|key| backend.find(key))).await {
        assert_eq!(found.unwrap(), Found::NotLaunched);
    }
    let made = proxy.seen("PUT /v1/job/*/dispatch*tidemark*");
    assert_eq!(made.len(), 1, "one mark is on its way, and nobody makes another: {made:?}");
    proxy.heal();
}

#[tokio::test]
async fn what_does_not_fit_or_may_not_travel_is_refused_with_words_and_nothing_is_dispatched() {
    let world = World::new().await;
    let backend = world.backend();
    let mut large = world.envelope(&key(1), HELLO);
    large.params.insert("p".to_owned(), "x".repeat(20_000));
    let words = backend.launch(&key(1), &large).await.unwrap_err().to_string();
    assert!(words.contains("bytes, and Nomad takes 16384"), "{words}");
    let mut secret = world.envelope(&key(1), HELLO);
    secret.handover = Handover::Values([("TOKEN".parse().unwrap(), "s3cr3t-value".to_owned().into())].into());
    let words = backend.launch(&key(1), &secret).await.unwrap_err().to_string();
    assert!(words.contains("configure the vault provider") && !words.contains("s3cr3t"), "{words}");
    assert_eq!(world.children().len(), 0);
}
