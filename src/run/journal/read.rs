//! Questions to the journal. Each works on the writer's connection and on one that a command opened for reading.

use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use super::chain::{Event, row_to_event};
use super::{JournalError, StandingResult};
use crate::run::record::Run;
use crate::run::state::State;
use crate::support::ids::RunId;

/// Whether something is still to be done for it: a result to bring to the ops repo, or a grant to revoke.
pub(super) fn owes(run: &Run) -> bool {
    run.state != State::Published || run.grant.is_some()
}

/// A named value.
///
/// # Errors
/// Any failure to read.
pub fn value(connection: &Connection, key: &str) -> Result<Option<String>, JournalError> {
    connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
        .optional()
        .map_err(JournalError::statement("read a value"))
}

/// A row of `runs` before it is understood: its id, the record, what was admitted.
type Raw = (String, String, Option<String>);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn understood((id, record, admitted): Raw) -> Result<Run, JournalError> {
    let unreadable = |source| JournalError::Record { run: id.clone(), source };
    let mut run: Run = serde_json::from_str(&record).map_err(unreadable)?;
    run.admitted = admitted.map(|text| serde_json::from_str(&text)).transpose().map_err(unreadable)?;
    Ok(run)
}

fn runs(connection: &Connection, rest: &str, with: impl Params) -> Result<Vec<Run>, JournalError> {
    let failed = || JournalError::statement("read its runs");
    let mut statement =
        connection.prepare_cached(&format!("SELECT id, record, admitted FROM runs {rest}")).map_err(failed())?;
    let rows = statement.query_map(with, raw).map_err(failed())?;
    rows.map(|row| understood(row.map_err(failed())?)).collect()
}

/// Hands every row on, as its id, the state it is filed under, and the run in it.
pub(super) fn each_row(
    connection: &Connection,
    row: &mut dyn FnMut(String, Result<(String, Run), JournalError>),
) -> Result<(), JournalError> {
    let failed = || JournalError::statement("read its runs");
    let mut statement =
        connection.prepare("SELECT id, record, admitted, state FROM runs ORDER BY ord").map_err(failed())?;
    let rows = statement.query_map([], |row| Ok((raw(row)?, row.get::<_, String>(3)?))).map_err(failed())?;
    for found in rows {
        let (raw, state) = found.map_err(failed())?;
        row(raw.0.clone(), understood(raw).map(|run| (state, run)));
    }
    Ok(())
}

/// The run of that id.
///
/// # Errors
/// Any failure to read.
pub fn run(connection: &Connection, id: &RunId) -> Result<Option<Run>, JournalError> {
    Ok(runs(connection, "WHERE id = ?1", [id.to_string()])?.pop())
}

/// The latest attempt at an action.
///
/// # Errors
/// Any failure to read.
pub fn latest(connection: &Connection, action: &str) -> Result<Option<Run>, JournalError> {
    Ok(runs(connection, "WHERE action = ?1 ORDER BY attempt DESC LIMIT 1", [action])?.pop())
}

/// Runs for which something is still to be done, in order of arrival.
///
/// # Errors
/// Any failure to read.
pub fn unfinished(connection: &Connection) -> Result<Vec<Run>, JournalError> {
    runs(connection, "WHERE owes = 1 ORDER BY ord", [])
}

/// The actions of which an attempt after the first is not over.
///
/// # Errors
/// Any failure to read.
pub fn retries(connection: &Connection) -> Result<Vec<String>, JournalError> {
    let failed = || JournalError::statement("read its runs");
    let mut statement =
        connection.prepare_cached("SELECT action FROM runs WHERE owes = 1 AND attempt > 1").map_err(failed())?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(failed())?;
    rows.map(|row| row.map_err(failed())).collect()
}

/// All runs in `state` for which something is still to be done, in order of arrival.
///
/// # Errors
/// Any failure to read.
pub fn in_state(connection: &Connection, state: State) -> Result<Vec<Run>, JournalError> {
    runs(connection, "WHERE owes = 1 AND state = ?1 ORDER BY ord", [state.word()])
}

/// The latest `limit` runs, newest first, of one state or of all.
///
/// # Errors
/// Any failure to read.
pub fn recent(connection: &Connection, state: Option<State>, limit: u32) -> Result<Vec<Run>, JournalError> {
    match state {
        Some(state) => runs(connection, "WHERE state = ?1 ORDER BY ord DESC LIMIT ?2", (state.word(), limit)),
        None => runs(connection, "ORDER BY ord DESC LIMIT ?1", [limit]),
    }
}

/// The runs that something happened to after the event `seq`, in order of arrival.
///
/// # Errors
/// Any failure to read.
pub fn touched_since(connection: &Connection, seq: i64) -> Result<Vec<Run>, JournalError> {
    runs(connection, "WHERE id IN (SELECT run FROM events WHERE seq > ?1) ORDER BY ord", [seq])
}

/// How many runs there are in each state.
///
/// # Errors
/// Any failure to read.
pub fn counts(connection: &Connection) -> Result<Vec<(String, i64)>, JournalError> {
    let failed = || JournalError::statement("count its runs");
    let mut statement = connection.prepare("SELECT state, count(*) FROM runs GROUP BY state").map_err(failed())?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed())?;
    rows.map(|row| row.map_err(failed())).collect()
}

/// The events of one run, oldest first.
///
/// # Errors
/// Any failure to read.
pub fn events(connection: &Connection, id: &RunId) -> Result<Vec<Event>, JournalError> {
    events_where(connection, "run = ?1", [id.to_string()])
}

/// The events after the one numbered `seq`, oldest first.
///
/// # Errors
/// Any failure to read.
pub fn events_since(connection: &Connection, seq: i64) -> Result<Vec<Event>, JournalError> {
    events_where(connection, "seq > ?1", [seq])
}

/// The data of all events of that kind that belong to no run, oldest first.
pub(super) fn notes(connection: &Connection, kind: &str) -> Result<Vec<String>, JournalError> {
    // By the index of runs: of events without one there are few.
    let all = events_where(connection, "run = '' AND kind = ?1", [kind])?;
    Ok(all.into_iter().map(|event| event.data).collect())
}

fn events_where(connection: &Connection, which: &str, with: impl Params) -> Result<Vec<Event>, JournalError> {
    let failed = || JournalError::statement("read its events");
    let query = format!("SELECT seq, at, run, kind, data, prev, hash FROM events WHERE {which} ORDER BY seq");
    let mut statement = connection.prepare_cached(&query).map_err(failed())?;
    let rows = statement.query_map(with, row_to_event).map_err(failed())?;
    rows.map(|row| row.map_err(failed())).collect()
}

/// The result of an action that stands in the ops repo.
///
/// # Errors
/// Any failure to read.
pub fn standing(connection: &Connection, action: &str) -> Result<Option<StandingResult>, JournalError> {
    let row: Option<(String, String, u32)> = connection
        .prepare_cached("SELECT path, blob, attempt FROM results WHERE action = ?1")
        .and_then(|mut statement| {
            statement.query_row([action], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
        })
        .map_err(JournalError::statement("read what stands in the ops repo"))?;
    Ok(row.and_then(|(path, blob, attempt)| {
        Some(StandingResult { action: action.to_owned(), path, blob: blob.parse().ok()?, attempt })
    }))
}
