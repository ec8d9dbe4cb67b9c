//! Typed reading of a TOML table whose values know their place. Each reading method answers with the value, or says what
//! is wrong with it and answers `None`; so a file is read to its end and all that is wrong is known at once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Findings, Place};
use super::reason::Reason;
use crate::support::ids::InvalidId;
use crate::support::text::{self, quoted};

/// One value and its place.
pub(super) type Value<'d> = Spanned<DeValue<'d>>;

/// Whether a text may have more lines than one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lines {
    /// A word or a short phrase.
    One,
    /// Newlines and tabs may stand in it.
    Many,
}

/// One table that is being read.
pub(super) struct Fields<'r, 'd> {
    /// Where the findings go.
    pub(super) findings: &'r mut Findings,
    table: &'r DeTable<'d>,
    place: Place,
    what: &'static str,
    /// Known fields that stand there misspelt: their absence is not worth a second finding.
    misspelt: BTreeSet<&'static str>,
}

impl<'r, 'd> Fields<'r, 'd> {
    /// A file's top table. `what` is the kind of thing that it describes, with its article.
    pub(super) fn top(findings: &'r mut Findings, table: &'r DeTable<'d>, what: &'static str) -> Self {
        Self { findings, table, place: Place::File, what, misspelt: BTreeSet::new() }
    }

    /// A table inside the file.
    pub(super) fn inner(
        findings: &'r mut Findings,
        table: &'r DeTable<'d>,
        span: Range<usize>,
        what: &'static str,
    ) -> Self {
        Self { findings, table, place: Place::Span(span), what, misspelt: BTreeSet::new() }
    }

    /// Refuses every field that is not among `known`.
    pub(super) fn only(&mut self, known: &[&'static str]) {
        for key in self.table.keys() {
            if known.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let near = text::closest(key.get_ref(), known.iter().copied()).filter(|near| !self.has(near));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the fields of {} are: {}", self.what, known.join(", ")),
            };
            let message = format!("{} has no field {}", self.what, quoted(key.get_ref()));
            self.misspelt.extend(near);
            self.findings.add(Reason::UnknownField, Place::Span(key.span()), message, Some(help));
        }
    }

    fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// The value of a field, unread.
    pub(super) fn value(&self, name: &str) -> Option<&'r Value<'d>> {
        self.table.get(name)
    }

    /// Says so when a field is missing; `example` is what could stand there.
    pub(super) fn require(&mut self, name: &'static str, example: &str) {
        if self.has(name) || self.misspelt.contains(name) {
            return;
        }
        let message = format!("{} needs the field `{name}`", self.what);
        let help = Some(format!("add `{name} = {example}`"));
        self.findings.add(Reason::MissingField, self.place.clone(), message, help);
    }

    /// Refuses the value at `span`.
    pub(super) fn refuse(&mut self, span: Range<usize>, message: String, help: impl Into<Option<String>>) {
        self.findings.add(Reason::InvalidValue, Place::Span(span), message, help.into());
    }

    /// Says that the value of `name` is of the wrong type.
    pub(super) fn refuse_type(&mut self, name: &str, wanted: &str, value: &Value<'_>, help: Option<String>) {
        let found = with_article(value.get_ref().type_str());
        let message = format!("`{name}` must be {wanted}, not {found}");
        self.findings.add(Reason::WrongType, Place::Span(value.span()), message, help);
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Option<Spanned<&'r str>> {
        let value = self.value(name)?;
        self.as_text(name, value)
    }

