//! What every backend must do, written once. Each function is one promise of the trait; a backend's own test file calls it
//! with a backend, a key and an envelope whose formula prints `hello` and exits with 7.

use std::time::Duration;

use dispatch::backend::{Backend, Cursor, End, Ended, Found, Handle, Observation};
use dispatch::runner::envelope::Envelope;
use dispatch::support::ids::LaunchKey;
use tokio::sync::mpsc;

/// What a run told, and how it ended.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) events: String,
    pub(crate) cursor: Cursor,
    pub(crate) dropped: u64,
    pub(crate) incomplete: Option<String>,
    pub(crate) placed: bool,
    pub(crate) ended: Ended,
}

/// Observes to the end, within a bound.
pub(crate) async fn observe(backend: &dyn Backend, handle: &Handle, from: &Cursor) -> Told {
    let (sender, mut news) = mpsc::channel(16);
    let collect = async {
        let (mut events, mut cursor, mut dropped, mut incomplete, mut placed) =
            (Vec::new(), from.clone(), 0, None, false);
        while let Some(observation) = news.recv().await {
            match observation {
                Observation::Placed { .. } => {}
                Observation::Started { placement, .. } => placed = !placement.id.is_empty(),
                Observation::Events { bytes, cursor: behind } => {
                    assert!(bytes.ends_with(b"\n"), "a chunk that is not whole lines");
                    events.extend(bytes);
                    cursor = behind;
                }
                Observation::Dropped { bytes } => dropped += bytes,
                Observation::Incomplete { why } => incomplete = Some(why),
            }
        }
        (String::from_utf8_lossy(&events).into_owned(), cursor, dropped, incomplete, placed)
    };
    let both = async { tokio::join!(backend.observe(handle, from, sender), collect) };
    let (ended, (events, cursor, dropped, incomplete, placed)) =
        tokio::time::timeout(Duration::from_secs(120), both).await.expect("the run has no end");
    Told { events, cursor, dropped, incomplete, placed, ended: ended.unwrap() }
}

pub(crate) async fn a_run_is_followed_to_its_exit_and_again_from_its_last_cursor(
    backend: &dyn Backend,
    key: &LaunchKey,
    envelope: &Envelope,
) {
    let handle = backend.launch(key, envelope).await.unwrap();
    let told = observe(backend, &handle, &Cursor::default()).await;
    assert_eq!(told.ended.how, End::Exited(7));
    assert!(told.placed && told.dropped == 0 && told.incomplete.is_none() && told.events.contains("hello"), "{told:?}");
    let again = observe(backend, &handle, &told.cursor).await;
    assert_eq!((again.events.as_str(), again.ended.how), ("", End::Exited(7)));
}

pub(crate) async fn a_second_launch_answers_the_first(backend: &dyn Backend, key: &LaunchKey, envelope: &Envelope) {
    let first = backend.launch(key, envelope).await.unwrap();
    assert_eq!(backend.find(key).await.unwrap(), Found::Launched(first.clone()));
    assert_eq!(backend.launch(key, envelope).await.unwrap(), first);
    observe(backend, &first, &Cursor::default()).await;
    assert_eq!(backend.launch(key, envelope).await.unwrap(), first);
}

pub(crate) async fn find_tells_before_during_and_after(backend: &dyn Backend, key: &LaunchKey, envelope: &Envelope) {
    assert_eq!(backend.find(key).await.unwrap(), Found::NotLaunched);
    let handle = backend.launch(key, envelope).await.unwrap();
    assert_eq!(backend.find(key).await.unwrap(), Found::Launched(handle.clone()));
    observe(backend, &handle, &Cursor::default()).await;
    assert_eq!(backend.find(key).await.unwrap(), Found::Launched(handle));
}

pub(crate) async fn what_is_over_may_be_cancelled_and_removed_twice(
    backend: &dyn Backend,
    key: &LaunchKey,
    envelope: &Envelope,
) {
    let handle = backend.launch(key, envelope).await.unwrap();
    let listed = backend.list().await.unwrap();
    assert!(listed.iter().any(|one| one.key == *key && one.run == envelope.run && one.handle == handle), "{listed:?}");
    observe(backend, &handle, &Cursor::default()).await;
    for _ in 0..2 {
        backend.cancel(&handle).await.unwrap();
    }
    for _ in 0..2 {
        backend.remove(&handle).await.unwrap();
    }
    assert!(backend.list().await.unwrap().iter().all(|one| one.key != *key));
}
