//! What the journal promises, on real files.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::{GoneResult, Journal, JournalError, Sighting, StandingResult, chain, store};
use crate::action::reason::Reason;
use crate::backend::Handle;
use crate::grant::GrantRecord;
use crate::run::state::State;
use crate::run::step::{Finish, Request, Step, StopCause};
use crate::support::clock::SystemClock;
use crate::support::ids::RunId;

fn open(path: &Path) -> Journal {
    Journal::open(path, Arc::new(SystemClock)).unwrap()
}

fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

fn see(name: &str) -> Step {
    let request = Request {
        path: format!("vault/actions/{name}.toml"),
        blob: "a".repeat(40).parse().unwrap(),
        mode: "100644".to_owned(),
        head: "b".repeat(40).parse().unwrap(),
        occasion: None,
    };
    Step::See { request, asked_by: None }
}

fn reject() -> Step {
    Step::Reject {
        blob: "a".repeat(40).parse().unwrap(),
        reason: Reason::SecretAbsent,
        message: "secret X is absent".to_owned(),
    }
}

#[tokio::test]
async fn what_was_recorded_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = open(&path);
    journal.step(&id("a@1"), see("a")).await.unwrap();
    journal.step(&id("a@1"), reject()).await.unwrap();
    drop(journal);
    let run = open(&path).run(&id("a@1")).await.unwrap().unwrap();
    assert_eq!((run.state, run.refusal.unwrap().reason), (State::Rejected, Reason::SecretAbsent));
}

#[tokio::test]
async fn a_step_that_may_not_be_taken_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder.path().join("journal.db"));
    journal.step(&id("a@1"), see("a")).await.unwrap();
    let before = journal.tip().await.unwrap();
    let launch = Step::Launch { backend: "local".to_owned(), mark: None };
    assert!(matches!(journal.step(&id("a@1"), launch).await, Err(JournalError::Illegal { .. })));
    assert_eq!(journal.tip().await.unwrap(), before);
}

#[tokio::test]
async fn a_step_taken_twice_is_one_event() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder.path().join("journal.db"));
    journal.step(&id("a@1"), see("a")).await.unwrap();
    journal.step(&id("a@1"), reject()).await.unwrap();
    let before = journal.tip().await.unwrap();
    journal.step(&id("a@1"), reject()).await.unwrap();
    assert_eq!(journal.tip().await.unwrap(), before);
}

#[tokio::test]
async fn of_steps_that_belong_together_all_are_recorded_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder.path().join("journal.db"));
    let steps = vec![(id("a@1"), see("a")), (id("b@1"), Step::Settle { path: String::new(), result: String::new() })];
    assert!(journal.steps("publish", steps).await.is_err());
    assert_eq!(journal.run(&id("a@1")).await.unwrap(), None);
}

#[tokio::test]
async fn a_failing_job_takes_none_of_those_with_it_that_share_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder.path().join("journal.db"));
    let good = (0..50).map(|n| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.step(&id(&format!("a{n}@1")), see("a")).await.is_ok() })
    });
    let bad = (0..50).map(|n| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.step(&id(&format!("b{n}@1")), reject()).await.is_ok() })
    });
    let (good, bad): (Vec<_>, Vec<_>) = (good.collect(), bad.collect());
    for task in good {
        assert!(task.await.unwrap());
    }
    for task in bad {
        assert!(!task.await.unwrap());
    }
    assert_eq!(journal.in_state(State::Seen).await.unwrap().len(), 50);
}

