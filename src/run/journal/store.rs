//! The journal's file: its tables, how it is opened, and what one recorded step changes in it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::{JournalError, Sighting, chain, minting, read};
use crate::run::record::Run;
use crate::run::step::Step;
use crate::support::clock::Clock;
use crate::support::ids::RunId;

/// One script for each format; the format of a file is how many of them it has seen. A change of the format is a new
/// script at the end, never an edit of one above it.
pub(super) const FORMATS: [&str; 2] = [
    "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, action TEXT NOT NULL, attempt INTEGER NOT NULL, ord INTEGER NOT NULL UNIQUE,
        state TEXT NOT NULL, owes INTEGER NOT NULL, record TEXT NOT NULL, admitted TEXT,
        UNIQUE (action, attempt)
    );
    CREATE INDEX runs_owing ON runs (ord) WHERE owes = 1;
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY, at TEXT NOT NULL, run TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL,
        prev TEXT NOT NULL, hash TEXT NOT NULL
    );
    CREATE INDEX events_of_run ON events (run, seq);
    CREATE TABLE results (action TEXT PRIMARY KEY, path TEXT NOT NULL, blob TEXT NOT NULL) WITHOUT ROWID;
",
    "ALTER TABLE results ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;",
];

/// What is laid over a file of an older format, in the reader's own connection, so that it reads like one of the present format: by
/// the file's format, from 1. What a reader asks beside a dispatcher that was not restarted yet is answered all the same.
const READ_AS: [&str; FORMATS.len() - 1] =
    ["CREATE TEMP VIEW results AS SELECT action, path, blob, 0 AS attempt FROM main.results;"];

/// Milliseconds that a statement waits for another process's lock (a reader of ours holds none for long).
const BUSY_MS: u64 = 5_000;

/// Of the file this much is kept in memory: what is asked for often is far less.
const CACHE_KIB: u32 = 512;

pub(super) fn open(path: &Path, clock: &dyn Clock) -> Result<Connection, JournalError> {
    // Made by us, so that it is readable by its owner alone: SQLite would ask the umask. The files beside it inherit the mode.
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check(&connection, path)?;
    let settings = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -{CACHE_KIB}"
    );
    connection.execute_batch(&settings).map_err(JournalError::statement("set itself up"))?;
    migrate(&connection, path, clock.now())?;
    Ok(connection)
}

/// Opens the journal beside a running dispatcher, for reading. One of an older format is read as it is, and not migrated: whoever
/// writes to it may be of the version before.
///
/// # Errors
/// Where it is missing, damaged, of a later format, or has none yet.
pub fn open_to_read(path: &Path) -> Result<Connection, JournalError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let found =
        format(&connection, path)?.checked_sub(1).ok_or_else(|| JournalError::Unmade { path: path.to_owned() })?;
    for script in READ_AS.iter().skip(found) {
        connection.execute_batch(script).map_err(JournalError::statement("be read in its older format"))?;
    }
    connection.execute_batch("PRAGMA query_only = ON").map_err(JournalError::statement("become read-only"))?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, JournalError> {
    let open = |source| JournalError::Open { path: path.to_owned(), source };
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(open)?;
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS)).map_err(open)?;
    Ok(connection)
}

fn check(connection: &Connection, path: &Path) -> Result<(), JournalError> {
    let corrupt = |detail| JournalError::Corrupt { path: path.to_owned(), detail };
    let answer: Result<String, _> = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match answer {
        Ok(word) if word == "ok" => Ok(()),
        Ok(words) => Err(corrupt(words)),
        Err(error) => Err(corrupt(error.to_string())),
    }
}

/// The format of the file.
fn format(connection: &Connection, path: &Path) -> Result<usize, JournalError> {
    let found: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(JournalError::statement("read its format"))?;
    let known = u32::try_from(FORMATS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(JournalError::Newer { path: path.to_owned(), found, known });
    }
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

fn migrate(connection: &Connection, path: &Path, at: Timestamp) -> Result<(), JournalError> {
    let found = format(connection, path)?;
    let failed = || JournalError::statement("take on its present format");
    for (script, number) in FORMATS.iter().zip(1..).skip(found) {
        // One transaction, so that no format is without its event.
        let whole = connection.unchecked_transaction().map_err(failed())?;
        whole.execute_batch(&format!("{script}; PRAGMA user_version = {number};")).map_err(failed())?;
        chain::append(&whole, at, "", "format", &format!("{{\"format\":{number}}}"))?;
        whole.commit().map_err(failed())?;
    }
    Ok(())
}

pub(super) fn set(connection: &Connection, key: &str, value: Option<&str>) -> Result<(), JournalError> {
    let changed = match value {
        Some(value) => connection
            .prepare_cached("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")
            .and_then(|mut statement| statement.execute(params![key, value])),
        None => connection.execute("DELETE FROM meta WHERE key = ?1", [key]),
    };
    changed.map(drop).map_err(JournalError::statement("keep a value"))
}

/// The run after a step, and whether the step changed anything.
#[derive(Debug)]
pub(super) struct Stepped {
    pub(super) run: Run,
    pub(super) news: News,
}

/// Whether a step was recorded now, or had been taken before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Recorded,
    Known,
}

