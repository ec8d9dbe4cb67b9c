//! Which grants were asked for and are not recorded yet. A dispatcher that is killed in between leaves a token behind that nobody
//! holds: the next one learns of it here, and counts it.

use rusqlite::Connection;

use super::alarm::Alarm;
use super::{Journal, JournalError, store};
use crate::support::fault;
use crate::support::ids::RunId;

const PREFIX: &str = "minting.";

fn key(run: &RunId) -> String {
    format!("{PREFIX}{run}")
}

impl Journal {
    /// Records that a grant is about to be asked for; recording the grant ends it, see [`recorded`].
    ///
    /// # Errors
    /// Any failure to write: no grant may be asked for then.
    pub async fn minting(&self, run: &RunId) -> Result<(), JournalError> {
        let run = run.clone();
        fault::point("journal.minting.before")?;
        self.call(move |connection| store::set(connection, &key(&run), Some(""))).await?;
        Ok(fault::point("journal.minting.after")?)
    }

    /// Records that there is no grant: none was made, or it was taken back, or it was counted.
    ///
    /// # Errors
    /// Any failure to write: the next start counts it.
    pub async fn not_minted(&self, run: &RunId) -> Result<(), JournalError> {
        let run = run.clone();
        self.call(move |connection| recorded(connection, &run)).await
    }

    /// Counts the grants that an earlier dispatcher asked for and did not come to record; answers their runs.
    ///
    /// # Errors
    /// Any failure to read or write.
    pub async fn count_unrecorded(&self) -> Result<Vec<String>, JournalError> {
        let at = self.clock.now();
        self.call(move |connection| {
            let runs = unrecorded(connection)?;
            for run in &runs {
                let message = "the dispatcher was ended after it had asked for a grant and before it had recorded one";
                let data = serde_json::json!({ "run": run, "message": message });
                Alarm::GrantUnanswered.record(connection, at, &data)?;
                store::set(connection, &format!("{PREFIX}{run}"), None)?;
            }
            Ok(runs)
        })
        .await
    }
}

/// The grant of `run` is in the journal now: written with it, all or nothing.
pub(super) fn recorded(connection: &Connection, run: &RunId) -> Result<(), JournalError> {
    store::set(connection, &key(run), None)
}

fn unrecorded(connection: &Connection) -> Result<Vec<String>, JournalError> {
    let failed = JournalError::statement("look for grants that were not recorded");
    let read = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare("SELECT key FROM meta WHERE key LIKE ?1 ORDER BY key")?;
        let keys = statement.query_map([format!("{PREFIX}%")], |row| row.get::<_, String>(0))?;
        keys.map(|key| key.map(|key| key.strip_prefix(PREFIX).unwrap_or(&key).to_owned())).collect()
    };
    read().map_err(failed)
}
