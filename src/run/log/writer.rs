//! Writing a log from the runner's events, with a bound on its size and a point to go on from after a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{KEEP, LogError, beside, marker, state_path};
use crate::backend::Cursor;
use crate::runner::event::{Event, GRANT_OPENED, Kind, STARTED, WAITING};
use crate::support::{durable, fault};

/// After so many bytes of events the point to go on from is recorded anew. Far below what backends keep of a stream.
const RECORD_AFTER: u64 = 1 << 20;
/// A log is brought down to its bound once it is this much longer: each byte is so copied about once.
const SLACK: u64 = KEEP;
/// Characters of the log that go into the result.
const RESULT_CHARACTERS: usize = 1000;

/// What the events have told about the run so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How often the runner said that the formula begins. More than once: it ran twice.
    pub started: u32,
    /// When it said so first, in the runner's words.
    pub started_at: Option<String>,
    /// The last status besides `started`: `timed_out`, `cancelled`, `signalled`.
    pub stopped: Option<String>,
    /// It said that it has opened the wrapping of its grant.
    #[serde(default)]
    pub opened: bool,
    /// The exit code that the runner announced. A hint: the truth is the backend's.
    pub exit: Option<i32>,
    /// The runner that speaks now has said that its formula begins, and nothing about itself since: what one says of itself is why
    /// it begins none.
    #[serde(default)]
    pub under_way: bool,
    /// The exit code of a runner that came after one whose formula had begun, and stopped before it began anything itself.
    #[serde(default)]
    pub turned_away: Option<i32>,
    /// The last thing that the runner had to say about itself.
    pub error: Option<String>,
    /// Bytes that the formula printed, so far as they arrived here.
    pub bytes: u64,
    /// Bytes of the event stream that the backend had to drop.
    pub dropped: u64,
    /// The stream broke off before its end.
    #[serde(default)]
    pub incomplete: bool,
}

/// A finished log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSummary {
    /// Bytes that the formula printed, redacted.
    pub bytes: u64,
    /// SHA-256 of the log as kept, lower-case hex.
    pub sha256: String,
    /// Whether a part is missing.
    pub truncated: bool,
    /// Whether the end is missing.
    pub incomplete: bool,
    /// Its last 1,000 characters.
    pub tail: String,
    /// What the events told.
    pub progress: Progress,
}

/// `<run id>.log.state`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    cursor: Cursor,
    /// The log's length with everything before the cursor in it.
    length: u64,
    /// Bytes left out of the middle.
    left_out: u64,
    /// How often the log was brought down to its bound. The file that takes its place is named by it, so that whether the
    /// exchange was completed can be told after a crash.
    generation: u32,
    finished: bool,
    progress: Progress,
}

/// A log being written.
///
/// # Guarantees
/// What was fed up to [`LogWriter::cursor`] as answered by a later [`super::LogStore::open`] is in the log exactly once.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    file: File,
    state: State,
    unrecorded: u64,
}

impl LogWriter {
    pub(super) fn open(path: PathBuf) -> Result<Self, LogError> {
        let opened = Self::recover(&path);
        opened.map_err(|source| LogError::Open { path, source })
    }

