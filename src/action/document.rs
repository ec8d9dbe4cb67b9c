//! From a text to a tree of TOML values with their places: syntax, repeated keys, depth, byte order mark. What the values
//! mean is the affair of [`fields`](super::fields).

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::diagnostic::{Diagnostics, Findings, Place};
use super::reason::Reason;
use super::source::{MAX_BYTES, Source};

/// How deep values may be nested.
pub const MAX_DEPTH: usize = 32;

/// Reads a file of at most `MAX_BYTES` with `reader`, which makes a value out of its top table.
pub(super) fn read<T>(
    path: &str,
    bytes: &[u8],
    reader: impl FnOnce(&mut Findings, &DeTable<'_>) -> Option<T>,
) -> Result<T, Diagnostics> {
    read_up_to(MAX_BYTES, path, bytes, reader)
}

/// Like `read`, with another bound on the file's size.
pub(super) fn read_up_to<T>(
    most: usize,
    path: &str,
    bytes: &[u8],
    reader: impl FnOnce(&mut Findings, &DeTable<'_>) -> Option<T>,
) -> Result<T, Diagnostics> {
    let source = Source::read(path, bytes, most)?;
    let text = source.text().to_owned();
    let mut findings = Findings::new(source);
    let (table, errors) = DeTable::parse_recoverable(&text);
    refuse_byte_order_mark(&mut findings, &text);
    refuse_broken(&mut findings, &errors);
    refuse_depth(&mut findings, table.get_ref(), &errors);
    let value = reader(&mut findings, table.get_ref());
    findings.into_result(value)
}

fn refuse_byte_order_mark(findings: &mut Findings, text: &str) {
    if text.starts_with('\u{feff}') {
        findings.add(
            Reason::ByteOrderMark,
            Place::Span(0..'\u{feff}'.len_utf8()),
            "the file begins with a byte order mark".to_owned(),
            Some("save the file as \"UTF-8 without BOM\"".to_owned()),
        );
    }
}

/// What the TOML parser says that an error is. It has no codes, so its words are read here and nowhere else; a wording that
/// is not known is a syntax error, and the file is refused either way.
enum Kind {
    Duplicate,
    TooDeep,
    Other,
}

fn kind(error: &Error) -> Kind {
    match error.message() {
        "duplicate key" => Kind::Duplicate,
        "recursion limit" | "cannot recurse further; max recursion depth met" => Kind::TooDeep,
        _ => Kind::Other,
    }
}

fn refuse_broken(findings: &mut Findings, errors: &[Error]) {
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        match kind(error) {
            Kind::Duplicate => refuse_duplicate(findings, span),
            Kind::TooDeep => {}
            Kind::Other => {
                findings.add_broken(span, format!("this is not valid TOML: {}", words(error)), syntax_help(error));
            }
        }
    }
}

/// The parser's words without expectations that say nothing to a person.
fn words(error: &Error) -> &str {
    let message = error.message();
    let plain =
        message.strip_suffix(", expected nothing").or_else(|| message.strip_suffix(", expected literal string"));
    plain.unwrap_or(message)
}

fn syntax_help(error: &Error) -> Option<String> {
    let help = match error.message() {
        message if message.starts_with("string values must be quoted") => "put the value between double quotes",
        message if message.starts_with("unclosed array") => "close the list with `]`",
        message if message.starts_with("missing comma between array elements") => "separate the items by commas",
        message if message.starts_with("key with no value") => "write `key = value`",
        message if message.contains("visible characters") => "remove the character; it cannot stand in a text as it is",
        message if message.starts_with("invalid basic string") => {
            "end the text with `\"` on the same line, or write it between `\"\"\"` over several lines"
        }
        _ => return None,
    };
    Some(help.to_owned())
}

fn refuse_duplicate(findings: &mut Findings, span: Range<usize>) {
    let key = crate::support::text::quoted(findings.source().slice(span.clone()));
    let help = "keep one of the two".to_owned();
    findings.add(Reason::DuplicateKey, Place::Span(span), format!("{key} stands here a second time"), Some(help));
}

/// The parser has a bound of its own, beyond ours, behind which it builds no tree: its word counts where the tree shows nothing.
fn refuse_depth(findings: &mut Findings, table: &DeTable<'_>, errors: &[Error]) {
    let mut too_deep = Vec::new();
    for value in table.values() {
        find_too_deep(value, 1, &mut too_deep);
    }
    if too_deep.is_empty() {
        let said = errors.iter().filter(|error| matches!(kind(error), Kind::TooDeep));
        too_deep.extend(said.map(|error| error.span().unwrap_or(0..0)));
    }
    for span in too_deep {
        let message = format!("values are nested more than {MAX_DEPTH} deep");
        // Only its beginning is marked: the whole value may be most of the file.
        let start = Place::Span(span.start..span.end.min(span.start + 1));
        findings.add(Reason::NestingTooDeep, start, message, Some("write it flatter".to_owned()));
    }
}

/// The recursion is bounded: the parser itself builds no tree deeper than about 160.
fn find_too_deep(value: &Spanned<DeValue<'_>>, depth: usize, into: &mut Vec<Range<usize>>) {
    let inner: Box<dyn Iterator<Item = &Spanned<DeValue<'_>>>> = match value.get_ref() {
        DeValue::Array(items) => Box::new(items.iter()),
        DeValue::Table(table) => Box::new(table.values()),
        _ => return,
    };
    if depth > MAX_DEPTH {
        into.push(value.span());
    } else {
        inner.for_each(|value| find_too_deep(value, depth + 1, into));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(text: &str) -> Vec<Reason> {
        match read("x.toml", text.as_bytes(), |_, _| Some(())) {
            Ok(()) => Vec::new(),
            Err(wrong) => wrong.iter().map(|finding| finding.reason).collect(),
        }
    }

    #[test]
    fn the_parsers_own_words_are_still_the_ones_that_are_read() {
        assert_eq!(reasons("a = 1\na = 2\n"), [Reason::DuplicateKey]);
        assert_eq!(reasons("[a]\nb = 1\n[a]\nc = 1\n"), [Reason::DuplicateKey]);
        assert_eq!(reasons("a = {b = 1, b = 2}\n"), [Reason::DuplicateKey]);
        assert!(reasons(&format!("a = {}{}\n", "[".repeat(100), "]".repeat(100))).contains(&Reason::NestingTooDeep));
        assert!(reasons(&format!("{}b = 1\n", "a.".repeat(100))).contains(&Reason::NestingTooDeep));
        assert!(reasons("a = \n").contains(&Reason::Syntax));
    }

    #[test]
    fn values_may_be_nested_32_deep_and_not_33() {
        let nested = |deep: usize| format!("a = {}{}\n", "[".repeat(deep), "]".repeat(deep));
        assert_eq!(reasons(&nested(32)), []);
        assert_eq!(reasons(&nested(33)), [Reason::NestingTooDeep]);
        let tables = |deep: usize| format!("[{}]\n", vec!["a"; deep].join("."));
        assert_eq!(reasons(&tables(32)), []);
        assert_eq!(reasons(&tables(33)), [Reason::NestingTooDeep]);
    }

    #[test]
    fn behind_a_byte_order_mark_the_rest_is_still_read() {
        assert_eq!(reasons("\u{feff}a = 1\na = 2\n"), [Reason::ByteOrderMark, Reason::DuplicateKey]);
    }

    #[test]
    fn every_syntax_error_of_a_file_is_found() {
        assert!(reasons("a = \nb = 1\nc = zzz\nd = \"x\ne = 3\n").len() >= 3);
    }
}
