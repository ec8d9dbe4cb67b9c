//! What is wrong with a file, shown as people know it from compilers: place, offending text, cause, fix.
//!
//! Used for every file that a person writes: `dispatch.toml` (config), actions, formulas and policies (action). Rendering
//! is pure; the caller decides where it is written.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::text::{is_deceptive, one_line};

/// Wider lines are trimmed around what they are shown for. Fixed, so that the same mistake reads the same everywhere.
const WIDTH: usize = 140;

/// Whether a diagnostic stops anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    #[default]
    Error,
    /// It is worth a look.
    Warning,
}

/// Whether the rendered text carries ANSI colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Color {
    /// No escape sequence at all.
    #[default]
    Never,
    /// With colours.
    Always,
}

/// A line and column of a file, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in that line.
    pub column: usize,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostic {
    /// Does it stop anything?
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The bytes of the file that it is about; `None`: the file as a whole.
    pub span: Option<Range<usize>>,
    /// A few words beneath the marked bytes.
    pub label: Option<String>,
    /// Other places that explain it ("first set here").
    pub related: Vec<(Range<usize>, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error about the bytes at `span`.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span: Some(span), ..Self::default() }
    }

    /// An error about the file as a whole.
    pub fn whole(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// With a few words beneath the marked bytes.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With the fix.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another place that explains it.
    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// As a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Where it begins in `text`.
    pub fn position(&self, text: &str) -> Option<Position> {
        self.span.as_ref().map(|span| position(text, span.start))
    }
}

/// The line and column of the byte at `offset`; an offset beyond the end is the end.
pub fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..floor(text, offset)).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
    }
}

/// All of `diagnostics` about the file `path` with the content `text`, in the order of the file, each followed by an empty
/// line but the last. Ends with a newline unless there is nothing to say.
pub fn render(path: &str, text: &str, diagnostics: &[Diagnostic], color: Color) -> String {
    let shown = Shown::new(text);
    let path = one_line(path);
    let renderer = match color {
        Color::Never => Renderer::plain(),
        Color::Always => Renderer::styled(),
    }
    .term_width(WIDTH);
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|d| d.span.as_ref().map(|span| span.start));
    let blocks: Vec<String> = sorted.iter().map(|d| renderer.render(&report(&path, &shown, d)) + "\n").collect();
    blocks.join("\n")
}

fn report<'a>(path: &'a str, shown: &'a Shown, diagnostic: &'a Diagnostic) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let group = Group::with_title(level.primary_title(one_line(&diagnostic.message)));
    let group = match &diagnostic.span {
        Some(span) => group.element(snippet(path, shown, diagnostic, span)),
        None => group.element(Origin::path(path)),
    };
    match &diagnostic.help {
        Some(help) => vec![group.element(Level::HELP.message(one_line(help)))],
        None => vec![group],
    }
}

fn snippet<'a>(
    path: &'a str,
    shown: &'a Shown,
    diagnostic: &'a Diagnostic,
    span: &Range<usize>,
) -> Snippet<'a, Annotation<'a>> {
    let primary = AnnotationKind::Primary.span(shown.span(span));
    let primary = match &diagnostic.label {
        Some(label) => primary.label(one_line(label)),
        None => primary,
    };
    let others = diagnostic
        .related
        .iter()
        .map(|(span, label)| AnnotationKind::Context.span(shown.span(span)).label(one_line(label)));
    Snippet::source(&shown.text).path(path).annotation(primary).annotations(others)
}

/// The text as it is shown, and how offsets of the original fall in it. The renderer makes C0 controls and bidi overrides
/// visible itself; what it lets through (C1 controls, which some terminals obey, and other invisible characters) becomes
/// U+FFFD here, so that one character stays one column.
struct Shown {
    text: String,
    /// For each character that changed its length: the offset behind it in the original, and by how much all grew so far.
    shifts: Vec<(usize, isize)>,
}

