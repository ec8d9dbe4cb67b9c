//! Bad input beside the exact message that it gets: `tests/invalid/<kind>/<case>.toml` and `<case>.expected`.
//!
//! The messages are read by people: `UPDATE_EXPECTED=1 cargo test --test invalid` writes them anew, and each changed one is to be
//! read before it is committed. A case's stem is its file's, unless `<case>.stem` says another one. A new kind of file is a
//! folder, a line in `KINDS` and a test that names it.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its files fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dispatch::action::{AgentFormula, Diagnostics, FormulaMeta, Policy, parse_action};
use dispatch::support::diagnostic::Color;

/// What a stem and bytes are refused with; `None` where they are accepted.
type Refusal = fn(&str, &[u8]) -> Option<String>;

const KINDS: [(&str, Refusal); 4] = [
    ("action", |stem, bytes| refusal(parse_action(stem, &format!("vault/actions/{stem}.toml"), bytes))),
    ("policy", |_, bytes| refusal(Policy::parse("vault/policy.toml", bytes))),
    ("formula", |stem, bytes| refusal(AgentFormula::parse(&format!("formulas/{stem}.toml"), bytes))),
    ("meta", |stem, bytes| refusal(FormulaMeta::parse(&format!("formulas/{stem}.meta.toml"), bytes))),
];

fn refusal<T>(parsed: Result<T, Diagnostics>) -> Option<String> {
    parsed.err().map(|wrong| wrong.render(Color::Never))
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid").join(kind)
}

/// The cases of a kind: their names and bytes. Those that are too big to keep are made here.
fn cases(kind: &str) -> BTreeMap<String, Vec<u8>> {
    let mut cases: BTreeMap<String, Vec<u8>> = generated(kind).into_iter().collect();
    for entry in fs::read_dir(folder(kind)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(cases.insert(name, fs::read(&path).unwrap()).is_none(), "{} stands twice", path.display());
        }
    }
    cases
}

fn generated(kind: &str) -> Vec<(String, Vec<u8>)> {
    let action = |id: &str, more: String| {
        let text = format!("id = \"{id}\"\nformula = \"release\"\ncontext = \"why\"\nsecrets = []\n{more}");
        (id.to_owned(), text.into_bytes())
    };
    match kind {
        "action" => vec![
            action("too-large", format!("# {}\n", "x".repeat(64 * 1024))),
            action("long-line", format!("timeout_minuets = 5 # {}\n", "y".repeat(60_000))),
            action("nested-beyond-the-parser", format!("params = {}{}\n", "[".repeat(5_000), "]".repeat(5_000))),
            action(
                "more-findings-than-are-listed",
                (0..150).fold(String::new(), |text, n| text + &format!("field_{n} = 1\n")),
            ),
        ],
        "policy" => vec![("too-large".to_owned(), vec![b'#'; 64 * 1024 + 1])],
        _ => Vec::new(),
    }
}

fn stem(kind: &str, case: &str) -> String {
    let sidecar = folder(kind).join(format!("{case}.stem"));
    fs::read_to_string(sidecar).map_or_else(|_| case.to_owned(), |stem| stem.trim_end_matches('\n').to_owned())
}

/// Checks one case, or writes what is expected of it. The answer is what is wrong.
fn check(kind: &str, refuse: Refusal, case: &str, bytes: &[u8]) -> Option<String> {
    let Some(message) = refuse(&stem(kind, case), bytes) else {
        return Some(format!("{kind}/{case} is accepted"));
    };
    let path = folder(kind).join(format!("{case}.expected"));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, &message).unwrap();
        return None;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    (expected != message).then(|| format!("{kind}/{case}: expected\n{expected}\nbut it says\n{message}"))
}

fn check_kind(kind: &str) {
    let (_, refuse) = KINDS.into_iter().find(|(name, _)| *name == kind).unwrap();
    let wrong: Vec<String> = cases(kind).iter().filter_map(|(case, bytes)| check(kind, refuse, case, bytes)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn an_invalid_action_is_refused_with_the_expected_message() {
    check_kind("action");
}

#[test]
fn an_invalid_policy_is_refused_with_the_expected_message() {
    check_kind("policy");
}

#[test]
fn an_invalid_agent_formula_is_refused_with_the_expected_message() {
    check_kind("formula");
}

#[test]
fn invalid_metadata_is_refused_with_the_expected_message() {
    check_kind("meta");
}

#[test]
fn no_expected_message_is_left_without_its_case() {
    for (kind, _) in KINDS {
        let cases = cases(kind);
        for entry in fs::read_dir(folder(kind)).unwrap() {
            let path = entry.unwrap().path();
            let case = path.file_stem().unwrap().to_str().unwrap();
            assert!(cases.contains_key(case), "{} belongs to no case", path.display());
        }
    }
}

#[test]
fn the_corpus_holds_at_least_sixty_cases() {
    let count: usize = KINDS.iter().map(|(kind, _)| cases(kind).len()).sum();
    assert!(count >= 60, "only {count}");
}
