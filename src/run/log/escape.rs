//! Making a log safe to show: nothing that a formula printed may move the cursor, change the title, answer for the user's
//! keyboard, or turn the order of the text around.

use std::fmt::Write as _;

/// The text of `bytes` for a terminal. Colours are taken out; every other control character, and each character that changes
/// the direction or visibility of text, is shown as its code; bytes that are not UTF-8 as `U+FFFD`. Give it whole lines: a
/// character that is cut in two shows as two broken ones.
pub fn escape_for_terminal(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    let mut rest: &str = &text;
    while let Some(character) = rest.chars().next() {
        let length = colour(rest).or_else(|| rest.starts_with("\r\n").then_some(1));
        if length.is_none() {
            show(character, &mut shown);
        }
        rest = rest.get(length.unwrap_or(character.len_utf8())..).unwrap_or_default();
    }
    shown
}

fn show(character: char, shown: &mut String) {
    match character {
        '\n' | '\t' => shown.push(character),
        '\0'..='\u{7f}' if character.is_ascii_control() => {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\x{:02x}", u32::from(character));
        }
        _ if character.is_control() || is_deceptive(character) => {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        }
        _ => shown.push(character),
    }
}

/// Marks and overrides of direction, invisible joiners, separators that look like line ends, and the tag characters.
fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The length of the colour sequence (`ESC [ numbers m`) that `text` begins with.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\u{1b}[")?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && !matches!(c, ';' | ':'))?;
    numbers.get(end..)?.starts_with('m').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_out_and_other_sequences_are_shown_as_text() {
        assert_eq!(escape_for_terminal(b"\x1b[1;31mred\x1b[0m \x1b[2Jgone"), "red \\x1b[2Jgone");
        assert_eq!(escape_for_terminal(b"\x1b]0;title\x07"), "\\x1b]0;title\\x07");
        assert_eq!(escape_for_terminal("\u{9b}2J".as_bytes()), "\\u{9b}2J");
    }

    #[test]
    fn a_carriage_return_cannot_hide_what_stands_before_it() {
        assert_eq!(escape_for_terminal(b"danger\rsafe\r\n"), "danger\\x0dsafe\n");
    }

    #[test]
    fn text_cannot_be_turned_around() {
        assert_eq!(escape_for_terminal("a\u{202e}b\u{2066}c".as_bytes()), "a\\u{202e}b\\u{2066}c");
    }

    #[test]
    fn other_text_stays_and_what_is_no_text_shows_as_broken() {
        assert_eq!(escape_for_terminal("Grüße — 你好\t\n".as_bytes()), "Grüße — 你好\t\n");
        assert_eq!(escape_for_terminal(b"a\xffb"), "a\u{fffd}b");
    }

    proptest::proptest! {
        #[test]
        fn no_control_character_but_tab_and_newline_comes_through(bytes: Vec<u8>) {
            let shown = escape_for_terminal(&bytes);
            proptest::prop_assert!(shown.chars().all(|c| matches!(c, '\n' | '\t') || !(c.is_control() || is_deceptive(c))));
        }
    }
}
