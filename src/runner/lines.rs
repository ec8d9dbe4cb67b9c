//! Cuts redacted output into log events, line by line (pure).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::event::{Kind, Stream};

/// Longer lines are cut into parts.
pub const MAX_LINE: usize = 64 * 1024;

/// The lines of one stream.
#[derive(Debug)]
pub struct Lines {
    stream: Stream,
    /// The beginning of a line whose end has not come.
    pending: Vec<u8>,
}

impl Lines {
    /// A stream that begins.
    pub fn new(stream: Stream) -> Self {
        Self { stream, pending: Vec::new() }
    }

    /// Takes the next bytes and appends the events of the lines that they complete.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Kind>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.pending.extend_from_slice(text);
            while self.pending.len() > MAX_LINE {
                let part: Vec<u8> = self.pending.drain(..whole_chars(&self.pending, MAX_LINE)).collect();
                out.push(self.event(part, Part::First));
            }
            if ended {
                let line = std::mem::take(&mut self.pending);
                out.push(self.event(line, Part::Last));
            }
        }
    }

    /// Whether a line is unfinished.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Shows what there is of an unfinished line, a prompt for instance; a character that is not yet whole waits.
    pub fn flush(&mut self, out: &mut Vec<Kind>) {
        let part: Vec<u8> = self.pending.drain(..whole_chars(&self.pending, self.pending.len())).collect();
        if !part.is_empty() {
            out.push(self.event(part, Part::First));
        }
    }

    /// The stream is over.
    pub fn finish(&mut self, out: &mut Vec<Kind>) {
        if self.is_pending() {
            let rest = std::mem::take(&mut self.pending);
            out.push(self.event(rest, Part::First));
        }
    }

    fn event(&self, bytes: Vec<u8>, part: Part) -> Kind {
        let (text, base64) = match String::from_utf8(bytes) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        Kind::Log { stream: self.stream, text, base64, partial: matches!(part, Part::First) }
    }
}

/// Whether the line goes on behind this event.
#[derive(Debug, Clone, Copy)]
enum Part {
    First,
    Last,
}

/// The largest length up to `limit` that does not cut a UTF-8 character in two; `limit` itself where there is none near.
fn whole_chars(bytes: &[u8], limit: usize) -> usize {
    let tail = bytes.get(limit.saturating_sub(3)..limit).unwrap_or_default();
    let Some(back) = tail.iter().rev().position(|byte| *byte >= 0xC0) else { return limit };
    let lead = tail.get(tail.len() - 1 - back).copied().unwrap_or_default();
    let needs = match lead {
        0xF0.. => 4,
        0xE0.. => 3,
        _ => 2,
    };
    if back + 1 < needs { limit - 1 - back } else { limit }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(text: &str, partial: bool) -> Kind {
        Kind::Log { stream: Stream::Stdout, text: Some(text.to_owned()), base64: None, partial }
    }

    fn split(pieces: &[&[u8]]) -> Vec<Kind> {
        let (mut lines, mut out) = (Lines::new(Stream::Stdout), Vec::new());
        for piece in pieces {
            lines.push(piece, &mut out);
        }
        lines.finish(&mut out);
        out
    }

    #[test]
    fn a_line_is_an_event_and_an_unfinished_one_says_so() {
        assert_eq!(split(&[b"a\n\nb", b"c\nd"]), [log("a", false), log("", false), log("bc", false), log("d", true)]);
    }

    #[test]
    fn a_long_line_comes_in_parts_that_cut_no_character() {
        let line = "ä".repeat(MAX_LINE / 2 + 10);
        let events = split(&[b"x", line.as_bytes(), b"\n"]);
        assert_eq!(events, [log(&format!("x{}", "ä".repeat(MAX_LINE / 2 - 1)), true), log(&"ä".repeat(11), false),]);
    }

    #[test]
    fn bytes_that_are_not_utf8_come_in_base64() {
        let events = split(&[b"ok\n\xff\xfe\n"]);
        assert_eq!(
            events[1],
            Kind::Log { stream: Stream::Stdout, text: None, base64: Some("//4=".to_owned()), partial: false }
        );
    }

    #[test]
    fn a_flush_shows_a_prompt_and_keeps_half_a_character() {
        let (mut lines, mut out) = (Lines::new(Stream::Stdout), Vec::new());
        lines.push("go on? ä".as_bytes().split_last().unwrap().1, &mut out);
        lines.flush(&mut out);
        assert_eq!(out, [log("go on? ", true)]);
        lines.push(b"\xa4\n", &mut out);
        assert_eq!(out[1], log("ä", false));
    }

    proptest! {
        #[test]
        fn the_events_put_together_are_the_output(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let events = split(&pieces.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let mut back = Vec::new();
            for event in events {
                let Kind::Log { text, base64, partial, .. } = event else { unreachable!() };
                back.extend(text.map(String::into_bytes).or(base64.map(|b| STANDARD.decode(b).unwrap())).unwrap());
                back.extend((!partial).then_some(b'\n'));
            }
            prop_assert_eq!(back, pieces.concat());
        }
    }
}
