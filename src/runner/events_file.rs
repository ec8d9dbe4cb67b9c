//! The events in a file, for a backend whose log loses lines: whole lines, appended, the middle of a long stream given back to
//! the file system.
//!
//! One file with stable positions: a reader goes on from the position that it has, and what was dropped is a hole there. So
//! nothing is moved, renamed or rewritten while it is read, and a reader needs no more than the file's size ([`next_kept`]).
//!
//! A runner that is started anew in the same place appends behind what is there: the first one's events are the ones that tell
//! what was done, and the second, which the fence stops, adds why it did nothing. An [`super::event::Kind::Exit`] is the last event
//! of an execution.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

/// So much is kept of the beginning, and so much at least of the end. As much as the dispatcher keeps of a log.
pub const KEEP: u64 = 10 << 20;

/// The hole grows by so much at once; a multiple of every file system's block.
const STEP: u64 = 1 << 20;

/// Where to read on in a file of `size` bytes, coming from `at`: behind the hole if `at` is in it. What is read there begins amid a
/// line if it is another position than `at`.
pub fn next_kept(at: u64, size: u64) -> u64 {
    let hole = hole_end(size);
    if (KEEP..hole).contains(&at) { hole } else { at }
}

/// Where the hole ends; at or before [`KEEP`]: there is none.
fn hole_end(size: u64) -> u64 {
    size.saturating_sub(KEEP) / STEP * STEP
}

/// The file. Nothing that goes wrong with it disturbs the run: what could not be written is missing from it.
#[derive(Debug)]
pub struct EventsFile {
    file: File,
    size: u64,
    /// Where the hole ends so far.
    hole: u64,
    /// A line stands there without its end.
    torn: bool,
    room: Room,
}

/// What may still be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Everything.
    Plenty,
    /// The file system makes no holes, and the file is full: no more output, but what the runner itself has to say.
    OwnWords,
}

impl EventsFile {
    /// Opens `path`, made if it is not there, to append to it. `None` when another execution is still writing to it: then this
    /// one's events are not for this file.
    ///
    /// # Errors
    /// Any file error.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let size = file.metadata()?.len();
        let torn = size > 0 && last_byte(&mut file)? != b'\n';
        Ok(Some(Self { file, size, hole: hole_end(size).max(KEEP), torn, room: Room::Plenty }))
    }

    /// Appends whole lines.
    pub fn append(&mut self, lines: &[u8]) {
        if self.room == Room::Plenty {
            return self.write(lines);
        }
        for line in lines.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_output(line)) {
            self.write(line);
        }
    }

    fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let written = if self.torn { self.file.write_all(b"\n") } else { Ok(()) };
        self.torn = written.and_then(|()| self.file.write_all(lines)).is_err();
        self.size = self.file.metadata().map_or(self.size, |metadata| metadata.len());
        self.give_back();
    }

    fn give_back(&mut self) {
        let end = hole_end(self.size);
        if end <= self.hole {
            return;
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, self.hole, end - self.hole) {
            Ok(()) => self.hole = end,
            Err(_) => self.room = Room::OwnWords,
        }
    }
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}

/// A line of the formula's output: its kind stands behind the time, which has always the same length.
fn is_output(line: &[u8]) -> bool {
    const BEFORE: usize = r#"{"t":"2026-11-21T10:00:00.000Z","#.len();
    line.get(BEFORE..).is_some_and(|rest| rest.starts_with(br#""kind":"log""#))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn line(text: &str) -> Vec<u8> {
        let mut line = format!(r#"{{"t":"2026-11-21T10:00:00.000Z","kind":"log","stream":"stdout","text":"{text}"}}"#);
        line.push('\n');
        line.into_bytes()
    }

    #[test]
    fn of_a_long_stream_the_beginning_and_the_end_take_room_and_every_position_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut file = EventsFile::open(&path).unwrap().unwrap();
        let line = line(&"x".repeat(60_000));
        let count = 800;
        for _ in 0..count {
            file.append(&line);
        }
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), count * line.len() as u64);
        assert!(metadata.blocks() * 512 <= 2 * KEEP + 2 * STEP, "{} bytes on disk", metadata.blocks() * 512);
        let bytes = fs::read(&path).unwrap();
        let (size, keep) = (bytes.len(), usize::try_from(KEEP).unwrap());
        assert!(bytes[..keep].iter().all(|byte| *byte != 0) && bytes[size - keep..].iter().all(|byte| *byte != 0));
        let resumed = usize::try_from(next_kept(KEEP, size as u64)).unwrap();
        assert!(bytes[keep..resumed].iter().all(|byte| *byte == 0) && bytes[resumed] != 0);
        assert_eq!(next_kept(KEEP - 1, size as u64), KEEP - 1);
        assert_eq!(next_kept(size as u64, size as u64), size as u64);
    }

    #[test]
    fn a_file_that_is_short_has_no_hole() {
        for size in [0, KEEP, 2 * KEEP, 2 * KEEP + STEP - 1] {
            assert_eq!(next_kept(KEEP, size), KEEP, "{size}");
        }
        assert_eq!(next_kept(KEEP, 2 * KEEP + STEP), KEEP + STEP);
    }

    #[test]
    fn a_second_execution_appends_behind_a_dead_one_and_leaves_a_living_ones_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut first = EventsFile::open(&path).unwrap().unwrap();
        first.append(b"{\"a\":1}\n{\"torn");
        assert!(EventsFile::open(&path).unwrap().is_none());
        drop(first);
        EventsFile::open(&path).unwrap().unwrap().append(b"{\"b\":2}\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"torn\n{\"b\":2}\n");
    }

    #[test]
    fn a_file_without_room_takes_no_more_output_but_the_runners_own_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut file = EventsFile::open(&path).unwrap().unwrap();
        file.room = Room::OwnWords;
        let exit = "{\"t\":\"2026-11-21T10:00:00.000Z\",\"kind\":\"exit\",\"code\":0,\"bytes\":1}\n";
        file.append(&[&line("output"), exit.as_bytes()].concat());
        assert_eq!(fs::read_to_string(&path).unwrap(), exit);
    }
}
