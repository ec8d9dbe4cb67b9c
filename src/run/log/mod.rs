//! The log of a run: what its formula printed, as bytes, in `state_dir/logs/<run id>.log`.
//!
//! `writer` is fed with the runner's events and keeps the beginning and the end of a long log; `reader` follows a log while it
//! grows; `escape` makes its bytes safe to show on a terminal. Redaction happened in the runner, before anything came here.
//!
//! # Surviving a crash
//! Beside the log lies `<run id>.log.state`: a cursor of the backend's stream together with the length that the log had when
//! everything before that cursor was in it. Whoever opens the log again cuts it to that length and goes on from that cursor, so
//! that an event is neither missed nor written twice, however much was written after the last such point.

mod escape;
mod reader;
mod writer;

use std::fs::{self, DirBuilder};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::support::ids::RunId;

pub use self::escape::escape_for_terminal;
pub use self::reader::{LogReader, Part};
pub use self::writer::{LogSummary, LogWriter, Progress};

/// Of a long log this much of the beginning is kept, and as much of the end.
const KEEP: u64 = 10 << 20;

/// Why a log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log or its state could not be opened.
    #[error("the log {} cannot be opened", path.display())]
    Open {
        /// The log.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Output could not be appended. Open the log again and go on from its cursor.
    #[error("the log {} cannot be written", path.display())]
    Append {
        /// The log.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The point to go on from could not be recorded. Open the log again and go on from its cursor.
    #[error("the state of the log {} cannot be recorded", path.display())]
    Record {
        /// The log.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log could not be read.
    #[error("the log {} cannot be read", path.display())]
    Read {
        /// The log.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The folder of logs.
#[derive(Debug, Clone)]
pub struct LogStore {
    folder: PathBuf,
}

impl LogStore {
    /// The logs in `folder` (`<state_dir>/logs`), which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where the log of `run` is.
    pub fn path(&self, run: &RunId) -> PathBuf {
        self.folder.join(format!("{run}.log"))
    }

    /// Opens the log of `run` for writing: a new one, or where it was left.
    ///
    /// # Errors
    /// [`LogError::Open`].
    pub fn open(&self, run: &RunId) -> Result<LogWriter, LogError> {
        let path = self.path(run);
        let folder = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        folder.map_err(|source| LogError::Open { path: path.clone(), source })?;
        LogWriter::open(path)
    }

    /// Opens the log of `run` for reading, from its beginning.
    ///
    /// # Errors
    /// [`LogError::Open`], also when there is none (yet).
    pub fn read(&self, run: &RunId) -> Result<LogReader, LogError> {
        LogReader::open(self.path(run))
    }

    /// Removes the log of `run`; one that is not there is fine.
    ///
    /// # Errors
    /// [`LogError::Open`] when a file of it stays.
    pub fn remove(&self, run: &RunId) -> Result<(), LogError> {
        let path = self.path(run);
        for file in [state_path(&path), path.clone()] {
            match fs::remove_file(file) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(LogError::Open { path, source }),
                _ => {}
            }
        }
        Ok(())
    }
}

fn state_path(log: &Path) -> PathBuf {
    beside(log, "state")
}

fn beside(log: &Path, suffix: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// The line that stands for what was left out, at exactly [`KEEP`] bytes.
fn marker(left_out: u64) -> Vec<u8> {
    format!("\n[dispatch: {left_out} bytes left out here]\n").into_bytes()
}

/// How much was left out of a log file, told from the marker in it; 0 where there is none.
fn left_out(file: &mut fs::File) -> io::Result<u64> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(KEEP))?;
    file.take(80).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let number = text.strip_prefix("\n[dispatch: ").and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0);
    Ok(if bytes.starts_with(&marker(number)) { number } else { 0 })
}
