//! Holds the shape of the house: which module may use which (the list in `src/lib.rs`), read from the imports themselves, and that what
//! decides only computes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::string_slice, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use dispatch::grant::{Grant, GrantRecord};
use dispatch::runner::envelope::Handover;
use dispatch::runner::redact::Registry;

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

/// The paths that `tree` stands for: of `crate::{a::{b, c}, d}` they are `crate::a::b`, `crate::a::c` and `crate::d`. Ends where the path
/// does.
fn paths(tree: &str) -> Vec<Vec<String>> {
    let (mut path, mut rest) = (Vec::new(), tree);
    loop {
        rest = rest.trim_start();
        if let Some(list) = rest.strip_prefix('{') {
            let below = parts(list).into_iter().flat_map(paths);
            return below.map(|below| [path.clone(), below].concat()).collect();
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        path.push(rest[..end].to_owned());
        match rest[end..].trim_start().strip_prefix("::") {
            Some(behind) => rest = behind,
            None => return vec![path],
        }
    }
}

/// What stands between the commas of a list, up to the brace that closes it.
fn parts(list: &str) -> Vec<&str> {
    let (mut found, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&list[from..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|part| !part.trim().is_empty());
    found
}

/// How many modules of the file itself stand around `at`. The files are formatted: such a module ends with a brace in its own column.
fn inner_modules(source: &str, at: usize) -> usize {
    let mut open: Vec<usize> = Vec::new();
    for line in source[..at].lines() {
        let text = line.trim_start();
        let column = line.len() - text.len();
        if open.last() == Some(&column) && text == "}" {
            open.pop();
        }
        let words = text.split_whitespace().collect::<Vec<_>>();
        if let [.., "mod", _, "{"] = words[..] {
            open.push(column);
        }
    }
    open.len()
}

/// The top-level modules that a source text names by `crate::…` and by as many `super::` as lead out of its own module, also inside
/// braces. The file stands `depth` modules below the crate.
fn named(source: &str, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in source.match_indices(start) {
            // The middle of a path or of a word was seen from its beginning.
            if source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            for path in paths(&source[at..]) {
                let up = path.iter().take_while(|word| *word == "super").count();
                let top = match path.first().map(String::as_str) {
                    Some("crate") => path.get(1),
                    _ if up == depth + inner_modules(source, at) => path.get(up),
                    _ => None,
                };
                found.extend(top.cloned());
            }
        }
    }
    found
}

/// How many modules below the crate the file's own module stands: `a/mod.rs` and `a.rs` one, `a/b.rs` two.
fn depth(file: &str) -> usize {
    file.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").count()
}

fn violations(module: &str, file: &str, source: &str) -> Vec<String> {
    let rank = |name: &str| ORDER.iter().position(|m| *m == name);
    let own = rank(module).unwrap_or_else(|| panic!("{module} is not in the order; add it to ORDER and to src/lib.rs"));
    named(source, depth(file))
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
    for (file, source) in [
        ("action/x.rs", "use crate::{config::Config, run::Run};"),
        ("action/x.rs", "fn f() { crate::cli::main() }"),
        ("action/x.rs", "use crate::{config::{Config, Sources}, run::Run};"),
        ("action/x.rs", "use crate::{\n    config::{\n        Config,\n    },\n    run,\n};"),
        ("action/x.rs", "use super::super::run::Run;"),
        ("action/mod.rs", "use super::{config::{Config, keys::keys}, run::Run};"),
        ("action/x/mod.rs", "use super::{super::{run::Run}, other};"),
        ("action/x.rs", "mod tests {\n    use super::super::super::run::Run;\n}\n"),
    ] {
        assert_eq!(violations("action", file, source).len(), 1, "{source}");
    }
}

#[test]
fn the_fence_sees_nothing_in_arrows_that_point_downwards_or_stay_inside() {
    for (file, source) in [
        ("run/x.rs", "use crate::action::Tier;"),
        ("run/x.rs", "use crate::{action::{Tier, cli}, config};"),
        ("run/x/y.rs", "use super::super::cli::Mine;"),
        ("run/x.rs", "mod tests {\n    use super::super::cli::Mine;\n}\n"),
        ("run/x.rs", "use super::cli;"),
        ("run/x.rs", "fn f() { mycrate::cli::f() }"),
    ] {
        assert_eq!(violations("run", file, source), Vec::<String>::new(), "{source}");
    }
}

#[test]
fn the_order_in_the_map_is_the_order_that_is_held() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let listed: Vec<String> =
        map.lines().filter_map(|line| line.strip_prefix("//! - [`")?.split('`').next().map(str::to_owned)).collect();
    assert_eq!(listed, ORDER);
}

