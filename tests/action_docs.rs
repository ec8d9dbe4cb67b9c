//! Holds docs/actions.md to the types: every field of every schema, every reason, and examples that are read without a finding.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot read the docs fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dispatch::action::reason::Reason;
use dispatch::action::result::ActionResult;
use dispatch::action::schema::{SchemaKind, schema};
use dispatch::action::{FormulaMeta, Policy, parse_action};
use dispatch::support::diagnostic::Color;

const BEGIN: &str = "from src/action/reason.rs -->\n";
const END: &str = "<!-- end of reasons -->";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/actions.md")
}

fn docs() -> String {
    fs::read_to_string(path()).unwrap()
}

/// The names of all properties in a schema, at any depth.
fn fields(schema: &serde_json::Value, into: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(object) => {
            if let Some(serde_json::Value::Object(properties)) = object.get("properties") {
                into.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| fields(value, into));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| fields(item, into)),
        _ => {}
    }
}

/// The text under a heading, up to the next one of the same level.
fn section<'d>(docs: &'d str, heading: &str) -> &'d str {
    let (_, rest) = docs.split_once(&format!("\n## {heading}\n")).expect("the docs have the heading");
    rest.split("\n## ").next().unwrap()
}

/// The code blocks of a language.
fn blocks<'d>(text: &'d str, language: &str) -> Vec<&'d str> {
    text.split(&format!("```{language}\n")).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_field_of_the_schemas_stands_in_its_section() {
    let docs = docs();
    for (kind, heading) in [
        (SchemaKind::Action, "Actions"),
        (SchemaKind::Formula, "Formulas"),
        (SchemaKind::Policy, "Policy"),
        (SchemaKind::Result, "Results"),
    ] {
        let mut names = BTreeSet::new();
        fields(&schema(kind), &mut names);
        let text = section(&docs, heading);
        let missing: Vec<_> = names.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
        assert!(!names.is_empty() && missing.is_empty(), "{heading} says nothing of {missing:?}");
    }
}

#[test]
fn no_table_documents_a_field_that_does_not_exist() {
    let docs = docs();
    let mut names = BTreeSet::new();
    for kind in SchemaKind::ALL {
        fields(&schema(kind), &mut names);
    }
    for heading in ["Actions", "Formulas", "Policy", "Results"] {
        for row in section(&docs, heading).lines().filter_map(|line| line.strip_prefix("| `")) {
            let name = row.split('`').next().unwrap();
            assert!(names.contains(name), "{heading} documents `{name}`, which no schema has");
        }
    }
}

#[test]
fn the_table_of_reasons_is_the_list_in_the_code() {
    let rows = Reason::ALL.iter().map(|reason| format!("| `{}` | {} |\n", reason.code(), reason.words()));
    let table = format!("\n| code | what it says |\n| --- | --- |\n{}\n", rows.collect::<String>());
    let docs = docs();
    let (before, rest) = docs.split_once(BEGIN).expect("the docs have the marker");
    let (now, after) = rest.split_once(END).expect("the docs have the end marker");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(path(), format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(now, table, "run `UPDATE_EXPECTED=1 cargo test --test action_docs`");
    }
}

#[test]
fn the_examples_are_read_without_a_finding() {
    let docs = docs();
    for example in blocks(section(&docs, "Actions"), "toml") {
        let id = example.split('"').nth(1).unwrap();
        parse_action(id, "docs/actions.md", example.as_bytes()).expect("the action is valid");
    }
    for example in blocks(section(&docs, "Formulas"), "toml") {
        FormulaMeta::parse("docs/actions.md", example.as_bytes()).expect("the metadata is valid");
    }
    for example in blocks(section(&docs, "Policy"), "toml") {
        Policy::parse("docs/actions.md", example.as_bytes()).expect("the policy is valid");
    }
    for example in blocks(section(&docs, "Results"), "json") {
        serde_json::from_str::<ActionResult>(example).expect("the result is valid");
    }
}

#[test]
fn the_message_on_the_first_page_is_what_a_person_sees() {
    let docs = docs();
    let shown = blocks(&docs, "console").first().and_then(|block| block.split_once('\n')).unwrap().1;
    let text = "id = \"release-1.2.0\"\nformula = \"release\"\ncontext = \"why\"\nsecret = [\"FORGE_TOKEN\"]\n";
    let wrong = parse_action("release-1.2.0", "vault/actions/release-1.2.0.toml", text.as_bytes()).unwrap_err();
    assert_eq!(wrong.render(Color::Never), shown);
}

#[test]
fn an_action_with_everything_in_it_has_every_field() {
    let docs = docs();
    let whole = blocks(section(&docs, "Actions"), "toml").last().copied().unwrap().parse::<toml::Table>().unwrap();
    let properties = schema(SchemaKind::Action)["properties"].as_object().unwrap().clone();
    let missing: Vec<_> = properties.keys().filter(|name| !whole.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The text of every file below `folder` that a test is made of: all of `tests/`, and of `src/` the tests beside the code.
fn texts(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, into);
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ![".rs", ".expected", ".snap"].iter().any(|kind| name.ends_with(kind)) {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let of_tests = path.components().any(|part| part.as_os_str() == "tests")
            || ["tests.rs", "properties.rs"].contains(&name.as_str());
        let text = if of_tests {
            Some(text.as_str())
        } else {
            text.split_once("#[cfg(test)]\nmod tests {").map(|(_, tests)| tests)
        };
        into.push_str(text.unwrap_or_default());
    }
}

#[test]
fn every_reason_is_named_in_a_test() {
    let mut tests = String::new();
    for folder in ["tests", "src"] {
        texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut tests);
    }
    let named = |text: &str| {
        let mut found = tests.split(text).skip(1);
        found.any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let unnamed: Vec<&Reason> = Reason::ALL
        .iter()
        .filter(|reason| !named(&format!("Reason::{reason:?}")) && !named(&format!("\"{reason}\"")))
        .collect();
    assert!(unnamed.is_empty(), "no test names {unnamed:?}");
}
