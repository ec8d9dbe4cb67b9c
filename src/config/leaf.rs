//! Single values: how each kind is read from TOML and from text, what it allows, and how a path becomes absolute.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::remote;
use crate::support::ids::{CommitId, FormulaName, InvalidId, MountName, SecretName};
use crate::support::text::{closest, is_deceptive};

/// What kind of value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LeafKind {
    Text,
    Path,
    Remote,
    CommitId,
    SecretName,
    FormulaName,
    MountName,
    Bool,
    Integer,
    Number,
    Choice(Vec<String>),
}

/// A kind and the range that it allows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) kind: LeafKind,
    range: Option<(f64, f64)>,
}

/// What is wrong with a value and what to do about it. Never quotes a value that could hold a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl LeafKind {
    /// The kind of a named type of `support::ids`.
    pub(super) fn of_type(name: &str) -> Option<Self> {
        match name {
            "SecretName" => Some(Self::SecretName),
            "FormulaName" => Some(Self::FormulaName),
            "MountName" => Some(Self::MountName),
            _ => None,
        }
    }
}

impl Leaf {
    pub(super) fn new(kind: LeafKind) -> Self {
        Self { kind, range: None }
    }

    pub(super) fn of_schema(schema: &Value) -> Self {
        let kinds = schema.get("type");
        let is = |name: &str| {
            kinds.is_some_and(|kind| kind == name || kind.as_array().is_some_and(|all| all.iter().any(|k| k == name)))
        };
        let kind = match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
            "path" => LeafKind::Path,
            "git-remote" => LeafKind::Remote,
            "commit-id" => LeafKind::CommitId,
            _ if is("boolean") => LeafKind::Bool,
            _ if is("integer") => LeafKind::Integer,
            _ if is("number") => LeafKind::Number,
            _ => LeafKind::Text,
        };
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let range = bound("minimum").map(|low| (low, bound("maximum").unwrap_or(f64::from(u32::MAX))));
        Self { kind, range }
    }

    /// Reads the text of an environment variable or a flag.
    pub(super) fn parse(&self, text: &str) -> Result<Value, Wrong> {
        let wrong = || Wrong::new(format!("expected {self}"));
        let value = match self.kind {
            LeafKind::Bool => json!(match text {
                "true" | "1" | "yes" | "on" => true,
                "false" | "0" | "no" | "off" => false,
                _ => return Err(wrong().help("write `true` or `false`")),
            }),
            LeafKind::Integer => json!(text.parse::<i64>().map_err(|_| wrong())?),
            LeafKind::Number => json!(text.parse::<f64>().map_err(|_| wrong())?),
            _ => json!(text),
        };
        self.check(&value)?;
        Ok(value)
    }

    /// Whether `value` is of the kind and within what it allows.
    pub(super) fn check(&self, value: &Value) -> Result<(), Wrong> {
        match (&self.kind, value) {
            (LeafKind::Bool, Value::Bool(_)) => Ok(()),
            (LeafKind::Integer, Value::Number(n)) if n.is_i64() || n.is_u64() => self.check_range(n.as_f64()),
            (LeafKind::Number, Value::Number(n)) => self.check_range(n.as_f64()),
            (LeafKind::Bool | LeafKind::Integer | LeafKind::Number, _) | (_, Value::Null) => {
                Err(Wrong::new(format!("expected {self}")))
            }
            (kind, Value::String(text)) => check_text(kind, text),
            _ => Err(Wrong::new(format!("expected {self}"))),
        }
    }

    fn check_range(&self, number: Option<f64>) -> Result<(), Wrong> {
        match (self.range, number) {
            (Some((low, high)), Some(number)) if !(low..=high).contains(&number) => {
                Err(Wrong::new(format!("{number} is out of range")).help(format!("give {self}")))
            }
            _ => Ok(()),
        }
    }

    /// The value with a path made absolute; a relative one is relative to `base`.
    pub(super) fn resolve(&self, value: Value, base: &Path, credentials: Option<&Path>) -> Result<Value, Wrong> {
        match (&self.kind, value) {
            (LeafKind::Path, Value::String(text)) => Ok(json!(absolute(&text, base, credentials)?)),
            (LeafKind::Remote, Value::String(text)) if remote::is_path(&text) => Ok(json!(clean(&base.join(&text)))),
            (_, value) => Ok(value),
        }
    }
}

