//! Where in a run's log one stands, counted in bytes, and how the bytes that come become whole lines. Pure.
//!
//! Nomad keeps a log in numbered files, removes the oldest ones, and counts an offset from the oldest that it still has. So a position
//! is a number of bytes from the beginning of the file that was the oldest, and, to notice when that is no longer so, a file and
//! the place in it: reading goes on one byte early, at the newline that ended the last line, and where something else stands there it
//! begins anew and passes over what it had.

use serde::{Deserialize, Serialize};

use super::frames::Frame;
use crate::support::ids::sha256_hex;

/// A line that does not end within this is not one of the runner's: it cuts its lines at 64 KiB.
const LONGEST: usize = 1 << 20;

/// How the runner's last event begins to look.
const EXIT_MARK: &[u8] = b"\"kind\":\"exit\"";

/// Behind a whole line of a log, or at its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The allocation; empty before anything was read.
    pub(super) allocation: String,
    /// The number of the file from whose beginning `at` counts.
    pub(super) base: u32,
    /// Bytes from there.
    pub(super) at: u64,
    /// The file of the last byte.
    pub(super) file: u32,
    /// Bytes of it up to and with the last byte.
    pub(super) offset: u64,
    /// What the last line was: the beginning of its SHA-256.
    pub(super) last: String,
    /// The runner's last event was among the lines.
    pub(super) ended: bool,
    /// Reading has gone over to the runner's own events file, this far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) in_events_file: Option<u64>,
}

impl Position {
    /// At the beginning of the log of `allocation`.
    pub(super) fn start(allocation: &str) -> Self {
        Self { allocation: allocation.to_owned(), ..Self::default() }
    }

    /// Takes note of the last one of `lines`.
    pub(super) fn note(&mut self, lines: &[u8]) {
        let body = lines.strip_suffix(b"\n").unwrap_or(lines);
        let last = body.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        self.last = digest(last);
        self.ended |= last.windows(EXIT_MARK.len()).any(|part| part == EXIT_MARK);
    }
}

/// What is kept of a line to recognise it by.
pub(super) fn digest(line: &[u8]) -> String {
    sha256_hex(line).chars().take(16).collect()
}

/// Something to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Whole lines and the position behind them.
    Lines(Vec<u8>, Position),
    /// So many bytes are not passed on.
    Dropped(u64),
}

/// What stands at the position is not what stood there: the oldest file was removed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved;

/// What becomes of the next byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It must be the newline that ends the last line.
    Checking,
    /// It is passed over until the position is reached again.
    Seeking,
    /// It is part of a line.
    Reading,
    /// It is passed over until a line ends: there is a gap, and this line has no beginning.
    Skipping,
}

/// Puts frames together to lines.
#[derive(Debug)]
pub(super) struct Lines {
    behind: Position,
    state: State,
    /// Where the next byte stands.
    next: Position,
    pending: Vec<u8>,
}

impl Lines {
    /// Goes on from `position`; ask the server for [`Lines::wanted`].
    pub(super) fn from(position: &Position) -> Self {
        let state = if position.at == 0 { State::Reading } else { State::Checking };
        let next = if position.at == 0 {
            Position::start(&position.allocation)
        } else {
            Position { at: position.at - 1, offset: position.offset.saturating_sub(1), ..position.clone() }
        };
        Self { behind: position.clone(), state, next, pending: Vec::new() }
    }

    /// Goes on from `position` although the oldest file was removed: reads all that there is.
    pub(super) fn anew(position: &Position) -> Self {
        let next = Position::start(&position.allocation);
        Self { behind: position.clone(), state: State::Seeking, next, pending: Vec::new() }
    }

    /// The offset to ask for.
    pub(super) fn wanted(&self) -> u64 {
        self.next.at
    }

    /// Whether the position was not found where it should be, when nothing (more) came.
    pub(super) fn is_unchecked(&self) -> bool {
        self.state == State::Checking
    }

    /// Takes a frame.
    pub(super) fn take(&mut self, frame: Frame) -> Result<Vec<Piece>, Moved> {
        let Frame::Bytes { file, data } = frame else { return Ok(Vec::new()) };
        let fresh = self.next.at == 0;
        if fresh && self.state != State::Checking {
            (self.next.base, self.next.file, self.next.offset) = (file, file, 0);
            if self.state == State::Reading && file > 0 {
                self.state = State::Skipping;
            }
        }
        if file != self.next.file && self.state == State::Checking {
            return Err(Moved);
        }
        if file != self.next.file {
            (self.next.file, self.next.offset) = (file, 0);
        }
        let mut pieces = Vec::new();
        let data = self.unseen(file, &data)?;
        self.lines(&data, &mut pieces);
        Ok(pieces)
    }

    /// What of `data` was not had before.
    fn unseen(&mut self, file: u32, data: &[u8]) -> Result<Vec<u8>, Moved> {
        let pass = |lines: &mut Self, count: usize| {
            lines.next.at += count as u64;
            lines.next.offset += count as u64;
            data.get(count..).unwrap_or_default().to_vec()
        };
        match self.state {
            State::Reading | State::Skipping => Ok(data.to_vec()),
            State::Checking if data.is_empty() => Ok(Vec::new()),
            State::Checking if data.first() == Some(&b'\n') => {
                self.state = State::Reading;
                Ok(pass(self, 1))
            }
            State::Checking => Err(Moved),
            State::Seeking if file < self.behind.file => Ok(pass(self, data.len())),
            State::Seeking if file > self.behind.file => {
                // Where the file itself was passed over to its end, nothing is missing.
                let whole = self.next.at > 0 && self.next.base <= self.behind.file;
                self.state = if whole { State::Reading } else { State::Skipping };
                Ok(data.to_vec())
            }
            State::Seeking => {
                let left = self.behind.offset.saturating_sub(self.next.offset);
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
                if count as u64 == left {
                    self.state = State::Reading;
                }
                Ok(pass(self, count))
            }
        }
    }

    fn lines(&mut self, data: &[u8], pieces: &mut Vec<Piece>) {
        let mut data = data;
        if self.state == State::Skipping {
            let end = data.iter().position(|byte| *byte == b'\n');
            let count = end.map_or(data.len(), |end| end + 1);
            self.advance(count);
            pieces.push(Piece::Dropped(count as u64));
            data = data.get(count..).unwrap_or_default();
            if end.is_none() {
                return;
            }
            self.state = State::Reading;
        }
        let whole = data.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (lines, rest) = data.split_at(whole.min(data.len()));
        if !lines.is_empty() {
            self.advance(lines.len());
            let mut all = std::mem::take(&mut self.pending);
            all.extend_from_slice(lines);
            let mut position = Position { last: String::new(), ended: self.behind.ended, ..self.next.clone() };
            position.note(&all);
            self.behind = position.clone();
            pieces.push(Piece::Lines(all, position));
        }
        self.advance(rest.len());
        self.pending.extend_from_slice(rest);
        if self.pending.len() > LONGEST {
            pieces.push(Piece::Dropped(self.pending.len() as u64));
            self.pending.clear();
            self.state = State::Skipping;
        }
    }

    fn advance(&mut self, count: usize) {
        self.next.at += count as u64;
        self.next.offset += count as u64;
    }
}

#[cfg(test)]
mod tests;
