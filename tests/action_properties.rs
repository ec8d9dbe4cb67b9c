//! What must hold for any bytes that are read as an action, a policy or a formula's metadata: by property tests.

#![allow(clippy::unwrap_used, reason = "a failed step fails the property")]

use dispatch::action::{Action, Diagnostics, FormulaMeta, Policy, parse_action};
use dispatch::support::diagnostic::Color;
use dispatch::support::text;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const WHOLE: &str = include_str!("../fuzz/seeds/action/whole.toml");
const META: &str = include_str!("../fuzz/seeds/formula_meta/whole.toml");
const POLICY: &str = include_str!("../fuzz/seeds/policy/whole.toml");

fn parse(bytes: &[u8]) -> Result<Action, Diagnostics> {
    parse_action("a", "vault/actions/a.toml", bytes)
}

/// Every finding has a place that the file has, and nothing that is shown steers a terminal.
fn hold(wrong: &Diagnostics, bytes: &[u8]) -> Result<(), TestCaseError> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split('\n').collect();
    for finding in wrong.iter() {
        let seen = wrong.describe(finding);
        let line = lines.get(seen.line - 1);
        prop_assert!(line.is_some(), "line {} of {}", seen.line, lines.len());
        let columns = line.map_or(0, |line| line.chars().count());
        prop_assert!((1..=columns + 1).contains(&seen.column), "column {} of {columns}", seen.column);
        prop_assert!(!seen.message.is_empty());
    }
    let shown = wrong.render(Color::Never);
    prop_assert!(shown.chars().all(|c| c == '\n' || !text::steers(c)), "{:?}", shown);
    Ok(())
}

/// Cuts, repeats and replaces parts of a valid file, so that the bytes stay close to one.
fn mutated(valid: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "", "\"", "[", "]", "{", "}", "=", "\n", "\r\n", "\0", "\u{202e}", "—", "0", "-", "'''", "#", "\u{feff}", ".",
        "\\u001b",
    ];
    let edit = (any::<prop::sample::Index>(), 0..12usize, select(pieces.to_vec()));
    prop::collection::vec(edit, 1..5).prop_map(move |edits| {
        let mut bytes = valid.as_bytes().to_vec();
        for (at, cut, piece) in edits {
            let start = at.index(bytes.len() + 1);
            let end = (start + cut).min(bytes.len());
            bytes.splice(start..end, piece.bytes());
        }
        bytes
    })
}

/// An action as TOML, written from its parts.
fn valid_action() -> impl Strategy<Value = String> {
    let optional = vec![
        "mounts = [\"ssh\", \"gpg\"]",
        "model = \"sonnet\"",
        "tools = [\"b\", \"a\"]",
        "timeout_minutes = 1_440",
        "dispatch_mode = \"direct\"",
        "blast_radius = \"medium\"",
        "depends_on = [\"x\", \"b.1\"]",
        "not_before = 2026-12-01T03:00:00.5+05:30",
        "not_after = 2027-01-01 00:00:00Z",
        "priority = 0x10",
        "concurrency_key = \"deploy — prod\"",
        "backend = \"local\"",
        "working_directory = \"/srv/site\"",
        "params = { tag = \"v1\", note = '''a\nb''' }",
    ];
    let secrets = prop::collection::btree_set("[A-Z][A-Z0-9_]{0,20}", 0..4);
    let count = optional.len();
    ("[ -~äя日—]{0,40}x", secrets, subsequence(optional, 0..=count)).prop_map(|(context, secrets, optional)| {
        let context = toml::Value::String(context);
        let secrets = toml::Value::Array(secrets.into_iter().map(toml::Value::String).collect());
        format!("id = \"a\"\nformula = \"f\"\ncontext = {context}\nsecrets = {secrets}\n{}\n", optional.join("\n"))
    })
}

/// The action as TOML again. Moments are written as TOML has them, without quotes.
fn written(action: &Action) -> String {
    let mut table = toml::Table::try_from(action).unwrap();
    for field in ["not_before", "not_after"] {
        if let Some(toml::Value::String(moment)) = table.get(field) {
            let moment = moment.parse::<toml::value::Datetime>().unwrap();
            table.insert(field.to_owned(), toml::Value::Datetime(moment));
        }
    }
    toml::to_string(&table).unwrap()
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_with_places_that_the_file_has(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Err(wrong) = parse(&bytes) {
            hold(&wrong, &bytes)?;
        }
    }

    #[test]
    fn any_text_is_read_or_refused_with_places_that_the_file_has(text in "\\PC{0,200}") {
        if let Err(wrong) = parse(text.as_bytes()) {
            hold(&wrong, text.as_bytes())?;
        }
    }

    #[test]
    fn a_damaged_action_is_read_or_refused_with_places_that_the_file_has(bytes in mutated(WHOLE)) {
        match parse(&bytes) {
            Ok(action) => prop_assert_eq!(parse(written(&action).as_bytes()).unwrap(), action),
            Err(wrong) => hold(&wrong, &bytes)?,
        }
    }

    #[test]
    fn a_damaged_policy_is_read_or_refused_with_places_that_the_file_has(bytes in mutated(POLICY)) {
        if let Err(wrong) = Policy::parse("vault/policy.toml", &bytes) {
            hold(&wrong, &bytes)?;
        }
    }

    #[test]
    fn damaged_metadata_is_read_or_refused_with_places_that_the_file_has(bytes in mutated(META)) {
        if let Err(wrong) = FormulaMeta::parse("formulas/f.meta.toml", &bytes) {
            hold(&wrong, &bytes)?;
        }
    }

    #[test]
    fn an_action_that_is_accepted_reads_back_equal_when_it_is_written(text in valid_action()) {
        let action = match parse(text.as_bytes()) {
            Ok(action) => action,
            Err(wrong) => return Err(TestCaseError::fail(format!("{wrong}\n{text}"))),
        };
        prop_assert_eq!(parse(written(&action).as_bytes()).unwrap(), action);
    }
}

#[test]
fn the_whole_examples_are_accepted() {
    assert!(parse(WHOLE.as_bytes()).is_ok());
    assert!(Policy::parse("vault/policy.toml", POLICY.as_bytes()).is_ok());
    assert!(FormulaMeta::parse("formulas/f.meta.toml", META.as_bytes()).is_ok());
}