#[tokio::test]
async fn what_was_seen_and_how_far_was_looked_are_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder.path().join("journal.db"));
    let result = StandingResult {
        action: "old".to_owned(),
        path: "vault/actions/old.result.json".to_owned(),
        blob: "c".repeat(40).parse().unwrap(),
        attempt: 2,
    };
    let sighting = Sighting {
        head: Some("d".repeat(40).parse().unwrap()),
        results: vec![result.clone()],
        steps: vec![(id("new@1"), see("new"))],
        ..Sighting::default()
    };
    journal.sight(sighting.clone()).await.unwrap();
    journal.sight(sighting).await.unwrap();
    assert_eq!(journal.get("head").await.unwrap(), Some("d".repeat(40)));
    assert_eq!(journal.standing(vec!["old".to_owned(), "new".to_owned()]).await.unwrap(), [Some(result), None]);
    assert_eq!(journal.unfinished().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_result_that_moved_still_stands() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder.path().join("journal.db"));
    let at = |path: &str| StandingResult {
        action: "a".to_owned(),
        path: path.to_owned(),
        blob: "c".repeat(40).parse().unwrap(),
        attempt: 1,
    };
    let gone = |path: &str| GoneResult { action: "a".to_owned(), path: path.to_owned() };
    let standing = async || journal.standing(vec!["a".to_owned()]).await.unwrap();
    let (old, new) = ("vault/actions/a.result.json", "vault/results/2026/11/a.result.json");
    journal.sight(Sighting { results: vec![at(old)], ..Sighting::default() }).await.unwrap();
    let moved = Sighting { results: vec![at(new)], results_gone: vec![gone(old)], ..Sighting::default() };
    journal.sight(moved).await.unwrap();
    assert_eq!(standing().await, [Some(at(new))]);
    journal.sight(Sighting { results_gone: vec![gone(new)], ..Sighting::default() }).await.unwrap();
    assert_eq!(standing().await, [None]);
}

#[tokio::test]
async fn a_published_run_is_unfinished_until_its_grant_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder.path().join("journal.db"));
    let run = id("a@1");
    let record = GrantRecord {
        policies: vec!["runner-X".to_owned()],
        accessors: vec!["accessor".to_owned()],
        ..GrantRecord::default()
    };
    let handle = Handle(serde_json::json!({}));
    let lost = Finish::Lost { reason: Reason::ExitUnknown, message: String::new() };
    let recover = Step::Recover { handle, backend: "local".to_owned() };
    journal.step(&run, recover).await.unwrap();
    for step in
        [Step::Finish { how: lost, wrapping: None }, Step::Settle { path: "p".to_owned(), result: "{}".to_owned() }]
    {
        journal.step(&run, step).await.unwrap();
    }
    let publish = Step::Publish { commit: "e".repeat(40).parse().unwrap(), kept_aside: None };
    journal.step(&run, publish).await.unwrap();
    assert!(journal.unfinished().await.unwrap().is_empty());

    let granted = id("b@1");
    journal.step(&granted, see("b")).await.unwrap();
    journal.step(&granted, Step::Stop { cause: StopCause::Operator, by: None }).await.unwrap();
    let mut run = journal.run(&granted).await.unwrap().unwrap();
    (run.state, run.grant) = (State::Published, Some(record));
    assert!(super::read::owes(&run));
}

#[tokio::test]
async fn a_grant_that_was_asked_for_and_never_recorded_is_counted_once_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = open(&path);
    for run in ["a@1", "b@1"] {
        journal.minting(&id(run)).await.unwrap();
    }
    journal.not_minted(&id("b@1")).await.unwrap();
    drop(journal);
    let journal = open(&path);
    assert_eq!(journal.count_unrecorded().await.unwrap(), ["a@1"]);
    assert_eq!(journal.alarms().await.unwrap().into_iter().collect::<Vec<_>>(), [("grant_unanswered".to_owned(), 1)]);
    assert!(journal.count_unrecorded().await.unwrap().is_empty());
}

fn tamper(path: &Path, statement: &str) -> chain::Verified {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(statement).unwrap();
    chain::verify(&connection).unwrap()
}

