//! Whose word counts: the signed chain of the two files that give power, `vault/allowed_signers` and `vault/policy.toml`.
//!
//! Who can push could add a key or lower a tier first and use it afterwards. So a change of either file only counts when
//! the first-parent commit that made it is signed by somebody whom the list *before* it names, and was made on top of the version
//! that counts, or puts that back: what a signer adds to a change that nobody signed would bring that into force too, and their
//! own diff does not show it. Any other change has no effect and is reported. The chain begins at `approval.trust_root`, with both files as they stand there, or else at the
//! first commit that has a list of signers. Before there is any such list, the first policy counts and no later one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::OpsError;
use super::history::{self, Step};
use super::mirror::Mirror;
use super::objects::Blob;
use super::signature::Signature;
use super::tree::{Change, Entry, Mode};
use crate::support::ids::{BlobId, CommitId};

/// One of the files that give power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedFile {
    /// Who may sign.
    Signers,
    /// Which formula has which tier.
    Policy,
}

impl TrustedFile {
    /// Its place in the ops repo.
    pub fn path(self) -> &'static str {
        match self {
            Self::Signers => "vault/allowed_signers",
            Self::Policy => "vault/policy.toml",
        }
    }
}

/// Why a version counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It stands in the commit at which the chain begins.
    Root,
    /// The commit is signed by somebody trusted before it.
    Signed {
        /// The name that the list gives to the key.
        principal: String,
        /// `SHA256:…`
        key: String,
    },
}

/// The commit whose version counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The commit.
    pub commit: CommitId,
    /// Why it counts.
    pub by: Source,
}

/// A change that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The commit that made it.
    pub commit: CommitId,
    /// What its signature is worth; `None`: nobody was trusted who could have signed it; a good one: it was made on top of a version
    /// that does not count.
    pub signature: Option<Signature>,
}

/// The version of a file that counts at some commit, which need not be the one that stands there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Its content; `None`: the file does not exist for our purposes.
    pub blob: Option<BlobId>,
    /// Where it comes from; `None`: there never was one.
    pub brought: Option<Brought>,
    /// Later changes of the file that have no effect, oldest first.
    pub ignored: Vec<Ignored>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// The chain has begun: from here on only signatures count.
    rooted: bool,
    signers: Version,
    policy: Version,
}

/// Files over this size are no lists for people to keep, and are not read.
const LIMIT: u64 = 1 << 20;
const PATHS: [&str; 2] = ["vault/allowed_signers", "vault/policy.toml"];

/// Follows the chain. What was verified is remembered, so that the next commit costs the steps since the last one.
#[derive(Debug)]
pub struct Trust {
    mirror: Mirror,
    root: Option<CommitId>,
    known: Mutex<Option<(CommitId, State)>>,
    lists: Mutex<BTreeMap<BlobId, Arc<[u8]>>>,
}

impl Trust {
    /// Begins at `root` (`approval.trust_root`), or at the first commit that has a list of signers.
    pub fn new(mirror: Mirror, root: Option<CommitId>) -> Self {
        Self { mirror, root, known: Mutex::default(), lists: Mutex::default() }
    }

    /// The version of `file` that counts at the commit `at`.
    ///
    /// # Errors
    /// `TrustRoot` when the configured root is not on the line to `at`; anything that kept a signature from being checked.
    pub async fn trusted_version(&self, at: &CommitId, file: TrustedFile) -> Result<Version, OpsError> {
        let state = self.state(at).await?;
        Ok(match file {
            TrustedFile::Signers => state.signers,
            TrustedFile::Policy => state.policy,
        })
    }

    /// The list of signers that counts at `at`; empty where there is none.
    ///
    /// # Errors
    /// As [`Self::trusted_version`].
    pub async fn signers(&self, at: &CommitId) -> Result<Arc<[u8]>, OpsError> {
        let version = self.trusted_version(at, TrustedFile::Signers).await?;
        self.list(version.blob.as_ref()).await
    }

    /// What the signature of `commit` is worth to those who trusted the branch before it: the list of its first parent counts.
    ///
    /// # Errors
    /// As [`Self::trusted_version`].
    pub async fn signature(&self, commit: &CommitId) -> Result<Signature, OpsError> {
        let list = match self.mirror.commit(commit).await?.parents.first() {
            Some(parent) => self.signers(parent).await?,
            None => Arc::default(),
        };
        self.mirror.signature(commit, &list).await
    }

    async fn state(&self, at: &CommitId) -> Result<State, OpsError> {
        if let Some((seen, state)) = self.remembered() {
            if self.mirror.continues(&seen, at).await? {
                let state = self.follow(state, Some(&seen), at).await?;
                return Ok(self.remember(at, state));
            }
            if self.mirror.continues(at, &seen).await? && self.steps(Some(at), &seen).await?.is_empty() {
                return Ok(state);
            }
        }
        let state = match &self.root {
            None => self.follow(State::default(), None, at).await?,
            Some(root) => {
                if !self.mirror.continues(root, at).await? {
                    return Err(OpsError::TrustRoot { root: root.clone(), at: at.clone() });
                }
                self.follow(self.rooted_at(root).await?, Some(root), at).await?
            }
        };
        Ok(self.remember(at, state))
    }

