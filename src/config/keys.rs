//! The keys of the configuration, read off the JSON schema of [`Config`], so that no key is listed twice.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::leaf::{Leaf, LeafKind};
use super::types::Config;

/// The form that a part of the configuration has.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A single value.
    Leaf(Leaf),
    /// A table with fixed keys.
    Table(Vec<Field>),
    /// A table whose keys are names.
    Map(Box<Shape>),
    /// An array.
    List(Box<Shape>),
    /// A table of one of several forms.
    OneOf(Vec<Vec<Field>>),
}

/// The keys, and tables of keys, that a running dispatcher takes over: those that `dispatcher::settings` reads anew. Everything else is
/// read once, when it starts.
const LIVE: [&str; 13] = [
    "approval.high",
    "approval.medium",
    "backends.allow",
    "backends.default",
    "backends.formula",
    "debug",
    "limits.backend",
    "limits.formula",
    "limits.max_concurrent",
    "limits.timeout_minutes",
    "ops.poll_seconds",
    "secrets.allow",
    "working_directories",
];

/// Whether a running dispatcher takes over a change of `key`.
pub fn is_live(key: &str) -> bool {
    LIVE.iter().any(|live| key.strip_prefix(live).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// One key of a table.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) default: Value,
    pub(super) required: bool,
    pub(super) shape: Shape,
}

/// One key, for people and for the environment.
#[derive(Debug, Clone)]
pub struct Key {
    /// `ops.remote`; `limits.formula.<name>` for a table of names, `formulas.sources[].git` for a list of tables.
    pub path: String,
    /// What it takes: `text`, `path`, `number from 0.2 to 86400`, `list: path`.
    pub kind: String,
    /// What holds when nobody says anything; `null` for nothing.
    pub default: Value,
    /// Whether it must be given (where its table is).
    pub required: bool,
    /// What it means.
    pub doc: String,
    /// Whether a running dispatcher must be restarted to take a change over.
    pub restart: bool,
    pub(super) leaf: Option<Leaf>,
    pub(super) list: bool,
}

impl Key {
    /// The environment variable that sets it: `DISPATCH_` and the key in capitals, `_` for each dot. Single values and lists
    /// of single values (with commas between them) have one.
    pub fn environment(&self) -> Option<String> {
        self.leaf.as_ref()?;
        (!self.path.contains(['<', '['])).then(|| format!("DISPATCH_{}", self.path.to_uppercase().replace('.', "_")))
    }
}

/// All keys, in the order of the types.
pub fn keys() -> Vec<Key> {
    let mut out = Vec::new();
    flatten("", root(), &mut out);
    out
}

/// The form of the whole configuration.
pub(super) fn root() -> &'static [Field] {
    static ROOT: OnceLock<Vec<Field>> = OnceLock::new();
    ROOT.get_or_init(|| {
        let schema = schemars::schema_for!(Config).to_value();
        let reader = Reader { definitions: schema.get("$defs").cloned().unwrap_or_default() };
        reader.fields(&schema)
    })
}

fn flatten(prefix: &str, fields: &[Field], out: &mut Vec<Key>) {
    for field in fields {
        let path = if prefix.is_empty() { field.name.clone() } else { format!("{prefix}.{}", field.name) };
        flatten_shape(path, field, &field.shape, out);
    }
}

fn flatten_shape(path: String, field: &Field, shape: &Shape, out: &mut Vec<Key>) {
    match shape {
        Shape::Leaf(leaf) => out.push(key(path, field, leaf.noun(), Some(leaf.clone()), false)),
        Shape::Table(fields) => flatten(&path, fields, out),
        Shape::Map(inner) => flatten_shape(format!("{path}.<name>"), field, inner, out),
        Shape::List(inner) => match inner.as_ref() {
            Shape::Leaf(leaf) => out.push(key(path, field, format!("list: {}", leaf.noun()), Some(leaf.clone()), true)),
            other => {
                out.push(key(path.clone(), field, "list of tables".to_owned(), None, true));
                flatten_shape(format!("{path}[]"), field, other, out);
            }
        },
        Shape::OneOf(forms) => {
            for fields in forms {
                flatten(&path, fields, out);
            }
        }
    }
}