#[tokio::test]
async fn an_edited_a_missing_and_an_added_event_each_break_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    for (name, statement) in [
        ("edited", "UPDATE events SET data = replace(data, 'secret X', 'secret Y') WHERE kind = 'reject'"),
        ("missing", "DELETE FROM events WHERE kind = 'see' AND run = 'a@1'"),
        ("added", "INSERT INTO events SELECT seq + 9, at, run, kind, data, prev, hash FROM events WHERE seq = 2"),
    ] {
        let path = folder.path().join(name);
        let journal = open(&path);
        for name in ["a", "b"] {
            journal.step(&id(&format!("{name}@1")), see(name)).await.unwrap();
            journal.step(&id(&format!("{name}@1")), reject()).await.unwrap();
        }
        drop(journal);
        assert!(chain::verify(&store::open_to_read(&path).unwrap()).unwrap().breaks.is_empty());
        assert!(!tamper(&path, statement).breaks.is_empty(), "{name}");
    }
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let damaged = b"SQLite format 3\0 and then something else entirely".repeat(100);
    std::fs::write(&path, &damaged).unwrap();
    let refused = Journal::open(&path, Arc::new(SystemClock)).unwrap_err();
    assert!(matches!(refused, JournalError::Corrupt { .. }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
}

#[test]
fn a_journal_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99; CREATE TABLE x (y)").unwrap();
    let refused = Journal::open(&path, Arc::new(SystemClock)).unwrap_err();
    assert!(matches!(refused, JournalError::Newer { found: 99, .. }), "{refused}");
    let words = refused.to_string();
    assert!(words.contains("format 99"), "{words}");
}

#[test]
fn the_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(Journal::open(&path, Arc::new(SystemClock)).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A file that the first format wrote, with its rows.
fn of_the_first_format(path: &Path) {
    Connection::open(path).unwrap().execute_batch(include_str!("format_1.sql")).unwrap();
}

/// Its tables and their columns.
fn shape(path: &Path) -> Vec<(String, String, String)> {
    let connection = Connection::open(path).unwrap();
    let columns = "SELECT m.name, c.name, c.type || c.[notnull] || coalesce(c.dflt_value, '') || c.pk
                   FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid";
    let mut statement = connection.prepare(columns).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_journal_of_the_first_format_is_migrated_with_all_that_it_holds_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, new) = (folder.path().join("journal.db"), folder.path().join("new.db"));
    of_the_first_format(&path);
    let journal = open(&path);
    drop(open(&new));
    assert_eq!(shape(&path), shape(&new));

    assert_eq!(journal.run(&id("a@1")).await.unwrap().unwrap().state, State::Published);
    assert_eq!(journal.standing(vec!["a".to_owned()]).await.unwrap()[0].as_ref().unwrap().attempt, 0);
    journal.step(&id("b@1"), reject()).await.unwrap();
    let result =
        StandingResult { attempt: 3, ..journal.standing(vec!["a".to_owned()]).await.unwrap()[0].clone().unwrap() };
    journal.sight(Sighting { results: vec![result.clone()], ..Sighting::default() }).await.unwrap();
    assert_eq!(journal.standing(vec!["a".to_owned()]).await.unwrap(), [Some(result)]);
    drop(journal);

    // Once: what is opened again has its format already.
    drop(open(&path));
    let connection = store::open_to_read(&path).unwrap();
    assert_eq!(super::replay::compare(&connection).unwrap(), []);
    let verified = chain::verify(&connection).unwrap();
    assert_eq!((verified.events, verified.breaks), (8, vec![]));
    let kinds: Vec<_> =
        super::read::events_since(&connection, 6).unwrap().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["format", "reject"]);
}

#[test]
fn a_journal_of_the_first_format_is_read_as_it_is_and_not_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    of_the_first_format(&path);
    let before = std::fs::read(&path).unwrap();
    let connection = store::open_to_read(&path).unwrap();
    assert_eq!(super::read::standing(&connection, "a").unwrap().unwrap().attempt, 0);
    assert_eq!(super::read::latest(&connection, "b").unwrap().unwrap().state, State::Seen);
    assert!(chain::verify(&connection).unwrap().breaks.is_empty());
    drop(connection);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