    fn remembered(&self) -> Option<(CommitId, State)> {
        lock(&self.known).clone()
    }

    fn remember(&self, at: &CommitId, state: State) -> State {
        *lock(&self.known) = Some((at.clone(), state.clone()));
        state
    }

    async fn steps(&self, from: Option<&CommitId>, to: &CommitId) -> Result<Vec<Step>, OpsError> {
        history::steps(self.mirror.git(), from, to, &PATHS).await
    }

    async fn follow(&self, mut state: State, from: Option<&CommitId>, to: &CommitId) -> Result<State, OpsError> {
        for step in self.steps(from, to).await? {
            state = self.take(state, &step).await?;
        }
        Ok(state)
    }

    /// The state after one more step that changed one of the files.
    async fn take(&self, mut state: State, step: &Step) -> Result<State, OpsError> {
        let changes = self.mirror.changes(step.parent.as_ref(), &step.commit, &PATHS).await?;
        let change = |file: TrustedFile| changes.iter().find(|change| change.path.as_str() == Some(file.path()));
        let (signers, policy) = (change(TrustedFile::Signers), change(TrustedFile::Policy));
        if !state.rooted {
            if signers.is_some_and(|change| content(change.new.as_ref()).is_some()) {
                return self.rooted_at(&step.commit).await;
            }
            let first = state.policy.brought.is_none();
            let verdict = if first { Ok(Source::Root) } else { Err(None) };
            state.policy.change(policy, &step.commit, &verdict);
            return Ok(state);
        }
        let verdict = self.judge(&step.commit, state.signers.blob.as_ref()).await?;
        state.signers.change(signers, &step.commit, &verdict);
        state.policy.change(policy, &step.commit, &verdict);
        Ok(state)
    }

    /// Both files as they stand in `commit`.
    async fn rooted_at(&self, commit: &CommitId) -> Result<State, OpsError> {
        let entries = self.mirror.lookup(commit, &PATHS.map(str::to_owned)).await?;
        let mut blobs =
            entries.into_iter().map(|entry| entry.filter(|entry: &Entry| entry.mode.is_file()).map(|e| e.object));
        let mut version = || {
            let blob = blobs.next().flatten();
            let brought = blob.is_some().then(|| Brought { commit: commit.clone(), by: Source::Root });
            Version { blob, brought, ignored: Vec::new() }
        };
        let (signers, policy) = (version(), version());
        Ok(State { rooted: true, signers, policy })
    }

    /// Whether a commit's changes count for those who trust `signers`.
    async fn judge(&self, commit: &CommitId, signers: Option<&BlobId>) -> Result<Verdict, OpsError> {
        if signers.is_none() {
            return Ok(Err(None));
        }
        let list = self.list(signers).await?;
        Ok(match self.mirror.signature(commit, &list).await? {
            Signature::Good { principal, key } => Ok(Source::Signed { principal, key }),
            other => Err(Some(other)),
        })
    }

    /// The content of a list; a list that is too long names nobody.
    async fn list(&self, blob: Option<&BlobId>) -> Result<Arc<[u8]>, OpsError> {
        let Some(blob) = blob else { return Ok(Arc::default()) };
        if let Some(list) = lock(&self.lists).get(blob) {
            return Ok(list.clone());
        }
        let list: Arc<[u8]> = match self.mirror.blobs(std::slice::from_ref(blob), LIMIT).await?.remove(blob) {
            Some(Blob::Whole(bytes)) => bytes.into(),
            Some(Blob::TooLarge { .. }) => Arc::default(),
            None => return Err(OpsError::Missing { what: format!("the blob {blob}") }),
        };
        lock(&self.lists).insert(blob.clone(), list.clone());
        Ok(list)
    }
}

/// A change counts, and why; or it does not, and what its signature was worth.
type Verdict = Result<Source, Option<Signature>>;

impl Version {
    fn change(&mut self, change: Option<&Change>, commit: &CommitId, verdict: &Verdict) {
        let Some(change) = change else { return };
        let commit = commit.clone();
        match verdict {
            Ok(Source::Signed { principal, key }) if !self.is_followed_by(change) => {
                let signature = Signature::Good { principal: principal.clone(), key: key.clone() };
                self.ignored.push(Ignored { commit, signature: Some(signature) });
            }
            Ok(by) => {
                let brought = Some(Brought { commit, by: by.clone() });
                *self = Self { blob: content(change.new.as_ref()), brought, ignored: Vec::new() };
            }
            Err(signature) => self.ignored.push(Ignored { commit, signature: signature.clone() }),
        }
    }

    /// Whether a change was made on top of this version, or puts it back.
    fn is_followed_by(&self, change: &Change) -> bool {
        [&change.old, &change.new].into_iter().any(|side| content(side.as_ref()) == self.blob)
    }
}

/// What stands on one side of a change, if it is a plain file.
fn content(side: Option<&(Mode, BlobId)>) -> Option<BlobId> {
    side.filter(|(mode, _)| mode.is_file()).map(|(_, blob)| blob.clone())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
