//! A repository on this machine, as CI has it around the folder in which it calls: only read, for `dispatch check --range`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::OpsError;
use super::git::{Call, Deadlines, Git};
use super::history;
use super::objects::{self, Blob};
use super::tree::{Change, Entry};
use crate::support::ids::{BlobId, CommitId};

/// The repository around a folder. As with the mirror, nobody's git settings apply.
#[derive(Debug)]
pub struct Checkout {
    git: Git,
}

impl Checkout {
    /// Finds the repository that `folder` is in.
    ///
    /// # Errors
    /// There is none, or no git.
    pub async fn around(folder: &Path) -> Result<Self, OpsError> {
        let found = folder.ancestors().find_map(git_folder);
        let found =
            found.ok_or_else(|| OpsError::Missing { what: format!("a repository around {}", folder.display()) })?;
        let git = Git::new(&found, Deadlines::default());
        git.check_version().await?;
        Ok(Self { git })
    }

    /// The commit that `name` means there: a branch, a tag, an id.
    ///
    /// # Errors
    /// It means none.
    pub async fn commit(&self, name: &str) -> Result<CommitId, OpsError> {
        let asked = format!("{name}^{{commit}}");
        let call = Call::new("rev-parse").args(["--verify", "--quiet", "--end-of-options", &asked]);
        let output = self.git.run(call).await?;
        let id = String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.succeeded());
        id.ok_or_else(|| OpsError::Missing { what: format!("the commit `{name}`") })
    }

    /// What differs between two commits.
    ///
    /// # Errors
    /// git does not answer.
    pub async fn changes(&self, old: &CommitId, new: &CommitId) -> Result<Vec<Change>, OpsError> {
        history::changes(&self.git, Some(old), new, &[]).await
    }

    /// Every entry under `folder`.
    ///
    /// # Errors
    /// git does not answer.
    pub async fn entries(&self, commit: &CommitId, folder: &str) -> Result<Vec<Entry>, OpsError> {
        objects::entries(&self.git, commit, folder).await
    }

    /// The blobs among `ids`; those over `limit` bytes with their size only.
    ///
    /// # Errors
    /// git does not answer.
    pub async fn blobs(&self, ids: &[BlobId], limit: u64) -> Result<BTreeMap<BlobId, Blob>, OpsError> {
        objects::blobs(&self.git, ids, limit).await
    }
}

/// `.git` in `folder`: the repository itself, or in a linked work tree a file that names it.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let place = folder.join(".git");
    if place.is_dir() {
        return Some(place);
    }
    let text = std::fs::read_to_string(place).ok()?;
    Some(folder.join(text.strip_prefix("gitdir: ")?.trim_end()))
}