impl Leaf {
    /// The kind as a word without an article: for tables and lists.
    pub(super) fn noun(&self) -> String {
        let noun = match &self.kind {
            LeafKind::Text => "text",
            LeafKind::Path => "path",
            LeafKind::Remote => "git remote",
            LeafKind::CommitId => "commit id",
            LeafKind::SecretName => "secret name",
            LeafKind::FormulaName => "formula name",
            LeafKind::MountName => "mount name",
            LeafKind::Bool => "`true` or `false`",
            LeafKind::Integer => "integer",
            LeafKind::Number => "number",
            LeafKind::Choice(words) => {
                return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
            }
        };
        match self.range {
            Some((low, high)) if high < f64::from(u32::MAX) => format!("{noun} from {low} to {high}"),
            Some((low, _)) => format!("{noun} from {low}"),
            None => noun.to_owned(),
        }
    }
}

/// The kind with its article: "expected an integer from 1 to 1000".
impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = match self.kind {
            LeafKind::Text | LeafKind::Bool | LeafKind::Choice(_) => "",
            LeafKind::Integer => "an ",
            _ => "a ",
        };
        write!(f, "{article}{}", self.noun())
    }
}

fn check_text(kind: &LeafKind, text: &str) -> Result<(), Wrong> {
    if text.is_empty() {
        return Err(Wrong::new("the value is empty").help("give a value, or remove the line"));
    }
    if text.chars().any(|c| c.is_control() || is_deceptive(c)) {
        return Err(Wrong::new("the value has a control or invisible character"));
    }
    match kind {
        LeafKind::Choice(words) if !words.iter().any(|word| word == text) => Err(not_among(text, words)),
        LeafKind::Remote => remote::check(text),
        LeafKind::CommitId => name::<CommitId>(text),
        LeafKind::SecretName => name::<SecretName>(text),
        LeafKind::FormulaName => name::<FormulaName>(text),
        LeafKind::MountName => name::<MountName>(text),
        _ => Ok(()),
    }
}

/// `text` is none of `words`.
pub(super) fn not_among(text: &str, words: &[String]) -> Wrong {
    let list = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let wrong = Wrong::new(format!("`{text}` is not known here"));
    match closest(text, words.iter().map(String::as_str)) {
        Some(word) => wrong.help(format!("did you mean `{word}`?")),
        None => wrong.help(format!("known: {list}")),
    }
}

fn name<T: std::str::FromStr<Err = InvalidId>>(text: &str) -> Result<(), Wrong> {
    text.parse::<T>().map(|_| ()).map_err(|invalid| {
        Wrong::new(format!("`{}` is not {}", invalid.text, invalid.what)).help(format!("the rule: {}", invalid.rule))
    })
}

fn absolute(text: &str, base: &Path, credentials: Option<&Path>) -> Result<PathBuf, Wrong> {
    let Some(name) = text.strip_prefix("credential:") else { return Ok(clean(&base.join(text))) };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(Wrong::new(format!("`{name}` is not the name of a systemd credential"))
            .help("write `credential:NAME`, as in `LoadCredential=NAME:…` of the unit"));
    }
    let folder = credentials.ok_or_else(|| {
        Wrong::new("this names a systemd credential, and CREDENTIALS_DIRECTORY is not set")
            .help("start dispatch from a unit with `LoadCredential=`, or give the path of a file")
    })?;
    Ok(folder.join(name))
}

/// Without `.` in the middle.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}
