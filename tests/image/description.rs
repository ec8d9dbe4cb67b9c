//! What the Dockerfile names, and what it is given to build from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::built::shipped;

/// The image that an `ARG` of the Dockerfile names when nobody says another.
fn base(argument: &str) -> String {
    let text = fs::read_to_string(shipped("jobs/Dockerfile")).unwrap();
    let named = text.lines().find_map(|line| line.strip_prefix(&format!("ARG {argument}=")));
    named.unwrap_or_else(|| panic!("no ARG {argument}")).to_owned()
}

#[test]
fn both_bases_are_pinned_by_their_digest() {
    for name in ["RUST", "BASE"] {
        let image = base(name);
        let digest = image.split_once("@sha256:").unwrap_or_else(|| panic!("{image} has no digest")).1;
        assert!(digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{image}");
    }
}

#[test]
fn the_image_is_compiled_by_the_rust_that_the_tests_are() {
    let toolchain: toml::Table = toml::from_str(&fs::read_to_string(shipped("rust-toolchain.toml")).unwrap()).unwrap();
    let version = toolchain["toolchain"]["channel"].as_str().unwrap();
    let image = base("RUST");
    assert!(image.starts_with(&format!("rust:{version}-")), "{image} and rust-toolchain.toml's {version}");
}

/// Files that the sources have within them, by `include_str!` or `include_bytes!`.
fn included(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            included(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let named = text.split("include_").skip(1).filter_map(|rest| rest.split_once("!(\"")?.1.split('"').next());
            into.extend(named.map(|name| fs::canonicalize(path.parent().unwrap().join(name)).unwrap()));
        }
    }
}

/// Whether `.dockerignore` lets a file through: the last pattern decides that covers it or a folder above it; `*` stands for one name.
fn given(ignore: &str, path: &str) -> bool {
    let covers = |pattern: &str| {
        let mut names = path.split('/');
        pattern.split('/').all(|part| names.next().is_some_and(|name| part == "*" || part == name))
    };
    let last = ignore.lines().rev().find(|line| covers(line.trim_start_matches('!')));
    last.is_some_and(|line| line.starts_with('!'))
}

#[test]
fn the_build_is_given_every_file_that_it_reads() {
    let ignored = fs::read_to_string(shipped(".dockerignore")).unwrap();
    let root = fs::canonicalize(shipped("")).unwrap();
    let mut files = Vec::new();
    included(&root.join("src"), &mut files);
    assert!(files.len() > 5, "{files:?}");
    // Cargo looks whether each target that the manifest names is there.
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(shipped("Cargo.toml")).unwrap()).unwrap();
    for (kind, folder) in [("test", "tests"), ("bench", "benches")] {
        for target in manifest[kind].as_array().unwrap() {
            let name = target["name"].as_str().unwrap();
            let places = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/main.rs")];
            files.push(root.join(places.iter().find(|place| root.join(place).exists()).unwrap()));
        }
    }
    for file in files {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap();
        assert!(given(&ignored, path), ".dockerignore keeps {path} from the build");
    }
}
