//! Text that others wrote, made harmless before a person sees it: terminal escapes and bidirectional controls become visible.
//!
//! Ids, contexts, log lines and file contents come from repos and jobs. Printed raw, an escape sequence could repaint the
//! terminal and a bidi override could show another name than the one meant ("Trojan Source", CVE-2021-42574).

use std::borrow::Cow;
use std::fmt::Write as _;

/// The most characters of a foreign text that a message quotes.
const QUOTED: usize = 80;
/// Longer words are no slips of a known one, and comparing them costs the square of their length.
const MAX_WORD: usize = 64;

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

/// Whether `c` steers the terminal or deceives the eye: what a line of text may not contain when it is shown (tab included).
pub fn steers(c: char) -> bool {
    c.is_control() || is_deceptive(c)
}

/// `text` as one line that is safe on a terminal: each control or deceptive character as its escape (`\n`, `\u{1b}`).
pub fn one_line(text: &str) -> Cow<'_, str> {
    escape_where(text, steers)
}

/// Like [`one_line`], but newlines and tabs stay: for logs and other blocks of text.
pub fn block(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| steers(c) && !matches!(c, '\n' | '\t'))
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

/// The first character that a text of several lines may not hold. Newlines (also as CR LF) and tabs may stand in it.
pub fn first_forbidden(text: &str) -> Option<char> {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let layout = matches!(c, '\n' | '\t') || (c == '\r' && chars.peek() == Some(&'\n'));
        if steers(c) && !layout {
            return Some(c);
        }
    }
    None
}

/// [`one_line`], cut to `most` characters.
pub fn clipped(text: &str, most: usize) -> String {
    // Cut before it is escaped, since a text may be most of a file.
    let near = text.char_indices().nth(most + 1).map_or(text, |(end, _)| text.get(..end).unwrap_or_default());
    let shown = one_line(near);
    match shown.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", shown.get(..cut).unwrap_or_default()),
        None => shown.into_owned(),
    }
}

/// A foreign text inside a message: between backticks, escaped, and not longer than a line.
pub fn quoted(text: &str) -> String {
    format!("`{}`", clipped(text, QUOTED))
}

/// Of `known`, the word that was probably meant by `given`: at most a third of its letters differ, or one begins with the other.
pub fn closest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > MAX_WORD {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let given = plain(given);
    let far = |word: &str| {
        let begins = given.len() >= 4 && (word.starts_with(&given) || given.starts_with(word));
        if begins { 1 } else { distance(&given, word) }
    };
    known
        .into_iter()
        .map(|word| (far(&plain(word)), word))
        .filter(|(far, word)| far * 3 <= word.len())
        .min()
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

    #[test]
    fn a_text_may_have_lines_tabs_dashes_and_any_script() {
        assert_eq!(first_forbidden("a — b\n\tc\r\nд 日本 👩‍🚀"), None);
    }

    #[test]
    fn a_text_may_not_move_the_cursor_or_turn_its_direction() {
        for bad in
            ['\0', '\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}', '\u{2028}', '\u{feff}']
        {
            assert_eq!(first_forbidden(&format!("ab{bad}c")), Some(bad), "{}", bad.escape_unicode());
        }
        assert_eq!(first_forbidden("a\rb"), Some('\r'));
    }

    #[test]
    fn a_long_text_is_quoted_in_part() {
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), QUOTED + 3);
    }

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        let known = ["secrets", "timeout_minutes", "params", "priority", "id"];
        assert_eq!(closest("secret", known), Some("secrets"));
        assert_eq!(closest("Secrets", known), Some("secrets"));
        assert_eq!(closest("timeout", known), Some("timeout_minutes"));
        assert_eq!(closest("timeout-minutes", known), Some("timeout_minutes"));
        assert_eq!(closest("prams", known), Some("params"));
        assert_eq!(closest("retries", known), None);
        assert_eq!(closest("if", known), None);
    }
}