/// What decides: folders and files that only compute, so that `explain` can ask them and every case of theirs is a unit test.
const PURE: [&str; 14] = [
    "action/",
    "admission/checks/",
    "admission/check.rs",
    "admission/explain.rs",
    "admission/forecast.rs",
    "admission/reading.rs",
    "admission/verdict.rs",
    "backend/nomad/decide.rs",
    "dispatcher/queue.rs",
    "run/outcome.rs",
    "run/record.rs",
    "run/settle.rs",
    "run/state.rs",
    "runner/redact/",
];

/// By what one reaches the world: its files, processes, servers, variables and clocks.
const REACHES: [&str; 8] =
    ["tokio::", "reqwest", "rusqlite", "std::fs", "std::process", "std::env", "std::net", "::now()"];

/// What of the world a source text reaches for, its tests aside.
fn reached(source: &str) -> Vec<&'static str> {
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap_or(source);
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    REACHES.into_iter().filter(|word| code.iter().any(|line| line.contains(word))).collect()
}

#[test]
fn what_decides_reaches_nothing() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let inner = |file: &PathBuf| file.strip_prefix(&src).unwrap().display().to_string();
    for pure in PURE {
        let inside: Vec<&PathBuf> = files.iter().filter(|file| inner(file).starts_with(pure)).collect();
        assert!(!inside.is_empty(), "{pure} is not there any more");
        for file in inside.iter().filter(|file| !file.ends_with("tests.rs")) {
            let found = reached(&fs::read_to_string(file).unwrap());
            assert!(found.is_empty(), "{} only computes, and reaches for {}", inner(file), found.join(", "));
        }
    }
    assert_eq!(reached("use std::fs;\nlet at = Timestamp::now();"), ["std::fs", "::now()"]);
    assert_eq!(reached("// std::fs\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}"), Vec::<&str>::new());
}

/// Does not compile where `$type` is `$trait`: then both of the implementations below would be, and which is meant is not said.
macro_rules! assert_never {
    ($($type:ty: $trait:path;)*) => {
        $(const _: fn() = || {
            trait Never<Unless> {
                fn is() {}
            }
            impl<T: ?Sized> Never<()> for T {}
            struct It;
            impl<T: ?Sized + $trait> Never<It> for T {}
            let _ = <$type as Never<_>>::is;
        };)*
    };
}

// Nobody writes a secret into a message or a document by accident: what holds one can be neither displayed nor serialized.
assert_never! {
    secrecy::SecretString: std::fmt::Display;
    secrecy::SecretString: serde::Serialize;
    dispatch::grant::Grant: std::fmt::Display;
    dispatch::grant::Grant: serde::Serialize;
    dispatch::grant::GeneratedIdentity: std::fmt::Display;
    dispatch::grant::GeneratedIdentity: serde::Serialize;
    dispatch::runner::envelope::Envelope: std::fmt::Display;
    dispatch::runner::envelope::Envelope: serde::Serialize;
    dispatch::runner::envelope::Handover: std::fmt::Display;
    dispatch::runner::envelope::Handover: serde::Serialize;
    dispatch::runner::envelope::Wrapped: std::fmt::Display;
    dispatch::runner::envelope::Wrapped: serde::Serialize;
    dispatch::runner::envelope::WrappingToken: std::fmt::Display;
    dispatch::runner::envelope::WrappingToken: serde::Serialize;
    dispatch::support::seal::Identities: std::fmt::Display;
    dispatch::support::seal::Identities: serde::Serialize;
    dispatch::vault::Token: std::fmt::Display;
    dispatch::vault::Token: serde::Serialize;
}

#[test]
fn what_holds_a_secret_shows_nothing_of_it_to_a_debugger() {
    let secret = || secrecy::SecretString::from("canary-0123456789a");
    let name: dispatch::support::ids::SecretName = "TOKEN".parse().unwrap();
    let handover = || Handover::Values([(name.clone(), secret())].into());
    let grant = Grant { record: GrantRecord::default(), handover: handover() };
    let known = Registry::new(vec![("TOKEN".to_owned(), secret())]).unwrap();
    let token = dispatch::vault::Token::new(&secret()).unwrap();
    let identity = dispatch::grant::generate_identity();
    let shown = format!("{:?} {:?} {grant:?} {known:?} {token:?} {identity:?}", secret(), handover());
    assert!(!shown.contains("canary") && !shown.contains("AGE-SECRET-KEY"), "{shown}");
    assert!(shown.contains("TOKEN"), "names are shown: {shown}");
}
