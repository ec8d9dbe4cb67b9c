//! The runner's own copy of its events, in the allocation's directory: whole where Docker has lost the end of what the runner printed,
//! but for the middle of a long stream.

use super::super::client::{Client, ClientError};
use super::position::digest;
use crate::runner::events_file::{KEEP, next_kept};

/// Where `dispatch runner --events` writes it, as the shipped jobs say.
const PATH: &str = "alloc/data/events.ndjson";

/// Bytes of one request. A line is shorter.
const PART: u64 = 1 << 20;

/// How far a last line is searched for.
const SEARCHED: u64 = 64 << 20;

/// The file of one allocation, which is written to no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventsFile<'a> {
    client: &'a Client,
    allocation: &'a str,
    size: u64,
}

/// A part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Whole lines.
    Lines(Vec<u8>),
    /// The middle of a long stream, which the runner has given back to the file system, with the lines that are torn by it.
    Gap {
        /// How many bytes.
        bytes: u64,
    },
}

/// What the bytes at a position are.
#[derive(Debug, PartialEq, Eq)]
enum Cut {
    /// So many of them are whole lines.
    Lines(usize),
    /// So many of them are the rest of a line that begins in the hole.
    Rest(usize),
    /// The beginning of a line that goes on in the hole.
    Torn,
    /// No whole line.
    Nothing,
}

impl<'a> EventsFile<'a> {
    /// Asks how large the file is.
    pub(super) async fn open(client: &'a Client, allocation: &'a str) -> Result<Self, ClientError> {
        let size = client.file_size(allocation, PATH).await?;
        Ok(Self { client, allocation, size })
    }

    /// What comes at `at`, and the position behind it; `None` where there is no more.
    pub(super) async fn part(self, at: u64) -> Result<Option<(Part, u64)>, ClientError> {
        let mut from = next_kept(at, self.size);
        loop {
            let mut bytes = self.client.file(self.allocation, PATH, from, PART).await?;
            match cut(&bytes, from, from > at, self.size) {
                Cut::Lines(end) => {
                    bytes.truncate(end);
                    return Ok(Some((Part::Lines(bytes), from + end as u64)));
                }
                Cut::Rest(end) => {
                    let next = from + end as u64;
                    return Ok(Some((Part::Gap { bytes: next - at }, next)));
                }
                Cut::Torn => from = next_kept(KEEP, self.size),
                Cut::Nothing => return Ok(None),
            }
        }
    }

    /// The offset behind the last line that has this digest; `None` where no line has it. Docker repeats lines as well as losing them, so
    /// the last line that was read is looked for, and not a number of bytes.
    pub(super) async fn behind(self, last: &str) -> Result<Option<u64>, ClientError> {
        let (mut at, mut found, mut read) = (0, None, 0);
        while read < SEARCHED
            && let Some((part, next)) = self.part(at).await?
        {
            if let Part::Lines(lines) = part {
                found = behind(&lines, last).map(|within| at + within).or(found);
                read += lines.len() as u64;
            }
            at = next;
        }
        Ok(found)
    }
}

/// `bytes` stand at `from` in a file of `size` bytes; `amid`: not where a line begins.
fn cut(bytes: &[u8], from: u64, amid: bool, size: u64) -> Cut {
    let newline = |byte: &u8| *byte == b'\n';
    if amid {
        return bytes.iter().position(newline).map_or(Cut::Nothing, |end| Cut::Rest(end + 1));
    }
    let has_hole = next_kept(KEEP, size) > KEEP;
    let kept = KEEP.checked_sub(from).filter(|_| has_hole).and_then(|kept| usize::try_from(kept).ok());
    let before = kept.and_then(|kept| bytes.get(..kept));
    match before.unwrap_or(bytes).iter().rposition(newline) {
        Some(end) => Cut::Lines(end + 1),
        None if before.is_some() => Cut::Torn,
        None => Cut::Nothing,
    }
}

fn behind(lines: &[u8], last: &str) -> Option<u64> {
    let (mut at, mut found) = (0, None);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        at += line.len() as u64;
        if digest(line.strip_suffix(b"\n").unwrap_or(line)) == last {
            found = Some(at);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as the runner leaves it: lines of `length` bytes, the middle given back.
    fn with_hole(length: usize, size: u64) -> Vec<u8> {
        let line = [vec![b'x'; length - 1], vec![b'\n']].concat();
        let mut bytes: Vec<u8> = line.iter().copied().cycle().take(usize::try_from(size).unwrap()).collect();
        let hole = usize::try_from(KEEP).unwrap()..usize::try_from(next_kept(KEEP, size)).unwrap();
        if let Some(hole) = bytes.get_mut(hole) {
            hole.fill(0);
        }
        bytes
    }

    /// What a reader gets of it: the lengths of lines, and of gaps.
    fn read(bytes: &[u8]) -> (Vec<usize>, Vec<u64>) {
        let size = bytes.len() as u64;
        let (mut at, mut lines, mut gaps) = (0, Vec::new(), Vec::new());
        let mut from = 0;
        loop {
            let start = usize::try_from(from).unwrap();
            let part = &bytes[start..bytes.len().min(start + usize::try_from(PART).unwrap())];
            match cut(part, from, from > at, size) {
                Cut::Lines(end) => {
                    lines.extend(part[..end].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len));
                    at += end as u64;
                }
                Cut::Rest(end) => {
                    gaps.push(from + end as u64 - at);
                    at = from + end as u64;
                }
                Cut::Torn => {
                    from = next_kept(KEEP, size);
                    continue;
                }
                Cut::Nothing => return (lines, gaps),
            }
            from = next_kept(at, size);
        }
    }

    #[test]
    fn behind_a_hole_reading_goes_on_with_the_next_whole_line() {
        // Lines that end with the hole's beginning and end, and lines that do not.
        for length in [64, 60_000, 1 << 16] {
            let size = 30 << 20;
            let (lines, gaps) = read(&with_hole(length, size / length as u64 * length as u64));
            assert!(lines.iter().all(|line| *line == length), "{length}: a torn line was passed on");
            assert_eq!(gaps.len(), 1, "{length}");
            let whole = lines.len() as u64 * length as u64 + gaps[0];
            assert_eq!(whole, size / length as u64 * length as u64, "{length}: what is not read is counted");
        }
        assert_eq!(read(&with_hole(100, 2 << 20)).1, [0; 0], "a short file has no hole");
    }

    #[test]
    fn reading_goes_on_behind_the_last_line_that_was_had_however_often_it_stands_there() {
        let lines = b"one\ntwo\none\nthree\n";
        assert_eq!(behind(lines, &digest(b"one")), Some(12));
        assert_eq!(behind(lines, &digest(b"three")), Some(18));
        assert_eq!(behind(lines, &digest(b"four")), None);
    }
}