fn key(path: String, field: &Field, kind: String, leaf: Option<Leaf>, list: bool) -> Key {
    let (default, doc) = (field.default.clone(), field.doc.clone());
    let restart = !is_live(&path);
    let default = if path.contains("<name>") && default.is_object() { Value::Null } else { default };
    Key { path, kind, default, required: field.required, doc, restart, leaf, list }
}

/// Reads a JSON schema as made by `schemars` for the types of [`super::types`].
struct Reader {
    definitions: Value,
}

impl Reader {
    fn fields(&self, table: &Value) -> Vec<Field> {
        let required: Vec<&str> =
            table.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let empty = Map::new();
        let properties = table.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        properties
            .iter()
            .map(|(name, schema)| Field {
                name: name.clone(),
                doc: text(schema, "description").replace('\n', " "),
                default: schema.get("default").cloned().unwrap_or_default(),
                required: required.contains(&name.as_str()),
                shape: self.shape(schema),
            })
            .collect()
    }

    fn shape(&self, schema: &Value) -> Shape {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next()) {
            return match LeafKind::of_type(name) {
                Some(kind) => Shape::Leaf(Leaf::new(kind)),
                None => self.shape(self.definitions.get(name).unwrap_or(&Value::Null)),
            };
        }
        if let Some(forms) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            return self.alternatives(forms);
        }
        match schema.get("additionalProperties") {
            Some(inner) if inner.is_object() => return Shape::Map(Box::new(self.shape(inner))),
            _ => {}
        }
        if schema.get("properties").is_some() {
            return Shape::Table(self.fields(schema));
        }
        match schema.get("items") {
            Some(items) => Shape::List(Box::new(self.items(schema, items))),
            None => Shape::Leaf(Leaf::of_schema(schema)),
        }
    }

    /// The form of an array's items; a `format` on the array is meant for them.
    fn items(&self, array: &Value, items: &Value) -> Shape {
        match (self.shape(items), array.get("format")) {
            (Shape::Leaf(_), Some(format)) => {
                Shape::Leaf(Leaf::of_schema(&serde_json::json!({ "type": "string", "format": format })))
            }
            (shape, _) => shape,
        }
    }

    /// `anyOf`/`oneOf`: an optional value, a choice of words, or tables of several forms.
    fn alternatives(&self, forms: &[Value]) -> Shape {
        let real: Vec<&Value> = forms.iter().filter(|form| text(form, "type") != "null").collect();
        let words: Vec<String> =
            real.iter().filter_map(|form| form.get("const").and_then(Value::as_str)).map(str::to_owned).collect();
        match real.as_slice() {
            [only] if words.is_empty() => self.shape(only),
            _ if !words.is_empty() => Shape::Leaf(Leaf::new(LeafKind::Choice(words))),
            _ => Shape::OneOf(real.iter().map(|form| self.fields(form)).collect()),
        }
    }
}

fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_found_with_its_kind_default_and_words() {
        let keys = keys();
        let find = |path: &str| keys.iter().find(|key| key.path == path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(find("ops.poll_seconds").kind, "number from 0.2 to 86400");
        assert_eq!(find("ops.poll_seconds").default, 5.0);
        assert!(find("ops.remote").required);
        assert_eq!(find("results.layout").kind, "`flat` or `dated`");
        assert_eq!(find("secrets.allow").kind, "list: secret name");
        assert_eq!(find("limits.formula.<name>").kind, "integer from 0");
        assert_eq!(find("formulas.sources[].git").kind, "git remote");
        assert_eq!(find("mounts.<name>.local").kind, "path");
        assert!(keys.iter().all(|key| !key.doc.is_empty()), "each key has its words");
    }

    #[test]
    fn no_two_keys_share_an_environment_variable() {
        let all: Vec<String> = keys().iter().filter_map(Key::environment).collect();
        assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len());
        assert!(all.contains(&"DISPATCH_OPS_REMOTE".to_owned()) && all.contains(&"DISPATCH_STATE_DIR".to_owned()));
    }
}
