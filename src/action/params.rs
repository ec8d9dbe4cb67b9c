//! Parameters: what an action gives, what a formula declares, and whether the one fits the other.

use std::collections::BTreeMap;
use std::ops::Range;

use regex_lite::{Regex, RegexBuilder};
use serde::{Serialize, Serializer};
use toml::Spanned;
use toml::de::DeValue;

use super::fields::{Fields, Lines};
use super::reason::Reason;
use crate::support::text::quoted;

/// The fields of one declared parameter.
pub const FIELDS: [&str; 5] = ["name", "required", "pattern", "default", "description"];
/// The most bytes of a parameter's value.
pub const MAX_VALUE: usize = 4096;
/// The most bytes of a pattern.
pub const MAX_PATTERN: usize = 512;
/// The most bytes that a compiled pattern may take, so that no repetition of repetitions costs more.
const MAX_COMPILED: usize = 1 << 20;
/// What a parameter may be called.
const NAME_RULE: &str = "a-z first, then up to 63 of a-z 0-9 _";

/// A regular expression that a value must match as a whole, in the syntax of the `regex-lite` crate (no look-around, no
/// back references, so that matching takes time in proportion to the text).
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    whole: Regex,
}

impl Pattern {
    /// Compiles a pattern of at most [`MAX_PATTERN`] bytes.
    ///
    /// It is compiled by itself first: `a)|(b` is no pattern, though it would be one between the anchoring brackets, where it
    /// would no longer be anchored.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PATTERN {
            return Err(format!("it has {} bytes; at most {MAX_PATTERN} are allowed", text.len()));
        }
        let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_COMPILED).build();
        let whole =
            compile(text).and_then(|_| compile(&format!(r"\A(?:{text})\z"))).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), whole })
    }

    /// Whether the whole of `value` matches.
    pub fn matches(&self, value: &str) -> bool {
        self.whole.is_match(value)
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// One parameter that a formula declares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ParamSpec {
    /// Whether an action must give it.
    pub required: bool,
    /// What its value must match.
    pub pattern: Option<Pattern>,
    /// Its value where an action does not give it.
    pub default: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
}

/// Checks the parameters of an action against those that its formula declares, and fills in the defaults. A formula that
/// declares none at all takes any.
pub fn resolve(
    declared: Option<&BTreeMap<String, ParamSpec>>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Vec<(Reason, String)>> {
    let Some(declared) = declared else { return Ok(given.clone()) };
    let mut wrong: Vec<(Reason, String)> = Vec::new();
    wrong.extend(given.keys().filter(|name| !declared.contains_key(*name)).map(|name| unknown(name, declared)));
    let mut resolved = BTreeMap::new();
    for (name, spec) in declared {
        let value = given.get(name).or(spec.default.as_ref());
        wrong.extend(misfit(name, spec, value));
        resolved.extend(value.map(|value| (name.clone(), value.clone())));
    }
    if wrong.is_empty() { Ok(resolved) } else { Err(wrong) }
}

fn unknown(name: &str, declared: &BTreeMap<String, ParamSpec>) -> (Reason, String) {
    let names: Vec<&str> = declared.keys().map(String::as_str).collect();
    let known = if names.is_empty() {
        "the formula takes none".to_owned()
    } else {
        format!("the formula takes: {}", names.join(", "))
    };
    (Reason::ParamUnknown, format!("the formula has no parameter `{name}`; {known}"))
}

fn misfit(name: &str, spec: &ParamSpec, value: Option<&String>) -> Option<(Reason, String)> {
    match (value, &spec.pattern) {
        (None, _) if spec.required => {
            let what = spec.description.as_deref().map(|what| format!(" ({what})")).unwrap_or_default();
            Some((Reason::ParamMissing, format!("the formula needs the parameter `{name}`{what}")))
        }
        (Some(value), Some(pattern)) if !pattern.matches(value) => {
            let message = format!("{} is no value for `{name}`: it must match `{}`", quoted(value), pattern.as_str());
            Some((Reason::ParamInvalid, message))
        }
        _ => None,
    }
}

/// What is to be done with fields that are not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The file is ours alone.
    Refused,
    /// The file belongs to other tools too.
    Kept,
}

