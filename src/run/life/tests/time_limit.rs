//! The time limit of a run, on the fake backend and a paused clock: it counts from the run's process, whoever follows it.

use serde_json::json;
use tokio::time::Instant;

use super::super::*;
use crate::action::result::ResultState;
use crate::backend::End;
use crate::backend::fake::{FakeBackend, Script, Step as Scripted};
use crate::config::types::Layout;
use crate::grant::none::NoSecrets;
use crate::run::journal::{Passing, Sighting};
use crate::run::step::Request;
use crate::support::ids::{BlobId, CommitId, LaunchKey};

const MINUTE: Duration = Duration::from_secs(60);
/// Of the run, in minutes.
const LIMIT: u32 = 10;
/// What the runner is given on top: twice the grace, and the margin of `follow`.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tokio's clock, as a date.
#[derive(Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH.saturating_add(self.0.elapsed()).unwrap()
    }
}

/// One admitted run, and where it is to run.
struct Bench {
    world: World,
    fake: FakeBackend,
    id: RunId,
    begun: Instant,
    _folder: tempfile::TempDir,
}

fn blob() -> BlobId {
    "a".repeat(40).parse().unwrap()
}

fn head() -> CommitId {
    "b".repeat(40).parse().unwrap()
}

fn admit() -> Step {
    let pinned = json!({ "sha256": "", "bytes": "" });
    let admitted = serde_json::from_value(json!({
        "id": "a", "blob": blob(), "action": pinned, "context": "x",
        "formula": {
            "name": "f", "kind": "mechanical", "source": "ops:formulas/f.sh", "script": pinned, "meta": null,
            "context_files": {}, "idempotent": false, "max_concurrent": null,
        },
        "params": {}, "tier": "low", "approval": { "how": "branch", "by": [], "commit": null }, "arrived": null,
        "head": head(), "backend": "fake", "mounts": [], "secrets": [], "timeout_minutes": LIMIT, "priority": 50,
        "concurrency_key": null, "working_directory": null, "not_after": null, "depends_on": [], "evidence": [],
    }));
    Step::Admit { admitted: Box::new(admitted.unwrap()) }
}

impl Bench {
    async fn new(script: Script) -> Self {
        let (folder, begun) = (tempfile::tempdir().unwrap(), Instant::now());
        let (fake, id): (_, RunId) = (FakeBackend::new(), "a@1".parse().unwrap());
        fake.script(&LaunchKey::of_action(id.action(), &blob(), 1), script);
        let clock: Arc<dyn Clock> = Arc::new(Paused(begun));
        let disk = || Passing { before: Duration::ZERO, full: false, after: Duration::ZERO };
        let journal = Journal::open_here(&folder.path().join("journal.db"), clock.clone(), Box::new(disk)).unwrap();
        let path = "vault/actions/a.toml".to_owned();
        let request = Request { path, blob: blob(), mode: "100644".to_owned(), head: head(), occasion: None };
        let steps = vec![(id.clone(), Step::See { request, asked_by: None })];
        journal.sight(Sighting { head: Some(head()), steps, ..Sighting::default() }).await.unwrap();
        journal.step(&id, admit()).await.unwrap();
        let backend: Arc<dyn Backend> = Arc::new(fake.clone());
        let world = World {
            journal,
            backends: BTreeMap::from([("fake".to_owned(), backend)]),
            secrets: Arc::new(NoSecrets),
            logs: LogStore::new(folder.path().join("logs")),
            clock,
            grace: Duration::from_secs(5),
            environment: BTreeMap::new(),
            dispatcher: DispatcherRef { version: "0".to_owned(), host: "test".to_owned() },
            paths: ResultPaths { actions: "vault/actions".to_owned(), layout: Layout::Flat },
            tenure: Tenure::unlimited(),
            hindered: Hindered::default(),
        };
        Self { world, fake, id, begun, _folder: folder }
    }

