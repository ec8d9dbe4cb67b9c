//! Why the journal could not be opened, read or written.

use std::path::PathBuf;

use crate::run::state::Illegal;
use crate::support::ids::RunId;

/// Why the journal could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened.
    #[error("cannot open the journal {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is damaged.
    #[error("the journal {} is damaged: {detail}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What `SQLite` says.
        detail: String,
    },
    /// The file was written by a later version.
    #[error("the journal {} has format {found}; this version knows formats up to {known}", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The file has no tables: whoever made it ended before it had a format.
    #[error("the journal {} is empty", .path.display())]
    Unmade {
        /// The file.
        path: PathBuf,
    },
    /// A statement failed.
    #[error("the journal could not {step}")]
    Statement {
        /// What was being done.
        step: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// What was written could not be made durable.
    #[error("the journal could not commit: {detail}")]
    Commit {
        /// Why.
        detail: String,
    },
    /// A file operation beside the database failed.
    #[error("the journal could not write")]
    Write(#[from] std::io::Error),
    /// A record does not read back.
    #[error("the journal holds a record of {run} that does not read back")]
    Record {
        /// Which run.
        run: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The step may not be taken.
    #[error("{run}: {illegal}")]
    Illegal {
        /// Which run.
        run: RunId,
        /// Why not.
        illegal: Illegal,
    },
    /// There is no such run.
    #[error("the journal has no run {0}")]
    NoSuchRun(RunId),
    /// The writer has stopped.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    pub(crate) fn statement(step: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Statement { step, source }
    }
}
