//! A sealed world for one call of the binary, and what it answered.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder of its own, which is also the home and where the binary is called.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

/// What a call answered; the world's folder reads `$WORLD`.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a `dispatch.toml`.
    pub(crate) fn configured(text: &str) -> Self {
        let world = Self::new();
        fs::write(world.path("dispatch.toml"), text).unwrap();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary, to be called with `line` split at blanks.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
        command.args(line.split_whitespace()).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.folder.path());
        command
    }

    pub(crate) fn call(&self, line: &str) -> Answer {
        self.answer(&self.command(line).output().unwrap())
    }

    pub(crate) fn call_with(&self, line: &str, environment: &[(&str, &str)]) -> Answer {
        self.answer(&self.command(line).envs(environment.iter().copied()).output().unwrap())
    }

    pub(crate) fn answer(&self, output: &Output) -> Answer {
        let folder = self.folder.path().to_str().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(folder, "$WORLD");
        Answer { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Answer {
    /// All of it, for a snapshot.
    pub(crate) fn all(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code.unwrap_or(-1), self.stdout, self.stderr)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}
