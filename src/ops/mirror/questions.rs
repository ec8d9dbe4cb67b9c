//! Every question that is asked of the mirror. None of them reaches the remote; all may be asked at the same time, also while
//! it is fetched.

use std::collections::BTreeMap;

use super::Mirror;
use crate::ops::error::OpsError;
use crate::ops::history;
use crate::ops::objects::{self, Blob, CommitInfo};
use crate::ops::signature::{self, Signature};
use crate::ops::tree::{Change, Changes, Entry};
use crate::support::ids::{BlobId, CommitId};

impl Mirror {
    /// Whether the mirror has this commit.
    ///
    /// # Errors
    /// git cannot be started.
    pub async fn has(&self, commit: &CommitId) -> Result<bool, OpsError> {
        history::has_commit(&self.0.git, commit).await
    }

    /// Whether `old` is `new` or in its history: the branch was not rewritten in between.
    pub async fn is_ancestor(&self, old: &CommitId, new: &CommitId) -> Result<bool, OpsError> {
        history::is_ancestor(&self.0.git, old, new).await
    }

    /// Whether `old` is `new` or stands on the line of *first parents* that leads to it.
    ///
    /// Stronger than [`Self::is_ancestor`]: a merge whose first parent is a line of the pusher's own keeps the old head in
    /// its history, but replaces the line by which changes are attributed and trust is followed.
    pub async fn continues(&self, old: &CommitId, new: &CommitId) -> Result<bool, OpsError> {
        history::continues(&self.0.git, old, new).await
    }

    /// What differs between two commits under `folders` (none: anywhere). Without an old commit everything is new.
    pub async fn changes(
        &self,
        old: Option<&CommitId>,
        new: &CommitId,
        folders: &[&str],
    ) -> Result<Vec<Change>, OpsError> {
        history::changes(&self.0.git, old, new, folders).await
    }

    /// The same, to be read in portions.
    ///
    /// # Errors
    /// As for [`Self::changes`].
    pub async fn printed_changes(
        &self,
        old: Option<&CommitId>,
        new: &CommitId,
        folders: &[&str],
    ) -> Result<Changes, OpsError> {
        history::printed_changes(&self.0.git, old, new, folders).await
    }

    /// Every entry under `folder`, at any depth, but folders themselves; nothing where there is no such folder.
    pub async fn entries(&self, commit: &CommitId, folder: &str) -> Result<Vec<Entry>, OpsError> {
        objects::entries(&self.0.git, commit, folder).await
    }

    /// The entry at each path, in the order asked; one process for all.
    pub async fn lookup(&self, commit: &CommitId, paths: &[String]) -> Result<Vec<Option<Entry>>, OpsError> {
        objects::lookup(&self.0.git, commit, paths).await
    }

    /// The blobs that exist among `ids`; those over `limit` bytes with their size only.
    pub async fn blobs(&self, ids: &[BlobId], limit: u64) -> Result<BTreeMap<BlobId, Blob>, OpsError> {
        objects::blobs(&self.0.git, ids, limit).await
    }

    /// The first-parent commit that put `blob` at `path` as a plain file, where it has been ever since; `None` when it is not there.
    pub async fn introduced(&self, head: &CommitId, path: &str, blob: &BlobId) -> Result<Option<CommitId>, OpsError> {
        history::introduced(&self.0.git, head, path, blob).await
    }

    /// The first-parent commits behind `from` (none: from the beginning) up to `to` that changed `path`, oldest first.
    pub async fn first_parent_changes(
        &self,
        from: Option<&CommitId>,
        to: &CommitId,
        path: &str,
    ) -> Result<Vec<CommitId>, OpsError> {
        objects::check_path(path)?;
        let steps = history::steps(&self.0.git, from, to, &[path]).await?;
        Ok(steps.into_iter().map(|step| step.commit).collect())
    }

    /// The commits of the line of first parents behind `from` up to `to`, oldest first.
    pub async fn line(&self, from: &CommitId, to: &CommitId) -> Result<Vec<CommitId>, OpsError> {
        let steps = history::steps(&self.0.git, Some(from), to, &[]).await?;
        Ok(steps.into_iter().map(|step| step.commit).collect())
    }

    /// The newest commit that both have in their history; `None`: they have nothing in common.
    pub async fn merge_base(&self, one: &CommitId, other: &CommitId) -> Result<Option<CommitId>, OpsError> {
        history::merge_base(&self.0.git, one, other).await
    }

    /// The newest commit behind `from` up to `to` that changed one of `paths`, on any line.
    pub async fn changed_in(
        &self,
        from: &CommitId,
        to: &CommitId,
        paths: &[String],
    ) -> Result<Option<CommitId>, OpsError> {
        history::changed_in(&self.0.git, from, to, paths).await
    }

    /// What a commit says of itself.
    pub async fn commit(&self, id: &CommitId) -> Result<CommitInfo, OpsError> {
        objects::commit_info(id, &objects::raw_commit(&self.0.git, id).await?)
    }

    /// The newest `limit` commits in the mirror that carry the trailer `key`, newest first, each with its value. Asks nobody
    /// else: what was pushed from here and what was fetched is looked through.
    pub async fn trailers(&self, key: &str, limit: u32) -> Result<Vec<(CommitId, String)>, OpsError> {
        history::trailers(&self.0.git, key, limit).await
    }

    /// What the signature of `commit` is worth against `allowed_signers`.
    ///
    /// # Errors
    /// Only when it could not be checked; then nothing is known about the commit.
    pub async fn signature(&self, commit: &CommitId, allowed_signers: &[u8]) -> Result<Signature, OpsError> {
        signature::verify(&self.0.git, commit, allowed_signers).await
    }
}