pub(super) fn step(connection: &Connection, id: &RunId, step: &Step, at: Timestamp) -> Result<Stepped, JournalError> {
    let illegal = |illegal| JournalError::Illegal { run: id.clone(), illegal };
    let before = read::run(connection, id)?;
    let after = match &before {
        None => Run::begin(id.clone(), next_order(connection)?, step, at).map_err(illegal)?,
        Some(run) => match run.after(step, at).map_err(illegal)? {
            Some(after) => after,
            None => return Ok(Stepped { run: run.clone(), news: News::Known }),
        },
    };
    write(connection, before.as_ref(), &after)?;
    if matches!(step, Step::Grant { .. }) {
        minting::recorded(connection, id)?;
    }
    chain::append(connection, at, &id.to_string(), step.kind().word(), &event_data(id, step)?)?;
    Ok(Stepped { run: after, news: News::Recorded })
}

fn next_order(connection: &Connection) -> Result<i64, JournalError> {
    connection
        .query_row("SELECT coalesce(max(ord), 0) + 1 FROM runs", [], |row| row.get(0))
        .optional()
        .map(|order| order.unwrap_or(1))
        .map_err(JournalError::statement("count its runs"))
}

/// What an event keeps: everything but the bytes that ran, of which it keeps the hashes.
fn event_data(id: &RunId, step: &Step) -> Result<String, JournalError> {
    let mut step = step.clone();
    if let Step::Admit { admitted } = &mut step {
        admitted.drop_bytes();
    }
    serde_json::to_string(&step).map_err(|source| JournalError::Record { run: id.to_string(), source })
}

fn write(connection: &Connection, before: Option<&Run>, run: &Run) -> Result<(), JournalError> {
    let unreadable = |source| JournalError::Record { run: run.id.to_string(), source };
    let admitted_changed = before.is_none_or(|before| before.admitted != run.admitted);
    let mut slim = run.clone();
    let admitted = slim.admitted.take().map(|admitted| serde_json::to_string(&admitted)).transpose();
    let record = serde_json::to_string(&slim).map_err(unreadable)?;
    connection
        .prepare_cached(
            "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (id) DO UPDATE SET state = ?5, owes = ?6, record = ?7,
                admitted = CASE WHEN ?9 THEN ?8 ELSE admitted END",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                run.id.to_string(),
                run.id.action().as_str(),
                run.id.attempt(),
                run.order,
                run.state.word(),
                read::owes(run),
                record,
                if admitted_changed { admitted.map_err(unreadable_sql)? } else { None },
                admitted_changed,
            ])
        })
        .map(drop)
        .map_err(JournalError::statement("write a run"))
}

fn unreadable_sql(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// Answers, for each of the steps, whether it was news.
pub(super) fn sight(connection: &Connection, sighting: &Sighting, at: Timestamp) -> Result<Vec<News>, JournalError> {
    for result in &sighting.results {
        connection
            .prepare_cached(
                "INSERT INTO results VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET path = ?2, blob = ?3, attempt = ?4",
            )
            .and_then(|mut statement| {
                statement.execute(params![result.action, result.path, result.blob.as_str(), result.attempt])
            })
            .map_err(JournalError::statement("keep what stands in the ops repo"))?;
    }
    for gone in &sighting.results_gone {
        connection
            .execute("DELETE FROM results WHERE action = ?1 AND path = ?2", [&gone.action, &gone.path])
            .map_err(JournalError::statement("forget what is gone from the ops repo"))?;
    }
    let steps = sighting.steps.iter().map(|(run, step)| Ok(self::step(connection, run, step, at)?.news));
    let news = steps.collect::<Result<_, JournalError>>()?;
    if let Some(head) = &sighting.head {
        set(connection, "head", Some(head.as_str()))?;
        set(connection, "rewritten", None)?;
    }
    Ok(news)
}
