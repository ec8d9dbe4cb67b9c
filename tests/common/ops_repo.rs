//! A bare ops repo for tests, and a work tree beside it in which people commit, merge and sign.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dispatch::config::types::Ops;
use dispatch::support::ids::CommitId;
use tempfile::TempDir;

/// `remote/ops.git` and a clone of it; gone with the test.
pub(crate) struct OpsRepo {
    folder: TempDir,
}

/// A key pair of somebody who signs.
pub(crate) struct Key {
    file: PathBuf,
    /// `ssh-ed25519 AAAA…`
    pub(crate) public: String,
}

impl Key {
    /// A line of `vault/allowed_signers`.
    pub(crate) fn line(&self, principal: &str) -> String {
        format!("{principal} {}\n", self.public)
    }
}

impl OpsRepo {
    /// With a first commit on `main`.
    pub(crate) fn new() -> Self {
        let this = Self::empty();
        this.write("README.md", "ops\n");
        this.commit("first");
        this.push();
        this
    }

    /// Without any commit.
    pub(crate) fn empty() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(this.remotes()).unwrap();
        this.run(this.folder.path(), &["init", "--quiet", "--bare", "-b", "main", "remote/ops.git"]);
        this.run(this.folder.path(), &["init", "--quiet", "-b", "main", "work"]);
        let url = this.bare().display().to_string();
        this.git(&["remote", "add", "origin", &url]);
        this
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder that holds the bare repository.
    pub(crate) fn remotes(&self) -> PathBuf {
        self.folder.path().join("remote")
    }

    pub(crate) fn bare(&self) -> PathBuf {
        self.remotes().join("ops.git")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Settings for a mirror of `remote`.
    pub(crate) fn settings(remote: &str) -> Ops {
        serde_json::from_value(serde_json::json!({ "remote": remote })).unwrap()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.work().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Runs git in the work tree.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.run(&self.work(), arguments)
    }

    /// Runs git in the bare repository.
    pub(crate) fn remote_git(&self, arguments: &[&str]) -> String {
        self.run(&self.bare(), arguments)
    }

    /// Everything in the work tree as one commit.
    pub(crate) fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.head()
    }

    /// The same, signed.
    pub(crate) fn signed_commit(&self, message: &str, key: &Key) -> CommitId {
        self.git(&["add", "--all"]);
        let key = format!("user.signingkey={}", key.file.display());
        let sign = ["-c", "gpg.format=ssh", "-c", &key];
        self.git(&[&sign[..], &["commit", "--quiet", "--allow-empty", "-S", "-m", message]].concat());
        self.head()
    }

    pub(crate) fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).trim().parse().unwrap()
    }

    pub(crate) fn push(&self) {
        self.git(&["push", "--quiet", "--force", "origin", "HEAD:refs/heads/main"]);
    }

    /// A hook of the bare repository.
    pub(crate) fn hook(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let file = self.bare().join("hooks").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, script).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn key(&self, name: &str) -> Key {
        let file = self.path().join(format!("key-{name}"));
        let output =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).output();
        assert!(output.expect("ssh-keygen (package openssh-client)").status.success());
        let public = fs::read_to_string(file.with_extension("pub")).unwrap().trim().to_owned();
        Key { file, public }
    }

    fn run(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = self.attempt(folder, arguments);
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn attempt(&self, folder: &Path, arguments: &[&str]) -> Output {
        let person = [("NAME", "Alice"), ("EMAIL", "alice@example.com")];
        let mut command = Command::new("git");
        command.args(arguments).current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        for (name, value) in person {
            command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        command.output().expect("git")
    }
}
