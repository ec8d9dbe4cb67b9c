//! What is wrong with a file: each finding with its reason, place, offending text and fix, all of them at once.
//!
//! Filled by the parsers of this module; shown to people by [`support::diagnostic`](crate::support::diagnostic), to tools by JSON
//! (`Serialize`), and in the `message` of a rejected result.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

use super::reason::Reason;
use super::source::Source;
use crate::support::diagnostic::{self as shown, Color};
use crate::support::text;

/// The most findings that are kept of one file: enough for any honest one, and a bound on what a hostile one can cost.
pub const MAX_FINDINGS: usize = 100;

/// The most characters of the offending text that a finding carries.
const MAX_TEXT: usize = 160;

/// Where a finding stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere in particular: something is missing, or the file as a whole is wrong.
    File,
    /// At these bytes of the text.
    Span(Range<usize>),
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code.
    pub reason: Reason,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where.
    pub place: Place,
    /// The offending text, safe to print; empty for the file as a whole.
    pub text: String,
}

impl Diagnostic {
    fn to_show(&self) -> shown::Diagnostic {
        let span = match &self.place {
            Place::File => None,
            Place::Span(span) => Some(span.clone()),
        };
        let (message, help) = (self.message.clone(), self.help.clone());
        shown::Diagnostic { code: Some(self.reason.code()), message, span, help, ..shown::Diagnostic::default() }
    }
}

/// Everything that is wrong with one file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    source: Box<Source>,
    first: Box<Diagnostic>,
    rest: Vec<Diagnostic>,
    unlisted: usize,
}

/// One finding as machines read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Described<'d> {
    /// The path as given.
    pub file: &'d str,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The offending text, safe to print.
    pub text: String,
    /// The stable code.
    pub reason: Reason,
    /// What is wrong.
    pub message: &'d str,
    /// What to do about it.
    pub help: Option<&'d str>,
}

impl Diagnostics {
    /// A file with one thing wrong.
    pub fn of_one(source: Source, finding: Diagnostic) -> Self {
        Self { source: Box::new(source), first: Box::new(finding), rest: Vec::new(), unlisted: 0 }
    }

    /// The finding that stands first in the file; its reason is the reason of a rejection.
    pub fn first(&self) -> &Diagnostic {
        &self.first
    }

    /// All findings in the order of the file; those without a place come last.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        std::iter::once(self.first()).chain(&self.rest)
    }

    /// How many more there are than [`MAX_FINDINGS`].
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// The text that the findings are about.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// A finding with its place in lines and columns.
    pub fn describe<'d>(&'d self, finding: &'d Diagnostic) -> Described<'d> {
        let at = match &finding.place {
            Place::File => self.source.position(0),
            Place::Span(span) => self.source.position(span.start),
        };
        Described {
            file: self.source.path(),
            line: at.line,
            column: at.column,
            text: finding.text.clone(),
            reason: finding.reason,
            message: &finding.message,
            help: finding.help.as_deref(),
        }
    }

    /// For people: each with its place, text and fix.
    pub fn render(&self, color: Color) -> String {
        let all: Vec<shown::Diagnostic> = self.iter().map(Diagnostic::to_show).collect();
        let more = match self.unlisted {
            0 => String::new(),
            more => format!("\nand {more} more in {}\n", text::one_line(self.source.path())),
        };
        shown::render(self.source.path(), self.source.text(), &all, color) + &more
    }

    /// One line for each finding: `line:column: message`; for the `message` of a result.
    pub fn summary(&self) -> String {
        let lines = self.iter().map(|finding| {
            let seen = self.describe(finding);
            format!("{}:{}: {}", seen.line, seen.column, seen.message)
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|finding| self.describe(finding)))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Color::Never))
    }
}

impl std::error::Error for Diagnostics {}

/// Gathers the findings of one file while it is read.
#[derive(Debug)]
pub(super) struct Findings {
    source: Source,
    list: Vec<Diagnostic>,
    unlisted: usize,
    broken_lines: BTreeSet<usize>,
}

impl Findings {
    /// Nothing found so far.
    pub(super) fn new(source: Source) -> Self {
        Self { source, list: Vec::new(), unlisted: 0, broken_lines: BTreeSet::new() }
    }

    /// The text that is being read.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// A finding about the TOML itself. What else seems wrong on its line follows from it and is not reported.
    pub(super) fn add_broken(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        let line = self.source.line(span.start);
        self.add(Reason::Syntax, Place::Span(span), message, help);
        self.broken_lines.insert(line);
    }

