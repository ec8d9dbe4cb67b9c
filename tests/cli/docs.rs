//! The documentation against the code: every key, every flag, every verb, every exit code.
//!
//! The table of `docs/configuration.md` is written from the keys by `UPDATE_EXPECTED=1`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use dispatch::cli::args::{Cli, FLAG_KEYS};
use dispatch::config::keys::{Key, keys};
use dispatch::config::{Config, Sources};

/// Flags that set no key, each with its reason.
const FLAG_ONLY: [(&str, &str); 30] = [
    ("config", "it says where the keys are"),
    ("output", "a matter of this one call"),
    ("color", "a matter of this one call"),
    ("log-format", "a matter of this one call; DISPATCH_LOG filters"),
    ("verbose", "a matter of this one call"),
    ("drain", "how this one service ends"),
    ("action", "what this one call runs"),
    ("backend", "where this one call runs it"),
    ("dry-run", "a matter of this one call"),
    ("range", "what this one call checks"),
    ("file", "what this one call explains"),
    ("ref", "what this one call looks at"),
    ("state", "what this one call lists"),
    ("limit", "a matter of this one call"),
    ("follow", "a matter of this one call"),
    ("origin", "a matter of this one call"),
    ("token-file", "who calls this once"),
    ("approvals", "what this one call sets up"),
    ("approver", "what this one call sets up"),
    ("context", "what this one call requests"),
    ("id", "what this one call requests"),
    ("mount", "what this one call requests"),
    ("param", "what this one call requests"),
    ("protect", "what this one call sets up"),
    ("remote", "what this one call sets up"),
    ("secret", "what this one call requests"),
    ("timeout", "what this one call requests"),
    ("title", "what this one call requests"),
    ("wait", "what this one call requests"),
    ("webhook", "what this one call sets up"),
];

/// `--dir` of `man` and `demo`: a place for the output of one call.
const PLACES: [&str; 1] = ["dir"];

fn doc(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// The command and all of its verbs, without hidden ones and what stands below those.
fn commands(command: &clap::Command) -> Vec<clap::Command> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    std::iter::once(command.clone()).chain(shown.flat_map(commands)).collect()
}

fn flags() -> Vec<String> {
    let mut all: Vec<String> = commands(&Cli::command())
        .iter()
        .flat_map(|command| {
            command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect::<Vec<_>>()
        })
        .filter(|flag| flag != "help" && flag != "version")
        .collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn every_flag_has_its_key_or_is_listed_as_a_flag_only() {
    let keys = keys();
    for (flag, key) in FLAG_KEYS {
        assert!(keys.iter().any(|known| known.path == key), "--{flag} sets `{key}`, which is no key");
    }
    for flag in flags() {
        let sets = FLAG_KEYS.iter().any(|(known, _)| *known == flag);
        let only = FLAG_ONLY.iter().any(|(known, _)| *known == flag) || PLACES.contains(&flag.as_str());
        assert!(sets != only, "--{flag}: give it a key in FLAG_KEYS, or a reason in FLAG_ONLY");
    }
}

/// Whether `--flag` stands in the text as a word of its own.
fn mentions(text: &str, flag: &str) -> bool {
    let word = format!("--{flag}");
    let mut found = text.split(word.as_str()).skip(1);
    found.any(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
}

#[test]
fn every_flag_verb_and_exit_code_has_its_line_of_documentation() {
    let text = fs::read_to_string(doc("cli.md")).unwrap();
    for flag in flags() {
        assert!(mentions(&text, &flag), "docs/cli.md does not mention --{flag}");
    }
    for command in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        assert!(
            text.contains(&format!("| `{}", command.get_name())),
            "docs/cli.md does not mention {}",
            command.get_name()
        );
    }
    for code in [0, 1, 2, 3, 4, 5, 6, 130] {
        assert!(text.contains(&format!("| {code} |")), "docs/cli.md does not explain exit code {code}");
    }
}

fn row(key: &Key) -> String {
    let default = match (&key.default, key.required) {
        (_, true) => "*required*".to_owned(),
        (serde_json::Value::Null, false) => "none".to_owned(),
        (serde_json::Value::String(text), false) => format!("`{text}`"),
        (other, false) => format!("`{other}`"),
    };
    let environment = key.environment().map_or("-".to_owned(), |name| format!("`{name}`"));
    let restart = if key.restart { " Needs a restart." } else { "" };
    format!("| `{}` | {} | {default} | {environment} | {}{restart} |", key.path, key.kind, key.doc)
}

#[test]
fn the_reference_of_the_configuration_lists_every_key_as_it_is() {
    let (begin, end) = ("<!-- keys: written by tests/cli/docs.rs -->\n", "<!-- end of keys -->");
    let text = fs::read_to_string(doc("configuration.md")).unwrap();
    let (before, rest) = text.split_once(begin).expect("the table's begin mark");
    let (found, after) = rest.split_once(end).expect("the table's end mark");
    let rows: String = keys().iter().map(|key| row(key) + "\n").collect();
    let expected =
        format!("| key | takes | default | environment | meaning |\n| --- | --- | --- | --- | --- |\n{rows}");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(doc("configuration.md"), format!("{before}{begin}{expected}{end}{after}")).unwrap();
    } else {
        assert_eq!(found, expected, "UPDATE_EXPECTED=1 rewrites the table");
    }
}

#[test]
fn the_example_configurations_hold() {
    let credentials = tempfile::tempdir().unwrap();
    for name in ["forge-read", "forge-write", "vault-token", "nomad-token"] {
        fs::write(credentials.path().join(name), "an-invented-token").unwrap();
    }
    let environment: BTreeMap<String, String> = [
        ("FORGE_READ_TOKEN".to_owned(), "x".to_owned()),
        ("CREDENTIALS_DIRECTORY".to_owned(), credentials.path().display().to_string()),
    ]
    .into();
    for file in ["dispatch.example.toml", "dispatch.production.toml"] {
        let sources = Sources {
            config: Some(doc(file)),
            environment: environment.clone(),
            flags: Vec::new(),
            working_directory: doc(""),
        };
        let loaded = Config::load(&sources).unwrap_or_else(|error| panic!("{file}: {error:?}"));
        assert!(loaded.warnings.is_empty(), "{file}: {:?}", loaded.warnings);
    }
}