impl Shown {
    fn new(original: &str) -> Self {
        let mut text = String::with_capacity(original.len());
        let (mut shifts, mut grown) = (Vec::new(), 0isize);
        for (at, c) in original.char_indices() {
            let hidden = matches!(c, '\u{80}'..='\u{9f}') || is_deceptive(c);
            let put = if hidden { char::REPLACEMENT_CHARACTER } else { c };
            text.push(put);
            if put.len_utf8() != c.len_utf8() {
                grown += put.len_utf8().cast_signed() - c.len_utf8().cast_signed();
                shifts.push((at + c.len_utf8(), grown));
            }
        }
        Self { text, shifts }
    }

    fn offset(&self, original: usize) -> usize {
        let before = self.shifts.partition_point(|(behind, _)| *behind <= original);
        let grown = before.checked_sub(1).and_then(|last| self.shifts.get(last)).map_or(0, |(_, grown)| *grown);
        floor(&self.text, original.saturating_add_signed(grown))
    }

    fn span(&self, original: &Range<usize>) -> Range<usize> {
        let start = self.offset(original.start);
        start..self.offset(original.end).max(start)
    }
}

/// The nearest character boundary at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_shown_with_its_place_its_text_and_its_fix() {
        let text = "id = \"a\"\nformla = \"x\"\n";
        let wrong =
            Diagnostic::at(9..15, "unknown field `formla`").label("not known here").help("did you mean `formula`?");
        insta::assert_snapshot!(render("a.toml", text, &[wrong], Color::Never), @r#"
        error: unknown field `formla`
         --> a.toml:2:1
          |
        2 | formla = "x"
          | ^^^^^^ not known here
          |
          = help: did you mean `formula`?
        "#);
    }

    #[test]
    fn mistakes_are_shown_in_the_order_of_the_file_and_the_whole_file_first() {
        let all = [Diagnostic::at(4..5, "second"), Diagnostic::at(0..1, "first"), Diagnostic::whole("empty")];
        let shown = render("a.toml", "abcdefg", &all, Color::Never);
        let places: Vec<usize> = ["empty", "first", "second"].iter().map(|word| shown.find(word).unwrap()).collect();
        assert!(places.is_sorted(), "{shown}");
    }

    #[test]
    fn no_character_of_a_file_its_path_or_a_message_reaches_the_terminal_as_a_control() {
        let text = "context = \"\u{1b}[31m \u{9b}2J \u{202e}x \u{200f} \u{2028} \u{85}\"\nbad = 1\n";
        let at = text.find("bad").unwrap();
        let wrong = Diagnostic::at(at..at + 3, "bad \u{1b}[2J").label("\u{9b}").help("\u{202e}").related(0..7, "\u{7}");
        let shown = render("a\u{1b}]0;t\u{7}.toml", text, &[wrong], Color::Never);
        assert!(!shown.chars().any(|c| (c.is_control() && c != '\n') || is_deceptive(c)), "{shown:?}");
        assert!(shown.contains("^^^"), "the marks stay under the key\n{shown}");
    }

    #[test]
    fn marks_stay_in_place_behind_characters_that_are_replaced() {
        let text = "\u{85}\u{85}key";
        let shown = render("f", text, &[Diagnostic::at(4..7, "here")], Color::Never);
        assert!(shown.contains("| ��key\n  |   ^^^"), "{shown}");
    }

    #[test]
    fn colour_is_there_only_when_it_is_asked_for() {
        let wrong = [Diagnostic::at(0..1, "x")];
        assert!(!render("f", "abc", &wrong, Color::Never).contains('\u{1b}'));
        assert!(render("f", "abc", &wrong, Color::Always).contains('\u{1b}'));
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        assert_eq!(position("äb\nc", 3), Position { line: 1, column: 3 });
        assert_eq!(position("äb\nc", 4), Position { line: 2, column: 1 });
        assert_eq!(position("a", 99), Position { line: 1, column: 2 });
    }
}
