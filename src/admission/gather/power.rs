//! The files that give power, as they count at a commit, with words about where they come from. Kept by commit: what counts at
//! a commit never changes.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::admission::snapshot::{Shared, TrustedFile};
use crate::ops::{self, Blob, Mirror, OpsError, Signature, Source, Trust, Version};
use crate::support::ids::CommitId;

/// The most bytes of a policy: far beyond any honest one.
const LIMIT: u64 = 1 << 20;
/// The most commits of which the files are kept.
const KEPT: usize = 1000;

/// Both files as they count at one commit.
#[derive(Debug, Clone, Default)]
pub(super) struct Power {
    pub(super) policy: TrustedFile,
    pub(super) signers: TrustedFile,
}

/// Which versions of the two files count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Those that a trusted person signed, from this commit on, or from the first one that has a list of signers.
    Signed(Option<CommitId>),
    /// Whatever stands on the branch. Without a way to prove approvals whoever may push decides, and nothing above low runs.
    AsItStands,
}

/// Asks the signed chain, and keeps the answers.
#[derive(Debug)]
pub(super) struct Powers {
    mirror: Mirror,
    /// `None`: what stands on the branch counts.
    trust: Option<Trust>,
    known: Mutex<HashMap<CommitId, Arc<Power>>>,
    signatures: Mutex<HashMap<CommitId, Signature>>,
}

impl Powers {
    pub(super) fn new(mirror: Mirror, chain: Chain) -> Self {
        let trust = match chain {
            Chain::Signed(root) => Some(Trust::new(mirror.clone(), root)),
            Chain::AsItStands => None,
        };
        Self { mirror, trust, known: Mutex::default(), signatures: Mutex::default() }
    }

    /// What counts at `at`; before the first commit nothing does.
    pub(super) async fn at(&self, at: Option<&CommitId>) -> Result<Arc<Power>, OpsError> {
        let Some(at) = at else {
            let (policy, signers) = (none(ops::TrustedFile::Policy), none(ops::TrustedFile::Signers));
            return Ok(Arc::new(Power { policy, signers }));
        };
        let mut known = self.known.lock().await;
        if let Some(power) = known.get(at) {
            return Ok(Arc::clone(power));
        }
        let policy = self.file(at, ops::TrustedFile::Policy).await?;
        let signers = self.file(at, ops::TrustedFile::Signers).await?;
        let power = Arc::new(Power { policy, signers });
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(at.clone(), Arc::clone(&power));
        Ok(power)
    }

    /// What the signature of `commit` is worth under `signers`, which are those before it.
    pub(super) async fn signature(&self, commit: &CommitId, signers: &TrustedFile) -> Result<Signature, OpsError> {
        let mut known = self.signatures.lock().await;
        if let Some(signature) = known.get(commit) {
            return Ok(signature.clone());
        }
        let list = signers.bytes.clone().unwrap_or_default();
        let signature = self.mirror.signature(commit, &list).await?;
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(commit.clone(), signature.clone());
        Ok(signature)
    }

    async fn standing(&self, at: &CommitId, file: ops::TrustedFile) -> Result<(Version, Vec<String>), OpsError> {
        let path = file.path();
        let entry = self.mirror.lookup(at, &[path.to_owned()]).await?.pop().flatten();
        let evidence = match entry {
            Some(_) => {
                format!("{path} as it stands in {}; no approval mode is set, so no signature is asked for", at.short())
            }
            None => format!("there is no {path} in {}", at.short()),
        };
        Ok((Version { blob: entry.map(|entry| entry.object), ..Version::default() }, vec![evidence]))
    }

    async fn file(&self, at: &CommitId, file: ops::TrustedFile) -> Result<TrustedFile, OpsError> {
        let (version, evidence) = match &self.trust {
            Some(trust) => {
                let version = trust.trusted_version(at, file).await?;
                let evidence = words(file.path(), &version);
                (version, evidence)
            }
            None => self.standing(at, file).await?,
        };
        let Some(blob) = version.blob else {
            return Ok(TrustedFile { path: file.path().to_owned(), bytes: None, evidence });
        };
        let bytes: Shared = match self.mirror.blobs(std::slice::from_ref(&blob), LIMIT).await?.remove(&blob) {
            Some(Blob::Whole(bytes)) => bytes.into(),
            Some(Blob::TooLarge { .. }) | None => {
                return Err(OpsError::Missing { what: format!("{} ({blob})", file.path()) });
            }
        };
        Ok(TrustedFile { path: file.path().to_owned(), bytes: Some(bytes), evidence })
    }
}

/// The file before there was one.
fn none(file: ops::TrustedFile) -> TrustedFile {
    TrustedFile { path: file.path().to_owned(), bytes: None, evidence: words(file.path(), &Version::default()) }
}

fn words(path: &str, version: &Version) -> Vec<String> {
    let counts = match &version.brought {
        None => format!("there was no {path} before it"),
        Some(brought) => match &brought.by {
            Source::Root => format!("{path} as of {}, where trust begins", brought.commit.short()),
            Source::Signed { principal, key } => {
                format!("{path} as of {}, signed by {principal} with key {key}", brought.commit.short())
            }
        },
    };
    let ignored = version.ignored.iter().map(|ignored| {
        let why = match &ignored.signature {
            None => "nobody was trusted who could have signed it",
            Some(Signature::None) => "it is not signed",
            Some(Signature::Untrusted { .. }) => "it is signed by a key that was not trusted before it",
            Some(Signature::Bad { .. } | Signature::Unsupported { .. }) => "its signature does not hold",
            Some(Signature::Good { .. }) => {
                "it was made on top of a version that nobody trusted has signed; restore the version that counts first"
            }
        };
        format!("the change of {path} in {} has no effect: {why}", ignored.commit.short())
    });
    std::iter::once(counts).chain(ignored).collect()
}
