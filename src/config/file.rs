//! One TOML file against the keys: every mistake at once, each with its place. What holds goes into the draft.

use std::ops::Range;

use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::draft::{Bases, Draft, diagnostic};
use super::error::Page;
use super::keys::{Field, Shape, root};
use super::leaf::{Leaf, Wrong};
use super::load::Origin;
use crate::support::diagnostic::{Diagnostic, Severity, position};
use crate::support::ids::{FormulaName, MountName};
use crate::support::text::closest;

/// Reads `text`, the content of `path`, into `draft`.
pub(super) fn read(draft: &mut Draft, path: &str, text: &str, bases: Bases<'_>) {
    let page = draft.add_page(Page::new(path, text));
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let help = (error.message() == "duplicate key").then(|| "keep one of the two".to_owned());
            draft.note(page, Diagnostic { span: error.span(), help, ..Diagnostic::whole(error.message()) });
        }
        return;
    }
    let mut walk = Walk { draft, path, text, page, bases };
    let tree = walk.table("", root(), table.get_ref());
    draft.tree = tree;
}

/// One way through the file.
struct Walk<'a> {
    draft: &'a mut Draft,
    path: &'a str,
    text: &'a str,
    page: usize,
    bases: Bases<'a>,
}

impl Walk<'_> {
    fn table(&mut self, prefix: &str, fields: &[Field], table: &DeTable<'_>) -> Map<String, Value> {
        let mut out = Map::new();
        for (name, value) in table {
            let Some(field) = fields.iter().find(|field| field.name == name.get_ref().as_ref()) else {
                self.unknown(prefix, fields, name, value);
                continue;
            };
            let key = join(prefix, &field.name);
            self.place(&key, &name.span(), value);
            if let Some(value) = self.shape(&key, &field.shape, value) {
                out.insert(field.name.clone(), value);
            }
        }
        out
    }

    /// Marks the value of a plain key, the name of a table.
    fn place(&mut self, key: &str, name: &Range<usize>, value: &Spanned<DeValue<'_>>) {
        let plain = !matches!(value.get_ref(), DeValue::Table(_)) && value.span().start > name.end;
        let span = if plain { value.span() } else { name.clone() };
        let line = position(self.text, name.start).line;
        self.draft.place(key, self.page, span, Origin::File { path: self.path.into(), line });
    }

    fn shape(&mut self, key: &str, shape: &Shape, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        match (shape, value.get_ref()) {
            (Shape::Leaf(leaf), _) => self.leaf(leaf, value),
            (Shape::Table(fields), DeValue::Table(table)) => Some(Value::Object(self.table(key, fields, table))),
            (Shape::Map(inner), DeValue::Table(table)) => Some(self.map(key, inner, table)),
            (Shape::List(inner), DeValue::Array(array)) => Some(self.list(key, inner, array)),
            (Shape::OneOf(forms), DeValue::Table(table)) => self.one_of(key, forms, table, value.span()),
            (Shape::List(_), _) => self.wrong_type(value, "a list, in `[` and `]`"),
            _ => self.wrong_type(value, "a table"),
        }
    }

    fn leaf(&mut self, leaf: &Leaf, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let Some(plain) = scalar(value.get_ref()) else { return self.wrong_type(value, &leaf.to_string()) };
        let resolved =
            leaf.check(&plain).and_then(|()| leaf.resolve(plain.clone(), self.bases.folder, self.bases.credentials));
        match resolved {
            Ok(value) => Some(value),
            Err(wrong) if wrong.message.starts_with("expected ") => {
                self.wrong_type(value, wrong.message.trim_start_matches("expected "))
            }
            Err(wrong) => self.reject(value.span(), wrong),
        }
    }

    fn map(&mut self, key: &str, inner: &Shape, table: &DeTable<'_>) -> Value {
        let mut out = Map::new();
        for (name, value) in table {
            let word = name.get_ref().as_ref();
            if let Err(wrong) = check_name(key, word) {
                self.reject(name.span(), wrong);
                continue;
            }
            let key = join(key, word);
            self.place(&key, &name.span(), value);
            if let Some(value) = self.shape(&key, inner, value) {
                out.insert(word.to_owned(), value);
            }
        }
        Value::Object(out)
    }

    fn list(&mut self, key: &str, inner: &Shape, array: &DeArray<'_>) -> Value {
        let mut out = Vec::new();
        for (index, item) in array.iter().enumerate() {
            out.extend(self.shape(&format!("{key}[{index}]"), inner, item));
        }
        Value::Array(out)
    }

    /// The form is the first whose required keys are there; else the one that shares a key.
    fn one_of(&mut self, key: &str, forms: &[Vec<Field>], table: &DeTable<'_>, span: Range<usize>) -> Option<Value> {
        let has = |field: &Field| table.keys().any(|name| name.get_ref().as_ref() == field.name);
        let whole = forms.iter().find(|form| form.iter().all(|field| !field.required || has(field)));
        if let Some(form) = whole {
            return Some(Value::Object(self.table(key, form, table)));
        }
        let needs = |form: &Vec<Field>| {
            let names: Vec<String> =
                form.iter().filter(|field| field.required).map(|field| format!("`{}`", field.name)).collect();
            names.join(" and ")
        };
        let all: Vec<String> = forms.iter().map(needs).collect();
        let wrong = Wrong::new("this entry is incomplete").help(format!("it needs {}", all.join(", or ")));
        self.reject(span, wrong)
    }

    fn unknown(
        &mut self,
        prefix: &str,
        fields: &[Field],
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let word = name.get_ref().as_ref();
        if ["password", "token", "secret"].iter().any(|hint| word.to_lowercase().contains(hint)) {
            // People put the value itself where only its place belongs; the report must not spread it further.
            if let Some(page) = self.draft.page(self.page) {
                page.hide(value.span());
            }
        }
        let place = if prefix.is_empty() { "at the top".to_owned() } else { format!("in [{prefix}]") };
        let wrong = Wrong::new(format!("unknown key `{word}` {place}"));
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let wrong = match (word, closest(word, names.iter().copied())) {
            ("password" | "token", _) if names.contains(&"password_file") => {
                wrong.help("no secret stands in this file: name it by `password_file` or `password_env`")
            }
            (_, Some(known)) => wrong.help(format!("did you mean `{known}`?")),
            (_, None) => wrong.help(format!("known here: {}", names.join(", "))),
        };
        self.reject(name.span(), wrong);
    }

    fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, expected: &str) -> Option<Value> {
        let found = value.get_ref().type_str();
        let found = if found == "array" { "list" } else { found };
        self.reject(value.span(), Wrong::new(format!("expected {expected}, found {} {found}", article(found))))
    }

    fn reject(&mut self, span: Range<usize>, wrong: Wrong) -> Option<Value> {
        self.draft.note(self.page, diagnostic(Some(span), Severity::Error, wrong));
        None
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// The rule for the names of a table of names, where there is one.
fn check_name(table: &str, name: &str) -> Result<(), Wrong> {
    let invalid = match table {
        "mounts" => name.parse::<MountName>().err(),
        "limits.formula" | "backends.formula" => name.parse::<FormulaName>().err(),
        _ => None,
    };
    match invalid {
        Some(invalid) => {
            let rule = format!("the rule: {}", invalid.rule);
            Err(Wrong::new(format!("`{}` is not {}", invalid.text, invalid.what)).help(rule))
        }
        None => Ok(()),
    }
}

/// A single value; `None` for a table, a list, a date or a number that JSON has no form for.
fn scalar(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(json!(text)),
        DeValue::Boolean(flag) => Some(json!(flag)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| json!(n)),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| json!(n)),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
