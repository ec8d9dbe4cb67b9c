//! Holds the shape of the house: which module may use which (the list in `src/lib.rs`), read from the imports themselves.

#![allow(clippy::unwrap_used, clippy::panic, clippy::string_slice, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// From top to bottom: a module may use only those behind it.
const ORDER: [&str; 13] = [
    "cli",
    "dispatcher",
    "run",
    "admission",
    "forge",
    "ops",
    "grant",
    "backend",
    "runner",
    "vault",
    "action",
    "config",
    "support",
];

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The top-level modules that a source text names by `crate::…`, also inside braces.
fn named(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        let rest = &source[at + "crate::".len()..];
        let list = rest.strip_prefix('{').map_or(rest, |inner| inner.split('}').next().unwrap_or(inner));
        let parts: Vec<&str> = if rest.starts_with('{') { list.split(',').collect() } else { vec![list] };
        for part in parts {
            let name: String = part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(name);
        }
    }
    found
}

fn violations(module: &str, file: &str, source: &str) -> Vec<String> {
    let rank = |name: &str| ORDER.iter().position(|m| *m == name);
    let own = rank(module).unwrap_or_else(|| panic!("{module} is not in the order; add it to ORDER and to src/lib.rs"));
    named(source)
        .into_iter()
        .filter(|used| rank(used).is_some_and(|used| used < own))
        .map(|used| format!("{file}: `{module}` uses `{used}`, which stands above it"))
        .collect()
}

#[test]
fn a_module_uses_only_modules_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let inner = file.strip_prefix(&src).unwrap();
        let module = inner.components().next().unwrap().as_os_str().to_str().unwrap();
        if module == "main.rs" || module == "lib.rs" {
            continue;
        }
        wrong.extend(violations(module, &inner.display().to_string(), &fs::read_to_string(&file).unwrap()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_fence_sees_an_arrow_that_points_upwards() {
    assert_eq!(violations("action", "x.rs", "use crate::{config::Config, run::Run};").len(), 1);
    assert_eq!(violations("action", "x.rs", "fn f() { crate::cli::main() }").len(), 1);
    assert!(violations("run", "x.rs", "use crate::action::Tier;").is_empty());
}

#[test]
fn the_order_in_the_map_is_the_order_that_is_held() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let listed: Vec<String> =
        map.lines().filter_map(|line| line.strip_prefix("//! - [`")?.split('`').next().map(str::to_owned)).collect();
    assert_eq!(listed, ORDER);
}