/// The `params` of an action: a table of texts.
pub(super) fn read_given(fields: &mut Fields<'_, '_>) -> BTreeMap<String, String> {
    let Some((table, span)) = fields.table("params", "a table of texts") else { return BTreeMap::new() };
    let mut inner = Fields::inner(&mut *fields.findings, table, span, "the table `params`");
    let mut params = BTreeMap::new();
    for key in table.keys() {
        let name: &str = key.get_ref();
        let fit = read_name(&mut inner, key.span(), name);
        let Some(value) = inner.text(name) else { continue };
        inner.bounded(&value, &crate::support::text::clipped(name, 64), Lines::Many, MAX_VALUE);
        params.extend(fit.map(|name| (name, (*value.get_ref()).to_owned())));
    }
    params
}

fn read_name(fields: &mut Fields<'_, '_>, span: Range<usize>, name: &str) -> Option<String> {
    let valid = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && name.len() <= 64;
    if !valid {
        let help = format!("allowed is: {NAME_RULE}");
        fields.refuse(span, format!("{} is not a parameter's name", quoted(name)), help);
    }
    valid.then(|| name.to_owned())
}

/// The `params` of a formula: `[[params]]` with names, or `[params.<name>]`.
pub(super) fn read_declared(fields: &mut Fields<'_, '_>, unknown: Unknown) -> Option<BTreeMap<String, ParamSpec>> {
    let value = fields.value("params")?;
    let mut specs = BTreeMap::new();
    match value.get_ref() {
        DeValue::Array(items) => items.iter().for_each(|item| read_listed(fields, item, unknown, &mut specs)),
        DeValue::Table(table) => {
            for (key, item) in table {
                read_named(fields, key, item, unknown, &mut specs);
            }
        }
        _ => fields.refuse_type("params", "a list or a table of parameters", value, None),
    }
    Some(specs)
}

fn read_listed(
    fields: &mut Fields<'_, '_>,
    item: &Spanned<DeValue<'_>>,
    unknown: Unknown,
    specs: &mut BTreeMap<String, ParamSpec>,
) {
    let Some(table) = item.get_ref().as_table() else {
        return fields.refuse_type("params[]", "a table with at least a `name`", item, None);
    };
    let mut inner = Fields::inner(&mut *fields.findings, table, item.span(), "a parameter");
    if unknown == Unknown::Refused {
        inner.only(&FIELDS);
    }
    inner.require("name", "\"the_name\"");
    let name = inner.text("name").and_then(|name| {
        let fit = read_name(&mut inner, name.span(), name.get_ref())?;
        if specs.contains_key(&fit) {
            inner.refuse(
                name.span(),
                format!("the parameter `{fit}` is declared twice"),
                "keep one of the two".to_owned(),
            );
        }
        Some(fit)
    });
    let spec = read_spec(&mut inner);
    specs.extend(name.map(|name| (name, spec)));
}

fn read_named(
    fields: &mut Fields<'_, '_>,
    key: &Spanned<std::borrow::Cow<'_, str>>,
    item: &Spanned<DeValue<'_>>,
    unknown: Unknown,
    specs: &mut BTreeMap<String, ParamSpec>,
) {
    let name = read_name(fields, key.span(), key.get_ref());
    let Some(table) = item.get_ref().as_table() else {
        return fields.refuse_type(&format!("params.{}", key.get_ref()), "a table", item, None);
    };
    let mut inner = Fields::inner(&mut *fields.findings, table, item.span(), "a parameter");
    if unknown == Unknown::Refused {
        inner.only(FIELDS.get(1..).unwrap_or_default());
    }
    let spec = read_spec(&mut inner);
    specs.extend(name.map(|name| (name, spec)));
}

