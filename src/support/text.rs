//! Text that others wrote, made harmless before a person sees it: terminal escapes and bidirectional controls become visible.
//!
//! Ids, contexts, log lines and file contents come from repos and jobs. Printed raw, an escape sequence could repaint the
//! terminal and a bidi override could show another name than the one meant ("Trojan Source", CVE-2021-42574).

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether `c` reorders or hides its neighbours: bidirectional controls, separators and invisible format characters. The two
/// joiners (U+200C, U+200D) are not among them: Persian words and composed emoji need them.
pub fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
    )
}

/// What a line of text may not contain when it is shown: controls (tab included) and deceptive characters.
fn is_unprintable(c: char) -> bool {
    c.is_control() || is_deceptive(c)
}

/// `text` as one line that is safe on a terminal: each control or deceptive character as its escape (`\n`, `\u{1b}`).
pub fn one_line(text: &str) -> Cow<'_, str> {
    escape_where(text, is_unprintable)
}

/// Like [`one_line`], but newlines and tabs stay: for logs and other blocks of text.
pub fn block(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| is_unprintable(c) && !matches!(c, '\n' | '\t'))
}

fn escape_where(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !bad(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(out)
}

/// Of `known`, the word that was probably meant by `given`: the nearest one, if it is near enough to be a slip.
pub fn closest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (given.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|word| (distance(&given.to_lowercase(), word), word))
        .filter(|(far, _)| *far <= allowed)
        .min_by_key(|(far, _)| *far)
        .map(|(_, word)| word)
}

/// Edits between two words, where swapping two neighbours is one edit (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    let cell = |rows: &[Vec<usize>], i: usize, j: usize| rows.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0);
    for (i, x) in a.iter().enumerate() {
        rows.push(vec![i + 1]);
        for (j, y) in b.iter().enumerate() {
            let replaced = cell(&rows, i, j) + usize::from(x != y);
            let mut best = replaced.min(cell(&rows, i, j + 1) + 1).min(cell(&rows, i + 1, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(cell(&rows, i - 1, j - 1) + 1);
            }
            if let Some(row) = rows.last_mut() {
                row.push(best);
            }
        }
    }
    cell(&rows, a.len(), b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_for_terminals_and_for_eyes_become_visible() {
        assert_eq!(one_line("a\u{1b}[2Jb\u{202e}c\u{9b}d\ne"), "a\\u{1b}[2Jb\\u{202e}c\\u{9b}d\\ne");
        assert_eq!(block("a\tb\n\u{7}"), "a\tb\n\\u{7}");
    }

    #[test]
    fn ordinary_text_of_any_language_is_left_alone() {
        for text in ["Ünïcode – “dash” — 日本語", "עברית", "🚀"] {
            assert_eq!(one_line(text), text);
        }
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_word_and_another_word_does_not() {
        let known = ["remote", "branch", "poll_seconds"];
        assert_eq!(closest("remtoe", known), Some("remote"));
        assert_eq!(closest("pol_second", known), Some("poll_seconds"));
        assert_eq!(closest("Branch", known), Some("branch"));
        assert_eq!(closest("colour", known), None);
    }
}
