//! What of a run's output arrives, whatever happens on its way.

use dispatch::backend::{Backend as _, Cursor, End, Observation};

use crate::backend_contract::observe;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::world::{PLACEMENT, World, appears, key};

const LOGS: &str = "GET /v1/client/fs/logs/*";

fn numbers(events: &str) -> Vec<u32> {
    events.split("\"n").skip(1).filter_map(|rest| rest.split('.').next()?.parse().ok()).collect()
}

#[tokio::test]
async fn observing_that_is_dropped_and_taken_up_again_repeats_nothing_and_loses_nothing() {
    let world = World::new().await;
    let (ready, go) = (world.path("ready"), world.path("go"));
    let script = format!(
        "seq -f n%g. 1 500; touch {}; until [ -e {} ]; do sleep 0.05; done; seq -f n%g. 501 1000",
        ready.display(),
        go.display()
    );
    let backend = world.backend();
    let handle = world.launch(&backend, &script).await;
    appears(&ready).await;

    let (sender, mut news) = tokio::sync::mpsc::channel(1);
    let (beginning, mut seen, mut cursor) = (Cursor::default(), String::new(), Cursor::default());
    let first_part = async {
        while !seen.contains("n500.") {
            if let Some(Observation::Events { bytes, cursor: behind }) = news.recv().await {
                seen += std::str::from_utf8(&bytes).unwrap();
                cursor = behind;
            }
        }
    };
    tokio::select! {
        ended = backend.observe(&handle, &beginning, sender) => panic!("ended while the formula waits: {ended:?}"),
        () = first_part => {}
    }
    std::fs::write(&go, "").unwrap();
    // As another dispatcher that adopts the run.
    let told = observe(&world.backend(), &handle, &cursor).await;
    assert_eq!(numbers(&(seen + &told.events)), (1..=1000).collect::<Vec<u32>>());
}

#[tokio::test]
async fn a_log_of_several_files_arrives_whole_and_in_order() {
    let world = World::new().await;
    // 20,000 lines of a kilobyte and more: three files of Nomad's.
    let told = world.run("pad=$(printf %1000s); seq 1 20000 | sed \"s/.*/n&.$pad/\"").await;
    assert_eq!((told.ended.how, told.dropped, &told.incomplete), (End::Exited(0), 0, &None));
    assert_eq!(told.cursor.0["file"], 2, "{:?}", told.cursor);
    assert_eq!(numbers(&told.events), (1..=20_000).collect::<Vec<u32>>());
}

#[tokio::test]
async fn a_log_whose_answers_break_off_arrives_whole() {
    let world = World::new().await;
    let proxy = FaultProxy::start(&world.api.address);
    proxy.spoil(1, LOGS, Fault::ResetMidBody);
    proxy.spoil(1, LOGS, Fault::Truncate);
    proxy.spoil(1, LOGS, Fault::Refuse(500));
    let backend = world.backend_at(&proxy.url(), PLACEMENT);
    let handle = world.launch(&backend, "seq -f n%g. 1 2000; exit 7").await;
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!((told.ended.how, &told.incomplete), (End::Exited(7), &None));
    assert_eq!(numbers(&told.events), (1..=2000).collect::<Vec<u32>>());
}

#[tokio::test]
async fn what_the_log_has_lost_is_read_from_the_runners_own_file() {
    let world = World::new().await;
    let proxy = FaultProxy::start(&world.api.address);
    proxy.spoil(usize::MAX, LOGS, Fault::Refuse(404));
    let backend = world.backend_at(&proxy.url(), PLACEMENT);
    let handle = world.launch(&backend, "seq -f n%g. 1 2000; exit 7").await;
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!((told.ended.how, &told.incomplete), (End::Exited(7), &None));
    assert_eq!(numbers(&told.events), (1..=2000).collect::<Vec<u32>>());
    let again = observe(&backend, &handle, &told.cursor).await;
    assert_eq!((again.events.as_str(), again.incomplete), ("", None));
}

#[tokio::test]
async fn of_a_long_stream_that_the_log_has_lost_the_beginning_and_the_end_are_read_and_the_middle_is_counted() {
    let world = World::new().await;
    let proxy = FaultProxy::start(&world.api.address);
    proxy.spoil(usize::MAX, LOGS, Fault::Refuse(404));
    let backend = world.backend_at(&proxy.url(), PLACEMENT);
    // 600 times 50 KB: more than the runner keeps of it.
    let script = "x=$(printf '%050000d' 0); for i in {1..600}; do echo \"n$i.$x\"; done; exit 7";
    let handle = world.launch(&backend, script).await;
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!((told.ended.how, &told.incomplete), (End::Exited(7), &None));
    let numbers = numbers(&told.events);
    assert!(numbers.is_sorted_by(|one, next| one < next), "a line came twice");
    assert_eq!((numbers.first(), numbers.last()), (Some(&1), Some(&600)));
    assert!(told.dropped > 5_000_000 && told.events.contains("\"kind\":\"exit\""), "{} bytes dropped", told.dropped);
}

#[tokio::test]
async fn a_log_that_cannot_be_had_says_so_and_names_the_capability_by_which_it_could() {
    let world = World::new().await;
    world.take_shipped_policy();
    let proxy = FaultProxy::start(&world.api.address);
    proxy.spoil(usize::MAX, LOGS, Fault::Refuse(404));
    let backend = world.backend_at(&proxy.url(), PLACEMENT);
    let handle = backend.launch(&key(1), &world.envelope(&key(1), "echo hello; exit 7")).await.unwrap();
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!(told.ended.how, End::Exited(7));
    let why = told.incomplete.unwrap();
    for words in ["last event is not in its log", "reading the run's log", "404", "the token's policy needs read-fs"] {
        assert!(why.contains(words), "{words}: {why}");
    }
}
