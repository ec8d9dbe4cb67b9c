//! The runner's event stream on disk: segment files named by the position in the stream at which they begin, so that what
//! was dropped between two of them can be counted from their names alone. Where the stream ended, `exit.json` says: what was
//! lost behind the last segment has no name.
//!
//! The supervisor writes, the dispatcher reads, at the same time and without a lock: a segment only grows until the next one
//! exists.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::fault;

/// A segment is ended at the first end of a line after this many bytes.
const SEGMENT: u64 = 8 << 20;
/// Of a long stream the first segments are kept (the beginning tells most) …
const KEEP_FIRST: usize = 2;
/// … and the last, the one being written among them.
const KEEP_LAST: usize = 3;
/// How much is read at once; larger than the runner's longest line (64 KiB of output, every byte escaped as `\u00xx`).
const BLOCK: u64 = 1 << 20;

/// Appends to the stream. A write that fails (a full disk) loses its bytes and shows as a gap; the runner is never held up.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    folder: PathBuf,
    starts: Vec<u64>,
    /// Bytes of the stream so far, lost ones included.
    at: u64,
    open: Option<File>,
}

impl SegmentWriter {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), starts: Vec::new(), at: 0, open: None }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        // Between two segments there is none that could be too long: a write that ended at the end of a line began no other.
        let begun = self.open.as_ref().and(self.starts.last()).map_or(0, |start| self.at - start);
        let size = begun + bytes.len() as u64;
        let cut = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) if size >= SEGMENT => newline + 1,
            // A line without an end must not make a segment without an end.
            None if size >= 2 * SEGMENT => bytes.len(),
            _ => return self.append(bytes),
        };
        let (before, after) = bytes.split_at(cut);
        self.append(before);
        self.open = None;
        self.append(after);
    }

    /// Where the stream ends.
    pub(super) fn end(&self) -> u64 {
        self.at
    }

    fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.put(bytes).is_err() {
            self.open = None;
        }
        self.at += bytes.len() as u64;
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        fault::point("local.segment.before")?;
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.begin()?,
        };
        file.write_all(bytes)?;
        self.open = Some(file);
        fault::point("local.segment.after")
    }

    fn begin(&mut self) -> io::Result<File> {
        let path = segment(&self.folder, self.at);
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        self.starts.push(self.at);
        if self.starts.len() > KEEP_FIRST + KEEP_LAST {
            fs::remove_file(segment(&self.folder, self.starts.remove(KEEP_FIRST)))?;
        }
        Ok(file)
    }
}

/// Whether the stream may still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Alive,
    /// It does not, and ended at this position, where that is known.
    Gone {
        end: Option<u64>,
    },
}

impl Writer {
    /// How much of what follows `at` was lost at the end, of which `length` bytes are there and make no line.
    fn lost(self, at: u64, length: u64) -> u64 {
        match self {
            Self::Alive => 0,
            Self::Gone { end } => end.unwrap_or(0).saturating_sub(at).max(length),
        }
    }
}

/// What follows a position of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Whole lines.
    Lines { bytes: Vec<u8>, next: u64 },
    /// Bytes that are not there any more, or never made a whole line.
    Gap { bytes: u64, next: u64 },
    /// Nothing, so far or for good.
    Nothing,
}

/// Reads on from `at`.
pub(super) fn read(folder: &Path, at: u64, writer: Writer) -> io::Result<Chunk> {
    // Listed before it is read: where a later segment is in the list, the one read is complete.
    let starts = starts(folder)?;
    let later = starts.iter().copied().find(|start| *start > at);
    let bytes = match starts.iter().rev().find(|start| **start <= at) {
        Some(start) => block(&segment(folder, *start), at - start)?,
        None => Vec::new(),
    };
    let length = bytes.len() as u64;
    let gap = |bytes: u64| Chunk::Gap { bytes, next: at + bytes };
    if let Some(newline) = bytes.iter().rposition(|byte| *byte == b'\n') {
        let whole: Vec<u8> = bytes.into_iter().take(newline + 1).collect();
        let next = at + whole.len() as u64;
        return Ok(Chunk::Lines { bytes: whole, next });
    }
    Ok(match later {
        _ if length == BLOCK => gap(length),
        Some(start) => gap(start - at),
        None => match writer.lost(at, length) {
            0 => Chunk::Nothing,
            lost => gap(lost),
        },
    })
}

fn block(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // Dropped since the listing; the next segment's name tells how much that was.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(BLOCK).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn segment(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("events.{start:016}.ndjson"))
}

