//! A journal that is only read, beside the dispatcher that writes it: for the verbs that judge, and change nothing.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::{JournalError, store};

/// A journal opened for reading. One that does not exist (no dispatcher has run yet), or has no tables yet, is empty.
pub struct Reader(Mutex<Option<Connection>>);

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens the journal at `path`, which may be missing.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        if !path.exists() {
            return Ok(Self(Mutex::new(None)));
        }
        match store::open_to_read(path) {
            Ok(connection) => Ok(Self(Mutex::new(Some(connection)))),
            Err(JournalError::Unmade { .. }) => Ok(Self(Mutex::new(None))),
            Err(error) => Err(error),
        }
    }

    /// Asks a question of [`super::read`]; `None` where there is no journal.
    ///
    /// # Errors
    /// That of the question.
    pub fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, JournalError>,
    ) -> Result<Option<T>, JournalError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(question).transpose()
    }
}
