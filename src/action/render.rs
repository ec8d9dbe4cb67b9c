//! Findings for people, in the style of rustc: the message, the place, the line with the offending text underlined, the fix.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Diagnostics, Place};
use super::source::Source;
use crate::support::text;

/// The most lines of a file that one finding shows.
const MAX_LINES: usize = 6;
/// The most characters of a line that are shown before and behind the place where the offending text begins.
const BEFORE: usize = 60;
const BEHIND: usize = 90;

/// Wider than any line that is left after the cut, so that the renderer does not cut a second time.
const WIDEST: usize = 400;

/// Whether the text carries terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// For files, pipes and results.
    Plain,
    /// For a terminal that shows colours.
    Ansi,
}

impl Diagnostics {
    /// All findings, a blank line between two of them, a newline at the end.
    pub fn render(&self, colour: Colour) -> String {
        let renderer = match colour {
            Colour::Plain => Renderer::plain(),
            Colour::Ansi => Renderer::styled(),
        };
        let renderer = renderer.term_width(WIDEST);
        let mut blocks: Vec<String> = self.iter().map(|finding| block(&renderer, self.source(), finding)).collect();
        if self.unlisted() > 0 {
            blocks.push(format!("and {} more in {}", self.unlisted(), text::one_line(self.source().path())));
        }
        blocks.join("\n\n") + "\n"
    }
}

fn block(renderer: &Renderer, source: &Source, finding: &Diagnostic) -> String {
    let path = text::one_line(source.path()).into_owned();
    let title = Level::ERROR.primary_title(text::one_line(&finding.message)).id(finding.reason.code());
    let group = match &finding.place {
        Place::File => Group::with_title(title).element(Origin::path(path).line(1).char_column(1)),
        Place::Span(span) => Group::with_title(title).element(snippet(source, span, path)),
    };
    let help = finding.help.as_deref().map(|help| Level::HELP.message(text::one_line(help)));
    let text = renderer.render(&[group.elements(help)]);
    match &finding.place {
        // Without a line of the file the renderer leaves no room for line numbers; with it, all findings stand in one column.
        Place::File => text.replace('\n', "\n "),
        Place::Span(_) => text,
    }
}

fn snippet<'a>(source: &Source, span: &Range<usize>, path: String) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let excerpt = Excerpt::of(source, span);
    Snippet::source(excerpt.text)
        .line_start(source.position(span.start).line)
        .path(path)
        .annotation(AnnotationKind::Primary.span(excerpt.marked))
}

/// The shown part of a file, safe to print, and where the offending text stands in it.
struct Excerpt {
    text: String,
    marked: Range<usize>,
}

impl Excerpt {
    fn of(source: &Source, span: &Range<usize>) -> Self {
        let first_line = source.lines_around(&(span.start..span.start));
        let mut lines = source.lines_around(span);
        let wide = source.slice(lines.clone()).lines().any(|line| line.chars().count() > BEFORE + BEHIND);
        if wide || source.slice(lines.clone()).lines().count() > MAX_LINES {
            lines = first_line;
        }
        let marked = span.start..span.end.min(lines.end);
        let (before, inside, behind) = (
            source.slice(lines.start..marked.start),
            source.slice(marked.clone()),
            source.slice(marked.end..lines.end),
        );
        if wide { Self::clipped(before, inside, behind) } else { Self::whole(before, inside, behind) }
    }

    fn whole(before: &str, inside: &str, behind: &str) -> Self {
        let mut text = shown(before);
        let start = text.len();
        text.push_str(&shown(inside));
        let end = text.len();
        text.push_str(&shown(behind));
        Self { text, marked: start..end }
    }

    fn clipped(before: &str, inside: &str, behind: &str) -> Self {
        let cut = before.char_indices().rev().nth(BEFORE - 1).map(|(at, _)| at).filter(|at| *at > 0);
        let near = cut.map(|at| format!("…{}", before.get(at..).unwrap_or_default()));
        let inside_cut = text::clipped(inside, BEHIND);
        let left = BEHIND.saturating_sub(inside_cut.chars().count());
        let rest = if left == 0 { String::new() } else { text::clipped(behind, left) };
        Self::whole(near.as_deref().unwrap_or(before), &inside_cut, &rest)
    }
}

/// Made visible line by line: the newlines between lines stay.
fn shown(part: &str) -> String {
    let lines: Vec<_> = part.split('\n').map(|line| text::one_line(line.strip_suffix('\r').unwrap_or(line))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::Findings;
    use super::super::reason::Reason;
    use super::*;

    fn wrong(text: &str, span: Range<usize>) -> Diagnostics {
        let mut found = Findings::new(Source::new("vault/actions/a.toml", text.to_owned()));
        found.add(Reason::UnknownField, Place::Span(span), "no such field".to_owned(), Some("leave it out".to_owned()));
        found.into_result(Some(())).unwrap_err()
    }

    #[test]
    fn a_finding_shows_its_line_with_the_offending_text_underlined() {
        let shown = wrong("id = \"a\"\nsecret = []\n", 9..15).render(Colour::Plain);
        assert_eq!(
            shown,
            "error[unknown_field]: no such field\n --> vault/actions/a.toml:2:1\n  |\n2 | secret = []\n  | ^^^^^^\n  |\n  = \
             help: leave it out\n"
        );
    }

    #[test]
    fn colours_stand_only_in_the_rendering_for_a_terminal() {
        let found = wrong("secret = []\n", 0..6);
        assert!(found.render(Colour::Ansi).contains('\u{1b}'));
        assert!(!found.render(Colour::Plain).contains('\u{1b}'));
    }

    #[test]
    fn nothing_in_a_file_can_steer_the_terminal() {
        let text = "x\u{1b}[2J\u{202e}\u{9b} = 1\n";
        let shown = wrong(text, 0..text.find(' ').unwrap()).render(Colour::Plain);
        assert!(shown.chars().all(|c| c == '\n' || !text::steers(c)), "{shown:?}");
        assert!(shown.contains("x\\u{1b}[2J\\u{202e}\\u{9b} = 1"), "{shown}");
    }

    #[test]
    fn a_very_long_line_is_shown_in_part() {
        let text = format!("{} here {}", "a".repeat(9_000), "b".repeat(9_000));
        let shown = wrong(&text, 9_001..9_005).render(Colour::Plain);
        assert!(shown.lines().all(|line| line.chars().count() < 170), "{shown}");
        assert!(shown.contains("aaa here bbb") && shown.contains("^^^^"), "{shown}");
    }

    #[test]
    fn of_a_value_over_many_lines_the_first_is_shown() {
        let text = format!("x = [\n{}]\n", "1,\n".repeat(50));
        let shown = wrong(&text, 4..text.len() - 1).render(Colour::Plain);
        assert!(shown.lines().count() < 10, "{shown}");
    }
}
