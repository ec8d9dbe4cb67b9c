//! The author's side of an ops repo: makes one, puts signed and unsigned commits on its branch, and reads it back. For `dispatch
//! demo`, which plays the people who push; the dispatcher itself only ever goes through [`super::Mirror`].
//!
//! A commit's tree is made by `git fast-import`, the commit itself by `git commit-tree`, which signs with `ssh-keygen`. Nothing is
//! checked out, and of nobody's configuration, agent or home is made any use.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::environment::{Setting, Variables};
use super::error::OpsError;
use super::git::{Call, Deadlines, Git};
use super::objects::check_path;
use super::publish::{self, Committer, NewFile};
use super::signature::{search_path, ssh_keygen};
use crate::support::ids::CommitId;

/// A key pair to sign with.
#[derive(Debug, Clone)]
pub struct SigningKey {
    private: PathBuf,
    /// `ssh-ed25519 AAAA… comment`
    pub public: String,
}

/// Somebody who commits; with a key, all of their commits are signed.
#[derive(Debug, Clone)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The e-mail.
    pub email: String,
    /// What they sign with.
    pub key: Option<SigningKey>,
}

/// A bare repository and a folder beside it for the authors' keys.
#[derive(Debug)]
pub struct Workshop {
    git: Git,
    desk: PathBuf,
    reference: String,
    head: Option<CommitId>,
}

impl Workshop {
    /// Makes a bare repository at `bare` whose branch is `branch`. `desk`, a folder that exists, takes keys and scratch files.
    ///
    /// # Errors
    /// No git or `ssh-keygen`, a git too old, or a folder that cannot be made.
    pub async fn create(bare: &Path, desk: &Path, branch: &str) -> Result<Self, OpsError> {
        ssh_keygen()?;
        std::fs::create_dir_all(bare).map_err(OpsError::io("making the ops repo"))?;
        let git = Git::new(bare, Deadlines::default());
        git.check_version().await?;
        let call = Call::new("init").args(["--bare", "--quiet", "--template=", "-b", branch]);
        git.run(call).await?.success()?;
        Ok(Self { git, desk: desk.to_owned(), reference: format!("refs/heads/{branch}"), head: None })
    }

    /// Makes a key pair named `name` in the desk.
    ///
    /// # Errors
    /// `ssh-keygen` is missing or fails.
    pub async fn key(&self, name: &str) -> Result<SigningKey, OpsError> {
        let private = self.desk.join(name);
        let made = Command::new(ssh_keygen()?)
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&private)
            .env_clear()
            .envs(self.scratch())
            .env("PATH", search_path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| OpsError::Start { program: "ssh-keygen", source })?;
        if !made.status.success() {
            let detail = String::from_utf8_lossy(&made.stderr).trim().to_owned();
            return Err(OpsError::Key { detail });
        }
        let public = std::fs::read_to_string(private.with_extension("pub")).map_err(OpsError::io("reading a key"))?;
        Ok(SigningKey { private, public: public.trim().to_owned() })
    }

    /// Puts one commit with `files` on the branch.
    ///
    /// # Errors
    /// A file that cannot stand in a repo, or whatever git said.
    pub async fn commit(&mut self, author: &Author, files: &[NewFile], message: &str) -> Result<CommitId, OpsError> {
        let committer = Committer::new(&author.name, &author.email)?;
        let draft = publish::import(&self.git, &committer, self.head.as_ref(), files, message).await?;
        let commit = self.commit_tree(author, &draft, message).await?;
        let update = format!("update {} {commit}\ndelete {}\n", self.reference, publish::OUTBOX);
        self.git.run(Call::new("update-ref").args(["--stdin"]).input(update.into_bytes())).await?.success()?;
        self.head = Some(commit.clone());
        Ok(commit)
    }

    async fn commit_tree(&self, author: &Author, draft: &CommitId, message: &str) -> Result<CommitId, OpsError> {
        let mut call = Call::new("commit-tree").variables(self.scratch()).variables(identity(author));
        if let Some(head) = &self.head {
            call = call.args(["-p", head.as_str()]);
        }
        if let Some(key) = &author.key {
            call = call.setting(Setting::new("gpg.format", "ssh"));
            call = call.setting(Setting::new("gpg.ssh.program", ssh_keygen()?));
            call = call.args([format!("-S{}", key.private.display())]);
        }
        let call = call.args([format!("{draft}^{{tree}}")]).input(message.as_bytes().to_vec());
        let answer = self.git.run(call).await?.success()?;
        let text = String::from_utf8_lossy(&answer);
        text.trim().parse().map_err(|_| OpsError::answer("commit-tree", text.trim()))
    }

    /// The bytes of the file at `path` as the branch has it now; `None` where there is none.
    ///
    /// # Errors
    /// Whatever git said.
    pub async fn committed(&self, path: &str) -> Result<Option<Vec<u8>>, OpsError> {
        check_path(path)?;
        let name = format!("{}:{path}", self.reference);
        if !self.git.run(Call::new("cat-file").args(["-e", &name])).await?.succeeded() {
            return Ok(None);
        }
        self.git.run(Call::new("cat-file").args(["blob", &name])).await?.success().map(Some)
    }

    /// Nobody's home; signatures are made in temporary files, which belong into the desk and not into the repo.
    fn scratch(&self) -> Variables {
        ["HOME", "TMPDIR"].map(|name| (name.into(), self.desk.clone().into())).into()
    }
}

/// Every object of the repository at `folder`, unpacked and one after the other: git keeps them compressed, so that searching
/// its files finds nothing.
///
/// # Errors
/// Whatever git said.
pub async fn every_object(folder: &Path) -> Result<Vec<u8>, OpsError> {
    let git = Git::new(folder, Deadlines::default());
    let call = Call::new("cat-file").args(["--batch", "--batch-all-objects", "--unordered", "--buffer"]);
    git.run(call).await?.success()
}

fn identity(author: &Author) -> Variables {
    let both = ["AUTHOR", "COMMITTER"]
        .map(|role| [(format!("GIT_{role}_NAME"), &author.name), (format!("GIT_{role}_EMAIL"), &author.email)]);
    both.into_iter().flatten().map(|(name, value)| (name.into(), value.into())).collect()
}
