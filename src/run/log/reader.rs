//! Reading a log while it grows, also when its middle is left out meanwhile.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::{KEEP, LogError, left_out, marker};
use crate::support::watch::{Watched, Watcher};

/// How much is read at once.
const BLOCK: u64 = 1 << 20;

/// What to read of the end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Whole lines only, since the rest of the last one may follow.
    WholeLines,
    /// Everything: the run is over.
    All,
}

/// A log being read.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    file: File,
    offset: u64,
}

impl LogReader {
    pub(super) fn open(path: PathBuf) -> Result<Self, LogError> {
        match File::open(&path) {
            Ok(file) => Ok(Self { path, file, offset: 0 }),
            Err(source) => Err(LogError::Open { path, source }),
        }
    }

    /// Reads on, at most 1 MiB; empty: there is no more yet.
    ///
    /// # Errors
    /// [`LogError::Read`].
    pub fn read(&mut self, part: Part) -> Result<Vec<u8>, LogError> {
        let bytes = self.read_on(part);
        bytes.map_err(|source| LogError::Read { path: self.path.clone(), source })
    }

    fn read_on(&mut self, part: Part) -> io::Result<Vec<u8>> {
        let mut bytes = self.block()?;
        if bytes.is_empty() && self.change_over()? {
            bytes = self.block()?;
        }
        if part == Part::WholeLines && (bytes.len() as u64) < BLOCK {
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            bytes.truncate(whole);
        }
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }

    fn block(&self) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(BLOCK).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Goes over to the shortened log, where one has taken the place of the file that was just read to its end. The same byte
    /// stands there earlier by what was left out since.
    fn change_over(&mut self) -> io::Result<bool> {
        let mut now = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        if now.metadata()?.ino() == self.file.metadata()?.ino() {
            return Ok(false);
        }
        // The old file may have grown between the read and the exchange; read that first.
        if self.offset < self.file.metadata()?.len() {
            return Ok(true);
        }
        let (before, after) = (left_out(&mut self.file)?, left_out(&mut now)?);
        let printed = self.offset + before - marked(before);
        self.offset = (printed + marked(after)).saturating_sub(after).max(KEEP.min(printed));
        self.file = now;
        Ok(true)
    }

    /// A watch on the log, for [`Watched::changed`]. Make it before reading what is there.
    ///
    /// # Errors
    /// [`LogError::Read`].
    pub fn watch(&self, watcher: &Watcher) -> Result<Watched, LogError> {
        let folder = self.path.parent().unwrap_or(&self.path);
        watcher.watch(folder).map_err(|source| LogError::Read { path: self.path.clone(), source })
    }
}

fn marked(left_out: u64) -> u64 {
    if left_out > 0 { marker(left_out).len() as u64 } else { 0 }
}
