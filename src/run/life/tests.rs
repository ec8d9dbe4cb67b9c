//! What keeps a run from being launched, each with its reason: on the fake backend, whose launches are counted.

mod time_limit;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::watch;

use super::{Driven, Hindered, Wishes, World, drive};
use crate::action::reason::Reason;
use crate::action::result::{ActionResult, DispatcherRef, ResultState};
use crate::backend::fake::{FakeBackend, Script, Step as Scripted};
use crate::backend::{Backend, Channel, End};
use crate::config::types::Layout;
use crate::grant::{Ask, Grant, GrantError, GrantRecord, Presence, SecretProvider};
use crate::run::journal::Journal;
use crate::run::log::LogStore;
use crate::run::settle::ResultPaths;
use crate::run::step::{Request, Step};
use crate::runner::envelope::Handover;
use crate::runner::event::ReservedExit;
use crate::support::checkup::Finding;
use crate::support::clock::SystemClock;
use crate::support::ids::{BlobId, LaunchKey, RunId, SecretName};
use crate::support::tenure::Tenure;

/// Hands over the values themselves, and counts what it takes back.
#[derive(Debug, Default)]
struct Values(AtomicUsize);

#[async_trait]
impl SecretProvider for Values {
    fn name(&self) -> &'static str {
        "values"
    }
    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }
    async fn presence(&self, _: &SecretName) -> Presence {
        Presence::Present { evidence: "always".to_owned() }
    }
    async fn mint(&self, ask: Ask<'_>) -> Result<Grant, GrantError> {
        let values = ask.secrets.iter().map(|name| (name.clone(), SecretString::from("a value of its own")));
        Ok(Grant { record: GrantRecord::default(), handover: Handover::Values(values.collect()) })
    }
    async fn revoke(&self, _: &GrantRecord) -> Result<(), GrantError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// One admitted run that names a secret.
struct Case {
    folder: tempfile::TempDir,
    fake: FakeBackend,
    secrets: Arc<Values>,
    world: World,
}

fn id() -> RunId {
    "a@1".parse().unwrap()
}

fn blob() -> BlobId {
    "a".repeat(40).parse().unwrap()
}

fn key() -> LaunchKey {
    LaunchKey::of_action(&"a".parse().unwrap(), &blob(), 1)
}

fn admit() -> Step {
    let pinned = json!({ "sha256": "", "bytes": "" });
    let admitted = json!({
        "id": "a", "blob": blob(), "action": pinned, "context": "a test",
        "formula": {
            "name": "f", "kind": "mechanical", "source": "ops:formulas/f.sh", "script": pinned, "meta": null,
            "context_files": {}, "idempotent": false, "max_concurrent": null,
        },
        "params": {}, "tier": "low", "approval": { "how": "branch", "by": [], "commit": null }, "arrived": null,
        "head": "b".repeat(40), "backend": "fake", "mounts": [], "secrets": ["TOKEN"], "timeout_minutes": 1,
        "priority": 50, "concurrency_key": null, "working_directory": null, "not_after": null, "depends_on": [],
        "evidence": [],
    });
    Step::Admit { admitted: Box::new(serde_json::from_value(admitted).unwrap()) }
}

fn world(folder: &Path, fake: &FakeBackend, secrets: &Arc<Values>) -> World {
    let backend: Arc<dyn Backend> = Arc::new(fake.clone());
    World {
        journal: Journal::open(&folder.join("journal.db"), Arc::new(SystemClock)).unwrap(),
        backends: BTreeMap::from([("fake".to_owned(), backend)]),
        secrets: Arc::clone(secrets) as Arc<dyn SecretProvider>,
        logs: LogStore::new(folder.join("logs")),
        clock: Arc::new(SystemClock),
        grace: Duration::from_secs(5),
        environment: BTreeMap::new(),
        dispatcher: DispatcherRef { version: "0".to_owned(), host: "test".to_owned() },
        paths: ResultPaths { actions: "vault/actions".to_owned(), layout: Layout::Flat },
        tenure: Tenure::unlimited(),
        hindered: Hindered::default(),
    }
}

