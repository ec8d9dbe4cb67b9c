//! The runner's own copy of its events, in the allocation's directory: whole where Docker has lost the end of what the runner printed.

use super::super::client::{Client, ClientError};
use super::position::digest;

/// Where `dispatch runner --events` writes it, as the shipped jobs say.
const PATH: &str = "alloc/data/events.ndjson";

/// Bytes of one request. A line is shorter.
const PART: u64 = 1 << 20;

/// How far a last line is searched for.
const SEARCHED: u64 = 64 << 20;

/// The file of one allocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventsFile<'a> {
    client: &'a Client,
    allocation: &'a str,
}

impl<'a> EventsFile<'a> {
    pub(super) fn new(client: &'a Client, allocation: &'a str) -> Self {
        Self { client, allocation }
    }

    /// Whole lines from `at`; `None` where there are no more.
    pub(super) async fn lines(self, at: u64) -> Result<Option<Vec<u8>>, ClientError> {
        let mut bytes = self.client.file(self.allocation, PATH, at, PART).await?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(end);
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// The offset behind the last line that has this digest; 0 where there is none. Docker repeats lines as well as losing them, so
    /// the last line that was read is looked for, and not a number of bytes.
    pub(super) async fn behind(self, last: &str) -> Result<u64, ClientError> {
        let (mut at, mut found) = (0, 0);
        while at < SEARCHED
            && let Some(lines) = self.lines(at).await?
        {
            if let Some(within) = behind(&lines, last) {
                found = at + within;
            }
            at += lines.len() as u64;
        }
        Ok(found)
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

    #[test]
    fn reading_goes_on_behind_the_last_line_that_was_had_however_often_it_stands_there() {
        let lines = b"one\ntwo\none\nthree\n";
        assert_eq!(behind(lines, &digest(b"one")), Some(12));
        assert_eq!(behind(lines, &digest(b"three")), Some(18));
        assert_eq!(behind(lines, &digest(b"four")), None);
    }
}
