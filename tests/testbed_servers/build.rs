//! `tests/testbed/build`, with a stand-in for Go: what is taken, what is built, and what is said when neither can be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::testbed::script;

/// A machine without servers: its own PATH, home and cache.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        fs::create_dir(this.path("bin")).unwrap();
        this
    }

    /// Go, which takes a note of each build; `how` is what it does then, in the folder of the build.
    fn with_go(how: &str) -> Self {
        let this = Self::new();
        let tally = this.path("tally");
        let go = format!("case $1 in\nenv) echo go1.99.0 ;;\nbuild) echo built >> {}; {how} ;;\nesac", tally.display());
        this.program("go", &go);
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        let file = self.path("bin").join(name);
        fs::write(&file, format!("#!/bin/bash\n{text}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn begin(&self, arguments: &[&str]) -> Child {
        let mut build = Command::new(script("build"));
        build.args(arguments).env_clear().env("HOME", self.0.path());
        build.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        build.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn build(&self, arguments: &[&str]) -> Output {
        self.begin(arguments).wait_with_output().unwrap()
    }

    fn builds(&self) -> usize {
        fs::read_to_string(self.path("tally")).unwrap_or_default().lines().count()
    }

    /// The pinned version's place in the cache.
    fn cached(&self) -> String {
        let go_mod = fs::read_to_string(script("nomad/go.mod")).unwrap();
        let version =
            go_mod.lines().find_map(|line| line.strip_prefix("require github.com/hashicorp/nomad v")).unwrap();
        let version = version.split(' ').next().unwrap();
        format!("{}/.cache/dispatch/testbed/nomad-{version}/nomad\n", self.0.path().display())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const MAKES_IT: &str = "printf '#!/bin/sh' > nomad && chmod +x nomad";

#[test]
fn two_builds_at_once_compile_once_and_leave_no_caches() {
    let machine = Machine::with_go(&format!("mkdir -p \"$GOMODCACHE\" && {MAKES_IT}"));
    let [one, two] = [machine.begin(&["nomad"]), machine.begin(&["nomad"])];
    for output in [one, two].map(|child| child.wait_with_output().unwrap()) {
        assert_eq!(text(&output.stdout), machine.cached(), "{}", text(&output.stderr));
    }
    assert_eq!(machine.builds(), 1);
    assert!(!PathBuf::from(machine.cached().replace("/nomad\n", "/cache")).exists());
    assert_eq!(text(&machine.build(&["nomad"]).stdout), machine.cached());
    assert_eq!(machine.builds(), 1, "the cache is used");
}

#[test]
fn a_build_that_fails_shows_its_last_words_and_is_tried_again() {
    let machine = Machine::with_go("echo 'no space left' >&2; exit 1");
    for _ in 0..2 {
        let output = machine.build(&["nomad"]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
        assert!(text(&output.stderr).contains("no space left"), "{}", text(&output.stderr));
    }
    assert_eq!(machine.builds(), 2);
}

#[test]
fn a_missing_go_is_named_with_its_version_before_anything_is_tried() {
    let machine = Machine::new();
    for arguments in [&["nomad"][..], &["--check", "nomad"]] {
        let output = machine.build(arguments);
        assert_eq!(output.status.code(), Some(1));
        let words = text(&output.stderr);
        assert!(
            words.contains("nomad is not on PATH and Go is missing") && words.contains("https://go.dev/dl/"),
            "{words}"
        );
    }
}

#[test]
fn a_server_on_path_is_taken_unless_it_is_too_old() {
    let machine = Machine::with_go(MAKES_IT);
    machine.program("nomad", "echo Nomad v1.11.2");
    let ours = format!("{}\n", machine.path("bin/nomad").display());
    assert_eq!(text(&machine.build(&["nomad"]).stdout), ours);
    machine.program("nomad", "echo Nomad v1.4.0");
    let output = machine.build(&["nomad"]);
    assert_eq!(text(&output.stdout), machine.cached());
    assert!(text(&output.stderr).contains("is 1.4.0, older than"), "{}", text(&output.stderr));
}

#[test]
fn a_fork_on_path_will_do() {
    let machine = Machine::new();
    machine.program("bao", "echo OpenBao v2.4.1");
    assert_eq!(text(&machine.build(&["vault"]).stdout), format!("{}\n", machine.path("bin/bao").display()));
}
