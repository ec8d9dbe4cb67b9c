//! Runs one formula as the runner does: `bash <name>.sh <id>` in a fresh directory with a cleared environment. Every tool that it
//! calls by name is recorded with its arguments.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::stand_in::Server;

/// The tools whose arguments are recorded.
const RECORDED: [&str; 8] = ["base64", "curl", "cut", "date", "git", "jq", "sleep", "tail"];

pub(crate) struct Formula {
    name: &'static str,
    pub(crate) room: TempDir,
    environment: BTreeMap<String, String>,
    secrets: Vec<String>,
}

/// How a run ended and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Formula {
    pub(crate) fn new(name: &'static str) -> Self {
        let room = TempDir::new().unwrap();
        for folder in ["bin", "home"] {
            fs::create_dir(room.path().join(folder)).unwrap();
        }
        let formula = Self { name, room, environment: BTreeMap::new(), secrets: Vec::new() };
        for tool in RECORDED {
            formula.record(tool);
        }
        formula
    }

    fn record(&self, tool: &str) {
        let real = find(tool);
        let script = format!(
            "#!/bin/bash\nprintf '%s ' \"${{0##*/}}\" \"$@\" >>'{}'\nprintf '\\n' >>'{0}'\nexec '{}' \"$@\"\n",
            self.log().display(),
            real.display()
        );
        let path = self.room.path().join("bin").join(tool);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn log(&self) -> PathBuf {
        self.room.path().join("arguments")
    }

    /// The tools that were called, with their arguments, a line each.
    pub(crate) fn calls(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub(crate) fn param(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(format!("DISPATCH_PARAM_{}", name.to_uppercase()), value.to_owned());
        self
    }

    pub(crate) fn secret(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self.secrets.push(value.to_owned());
        self
    }

    pub(crate) fn mount(mut self, name: &str, path: &Path) -> Self {
        self.environment.insert(format!("DISPATCH_MOUNT_{name}"), path.display().to_string());
        self
    }

    /// Runs it, and makes sure that no secret stands in its output, in an argument, or in a file that it left.
    pub(crate) fn run(&self) -> Ran {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("formulas").join(format!("{}.sh", self.name));
        let work = TempDir::new_in(self.room.path()).unwrap();
        let room = |folder: &str| self.room.path().join(folder);
        let output = Command::new("bash")
            .arg(script)
            .arg("an-action")
            .current_dir(work.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", room("bin").display()))
            .env("HOME", room("home"))
            .env("LANG", "C.UTF-8")
            .env("DISPATCH_ACTION_ID", "an-action")
            .env("DISPATCH_RUN_ID", "an-action@1")
            .envs(&self.environment)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&self.room.path().display().to_string(), "");
        let ran = Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        self.assert_kept(&format!("{}{}{}", ran.stdout, ran.stderr, self.calls()));
        assert_eq!(
            fs::read_dir(room("home")).unwrap().count() + fs::read_dir(&work).unwrap().count(),
            0,
            "it left something behind"
        );
        ran
    }

    /// No secret stands in `text`, plain or as it is sent in a basic login.
    fn assert_kept(&self, text: &str) {
        use base64::Engine as _;
        for secret in &self.secrets {
            let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{secret}"));
            assert!(!text.contains(secret.as_str()) && !text.contains(&basic), "a secret got out:\n{text}");
        }
    }

    /// No secret stood on a command line while `server` was asked.
    pub(crate) fn assert_command_lines_are_clean(&self, server: &Server) {
        let requests = server.requests();
        assert!(!requests.is_empty(), "nothing was asked");
        for request in requests {
            assert!(request.command_lines.contains(&server.url), "the caller itself is not among the processes");
            self.assert_kept(&request.command_lines);
        }
    }
}

impl Ran {
    /// It ended with `code` and said exactly `stderr` (its lines, without the formula's name).
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, stderr: &str) {
        let said: Vec<&str> =
            self.stderr.lines().map(|line| line.split_once(": ").map_or(line, |(_, rest)| rest)).collect();
        assert_eq!((self.code, said.join("\n").as_str()), (Some(code), stderr), "{self:?}");
    }

    /// It ended well and said `stdout` last.
    #[track_caller]
    pub(crate) fn succeeded(&self, stdout: &str) {
        let said = self.stdout.lines().last().and_then(|line| line.split_once(": ")).map(|(_, rest)| rest);
        assert_eq!((self.code, said, self.stderr.as_str()), (Some(0), Some(stdout), ""), "{self:?}");
    }
}

fn find(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("the tests of the formulas need the tool `{tool}`"))
}

/// git, for setting up and looking at repositories.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A bare repository `name` below `root`, with one commit on `main` that holds `files`; answers the commit.
pub(crate) fn repository(root: &Path, name: &str, files: &[(&str, &str)]) -> String {
    let bare = root.join(name);
    fs::create_dir_all(&bare).unwrap();
    git(&bare, &["init", "--quiet", "--bare"]);
    git(&bare, &["config", "http.receivepack", "true"]);
    if files.is_empty() {
        return String::new();
    }
    commit(&bare, files)
}

/// Adds a commit with `files` on `main` of the bare repository `bare`.
pub(crate) fn commit(bare: &Path, files: &[(&str, &str)]) -> String {
    let tree = TempDir::new().unwrap();
    git(tree.path(), &["clone", "--quiet", &bare.display().to_string(), "."]);
    for (path, text) in files {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    git(tree.path(), &["add", "-A"]);
    git(tree.path(), &["commit", "--quiet", "--message", "a change"]);
    git(tree.path(), &["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
    git(tree.path(), &["rev-parse", "HEAD"])
}