fn starts(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let start = name.to_str().and_then(|name| name.strip_prefix("events.")?.strip_suffix(".ndjson"));
        found.extend(start.and_then(|start| start.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: Writer = Writer::Gone { end: None };

    /// Reads all there is: the bytes of whole lines, and how many bytes were missing.
    fn drain(folder: &Path, mut at: u64, writer: Writer) -> (Vec<u8>, u64) {
        let (mut lines, mut missing) = (Vec::new(), 0);
        loop {
            match read(folder, at, writer).unwrap() {
                Chunk::Lines { bytes, next } => (at, lines) = (next, [lines, bytes].concat()),
                Chunk::Gap { bytes, next } => (at, missing) = (next, missing + bytes),
                Chunk::Nothing => return (lines, missing),
            }
        }
    }

    #[test]
    fn only_whole_lines_are_given_and_the_rest_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SegmentWriter::new(folder.path());
        writer.write(b"one\ntw");
        assert_eq!(read(folder.path(), 0, Writer::Alive).unwrap(), Chunk::Lines { bytes: b"one\n".to_vec(), next: 4 });
        assert_eq!(read(folder.path(), 4, Writer::Alive).unwrap(), Chunk::Nothing);
        writer.write(b"o\n");
        assert_eq!(drain(folder.path(), 4, Writer::Alive), (b"two\n".to_vec(), 0));
    }

    #[test]
    fn a_last_line_without_an_end_is_counted_as_missing_once_nobody_writes_any_more() {
        let folder = tempfile::tempdir().unwrap();
        SegmentWriter::new(folder.path()).write(b"one\ntw");
        assert_eq!(drain(folder.path(), 0, GONE), (b"one\n".to_vec(), 2));
    }

    #[test]
    fn of_a_long_stream_the_beginning_and_the_end_are_kept_and_the_middle_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SegmentWriter::new(folder.path());
        let line = [vec![b'x'; 65_535], vec![b'\n']].concat();
        let total = 100 << 20;
        for _ in 0..total / line.len() {
            writer.write(&line);
        }
        assert_eq!(starts(folder.path()).unwrap().len(), KEEP_FIRST + KEEP_LAST);
        let (lines, missing) = drain(folder.path(), 0, GONE);
        assert_eq!(lines.len() as u64 + missing, total as u64);
        assert!(missing >= 60 << 20, "{missing}");
        let at_the_end = drain(folder.path(), total as u64 - 65_536, GONE);
        assert_eq!(at_the_end, (line, 0));
    }

    #[test]
    fn a_stream_that_fits_into_the_segments_that_are_kept_is_whole_also_where_each_write_ends_with_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SegmentWriter::new(folder.path());
        let lines = [vec![b'x'; 1023], vec![b'\n']].concat().repeat(64);
        let total = 36 << 20;
        for _ in 0..total / lines.len() {
            writer.write(&lines);
        }
        let (read, missing) = drain(folder.path(), 0, GONE);
        assert_eq!((read.len(), missing), (total, 0));
    }

    #[test]
    fn bytes_that_could_not_be_written_show_as_a_gap_of_their_size() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SegmentWriter::new(folder.path());
        writer.write(b"one\n");
        writer.open = Some(File::open("/dev/null").unwrap());
        writer.write(b"lost\n");
        writer.write(b"three\n");
        assert_eq!(drain(folder.path(), 0, GONE), (b"one\nthree\n".to_vec(), 5));
    }

    #[test]
    fn a_line_that_never_ends_fills_no_more_than_the_segments_that_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SegmentWriter::new(folder.path());
        for _ in 0..120 {
            writer.write(&vec![b'x'; 1 << 20]);
        }
        assert_eq!(starts(folder.path()).unwrap().len(), KEEP_FIRST + KEEP_LAST);
        assert_eq!(drain(folder.path(), 0, GONE), (Vec::new(), 120 << 20));
    }

    #[test]
    fn what_was_lost_at_the_end_shows_once_it_is_known_where_that_was() {
        for whole in [&b"one\n"[..], b"one\ntw", b""] {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = SegmentWriter::new(folder.path());
            writer.write(whole);
            writer.open = Some(File::open("/dev/null").unwrap());
            writer.write(b"lost\n");
            let there: Vec<u8> = whole.iter().copied().take(4 * usize::from(!whole.is_empty())).collect();
            assert_eq!(drain(folder.path(), 0, Writer::Alive), (there.clone(), 0));
            let missing = writer.end() - there.len() as u64;
            assert_eq!(drain(folder.path(), 0, Writer::Gone { end: Some(writer.end()) }), (there, missing));
        }
    }
}