    /// A finding. In a file whose TOML is broken, a missing field may merely be unreadable: such findings are left out.
    pub(super) fn add(&mut self, reason: Reason, place: Place, message: String, help: Option<String>) {
        if self.follows_from_broken(reason, &place) {
            return;
        }
        if self.list.len() >= MAX_FINDINGS {
            self.unlisted += 1;
            return;
        }
        let text = match &place {
            Place::File => String::new(),
            Place::Span(span) => text::clipped(self.source.slice(span.clone()), MAX_TEXT),
        };
        self.list.push(Diagnostic { reason, message, help, place, text });
    }

    fn follows_from_broken(&self, reason: Reason, place: &Place) -> bool {
        match place {
            _ if self.broken_lines.is_empty() => false,
            _ if reason == Reason::MissingField => true,
            Place::File => false,
            Place::Span(span) => self.broken_lines.contains(&self.source.line(span.start)),
        }
    }

    /// `value`, unless something was found.
    pub(super) fn into_result<T>(self, value: Option<T>) -> Result<T, Diagnostics> {
        let Self { source, mut list, unlisted, .. } = self;
        list.sort_by_key(|finding| match &finding.place {
            Place::Span(span) => span.start,
            Place::File => usize::MAX,
        });
        let mut list = list.into_iter();
        match (list.next(), value) {
            (Some(first), _) => {
                Err(Diagnostics { rest: list.collect(), unlisted, ..Diagnostics::of_one(source, first) })
            }
            (None, Some(value)) => Ok(value),
            (None, None) => Err(Diagnostics::of_one(source, unreadable())),
        }
    }
}

/// A reader that gives up must have said why; if one ever does not, the file is refused all the same.
fn unreadable() -> Diagnostic {
    Diagnostic {
        reason: Reason::Syntax,
        message: "the file could not be read".to_owned(),
        help: None,
        place: Place::File,
        text: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Findings {
        Findings::new(Source::new("a.toml", text.to_owned()))
    }

    #[test]
    fn findings_come_in_the_order_of_the_file_and_those_without_a_place_last() {
        let mut found = findings("one\ntwo\n");
        found.add(Reason::MissingField, Place::File, "third".to_owned(), None);
        found.add(Reason::InvalidValue, Place::Span(4..7), "second".to_owned(), None);
        found.add(Reason::UnknownField, Place::Span(0..3), "first".to_owned(), None);
        let wrong = found.into_result(Some(())).unwrap_err();
        assert_eq!(wrong.summary(), "1:1: first\n2:1: second\n1:1: third");
        assert_eq!(wrong.first().reason, Reason::UnknownField);
    }

    #[test]
    fn what_follows_from_broken_toml_is_not_reported_again() {
        let mut found = findings("id = \nmounts = 3\n");
        found.add_broken(5..5, "missing value".to_owned(), None);
        found.add(Reason::MissingField, Place::File, "`formula` is missing".to_owned(), None);
        found.add(Reason::WrongType, Place::Span(0..2), "same line".to_owned(), None);
        found.add(Reason::WrongType, Place::Span(15..16), "another line".to_owned(), None);
        let wrong = found.into_result(Some(())).unwrap_err();
        assert_eq!(wrong.iter().map(|f| f.message.as_str()).collect::<Vec<_>>(), ["missing value", "another line"]);
    }

    #[test]
    fn a_hostile_file_cannot_have_more_findings_than_the_bound() {
        let mut found = findings("x");
        for _ in 0..MAX_FINDINGS + 7 {
            found.add(Reason::UnknownField, Place::Span(0..1), "x".to_owned(), None);
        }
        let wrong = found.into_result(Some(())).unwrap_err();
        assert_eq!((wrong.iter().count(), wrong.unlisted()), (MAX_FINDINGS, 7));
    }

    #[test]
    fn machines_read_file_line_column_text_reason_message_and_help() {
        let mut found = findings("a = 1\nb\u{202e} = 2\n");
        found.add(Reason::UnknownField, Place::Span(6..10), "no".to_owned(), Some("do".to_owned()));
        let wrong = found.into_result(Some(())).unwrap_err();
        assert_eq!(
            serde_json::to_value(&wrong).unwrap(),
            serde_json::json!([{
                "file": "a.toml", "line": 2, "column": 1, "text": "b\\u{202e}",
                "reason": "unknown_field", "message": "no", "help": "do",
            }])
        );
    }
}
