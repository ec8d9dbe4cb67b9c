//! How runs end, each with its own account.

use std::time::Duration;

use dispatch::action::reason::Reason;
use dispatch::backend::{Backend as _, Cursor, End, Handle};
use serde_json::json;

use crate::backend_contract::{Told, observe};
use crate::testbed::exit_code_is_lost;
use crate::world::{World, appears, job_of, key};

/// With the code that a runner has which is asked to stop, as far as the client knows it.
fn assert_ended_by_nomad(world: &World, handle: &Handle, told: &Told) {
    let allocations = world.namespace.must("GET", &format!("/v1/job/{}/allocations", job_of(handle)), None);
    let lost = allocations.as_array().unwrap().iter().any(exit_code_is_lost);
    assert_eq!(told.ended.how, if lost { End::Killed } else { End::Exited(143) }, "{told:?}");
}

#[tokio::test]
async fn an_exit_code_of_the_formula_comes_through_with_all_that_it_printed() {
    let world = World::new().await;
    let told = world.run("seq -f 'line %g.' 1 5000; exit 3").await;
    assert_eq!((told.ended.how, told.ended.reason, told.ended.restarted), (End::Exited(3), None, false));
    let lines = told.events.matches("\"line ").count();
    assert_eq!((lines, told.dropped, told.incomplete), (5000, 0, None));
    assert!(told.events.contains("\"kind\":\"exit\""));
    let placement = told.ended.placement;
    assert!(placement.allocation.is_some() && placement.node.is_some(), "{placement:?}");
}

#[tokio::test]
async fn a_runner_that_a_signal_ends_has_not_exited() {
    let world = World::new().await;
    // The formula ends the runner, which has no time to say anything.
    let told = world.run("kill -9 $PPID; sleep 60").await;
    assert_eq!(told.ended.how, End::Signalled(9), "{told:?}");
    assert!(told.placed && !told.events.contains("\"kind\":\"exit\""));
}

#[tokio::test]
async fn the_runner_ends_a_formula_at_its_time_limit() {
    let world = World::new().await;
    let mut envelope = world.envelope(&key(1), "sleep 60");
    envelope.limits.timeout_seconds = 1;
    let backend = world.backend();
    let handle = backend.launch(&key(1), &envelope).await.unwrap();
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!(told.ended.how, End::Exited(124));
    assert!(told.events.contains("timed_out"), "{told:?}");
}

#[tokio::test]
async fn a_run_that_is_cancelled_ends_as_stopped_and_its_last_words_are_had() {
    let world = World::new().await;
    let backend = world.backend();
    let ready = world.path("ready");
    let script = format!("trap 'echo bye; exit 9' TERM; touch {}; while true; do sleep 0.1; done", ready.display());
    let handle = world.launch(&backend, &script).await;
    let cancel = async {
        appears(&ready).await;
        backend.cancel(&handle).await.unwrap();
    };
    let beginning = Cursor::default();
    let (told, ()) = tokio::join!(observe(&backend, &handle, &beginning), cancel);
    assert_ended_by_nomad(&world, &handle, &told);
    assert_eq!(told.ended.reason, Some(Reason::StoppedInNomad), "{told:?}");
    assert!(told.events.contains("bye"), "{}", told.events);
}

#[tokio::test]
async fn a_run_that_no_client_has_room_for_is_taken_back_and_says_what_is_missing() {
    let world = World::with("memory = 900000000").await;
    let backend = world.backend_at(&world.api.address, Duration::from_secs(2));
    let handle = world.launch(&backend, "exit 0").await;
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!((told.ended.how, told.ended.reason), (End::NotStarted, Some(Reason::NeverPlaced)), "{told:?}");
    assert!(told.ended.detail.unwrap().contains("memory"));
    let job = world.namespace.must("GET", &format!("/v1/job/{}", job_of(&handle)), None);
    assert_eq!((&job["Stop"], world.executions()), (&json!(true), 0));
}

#[tokio::test]
async fn a_command_that_is_not_there_never_started_and_says_so() {
    let world = World::with("command = \"/does/not/exist\"").await;
    let told = world.run("exit 0").await;
    assert_eq!((told.ended.how, told.ended.reason), (End::NotStarted, Some(Reason::SetupFailed)), "{told:?}");
    let detail = told.ended.detail.unwrap();
    assert!(detail.contains("/does/not/exist"), "{detail}");
    assert_eq!((told.placed, world.executions()), (false, 0));
}

#[tokio::test]
async fn an_allocation_that_is_restarted_by_hand_is_stopped_by_the_fence_and_the_first_end_counts() {
    let world = World::new().await;
    let backend = world.backend();
    let ready = world.path("ready");
    let script = format!("touch {}; trap 'exit 9' TERM; while true; do sleep 0.1; done", ready.display());
    let handle = world.launch(&backend, &script).await;
    let restart = async {
        appears(&ready).await;
        let allocations = world.namespace.must("GET", &format!("/v1/job/{}/allocations", job_of(&handle)), None);
        let id = allocations[0]["ID"].as_str().unwrap().to_owned();
        world.namespace.must(
            "PUT",
            &format!("/v1/client/allocation/{id}/restart"),
            Some(&json!({ "TaskName": "runner" })),
        );
    };
    let beginning = Cursor::default();
    let (told, ()) = tokio::join!(observe(&backend, &handle, &beginning), restart);
    assert_ended_by_nomad(&world, &handle, &told);
    assert!(told.ended.restarted, "{told:?}");
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn a_run_whose_process_does_not_come_about_where_it_was_placed_is_taken_back() {
    let world = World::new().await;
    // A template that waits for a variable which nobody writes.
    let mut job = world.namespace.must("GET", "/v1/job/vault-runner", None);
    let waits = "{{ with nomadVar \"nomad/jobs/vault-runner\" }}{{ .nothing }}{{ end }}";
    job["TaskGroups"][0]["Tasks"][0]["Templates"] = json!([{ "EmbeddedTmpl": waits, "DestPath": "local/waits" }]);
    world.namespace.must("PUT", "/v1/jobs", Some(&json!({ "Job": job })));
    let backend = world.backend_at(&world.api.address, Duration::from_secs(3));
    let handle = world.launch(&backend, "exit 0").await;
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!((told.ended.how, told.ended.reason), (End::NotStarted, Some(Reason::SetupFailed)), "{told:?}");
    let detail = told.ended.detail.unwrap();
    assert!(detail.contains("was not set up in time") && !told.placed, "{detail}");
    let job = world.namespace.must("GET", &format!("/v1/job/{}", job_of(&handle)), None);
    assert_eq!((&job["Stop"], world.executions()), (&json!(true), 0));
}
