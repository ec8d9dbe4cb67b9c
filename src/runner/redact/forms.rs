//! The forms under which one secret value may appear in output.
//!
//! Every form is given without line breaks, since the matcher ignores them in the stream.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::Value;

/// Shorter lines of a value are words like `true,` or `EOF`, which would blot out ordinary text; they are still covered as
/// part of the whole value.
const LONG_LINE: usize = 8;

/// The least that a value, and so a JSON leaf, must measure.
pub(super) const SHORTEST: usize = 6;

/// Every form of `value`, without duplicates.
pub(super) fn of(value: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    for base in bases(value) {
        encode(&base, &mut forms);
    }
    forms
        .into_iter()
        .map(|form| form.into_iter().filter(|byte| !is_break(*byte)).collect::<Vec<u8>>())
        .filter(|form| form.len() >= SHORTEST)
        .collect()
}

/// Whether the matcher skips this byte.
pub(super) fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// The length that counts for a value: what is left when surrounding space and all line breaks are gone.
pub(super) fn measure(value: &str) -> usize {
    value.trim().chars().filter(|c| !matches!(c, '\n' | '\r')).count()
}

/// The texts whose encodings are searched for. The trimmed value stands for the plain one too: wherever that appears, in any
/// encoding, this is a part of it, and what is left over is white space.
fn bases(value: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    add_with_lines(value, &mut found);
    if let Ok(json) = serde_json::from_str::<Value>(value) {
        add_leaves(&json, &mut found);
    }
    found
}

fn add_with_lines(text: &str, into: &mut BTreeSet<String>) {
    into.insert(text.trim().to_owned());
    into.extend(text.lines().map(str::trim).filter(|line| measure(line) >= LONG_LINE).map(str::to_owned));
}

fn add_leaves(json: &Value, into: &mut BTreeSet<String>) {
    match json {
        Value::String(text) if measure(text) >= SHORTEST => add_with_lines(text, into),
        Value::Number(number) if number.to_string().len() >= SHORTEST => {
            into.insert(number.to_string());
        }
        Value::Array(items) => items.iter().for_each(|item| add_leaves(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| add_leaves(field, into)),
        _ => {}
    }
}

fn encode(base: &str, into: &mut BTreeSet<Vec<u8>>) {
    let bytes = base.as_bytes();
    into.insert(bytes.to_vec());
    into.insert(bytes.iter().rev().copied().collect());
    into.insert(base.chars().rev().collect::<String>().into_bytes());
    into.extend(json_escaped(base).into_iter().map(String::into_bytes));
    into.insert(base.replace('\'', r"'\''").into_bytes());
    into.extend(url_encoded(bytes).into_iter().map(String::into_bytes));
    into.extend(base64_forms(bytes).into_iter().map(String::into_bytes));
    for case in [Case::Lower, Case::Upper] {
        into.insert(bytes.iter().fold(String::new(), |text, byte| text + &hex(*byte, case)).into_bytes());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Upper,
}

fn hex(byte: u8, case: Case) -> String {
    match case {
        Case::Lower => format!("{byte:02x}"),
        Case::Upper => format!("{byte:02X}"),
    }
}

/// As serde and most others write it; with `/` escaped as PHP does; with `<`, `>` and `&` escaped as Go does; with nothing
/// beyond ASCII, as Python does.
fn json_escaped(text: &str) -> Vec<String> {
    let quoted = Value::from(text).to_string();
    let plain = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted).to_owned();
    let go = plain.replace('<', r"\u003c").replace('>', r"\u003e").replace('&', r"\u0026");
    let ascii = ascii_only(&plain);
    vec![plain.replace('/', r"\/"), ascii.replace('/', r"\/"), go, ascii, plain]
}

fn ascii_only(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// What encoders leave as it is besides letters and digits: nothing, in some libraries; RFC 3986; JavaScript's `encodeURIComponent`; Python's `quote`;
/// HTML forms, which also write a space as `+`.
const URL_STYLES: [(&[u8], &str); 5] =
    [(b"", "%20"), (b"-._~", "%20"), (b"-._~!'()*", "%20"), (b"-._~/", "%20"), (b"-._*", "+")];

fn url_encoded(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for (kept, space) in URL_STYLES {
        for case in [Case::Upper, Case::Lower] {
            found.push(bytes.iter().fold(String::new(), |text, byte| match *byte {
                b' ' => text + space,
                b if b.is_ascii_alphanumeric() || kept.contains(&b) => text + char::from(b).encode_utf8(&mut [0; 4]),
                b => text + "%" + &hex(b, case),
            }));
        }
    }
    found
}

/// Alone (with and without padding), and amid other data at each of the three alignments: then only the digits that depend on
/// the value alone are searched for.
fn base64_forms(bytes: &[u8]) -> Vec<String> {
    let mut found = vec![STANDARD.encode(bytes), URL_SAFE.encode(bytes)];
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        found.push(engine.encode(bytes));
        for ahead in 0..3_usize {
            let mut shifted = vec![0; ahead];
            shifted.extend_from_slice(bytes);
            let whole_digits = shifted.len() * 8 / 6;
            let shared_digits = (ahead * 8).div_ceil(6);
            let text = engine.encode(&shifted);
            found.push(text.get(shared_digits..whole_digits).unwrap_or_default().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, form: &str) -> bool {
        of(value).contains(form.as_bytes())
    }

    #[test]
    fn a_value_is_known_in_every_listed_encoding() {
        let value = "p\"a/s<s> wö'rd";
        for form in [
            "p\"a/s<s> wö'rd",
            r#"p\"a/s<s> wö'rd"#,
            r#"p\"a\/s<s> wö'rd"#,
            r#"p\"a/s\u003cs\u003e wö'rd"#,
            r#"p\"a/s<s> w\u00f6'rd"#,
            r#"p"a/s<s> wö'\''rd"#,
            "p%22a%2Fs%3Cs%3E%20w%C3%B6%27rd",
            "p%22a%2fs%3cs%3e%20w%c3%b6%27rd",
            "p%22a%2Fs%3Cs%3E%20w%C3%B6'rd",
            "p%22a/s%3Cs%3E%20w%C3%B6%27rd",
            "p%22a%2Fs%3Cs%3E+w%C3%B6%27rd",
            "cCJhL3M8cz4gd8O2J3Jk",
            "7022612f733c733e2077c3b6277264",
            "7022612F733C733E2077C3B6277264",
            "dr'öw >s<s/a\"p",
        ] {
            assert!(has(value, form), "{form}");
        }
    }

    #[test]
    fn long_lines_and_json_leaves_stand_for_themselves() {
        let pem = "-----BEGIN-----\nabcdefghij\nshort\n-----END-----\n";
        assert!(has(pem, "abcdefghij") && has(pem, "-----BEGIN-----abcdefghijshort-----END-----"));
        assert!(!has(pem, "short"));
        let json = r#"{"user":"bob","token":"tok-123456","deep":[{"pin":123456}]}"#;
        assert!(has(json, "tok-123456") && has(json, "123456") && !has(json, "bob"));
    }

    #[test]
    fn base64_amid_other_data_is_cut_to_the_digits_of_the_value() {
        // "xs3cretx", "xxs3cretxx": no digit of the neighbours is part of the form.
        for (ahead, behind) in [("", "yy"), ("x", "y"), ("xx", "yyy")] {
            let text = STANDARD.encode(format!("{ahead}s3cret{behind}"));
            assert!(of("s3cret").iter().any(|form| text.contains(std::str::from_utf8(form).unwrap())), "{text}");
        }
    }
}
