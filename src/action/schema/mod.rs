//! The JSON Schemas of all files, for editors and other tools: `dispatch schema <kind>`.
//!
//! Result and config come from their own types; action, metadata and policy from [`files`].

pub mod files;

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use self::files::{ActionFile, FormulaMetaFile, PolicyFile};
use super::result::ActionResult;
use crate::config::Config;

/// The files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// `vault/actions/<id>.toml`
    Action,
    /// `<name>.meta.toml`
    Formula,
    /// `vault/policy.toml`
    Policy,
    /// `dispatch.toml`
    Config,
    /// `<id>.result.json`
    Result,
}

impl SchemaKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Action, Self::Formula, Self::Policy, Self::Config, Self::Result];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Formula => "formula",
            Self::Policy => "policy",
            Self::Config => "config",
            Self::Result => "result",
        }
    }

    /// The files of this kind, for people.
    pub fn file(self) -> &'static str {
        match self {
            Self::Action => "`vault/actions/<id>.toml`",
            Self::Formula => "`<name>.meta.toml`",
            Self::Policy => "`vault/policy.toml`",
            Self::Config => "`dispatch.toml`",
            Self::Result => "`<id>.result.json`",
        }
    }
}

impl fmt::Display for SchemaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no kind of file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no schema `{0}`: there are action, formula, policy, config and result")]
pub struct UnknownSchema(pub String);

impl FromStr for SchemaKind {
    type Err = UnknownSchema;

    fn from_str(text: &str) -> Result<Self, UnknownSchema> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| UnknownSchema(text.to_owned()))
    }
}

/// The schema of a kind of file.
pub fn schema(kind: SchemaKind) -> Value {
    let schema = match kind {
        SchemaKind::Action => schemars::schema_for!(ActionFile),
        SchemaKind::Formula => schemars::schema_for!(FormulaMetaFile),
        SchemaKind::Policy => schemars::schema_for!(PolicyFile),
        SchemaKind::Config => schemars::schema_for!(Config),
        SchemaKind::Result => schemars::schema_for!(ActionResult),
    };
    let mut schema = schema.to_value();
    if kind != SchemaKind::Result {
        without_null(&mut schema);
    }
    schema
}

/// TOML has no null: a field that may be left out is one that is not required, and nothing more.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(without_null);
            single_type(object);
            single_choice(object);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// `"type": ["string", "null"]` becomes `"type": "string"`.
fn single_type(object: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = object.get_mut("type") else { return };
    types.retain(|kind| kind != "null");
    if let [only] = types.as_slice() {
        let only = only.clone();
        object.insert("type".to_owned(), only);
    }
}

/// `"anyOf": [X, { "type": "null" }]` becomes `X`, under the description of the field.
fn single_choice(object: &mut Map<String, Value>) {
    let null = json!({ "type": "null" });
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    let before = choices.len();
    choices.retain(|choice| *choice != null);
    if before == 2
        && let [Value::Object(only)] = choices.as_slice()
    {
        let only = only.clone();
        object.shift_remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Tier, formula, params, policy, request};
    use super::files::{MOUNT_PATTERN, NAME_PATTERN, SECRET_PATTERN};
    use super::*;
    use crate::support::ids::{ActionId, MountName, SecretName};

    fn properties(schema: &Value) -> Vec<String> {
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_schemas_have_the_fields_that_the_readers_know() {
        assert_eq!(properties(&schema(SchemaKind::Action)), request::FIELDS);
        assert_eq!(properties(&schema(SchemaKind::Formula)), formula::FIELDS);
        assert_eq!(properties(&schema(SchemaKind::Policy)), policy::FIELDS);
        assert_eq!(properties(&schema(SchemaKind::Formula)["$defs"]["ListedParamFile"]), params::FIELDS);
        assert_eq!(properties(&schema(SchemaKind::Formula)["$defs"]["NamedParamFile"]), params::FIELDS[1..]);
        assert_eq!(
            properties(&schema(SchemaKind::Policy)["$defs"]["ApprovalsFile"]),
            Tier::WORDS.map(|(word, _)| word)
        );
    }

    #[test]
    fn the_schemas_require_what_the_readers_require() {
        assert_eq!(schema(SchemaKind::Action)["required"], serde_json::json!(["id", "formula", "context", "secrets"]));
        let result = schema(SchemaKind::Result);
        for field in ["id", "exit_code", "timestamp", "logs"] {
            assert!(result["required"].as_array().unwrap().contains(&field.into()), "{field}");
        }
    }

    #[test]
    fn the_schemas_refuse_unknown_fields_too() {
        for kind in [SchemaKind::Action, SchemaKind::Formula, SchemaKind::Policy, SchemaKind::Config] {
            assert_eq!(schema(kind)["additionalProperties"], false, "{kind}");
        }
    }

    #[test]
    fn the_bounds_are_those_of_the_readers() {
        let (action, meta, approvals) =
            (schema(SchemaKind::Action), schema(SchemaKind::Formula), schema(SchemaKind::Policy));
        for (schema, pointer, bound) in [
            (&action, "/properties/timeout_minutes/maximum", request::MAX_TIMEOUT_MINUTES as usize),
            (&action, "/properties/context/maxLength", request::MAX_CONTEXT),
            (&action, "/properties/concurrency_key/maxLength", request::MAX_WORD),
            (&action, "/properties/priority/default", usize::from(request::DEFAULT_PRIORITY)),
            (&meta, "/properties/timeout_minutes/maximum", request::MAX_TIMEOUT_MINUTES as usize),
            (&meta, "/properties/max_concurrent/maximum", formula::MAX_CONCURRENT as usize),
            (&meta, "/$defs/ListedParamFile/properties/pattern/maxLength", params::MAX_PATTERN),
            (&meta, "/$defs/NamedParamFile/properties/default/maxLength", params::MAX_VALUE),
            (&approvals, "/$defs/ApprovalsFile/properties/high/maximum", policy::MAX_APPROVALS as usize),
        ] {
            assert_eq!(schema.pointer(pointer), Some(&json!(bound)), "{pointer}");
        }
    }

    #[test]
    fn only_the_schema_of_the_json_file_knows_null() {
        for kind in SchemaKind::ALL {
            let null = schema(kind).to_string().contains("\"null\"");
            assert_eq!(null, kind == SchemaKind::Result, "{kind}");
        }
        let action = schema(SchemaKind::Action);
        assert_eq!(action["properties"]["model"]["type"], "string");
        assert_eq!(action["properties"]["blast_radius"]["$ref"], "#/$defs/Tier");
    }

    #[test]
    fn the_patterns_are_the_rules_of_the_ids() {
        let matches = |pattern: &str, text: &str| regex_lite::Regex::new(pattern).unwrap().is_match(text);
        for text in [
            "a", "0", "a.b", "a..b", "a.", ".a", "-a", "a-", "a_b.c-d", "A", "a b", "", "ä", "a\n", "v1.2.0", "ssh",
            "a1-",
        ] {
            assert_eq!(matches(NAME_PATTERN, text), text.parse::<ActionId>().is_ok(), "{text:?}");
            assert_eq!(matches(MOUNT_PATTERN, text), text.parse::<MountName>().is_ok(), "{text:?}");
        }
        for text in ["A", "A_1", "_A", "1A", "a", "A-B", "", &"A".repeat(64), &"A".repeat(65)] {
            assert_eq!(matches(SECRET_PATTERN, text), text.parse::<SecretName>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_kind_reads_back_from_its_name() {
        for kind in SchemaKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("results".parse::<SchemaKind>().unwrap_err().to_string().contains("result"));
    }
}
