//! Texts that people are shown: which characters may stand in one, and how a text that holds others is made safe to print.
//! Used by the diagnostics, the fields' checks and whoever prints a foreign text.

/// The most characters of a foreign text that a message quotes.
const QUOTED: usize = 80;

/// Whether a character steers the terminal or reorders what stands around it: controls, line and paragraph separators, and
/// the marks of bidirectional text (as in <https://trojansource.codes>), with which a text can be shown as another one.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
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

/// The text with each steering character written as its escape, so that it can be printed.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// `visible`, cut to `most` characters.
pub fn clipped(text: &str, most: usize) -> String {
    // Cut before it is made visible, since a text may be most of a file.
    let near = text.char_indices().nth(most + 1).map_or(text, |(end, _)| text.get(..end).unwrap_or_default());
    let shown = visible(near);
    match shown.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", shown.get(..cut).unwrap_or_default()),
        None => shown,
    }
}

/// A foreign text inside a message: between backticks, visible, and not longer than a line.
pub fn quoted(text: &str) -> String {
    format!("`{}`", clipped(text, QUOTED))
}

/// The one of `known` that `given` was probably meant to be: at most a third of its letters differ, or one begins with the other.
pub fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let given = given.to_lowercase().replace('-', "_");
    if given.len() > 64 {
        return None;
    }
    let begins = |name: &str| given.len() >= 4 && (name.starts_with(&given) || given.starts_with(name));
    known
        .iter()
        .map(|name| (if begins(name) { 1 } else { distance(&given, name) }, *name))
        .filter(|(far, name)| *far * 3 <= name.len())
        .min()
        .map(|(_, name)| name)
}

/// How many letters must be added, removed or replaced to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_steers_is_shown_as_its_escape() {
        assert_eq!(visible("a\u{1b}[31m\u{202e}b"), "a\\u{1b}[31m\\u{202e}b");
    }

    #[test]
    fn a_long_text_is_quoted_in_part() {
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), QUOTED + 3);
    }

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        let known = ["secrets", "timeout_minutes", "params", "priority", "id"];
        assert_eq!(nearest("secret", &known), Some("secrets"));
        assert_eq!(nearest("Secrets", &known), Some("secrets"));
        assert_eq!(nearest("timeout", &known), Some("timeout_minutes"));
        assert_eq!(nearest("timeout-minutes", &known), Some("timeout_minutes"));
        assert_eq!(nearest("prams", &known), Some("params"));
        assert_eq!(nearest("retries", &known), None);
        assert_eq!(nearest("if", &known), None);
    }

    #[test]
    fn the_distance_counts_single_letters() {
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("same", "same")), (3, 3, 0));
    }
}
