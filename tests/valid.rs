//! Files that are accepted as they are: above all those in the manner of ops repos that were there before `dispatch`.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its files fails")]

use std::fs;
use std::path::Path;

use dispatch::action::{AgentFormula, Diagnostics, FormulaMeta, Policy, parse_action};

/// Reads every file of a kind; the findings of those that are refused.
fn refused<T>(kind: &str, read: fn(&str, &[u8]) -> Result<T, Diagnostics>) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/valid").join(kind);
    let paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty());
    let read = |path: &Path| read(path.file_stem().unwrap().to_str().unwrap(), &fs::read(path).unwrap());
    paths.iter().filter_map(|path| read(path).err()).map(|wrong| wrong.to_string()).collect()
}

#[test]
fn actions_are_taken_as_they_are() {
    let refused = refused("action", |stem, bytes| parse_action(stem, &format!("vault/actions/{stem}.toml"), bytes));
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn policies_are_taken_as_they_are() {
    let refused = refused("policy", |_, bytes| Policy::parse("vault/policy.toml", bytes));
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn agent_formulas_are_taken_as_they_are() {
    let refused = refused("formula", |stem, bytes| AgentFormula::parse(&format!("formulas/{stem}.toml"), bytes));
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn metadata_is_taken_as_it_is() {
    let refused = refused("meta", |stem, bytes| FormulaMeta::parse(&format!("formulas/{stem}.meta.toml"), bytes));
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn lists_over_several_lines_are_read_whole() {
    let bytes = include_bytes!("valid/action/rotate-mirrors.toml");
    let action = parse_action("rotate-mirrors", "vault/actions/rotate-mirrors.toml", bytes).unwrap();
    let secrets: Vec<&str> = action.secrets.iter().map(AsRef::as_ref).collect();
    let mounts: Vec<&str> = action.mounts.iter().map(AsRef::as_ref).collect();
    assert_eq!(secrets, ["CODEBERG_TOKEN", "FORGE_TOKEN", "GITHUB_TOKEN"]);
    assert_eq!(mounts, ["gpg", "sops", "ssh"]);
}
