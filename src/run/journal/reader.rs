//! A journal that is only read, beside the dispatcher that writes it: for the verbs that judge, and change nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::{JournalError, store};

/// A journal opened for reading. One that does not exist (no dispatcher has run yet), or has no tables yet, is empty until it does.
pub struct Reader {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens the journal at `path`, which may be missing.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Ok(Self { path: path.to_owned(), connection: Mutex::new(open(path)?) })
    }

    /// Asks a question of [`super::read`]; `None` where there is no journal. One that was not there yet is looked for again: who asks for
    /// long may have begun before the dispatcher.
    ///
    /// # Errors
    /// That of the question, or the journal has come and cannot be read.
    pub fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, JournalError>,
    ) -> Result<Option<T>, JournalError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_none() {
            *connection = open(&self.path)?;
        }
        connection.as_ref().map(question).transpose()
    }
}

fn open(path: &Path) -> Result<Option<Connection>, JournalError> {
    if !path.exists() {
        return Ok(None);
    }
    match store::open_to_read(path) {
        Ok(connection) => Ok(Some(connection)),
        Err(JournalError::Unmade { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Journal, read};
    use super::*;
    use crate::support::clock::SystemClock;

    #[test]
    fn a_journal_that_comes_later_is_found_by_who_asks_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let reader = Reader::open(&path).unwrap();
        let runs = || reader.ask(|journal| read::recent(journal, None, 1)).unwrap().map(|runs| runs.len());
        assert_eq!(runs(), None);
        let _journal = Journal::open(&path, Arc::new(SystemClock)).unwrap();
        assert_eq!(runs(), Some(0));
    }
}