impl Case {
    async fn new(channel: Channel) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (fake, secrets) = (FakeBackend::new(), Arc::new(Values::default()));
        fake.hands_over_by(channel);
        let world = world(folder.path(), &fake, &secrets);
        let head = "b".repeat(40).parse().unwrap();
        let request =
            Request { path: "a.toml".to_owned(), blob: blob(), mode: "100644".to_owned(), head, occasion: None };
        for step in [Step::See { request, asked_by: None }, admit()] {
            world.journal.step(&id(), step).await.unwrap();
        }
        Self { folder, fake, secrets, world }
    }

    /// Changes the run's row behind the journal's back.
    fn damage(&self, set: &str) {
        let journal = Connection::open(self.folder.path().join("journal.db")).unwrap();
        assert_eq!(journal.execute(&format!("UPDATE runs SET {set}"), []).unwrap(), 1);
    }

    /// Drives the run to its result.
    async fn result(&self) -> ActionResult {
        let (stop, detach) = (watch::Sender::new(false), watch::Sender::new(false));
        let mut wishes = Wishes { stop: stop.subscribe(), detach: detach.subscribe() };
        assert_eq!(drive(&self.world, &id(), 0, None, &mut wishes).await.unwrap(), Driven::Settled);
        let run = self.world.journal.run(&id()).await.unwrap().unwrap();
        serde_json::from_str(&run.outcome.unwrap().result).unwrap()
    }

    /// That the run was not launched, and why.
    async fn assert_not_launched(&self, state: ResultState, reason: Reason) -> ActionResult {
        let result = self.result().await;
        assert_eq!((result.state, result.reason), (state, reason), "{}", result.message);
        assert_eq!((self.fake.launches(&key()), self.fake.violations()), (0, Vec::new()));
        result
    }
}

#[tokio::test]
async fn with_nothing_in_its_way_it_is_launched() {
    let case = Case::new(Channel::Private).await;
    let result = case.result().await;
    assert_eq!((result.state, case.fake.launches(&key())), (ResultState::Succeeded, 1), "{}", result.message);
}

#[tokio::test]
async fn what_does_not_fit_through_the_backends_channel_is_not_launched_and_nothing_is_granted() {
    let case = Case::new(Channel::Shared { limit: 64 }).await;
    let result = case.assert_not_launched(ResultState::NotStarted, Reason::PayloadTooLarge).await;
    assert!(result.message.contains("takes 64 at the most"), "{}", result.message);
    assert_eq!(case.secrets.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn values_are_not_handed_over_where_others_can_read_them_and_the_grant_is_taken_back() {
    let case = Case::new(Channel::Shared { limit: 1 << 20 }).await;
    let result = case.assert_not_launched(ResultState::NotStarted, Reason::ChannelNotPrivate).await;
    assert!(!result.message.contains("a value of its own"), "{}", result.message);
    assert_eq!(case.secrets.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_row_that_no_longer_says_what_was_asked_for_is_lost_and_not_launched() {
    let case = Case::new(Channel::Private).await;
    case.damage("record = json_set(record, '$.request', null)");
    case.assert_not_launched(ResultState::Lost, Reason::JournalLost).await;
}

#[tokio::test]
async fn a_row_that_no_longer_holds_what_was_admitted_is_not_launched() {
    let case = Case::new(Channel::Private).await;
    case.damage("admitted = NULL, record = json_set(record, '$.backend', 'fake')");
    case.assert_not_launched(ResultState::NotStarted, Reason::JournalLost).await;
}

#[tokio::test]
async fn a_formula_that_the_runner_could_not_start_is_not_started_and_says_so() {
    let case = Case::new(Channel::Private).await;
    let end = Some(End::Exited(ReservedExit::FormulaNotRunnable as i32));
    let last_word = "{\"t\":\"\",\"kind\":\"exit\",\"code\":69,\"bytes\":0}\n".to_owned();
    let steps = vec![Scripted::Events(last_word.into_bytes())];
    case.fake.usually(Script { steps, end, ..Script::default() });
    let result = case.result().await;
    assert_eq!(
        (result.state, result.reason),
        (ResultState::NotStarted, Reason::FormulaNotRunnable),
        "{}",
        result.message
    );
    assert_eq!(result.exit, Some(69));
}

#[tokio::test]
async fn what_was_claimed_for_other_bytes_begins_nothing() {
    let case = Case::new(Channel::Private).await;
    let (stop, detach) = (watch::Sender::new(false), watch::Sender::new(false));
    let mut wishes = Wishes { stop: stop.subscribe(), detach: detach.subscribe() };
    let before = Some("c".repeat(40).parse().unwrap());
    assert_eq!(drive(&case.world, &id(), 0, before, &mut wishes).await.unwrap(), Driven::Replaced);
    let run = case.world.journal.run(&id()).await.unwrap().unwrap();
    assert_eq!((run.state, case.fake.launches(&key())), (crate::run::state::State::Admitted, 0));
}
