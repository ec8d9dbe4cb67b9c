//! The shared watch: many runs over few connections, and what becomes of them when the stream does not come.

use dispatch::backend::{Backend as _, Cursor, End};

use crate::backend_contract::observe;
use crate::connections::Connections;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::world::{HELLO, PLACEMENT, World, all, appears, job_of, key};

const STREAM: &str = "GET /v1/event/stream*";

#[tokio::test]
async fn a_run_is_followed_to_its_end_although_the_event_stream_never_comes() {
    for fault in [Fault::Refuse(500), Fault::DropBefore] {
        let world = World::new().await;
        let proxy = FaultProxy::start(&world.api.address);
        proxy.spoil(usize::MAX, STREAM, fault);
        let backend = world.backend_at(&proxy.url(), PLACEMENT);
        let handle = world.launch(&backend, "sleep 1; exit 7").await;
        assert_eq!(observe(&backend, &handle, &Cursor::default()).await.ended.how, End::Exited(7), "{fault:?}");
        assert!(proxy.fired() > 0);
    }
}

#[tokio::test]
async fn a_run_is_followed_to_its_end_although_every_second_answer_is_lost() {
    let world = World::new().await;
    let proxy = FaultProxy::start(&world.api.address);
    let backend = world.backend_at(&proxy.url(), PLACEMENT);
    let handle = world.launch(&backend, "sleep 1; exit 7").await;
    for fault in [Fault::LoseAnswer, Fault::Refuse(500), Fault::WrongContentType, Fault::Truncate, Fault::ResetMidBody]
    {
        proxy.spoil(1, "GET /v1/job/*", fault);
        proxy.spoil(1, STREAM, fault);
    }
    assert_eq!(observe(&backend, &handle, &Cursor::default()).await.ended.how, End::Exited(7));
}

#[tokio::test]
async fn a_job_that_is_purged_while_it_runs_is_lost_and_said_to_be() {
    let world = World::new().await;
    let backend = world.backend();
    let ready = world.path("ready");
    let handle = world.launch(&backend, &format!("touch {}; sleep 30", ready.display())).await;
    let purge = async {
        appears(&ready).await;
        world.namespace.must("DELETE", &format!("/v1/job/{}?purge=true", job_of(&handle)), None);
    };
    let beginning = Cursor::default();
    let (told, ()) = tokio::join!(observe(&backend, &handle, &beginning), purge);
    assert_eq!(told.ended.how, End::Unknown, "{told:?}");
}

#[tokio::test]
async fn two_hundred_runs_at_once_take_ten_connections_at_the_most_and_each_runs_once() {
    const RUNS: u32 = 200;
    // All are dispatched and followed at once; the client, whose million MHz are made up, has room for 24 processes at a time, so that the
    // other tests get their share of the real machine.
    let world = World::with("cpu = 41000").await;
    let proxy = FaultProxy::start(&world.api.address);
    let backend = world.backend_at(&proxy.url(), PLACEMENT * 10);
    // Not the proxy's own count: it would have those in it that were closed on our side while a log was followed, which it notices only when
    // more of the log comes.
    let most = Connections::count(std::process::id(), &proxy.url());
    let one = async |attempt: u32| {
        let envelope = world.envelope(&key(attempt), HELLO);
        assert_eq!(backend.find(&key(attempt)).await.unwrap(), dispatch::backend::Found::NotLaunched);
        let handle = backend.launch(&key(attempt), &envelope).await.unwrap();
        observe(&backend, &handle, &Cursor::default()).await
    };
    for told in all((1..=RUNS).map(one)).await {
        assert_eq!((told.ended.how, &told.incomplete), (End::Exited(7), &None));
        assert!(told.events.contains("hello"), "{told:?}");
    }
    assert_eq!(world.executions(), RUNS as usize);
    let most = most.stop();
    assert!((2..=10).contains(&most), "{most} connections");
}
