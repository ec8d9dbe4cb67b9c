//! From the bytes of a file to a text with lines and columns: size, UTF-8, byte order mark. The TOML in it is
//! [`document`](super::document)'s affair.

use std::ops::Range;

use super::diagnostic::{Diagnostic, Diagnostics, Place};
use super::reason::Reason;
use crate::support::diagnostic::Position;

/// The most bytes of an action, a policy or a formula's metadata.
pub const MAX_BYTES: usize = 64 * 1024;

/// The text of one file and its path as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    path: String,
    text: String,
    line_starts: Vec<usize>,
}

impl Source {
    /// A text of which nothing is known yet.
    pub fn new(path: &str, text: String) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(breaks).collect();
        Self { path: path.to_owned(), text, line_starts }
    }

    /// The bytes as a text, or why they are none.
    pub fn read(path: &str, bytes: &[u8], most: usize) -> Result<Self, Diagnostics> {
        if bytes.len() > most {
            return Err(too_large(path, bytes.len(), most));
        }
        match str::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(path, text.to_owned())),
            Err(error) => Err(not_utf8(path, bytes, error)),
        }
    }

    /// The file's path as given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A part of the text; empty where the span is none of this text.
    pub fn slice(&self, span: Range<usize>) -> &str {
        self.text.get(span).unwrap_or_default()
    }

    /// The line of a byte offset, without the walk along the line that its column costs.
    pub fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).max(1)
    }

    /// Where a byte offset stands.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line(offset);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let before =
            self.text.get(start..).unwrap_or_default().char_indices().take_while(|(at, _)| start + at < offset);
        Position { line, column: before.count() + 1 }
    }
}

fn too_large(path: &str, bytes: usize, most: usize) -> Diagnostics {
    let finding = Diagnostic {
        reason: Reason::FileTooLarge,
        message: format!("the file has {bytes} bytes; at most {most} are allowed"),
        help: Some("put long texts into the formula or its context files, not into this file".to_owned()),
        place: Place::File,
        text: String::new(),
    };
    Diagnostics::of_one(Source::new(path, String::new()), finding)
}

fn not_utf8(path: &str, bytes: &[u8], error: std::str::Utf8Error) -> Diagnostics {
    let start = error.valid_up_to();
    let length = error.error_len().unwrap_or(bytes.len() - start);
    let wrong = bytes.get(start..start + length).unwrap_or_default();
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let finding = Diagnostic {
        reason: Reason::NotUtf8,
        message: format!("the file is not valid UTF-8: byte {} does not continue the text", start + 1),
        help: Some(format!("{}save it with the encoding UTF-8", if utf16 { "this looks like UTF-16; " } else { "" })),
        // In the lossy text the first invalid sequence stands at the same offset, as U+FFFD.
        place: Place::Span(start..start + char::REPLACEMENT_CHARACTER.len_utf8()),
        text: wrong.escape_ascii().to_string(),
    };
    Diagnostics::of_one(Source::new(path, String::from_utf8_lossy(bytes).into_owned()), finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let source = Source::new("x", "a = 1\nсон = 2\n".to_owned());
        let at = source.text().find('2').unwrap();
        assert_eq!(source.position(at), Position { line: 2, column: 7 });
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(source.text().len()), Position { line: 3, column: 1 });
    }

    #[test]
    fn a_byte_that_is_not_utf8_is_named_with_its_place() {
        let wrong = Source::read("x", b"a = 1\nb = \"\xff\"\n", MAX_BYTES).unwrap_err();
        let seen = wrong.describe(wrong.first());
        assert_eq!(
            (wrong.first().reason, seen.line, seen.column, seen.text.as_str()),
            (Reason::NotUtf8, 2, 6, "\\xff")
        );
    }

    #[test]
    fn a_file_may_have_64_kib_and_not_a_byte_more() {
        assert!(Source::read("x", &vec![b'\n'; MAX_BYTES], MAX_BYTES).is_ok());
        let wrong = Source::read("x", &vec![b'\n'; MAX_BYTES + 1], MAX_BYTES).unwrap_err();
        assert_eq!(wrong.first().reason, Reason::FileTooLarge);
    }
}
