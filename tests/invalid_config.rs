//! Wrong configurations as files, each beside the exact words that a person reads about it (`tests/invalid/config/`).
//!
//! A line `#env NAME=value` at the top sets an environment variable for that case. `UPDATE_EXPECTED=1` rewrites the
//! expectations; look at the difference before keeping it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dispatch::config::{Config, ConfigError, Sources};
use dispatch::support::diagnostic::Color;
use proptest::prelude::*;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid/config");
    let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    all.sort();
    all
}

fn environment(case: &Path) -> BTreeMap<String, String> {
    let bytes = fs::read(case).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let pairs = text.lines().map_while(|line| line.strip_prefix("#env ")?.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn words(case: &Path) -> String {
    let sources = Sources {
        config: Some(case.to_owned()),
        environment: environment(case),
        flags: Vec::new(),
        working_directory: case.parent().unwrap().to_owned(),
    };
    match Config::load(&sources) {
        Err(ConfigError::Invalid(report)) => report.render(Color::Never),
        Err(other) => other.to_string(),
        Ok(_) => panic!("{} was accepted", case.display()),
    }
}

#[test]
fn each_wrong_configuration_is_refused_with_its_exact_words() {
    let cases = cases();
    assert!(cases.len() >= 15, "the corpus is there");
    let mut different = Vec::new();
    for case in cases {
        let (found, file) = (words(&case), case.with_extension("expected"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&file, &found).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            different.push(format!("--- {}\nexpected:\n{expected}\nfound:\n{found}", case.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn no_password_of_a_wrong_configuration_is_shown() {
    for case in cases() {
        assert!(!words(&case).contains("hunter2"), "{}", case.display());
    }
}

/// Pieces of which a file is put together at random: near the format, so that most of the code is reached.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[ops]\n".to_owned()),
        Just("remote = ".to_owned()),
        Just("\"https://u:hunter2@h/x\"\n".to_owned()),
        Just("[[formulas.sources]]\n".to_owned()),
        Just("credential.username = 1\n".to_owned()),
        Just("secrets.allow = [\"A\", 2, []]\n".to_owned()),
        Just("poll_seconds = nan\n".to_owned()),
        Just("limits = { formula = { \"\" = 0 } }\n".to_owned()),
        Just("password = \"hunter2\"\n".to_owned()),
        Just("\u{85}\u{202e}".to_owned()),
        "[a-z_.]{1,6} = [0-9x\"\\[{]{1,4}\n",
        ".{0,8}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn no_file_whatever_makes_loading_panic_or_shows_the_terminal_a_control(text in pieces()) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("dispatch.toml"), &text).unwrap();
        let sources = Sources { working_directory: folder.path().to_owned(), ..Sources::default() };
        if let Err(ConfigError::Invalid(report)) = Config::load(&sources) {
            let shown = report.render(Color::Never);
            prop_assert!(!report.entries().is_empty() && !shown.is_empty());
            prop_assert!(!shown.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{shown:?}");
        }
    }
}