    /// Follows the run, from wherever it is, until `time` after the beginning; then this dispatcher is gone.
    async fn follow_until(&self, time: Duration) {
        let (leave, detach) = watch::channel(false);
        let (_stop, stop) = watch::channel(false);
        let mut wishes = Wishes { stop, detach };
        let leave = async {
            tokio::time::sleep_until(self.begun + time).await;
            leave.send_replace(true);
        };
        let (driven, ()) = tokio::join!(drive(&self.world, &self.id, 0, None, &mut wishes), leave);
        assert_eq!(driven.unwrap(), Driven::Detached);
    }

    /// Follows it to its end: its result, and when that was.
    async fn end(&self) -> (ResultState, Reason, serde_json::Value, Duration) {
        let (_stop, stop) = watch::channel(false);
        let (_detach, detach) = watch::channel(false);
        let driven = drive(&self.world, &self.id, 0, None, &mut Wishes { stop, detach }).await;
        assert_eq!(driven.unwrap(), Driven::Settled);
        let run = self.world.journal.run(&self.id).await.unwrap().unwrap();
        let result: serde_json::Value = serde_json::from_str(&run.outcome.unwrap().result).unwrap();
        let state = serde_json::from_value(result["state"].clone()).unwrap();
        let reason = serde_json::from_value(result["reason"].clone()).unwrap();
        assert_eq!(self.fake.violations(), [""; 0]);
        (state, reason, result, self.begun.elapsed())
    }
}

/// A process that is there after so many minutes and goes on for as many.
fn late(after: u32, goes_on: u32) -> Script {
    let steps = vec![Scripted::Wait((after + goes_on) * MINUTE)];
    Script { starts_after: Some(after * MINUTE), steps, ..Script::default() }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_finds_no_place_for_longer_than_its_limit_is_not_timed_out_but_never_placed() {
    let bench = Bench::new(Script {
        starts_after: None,
        steps: vec![Scripted::Wait(15 * MINUTE)],
        end: Some(End::NotStarted),
        reason: Some(Reason::NeverPlaced),
        detail: Some("no client has enough memory".to_owned()),
        ..Script::default()
    })
    .await;
    let (state, reason, result, took) = bench.end().await;
    assert_eq!((state, reason, took), (ResultState::NotStarted, Reason::NeverPlaced, 15 * MINUTE));
    assert_eq!(result["message"], "no client has enough memory");
    assert!(result["started_at"].is_null(), "it never began: {result:#}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waited_for_its_place_has_its_whole_limit() {
    let bench = Bench::new(late(8, 9)).await;
    let (state, _, _, took) = bench.end().await;
    assert_eq!((state, took), (ResultState::Succeeded, 17 * MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_for_longer_than_its_limit_is_ended_by_the_time_of_its_process() {
    let bench = Bench::new(late(8, 60)).await;
    let (state, reason, _, took) = bench.end().await;
    assert_eq!((state, reason), (ResultState::TimedOut, Reason::TimedOut));
    assert_eq!(took, 18 * MINUTE + PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn whoever_adopts_a_run_makes_its_limit_no_longer() {
    let bench = Bench::new(late(8, 60)).await;
    for minutes in [4, 9, 12, 17] {
        bench.follow_until(minutes * MINUTE).await;
    }
    let (state, _, _, took) = bench.end().await;
    assert_eq!((state, took), (ResultState::TimedOut, 18 * MINUTE + PATIENCE));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ended_within_its_limit_while_nobody_followed_it_is_not_timed_out() {
    let script = Script { end: Some(End::Exited(3)), ..late(8, 9) };
    let bench = Bench::new(script).await;
    bench.follow_until(9 * MINUTE).await;
    tokio::time::sleep(60 * MINUTE).await;
    let (state, reason, ..) = bench.end().await;
    assert_eq!((state, reason), (ResultState::Failed, Reason::ExitNonzero));
}