    /// A log that does not have what its state promises (somebody removed or cut it) is begun anew: the backend still has
    /// most of the stream, and a run must not go without a result because its log was damaged.
    fn recover(path: &Path) -> io::Result<Self> {
        let mut state = read_state(path)?;
        // The state speaks of the shortened log: where that has not taken its place yet, it does now.
        let shortened = beside(path, &state.generation.to_string());
        if shortened.exists() {
            fs::rename(shortened, path)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if file.metadata()?.len() < state.length {
            state = State::default();
        }
        file.set_len(state.length)?;
        Ok(Self { path: path.to_owned(), file, state, unrecorded: 0 })
    }

    /// Where to observe from.
    pub fn cursor(&self) -> &Cursor {
        &self.state.cursor
    }

    /// What the events have told so far.
    pub fn progress(&self) -> &Progress {
        &self.state.progress
    }

    /// Takes whole lines of the event stream, and the cursor behind them.
    ///
    /// # Errors
    /// [`LogError::Append`], [`LogError::Record`]: then drop this and open the log again.
    pub fn feed(&mut self, events: &[u8], cursor: &Cursor) -> Result<(), LogError> {
        if self.state.finished {
            return Ok(());
        }
        let mut output = Vec::new();
        for line in events.split(|byte| *byte == b'\n') {
            self.state.progress.take(line, &mut output);
        }
        self.append(&output)?;
        self.state.cursor = cursor.clone();
        self.unrecorded += events.len() as u64;
        if self.state.length > 2 * KEEP + SLACK {
            self.shorten()?;
        } else if self.unrecorded >= RECORD_AFTER {
            self.record()?;
        }
        Ok(())
    }

    /// Notes that the backend dropped `bytes` of the stream at this point.
    ///
    /// # Errors
    /// [`LogError::Append`]: then drop this and open the log again.
    pub fn dropped(&mut self, bytes: u64) -> Result<(), LogError> {
        if self.state.finished {
            return Ok(());
        }
        self.state.progress.dropped += bytes;
        self.append(format!("[dispatch: {bytes} bytes of the event stream were dropped here]\n").as_bytes())
    }

    /// Notes that the stream broke off here and why the rest cannot be had; once.
    ///
    /// # Errors
    /// [`LogError::Append`]: then drop this and open the log again.
    pub fn incomplete(&mut self, why: &str) -> Result<(), LogError> {
        if self.state.finished || self.state.progress.incomplete {
            return Ok(());
        }
        self.state.progress.incomplete = true;
        self.append(format!("[dispatch: the event stream breaks off here: {why}]\n").as_bytes())
    }

    /// Brings the log to its final form and onto the disk. Whatever is fed to it after this, also after it was opened again,
    /// is passed over; finishing again answers the same.
    ///
    /// # Errors
    /// Any [`LogError`]: then open the log again.
    pub fn finish(mut self) -> Result<LogSummary, LogError> {
        self.state.finished = true;
        if self.state.length > 2 * KEEP + marker(self.state.left_out).len() as u64 {
            self.shorten()?;
        } else {
            self.record()?;
        }
        let (sha256, tail) = self.digest().map_err(|source| LogError::Read { path: self.path.clone(), source })?;
        let progress = self.state.progress;
        let truncated = self.state.left_out > 0 || progress.dropped > 0;
        let incomplete = progress.incomplete;
        Ok(LogSummary { bytes: progress.bytes, sha256, truncated, incomplete, tail, progress })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        self.file
            .write_all_at(bytes, self.state.length)
            .map_err(|source| LogError::Append { path: self.path.clone(), source })?;
        self.state.length += bytes.len() as u64;
        Ok(())
    }

    /// First the bytes, then the state that counts on them.
    fn record(&mut self) -> Result<(), LogError> {
        self.unrecorded = 0;
        let written = fault::point("log.record.before")
            .and_then(|()| self.file.sync_data())
            .and_then(|()| if fault::twice("log.record") { self.write_state() } else { Ok(()) })
            .and_then(|()| self.write_state())
            .and_then(|()| fault::point("log.record.after"));
        written.map_err(|source| LogError::Record { path: self.path.clone(), source })
    }

    fn write_state(&self) -> io::Result<()> {
        durable::replace(&state_path(&self.path), &serde_json::to_vec(&self.state)?)
    }

    /// Leaves out the middle. The shortened log is written beside the old one; the state that names it decides which counts.
    fn shorten(&mut self) -> Result<(), LogError> {
        self.unrecorded = 0;
        self.exchange().map_err(|source| LogError::Record { path: self.path.clone(), source })
    }

    fn exchange(&mut self) -> io::Result<()> {
        let marked = if self.state.left_out > 0 { marker(self.state.left_out).len() as u64 } else { 0 };
        let tail_from = self.state.length - KEEP;
        let left_out = self.state.left_out + tail_from - KEEP - marked;
        let generation = self.state.generation + 1;
        let shortened = beside(&self.path, &generation.to_string());
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&shortened)?;
        self.copy(&mut file, 0)?;
        file.write_all(&marker(left_out))?;
        self.copy(&mut file, tail_from)?;
        file.sync_all()?;
        let length = file.metadata()?.len();
        self.state = State { length, left_out, generation, ..self.state.clone() };
        self.file = file;
        fault::point("log.shorten.before")?;
        self.write_state()?;
        fault::point("log.shorten.after")?;
        fs::rename(shortened, &self.path)
    }

    /// Copies [`KEEP`] bytes of the log from `from`.
    fn copy(&mut self, into: &mut File, from: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(from))?;
        io::copy(&mut (&self.file).take(KEEP), into).map(drop)
    }

    fn digest(&mut self) -> io::Result<(String, String)> {
        let mut hash = Sha256::new();
        self.file.seek(SeekFrom::Start(0))?;
        io::copy(&mut self.file, &mut hash)?;
        let sha256 = hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));

        // A character has four bytes at the most.
        let from = self.state.length.saturating_sub(4 * RESULT_CHARACTERS as u64);
        self.file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let surplus = text.chars().count().saturating_sub(RESULT_CHARACTERS);
        Ok((sha256, text.chars().skip(surplus).collect()))
    }
}

impl Progress {
    /// Takes one line of the event stream; what is to be logged is appended to `output`. A line that does not parse, or is of
    /// a kind that only a newer runner knows, is passed over: the stream decides nothing.
    fn take(&mut self, line: &[u8], output: &mut Vec<u8>) {
        let Ok(event) = serde_json::from_slice::<Event>(line) else { return };
        match event.kind {
            Kind::Log { text, base64, partial, .. } => {
                let before = output.len();
                output.extend(text.map_or_else(
                    || STANDARD.decode(base64.unwrap_or_default()).unwrap_or_default(),
                    String::into_bytes,
                ));
                if !partial {
                    output.push(b'\n');
                }
                self.bytes += (output.len() - before) as u64;
            }
            Kind::Status { state, .. } if state == STARTED => {
                self.started += 1;
                self.under_way = true;
                self.started_at.get_or_insert(event.t);
            }
            Kind::Status { state, .. } if state == GRANT_OPENED => self.opened = true,
            Kind::Status { state, .. } if state == WAITING => {}
            Kind::Status { state, .. } => self.stopped = Some(state),
            Kind::Error { message } => {
                output.extend(format!("[runner: {message}]\n").bytes());
                self.error = Some(message);
                self.under_way = false;
            }
            Kind::Exit { code, .. } => {
                self.exit = Some(code);
                if self.started > 0 && !std::mem::take(&mut self.under_way) {
                    self.turned_away = Some(code);
                }
            }
            Kind::Heartbeat {} => {}
        }
    }
}

/// Where there is none, or one that a crash of the machine has spoilt: that of an empty log.
fn read_state(log: &Path) -> io::Result<State> {
    match fs::read(state_path(log)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