    fn as_text(&mut self, name: &str, value: &'r Value<'d>) -> Option<Spanned<&'r str>> {
        if let Some(text) = value.get_ref().as_str() {
            return Some(Spanned::new(value.span(), text));
        }
        let raw = self.findings.source().slice(value.span());
        let simple = !matches!(value.get_ref(), DeValue::Array(_) | DeValue::Table(_));
        let help = simple.then(|| format!("put it between double quotes: \"{}\"", text::clipped(raw, 40)));
        self.refuse_type(name, "a text", value, help);
        None
    }

    /// A name of the kind `T`.
    pub(super) fn id<T: FromStr<Err = InvalidId>>(&mut self, name: &str) -> Option<Spanned<T>> {
        let text = self.text(name)?;
        self.parse_id(&text).map(|id| Spanned::new(text.span(), id))
    }

    /// A text as a name of the kind `T`.
    pub(super) fn parse_id<T: FromStr<Err = InvalidId>>(&mut self, text: &Spanned<&str>) -> Option<T> {
        match text.get_ref().parse() {
            Ok(id) => Some(id),
            Err(InvalidId { what, rule, .. }) => {
                let near = respelt(text.get_ref()).into_iter().find(|near| near.parse::<T>().is_ok());
                let meant = near.map(|near| format!("did you mean {}? ", quoted(&near))).unwrap_or_default();
                let message = format!("{} is not {what}", quoted(text.get_ref()));
                self.refuse(text.span(), message, format!("{meant}allowed is: {rule}"));
                None
            }
        }
    }

    /// A list of texts; `None` where there is no such field or it is no list.
    pub(super) fn texts(&mut self, name: &str) -> Option<Vec<Spanned<&'r str>>> {
        let value = self.value(name)?;
        let Some(items) = value.get_ref().as_array() else {
            let help = value.get_ref().as_str().map(|one| format!("write `{name} = [\"{}\"]`", text::clipped(one, 40)));
            self.refuse_type(name, "a list of texts", value, help);
            return None;
        };
        Some(items.iter().filter_map(|item| self.as_text(&format!("{name}[]"), item)).collect())
    }

    /// A list of names of the kind `T`, none of them twice.
    pub(super) fn id_set<T>(&mut self, name: &str) -> Option<BTreeSet<T>>
    where
        T: FromStr<Err = InvalidId> + Ord + Display,
    {
        let mut set = BTreeSet::new();
        for item in self.texts(name)? {
            let Some(id) = self.parse_id::<T>(&item) else { continue };
            if set.contains(&id) {
                self.refuse(item.span(), format!("`{id}` stands in `{name}` twice"), "name it once".to_owned());
            }
            set.insert(id);
        }
        Some(set)
    }

    /// A whole number inside `range`.
    pub(super) fn integer(&mut self, name: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.value(name)?;
        let allowed = format!("write a whole number from {} to {}", range.start(), range.end());
        let Some(digits) = value.get_ref().as_integer() else {
            let unquoted =
                value.get_ref().as_str().filter(|text| text.parse::<u32>().is_ok_and(|n| range.contains(&n)));
            let help = unquoted.map_or(allowed, |number| format!("write it without quotes: {number}"));
            self.refuse_type(name, "a whole number", value, Some(help));
            return None;
        };
        let number = u32::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|number| range.contains(number));
        if number.is_none() {
            let raw = quoted(self.findings.source().slice(value.span()));
            self.refuse(value.span(), format!("`{name}` cannot be {raw}"), allowed);
        }
        number
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.value(name)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.refuse_type(name, "`true` or `false`", value, Some(format!("write `{name} = true` or leave it out")));
        }
        flag
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(name)?;
        self.choose(&text, name, choices)
    }

    /// A text as one of a few words.
    pub(super) fn choose<T: Copy>(
        &mut self,
        text: &Spanned<&str>,
        name: &str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let found = choices.iter().find(|(word, _)| word == text.get_ref()).map(|(_, choice)| *choice);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let help = match text::closest(text.get_ref(), words.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write one of \"{}\"", words.join("\", \"")),
            };
            self.refuse(text.span(), format!("`{name}` cannot be {}", quoted(text.get_ref())), help);
        }
        found
    }

    /// A moment: a TOML date-time with its offset.
    pub(super) fn moment(&mut self, name: &str) -> Option<Spanned<Timestamp>> {
        let value = self.value(name)?;
        let Some(written) = value.get_ref().as_datetime() else {
            let quotes = value.get_ref().as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok());
            let help = if quotes { "write it without quotes" } else { "write it like 2026-12-01T03:00:00Z" };
            self.refuse_type(name, "a date and time", value, Some(help.to_owned()));
            return None;
        };
        if written.date.is_none() || written.time.is_none() || written.offset.is_none() {
            let help = format!("write date, time and offset: `{name} = 2026-12-01T03:00:00Z`");
            self.refuse(value.span(), format!("`{name}` is not one moment everywhere: {}", lacking(written)), help);
            return None;
        }
        let moment = written.to_string().parse().ok();
        if moment.is_none() {
            let help = "write a date that the calendar has".to_owned();
            self.refuse(value.span(), format!("`{name}` is not a moment: {}", quoted(&written.to_string())), help);
        }
        moment.map(|moment| Spanned::new(value.span(), moment))
    }

    /// A table inside this one, as its entries.
    pub(super) fn table(&mut self, name: &str, wanted: &str) -> Option<(&'r DeTable<'d>, Range<usize>)> {
        let value = self.value(name)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.refuse_type(name, wanted, value, None);
        }
        table.map(|table| (table, value.span()))
    }

    /// A text that is handed on or shown: not empty, not longer than `most` bytes, nothing in it that steers.
    pub(super) fn prose(&mut self, name: &str, lines: Lines, most: usize) -> Option<String> {
        let text = self.text(name)?;
        self.checked(&text, name, lines, most);
        Some((*text.get_ref()).to_owned())
    }

    /// A list of words, each not empty and on one line.
    pub(super) fn word_list(&mut self, name: &str, most: usize) -> Option<Vec<String>> {
        let words = self.texts(name)?;
        for word in &words {
            self.checked(word, &format!("{name}[]"), Lines::One, most);
        }
        Some(words.iter().map(|word| (*word.get_ref()).to_owned()).collect())
    }

    fn checked(&mut self, text: &Spanned<&str>, name: &str, lines: Lines, most: usize) {
        if text.get_ref().trim().is_empty() {
            self.refuse(text.span(), format!("`{name}` is empty"), "write at least one visible character".to_owned());
        }
        self.bounded(text, name, lines, most);
    }

    /// Checks a text's length and characters.
    pub(super) fn bounded(&mut self, text: &Spanned<&str>, name: &str, lines: Lines, most: usize) {
        let length = text.get_ref().len();
        if length > most {
            let help = format!("at most {most} bytes are allowed");
            self.refuse(text.span(), format!("`{name}` has {length} bytes"), help);
        }
        let forbidden = match lines {
            Lines::One => text.get_ref().chars().find(|c| text::steers(*c)),
            Lines::Many => text::first_forbidden(text.get_ref()),
        };
        if let Some(c) = forbidden {
            let why = match c {
                '\n' | '\t' | '\r' => "it must be a single line",
                c if c.is_control() => "control characters can steer a terminal",
                _ => "it can hide or reorder text",
            };
            let message = format!("`{name}` holds the character U+{:04X}: {why}", u32::from(c));
            self.refuse(self.place_of(c, text.span()), message, "remove the character".to_owned());
        }
    }

    /// Where a character stands inside a value; the whole value where it is written as an escape.
    fn place_of(&self, c: char, span: Range<usize>) -> Range<usize> {
        match self.findings.source().slice(span.clone()).find(c) {
            Some(at) => span.start + at..span.start + at + c.len_utf8(),
            None => span,
        }
    }
}

/// Other spellings of a name that may have been meant.
fn respelt(text: &str) -> [String; 4] {
    let (lower, upper) = (text.trim().to_lowercase(), text.trim().to_uppercase());
    [lower.replace([' ', '/', ':'], "-"), lower.replace('_', "-"), upper.replace(['-', '.', ' '], "_"), lower]
}

fn with_article(kind: &str) -> String {
    match kind {
        "string" => "a text".to_owned(),
        "integer" => "a whole number".to_owned(),
        "float" => "a number with a fraction".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "datetime" => "a date or time".to_owned(),
        "array" => "a list".to_owned(),
        other => format!("a {other}"),
    }
}

fn lacking(written: &toml::value::Datetime) -> &'static str {
    match (written.date, written.time) {
        (None, _) => "it has no date",
        (_, None) => "it has no time",
        _ => "it has no offset from UTC",
    }
}
