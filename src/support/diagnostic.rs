//! What is wrong with a file, shown as people know it from compilers: message, place, the line with the offending text
//! underlined, the fix.
//!
//! The one look of every file that a person writes: `dispatch.toml` (config), actions, formulas and policies (action).
//! Rendering is pure; the caller decides where it is written. [`excerpt`] is the part of the file that is shown.

mod excerpt;

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use self::excerpt::Excerpt;
use super::text::one_line;

/// Wider than any line that an excerpt has, so that the renderer does not cut a second time. Fixed, so that the same mistake
/// reads the same everywhere.
const WIDEST: usize = 400;

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
    /// No escape sequence at all: for files, pipes and results.
    #[default]
    Never,
    /// With colours: for a terminal that shows them.
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
    /// The stable code, where there is one.
    pub code: Option<&'static str>,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The bytes of the file that it is about; `None`: the file as a whole.
    pub span: Option<Range<usize>>,
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

    /// With the fix.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
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

/// The nearest character boundary at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// All of `diagnostics` about the file `path` with the content `text`, an empty line between two of them. Ends with a newline
/// unless there is nothing to say.
pub fn render<'d>(
    path: &str,
    text: &str,
    diagnostics: impl IntoIterator<Item = &'d Diagnostic>,
    color: Color,
) -> String {
    let renderer = match color {
        Color::Never => Renderer::plain(),
        Color::Always => Renderer::styled(),
    };
    let (renderer, path) = (renderer.term_width(WIDEST), one_line(path));
    let blocks: Vec<String> = diagnostics.into_iter().map(|one| block(&renderer, &path, text, one) + "\n").collect();
    blocks.join("\n")
}

fn block(renderer: &Renderer, path: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(one_line(&diagnostic.message));
    let title = match diagnostic.code {
        Some(code) => title.id(code),
        None => title,
    };
    let group = match &diagnostic.span {
        None if text.is_empty() => Group::with_title(title).element(Origin::path(path)),
        // With a line and column of their own, since that is what editors and CI look for.
        None => Group::with_title(title).element(Origin::path(path).line(1).char_column(1)),
        Some(span) => Group::with_title(title).element(snippet(path, text, span)),
    };
    let help = diagnostic.help.as_deref().map(|help| Level::HELP.message(one_line(help)));
    let shown = renderer.render(&[group.elements(help)]);
    // Without a line of the file the renderer leaves no room for line numbers; with it, all stand in one column.
    if diagnostic.span.is_none() { shown.replace('\n', "\n ") } else { shown }
}

fn snippet<'a>(path: &'a str, text: &str, span: &Range<usize>) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let excerpt = Excerpt::of(text, span);
    Snippet::source(excerpt.text)
        .line_start(position(text, span.start).line)
        .path(path)
        .annotation(AnnotationKind::Primary.span(excerpt.marked))
}

#[cfg(test)]
mod tests {
    use super::super::text::steers;
    use super::*;

    fn shown(text: &str, one: &Diagnostic) -> String {
        render("a.toml", text, [one], Color::Never)
    }

    #[test]
    fn a_mistake_is_shown_with_its_code_its_place_its_text_and_its_fix() {
        let wrong = Diagnostic::at(9..15, "unknown field `formla`").help("did you mean `formula`?");
        let wrong = Diagnostic { code: Some("unknown_field"), ..wrong };
        insta::assert_snapshot!(shown("id = \"a\"\nformla = \"x\"\n", &wrong), @r#"
        error[unknown_field]: unknown field `formla`
         --> a.toml:2:1
          |
        2 | formla = "x"
          | ^^^^^^
          |
          = help: did you mean `formula`?
        "#);
    }

    #[test]
    fn what_is_about_the_file_as_a_whole_stands_in_the_same_column() {
        let wrong = Diagnostic::whole("the file is empty").warning().help("write something");
        assert_eq!(shown("", &wrong), "warning: the file is empty\n --> a.toml\n  = help: write something\n");
        assert!(shown("id = 1\n", &wrong).contains("\n --> a.toml:1:1\n  = help"));
    }

    #[test]
    fn no_character_of_a_file_its_path_or_a_message_reaches_the_terminal_as_a_control() {
        let text = "context = \"\u{1b}[31m \u{9b}2J \u{202e}x \u{200f} \u{2028} \u{85}\"; bad = 1\n";
        let at = text.find("bad").unwrap();
        let wrong = Diagnostic::at(at..at + 3, "bad \u{1b}[2J").help("\u{202e}");
        let shown = render("a\u{1b}]0;t\u{7}.toml", text, [&wrong], Color::Never);
        assert!(shown.chars().all(|c| c == '\n' || !steers(c)), "{shown:?}");
        assert!(shown.contains("^^^"), "the marks stay under the key\n{shown}");
    }

    #[test]
    fn colour_is_there_only_when_it_is_asked_for() {
        let wrong = Diagnostic::at(0..1, "x");
        assert!(!render("f", "abc", [&wrong], Color::Never).contains('\u{1b}'));
        assert!(render("f", "abc", [&wrong], Color::Always).contains('\u{1b}'));
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        assert_eq!(position("äb\nc", 3), Position { line: 1, column: 3 });
        assert_eq!(position("äb\nc", 4), Position { line: 2, column: 1 });
        assert_eq!(position("a", 99), Position { line: 1, column: 2 });
    }
}
