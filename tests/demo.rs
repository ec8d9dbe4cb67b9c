//! `dispatch demo` as a new user would call it: the real binary, no home, no git configuration, no agent, and of the machine's
//! programs only those that it says it needs. Needs `git`, `ssh-keygen` and `bash`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use serde_json::Value;

/// Programs that are there, a place for temporary files, and a home that does not exist.
struct World(tempfile::TempDir);

impl World {
    fn with(programs: &[&str]) -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        for folder in ["bin", "tmp"] {
            fs::create_dir(world.path(folder)).unwrap();
        }
        for program in programs {
            symlink(installed(program), world.path("bin").join(program)).unwrap();
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn call(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_dispatch"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.path("no-home"))
            .env("PATH", self.path("bin"))
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What stands beside the programs and the empty place for temporary files.
    fn left_behind(&self) -> Vec<String> {
        let names = |folder: &Path| -> Vec<String> {
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let beside = names(self.0.path()).into_iter().filter(|name| name != "bin" && name != "tmp");
        beside.chain(names(&self.path("tmp"))).collect()
    }
}

fn installed(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file()).expect(program)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const ALL: [&str; 3] = ["git", "ssh-keygen", "bash"];

#[test]
fn the_demo_keeps_its_promises_and_leaves_nothing_behind() {
    let world = World::with(&ALL);
    let output = world.call(&["demo"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    assert!(said.contains("All 7 promises were kept."), "{said}");
    assert!(!said.contains('\u{1b}'), "colours in a pipe: {said}");
    assert_eq!(world.left_behind(), [""; 0]);
}

#[test]
fn every_step_of_a_run_is_told_in_its_order() {
    let world = World::with(&ALL);
    let output = world.call(&["demo"]);
    let said = text(&output.stdout);
    let told: Vec<&str> = said.lines().filter_map(|line| line.trim_start().strip_prefix("rotate-token-1@1 ")).collect();
    let order = [
        "picked up vault/actions/rotate-token-1.toml",
        "admitted: medium, by signature of alice@example.com",
        "takes slot",
        "launching on local",
        "begins",
        "ended with exit code 0",
        "its result is recorded",
        "its grant is taken back",
        "its result is published",
    ];
    let mut told: Vec<&str> = told.into_iter().map(str::trim_start).collect();
    // The grant is taken back beside the publication: either may be first.
    let settled = told.len().saturating_sub(2);
    told[settled..].sort_unstable();
    assert_eq!(told.len(), order.len(), "{said}");
    for (told, expected) in told.iter().zip(order) {
        assert!(told.starts_with(expected), "{told} is not {expected}…\n{said}");
    }
}

#[test]
fn tools_get_one_document_with_all_steps_results_and_proofs() {
    let world = World::with(&ALL);
    let output = world.call(&["demo", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["dispatch"], &document["kind"]), (&1.into(), &"demo".into()));
    let data = &document["data"];
    let length = |name: &str| data[name].as_array().unwrap().len();
    assert!(data["proofs"].as_array().unwrap().iter().all(|proof| proof["held"] == true), "{data}");
    assert_eq!((length("results"), length("proofs")), (5, 7));
    assert!(length("steps") > 25 && data.get("folder").is_none(), "{data}");
    assert_eq!(world.left_behind(), [""; 0]);
}

#[test]
fn a_folder_that_was_named_stays_and_holds_exactly_the_results_that_were_promised() {
    let world = World::with(&ALL);
    let output = world.call(&["demo", "--dir", "here"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let repo = world.path("here/ops.git");
    let listed = text(&git(&repo, &["ls-tree", "-r", "--name-only", "main", "vault/actions/"]));
    let results = listed.lines().filter_map(|path| path.strip_suffix(".result.json")).map(|path| {
        let result = git(&repo, &["show", &format!("main:{path}.result.json")]);
        let result: Value = serde_json::from_slice(&result).unwrap();
        let field = |name: &str| result[name].as_str().unwrap().to_owned();
        (field("id"), (field("state"), result["exit_code"].as_i64().unwrap(), field("reason")))
    });
    let expected = [
        ("check-backup-1", "failed", 3, "exit_nonzero"),
        ("rotate-token-1", "succeeded", 0, "succeeded"),
        ("rotate-token-2", "rejected", 125, "not_signed"),
        ("say-hello-1", "succeeded", 0, "succeeded"),
        ("say-hello-2", "rejected", 125, "secret_not_allowed"),
    ];
    let expected = expected.map(|(id, state, code, why)| (id.to_owned(), (state.to_owned(), code, why.to_owned())));
    assert_eq!(results.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
    assert_eq!(world.left_behind(), ["here"]);
}

#[test]
fn a_folder_that_was_kept_can_be_gone_on_with_and_nothing_in_it_runs_again() {
    let world = World::with(&ALL);
    world.call(&["demo", "--dir", "here"]);
    let before = git(&world.path("here/ops.git"), &["rev-parse", "main"]);
    let output = world.call(&["once", "--config", "here/dispatch.toml", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["data"]["runs"], Value::Array(Vec::new()));
    assert_eq!(git(&world.path("here/ops.git"), &["rev-parse", "main"]), before);
}

#[test]
fn no_value_of_a_secret_stands_anywhere_in_the_folder_in_any_encoding() {
    let world = World::with(&ALL);
    let said = world.call(&["demo", "--dir", "here"]);
    let folder = world.path("here");
    let mut hay = vec![(PathBuf::from("stdout"), said.stdout), (PathBuf::from("stderr"), said.stderr)];
    read_all(&folder, &mut hay);
    for repo in ["ops.git", "state/mirror.git"] {
        let every = git(&folder.join(repo), &["cat-file", "--batch", "--batch-all-objects"]);
        assert!(!every.is_empty());
        hay.push((repo.into(), every));
    }
    for name in ["DEMO_TOKEN", "OTHER_TOKEN", "PAYROLL_KEY"] {
        let value = opened(&folder, name);
        assert!(value.len() >= 32, "{name}");
        for form in forms(&value) {
            for (path, bytes) in &hay {
                let found = bytes.windows(form.len()).any(|window| window == form.as_bytes());
                assert!(!found, "{name} stands in {} as {form}", path.display());
            }
        }
    }
}

#[test]
fn a_folder_with_something_in_it_is_refused_and_left_as_it_is() {
    let world = World::with(&ALL);
    fs::create_dir(world.path("mine")).unwrap();
    fs::write(world.path("mine/letter"), "dear").unwrap();
    let output = world.call(&["demo", "--dir", "mine"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("the folder is not empty"), "{}", text(&output.stderr));
    assert_eq!(fs::read_dir(world.path("mine")).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(world.path("mine/letter")).unwrap(), "dear");
}

#[test]
fn a_program_that_is_missing_is_named_with_its_package_before_anything_is_made() {
    for (missing, package) in [("ssh-keygen", "openssh-client"), ("git", "git"), ("bash", "bash")] {
        let there: Vec<&str> = ALL.into_iter().filter(|program| *program != missing).collect();
        let world = World::with(&there);
        let output = world.call(&["demo", "--dir", "here"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(&format!("the demo needs `{missing}`")), "{said}");
        assert!(said.contains(&format!("apt-get install {package}")), "{said}");
        assert_eq!(world.left_behind(), [""; 0]);
    }
}

fn git(repo: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(installed("git")).arg("--git-dir").arg(repo).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}

fn read_all(folder: &Path, into: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, into);
        } else {
            into.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
}

/// The value of a secret, as its owner would read it.
fn opened(folder: &Path, name: &str) -> String {
    let key = fs::read_to_string(folder.join("age.key")).unwrap();
    let line = key.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    let key: age::x25519::Identity = line.parse().unwrap();
    let sealed = fs::read(folder.join("secrets").join(format!("{name}.enc"))).unwrap();
    let decryptor = age::Decryptor::new(&sealed[..]).unwrap();
    let mut value = String::new();
    decryptor.decrypt(std::iter::once(&key as _)).unwrap().read_to_string(&mut value).unwrap();
    value
}

fn forms(value: &str) -> Vec<String> {
    let hex = |case: fn(u8) -> String| value.bytes().map(case).collect::<String>();
    let mut forms = vec![
        value.to_owned(),
        value.chars().rev().collect(),
        hex(|byte| format!("{byte:02x}")),
        hex(|byte| format!("{byte:02X}")),
        hex(|byte| format!("%{byte:02x}")),
        hex(|byte| format!("%{byte:02X}")),
        STANDARD.encode(value),
        URL_SAFE.encode(value),
    ];
    // Amid other bytes: the middle of it, which no neighbour changes.
    forms.extend(["a", "ab"].map(|before| STANDARD_NO_PAD.encode(format!("{before}{value}"))[4..40].to_owned()));
    forms
}
