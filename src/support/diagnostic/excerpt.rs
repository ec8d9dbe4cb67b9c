//! The part of a file that is shown with a mistake: its lines, or their middle where they are long, safe to print, and where the
//! offending text stands in them.

use std::ops::Range;

use super::floor;
use crate::support::text::{clipped, one_line};

/// The most lines of a file that one mistake shows.
const MAX_LINES: usize = 6;
/// The most characters of a line that are shown before and behind the place where the offending text begins.
const BEFORE: usize = 60;
const BEHIND: usize = 90;

/// What is shown.
#[derive(Debug)]
pub(super) struct Excerpt {
    /// The lines.
    pub(super) text: String,
    /// The offending text in them.
    pub(super) marked: Range<usize>,
}

impl Excerpt {
    /// The lines of `text` around `span`; of too many, or of long ones, the first.
    pub(super) fn of(text: &str, span: &Range<usize>) -> Self {
        let start = floor(text, span.start);
        let end = floor(text, span.end).max(start);
        let part = |range: Range<usize>| text.get(range).unwrap_or_default();
        let mut lines = lines_around(text, &(start..end));
        let wide = part(lines.clone()).lines().any(|line| line.chars().count() > BEFORE + BEHIND);
        if wide || part(lines.clone()).lines().count() > MAX_LINES {
            lines = lines_around(text, &(start..start));
        }
        let end = end.min(lines.end);
        let (before, inside, behind) = (part(lines.start..start), part(start..end), part(end..lines.end));
        if wide { Self::cut(before, inside, behind) } else { Self::whole(before, inside, behind) }
    }

    fn whole(before: &str, inside: &str, behind: &str) -> Self {
        let mut text = shown(before);
        let start = text.len();
        text.push_str(&shown(inside));
        let end = text.len();
        text.push_str(&shown(behind));
        Self { text, marked: start..end }
    }

    fn cut(before: &str, inside: &str, behind: &str) -> Self {
        let cut = before.char_indices().rev().nth(BEFORE - 1).map(|(at, _)| at).filter(|at| *at > 0);
        let near = cut.map(|at| format!("…{}", before.get(at..).unwrap_or_default()));
        let inside_cut = clipped(inside, BEHIND);
        let left = BEHIND.saturating_sub(inside_cut.chars().count());
        let rest = if left == 0 { String::new() } else { clipped(behind, left) };
        Self::whole(near.as_deref().unwrap_or(before), &inside_cut, &rest)
    }
}

/// The lines on which `span` begins and ends, without the last one's newline.
fn lines_around(text: &str, span: &Range<usize>) -> Range<usize> {
    let before = text.get(..span.start).unwrap_or_default();
    let behind = text.get(span.end..).unwrap_or_default();
    before.rfind('\n').map_or(0, |at| at + 1)..behind.find('\n').map_or(text.len(), |at| span.end + at)
}

/// Made visible line by line: the newlines between lines stay.
fn shown(part: &str) -> String {
    let lines: Vec<_> = part.split('\n').map(|line| one_line(line.strip_suffix('\r').unwrap_or(line))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_around_a_span_are_whole() {
        let text = "one\ntwo\nthree";
        assert_eq!(text.get(lines_around(text, &(5..6))), Some("two"));
        assert_eq!(text.get(lines_around(text, &(5..9))), Some("two\nthree"));
    }

    #[test]
    fn marks_stay_in_place_behind_characters_that_are_made_visible() {
        let excerpt = Excerpt::of("\u{85}\u{85}key", &(4..7));
        assert_eq!(
            (excerpt.text.get(excerpt.marked.clone()), excerpt.text.as_str()),
            (Some("key"), "\\u{85}\\u{85}key")
        );
    }

    #[test]
    fn a_very_long_line_is_shown_in_part() {
        let text = format!("{} here {}", "a".repeat(9_000), "b".repeat(9_000));
        let excerpt = Excerpt::of(&text, &(9_001..9_005));
        assert_eq!(excerpt.text.get(excerpt.marked.clone()), Some("here"));
        assert!(excerpt.text.chars().count() < 170 && excerpt.text.contains("aaa here bbb"), "{}", excerpt.text);
    }

    #[test]
    fn of_a_value_over_many_lines_the_first_is_shown() {
        let text = format!("x = [\n{}]\n", "1,\n".repeat(50));
        assert_eq!(Excerpt::of(&text, &(4..text.len() - 1)).text, "x = [");
    }

    #[test]
    fn a_place_outside_of_the_text_or_inside_of_a_character_is_harmless() {
        for span in [0..99, 99..100, 1..2] {
            assert!(Excerpt::of("ä\n", &span).marked.end <= 3);
        }
    }
}