fn read_spec(fields: &mut Fields<'_, '_>) -> ParamSpec {
    let pattern = fields.text("pattern").and_then(|text| match Pattern::new(text.get_ref()) {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            let help = "write a regular expression without look-around and back references".to_owned();
            fields.refuse(text.span(), format!("{} is not a pattern: {why}", quoted(text.get_ref())), help);
            None
        }
    });
    let required = fields.flag("required").unwrap_or(false);
    let default = read_default(fields, required, pattern.as_ref());
    ParamSpec { required, pattern, default, description: fields.prose("description", Lines::Many, MAX_VALUE) }
}

fn read_default(fields: &mut Fields<'_, '_>, required: bool, pattern: Option<&Pattern>) -> Option<String> {
    let default = fields.text("default")?;
    fields.bounded(&default, "default", Lines::Many, MAX_VALUE);
    if required {
        let message = "a required parameter is always given, so that its `default` would never be used".to_owned();
        fields.refuse(default.span(), message, "remove `default`, or `required = true`".to_owned());
    }
    if let Some(pattern) = pattern.filter(|pattern| !pattern.matches(default.get_ref())) {
        let message = format!("the default {} does not match `{}`", quoted(default.get_ref()), pattern.as_str());
        fields.refuse(default.span(), message, "change the default or the pattern".to_owned());
    }
    Some((*default.get_ref()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> BTreeMap<String, ParamSpec> {
        let pattern = Pattern::new(r"v[0-9]+\.[0-9]+").unwrap();
        BTreeMap::from([
            ("tag".to_owned(), ParamSpec { required: true, pattern: Some(pattern), ..ParamSpec::default() }),
            ("channel".to_owned(), ParamSpec { default: Some("stable".to_owned()), ..ParamSpec::default() }),
        ])
    }

    fn given(params: &[(&str, &str)]) -> BTreeMap<String, String> {
        params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn reasons(params: &[(&str, &str)]) -> Vec<Reason> {
        resolve(Some(&declared()), &given(params)).unwrap_err().into_iter().map(|(reason, _)| reason).collect()
    }

    #[test]
    fn defaults_are_filled_in_and_given_values_win() {
        assert_eq!(
            resolve(Some(&declared()), &given(&[("tag", "v1.2")])),
            Ok(given(&[("tag", "v1.2"), ("channel", "stable")]))
        );
        assert_eq!(
            resolve(Some(&declared()), &given(&[("tag", "v1.2"), ("channel", "beta")])),
            Ok(given(&[("tag", "v1.2"), ("channel", "beta")]))
        );
    }

    #[test]
    fn what_does_not_fit_is_named_all_at_once() {
        assert_eq!(reasons(&[]), [Reason::ParamMissing]);
        assert_eq!(reasons(&[("tag", "1.2")]), [Reason::ParamInvalid]);
        assert_eq!(reasons(&[("tga", "v1.2"), ("tag", "v1")]), [Reason::ParamUnknown, Reason::ParamInvalid]);
    }

    #[test]
    fn a_formula_that_declares_nothing_takes_any_and_one_that_declares_an_empty_list_takes_none() {
        assert_eq!(resolve(None, &given(&[("x", "1")])), Ok(given(&[("x", "1")])));
        assert!(resolve(Some(&BTreeMap::new()), &given(&[("x", "1")])).is_err());
    }

    #[test]
    fn a_pattern_must_match_the_whole_value() {
        let pattern = Pattern::new("a|bc").unwrap();
        assert!(pattern.matches("a") && pattern.matches("bc"));
        for bad in ["ac", "xa", "a\n", "a\nbc", ""] {
            assert!(!pattern.matches(bad), "{bad:?}");
        }
        assert!(!Pattern::new("(?m)^a$").unwrap().matches("a\nb"));
    }

    #[test]
    fn a_pattern_cannot_escape_its_anchors_or_cost_without_bound() {
        for bad in ["a)|(b", "(", "(?x)a # ", "((a{100}){100}){100}", &"a".repeat(MAX_PATTERN + 1)] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }
}
