//! The snapshot: everything that one admission looks at, as plain data. `gather` makes it; the checks read nothing else.
//!
//! What cannot be known stands here as "unknown" and makes an action wait; it is never left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::checks::approval::Approval;
use super::request::Search;
use crate::action::FormulaKind;
use crate::action::reason::Reason;
use crate::action::result::ResultState;
use crate::grant::Presence;
use crate::ops::Signature;
use crate::support::ids::{ActionId, BlobId, CommitId, SecretName};

/// Bytes that many snapshots may share: a policy, a formula.
pub type Shared = Arc<[u8]>;

/// Everything that is looked at in order to judge one action.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The action's entry in the tree.
    pub entry: Entry,
    /// The commit whose tree holds the entry.
    pub head: CommitId,
    /// Set where the primary branch did not move forward and nobody has acknowledged it.
    pub rewritten: Option<Rewritten>,
    /// How the entry came to be there.
    pub arrival: Arrival,
    /// `vault/policy.toml` as it counts for this action: at the parent of the commit that brought it.
    pub policy: TrustedFile,
    /// The formula as the tree of `head` and the other sources give it.
    pub formula_at_head: FormulaAnswer,
    /// The formula as the tree of the commit that brought the action and the other sources give it.
    pub formula_at_arrival: FormulaAnswer,
    /// The provider's answer for each secret that was asked about.
    pub secrets: BTreeMap<SecretName, Presence>,
    /// The backends that this dispatcher has.
    pub backends: BTreeMap<String, Availability>,
    /// What the journal knows of this id.
    pub earlier: Option<Earlier>,
    /// The result file that stands in the tree for this id.
    pub result: Option<ResultEntry>,
    /// What is known of the actions that this one depends on, and of those behind them as far as they are pending.
    pub dependencies: Arc<BTreeMap<ActionId, Dependency>>,
    /// The present.
    pub now: Timestamp,
}

/// The action's entry in the tree.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its path from the root of the repository; shown, never opened.
    pub path: String,
    /// The folder of actions.
    pub folder: String,
    /// The object that it names.
    pub blob: BlobId,
    /// What it is.
    pub content: Content,
    /// Other names in the folder, or ids used earlier, that are equal but for the case of letters.
    pub alike: BTreeSet<String>,
}

/// What an entry holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// A plain file.
    File(Shared),
    /// A plain file beyond the limit; it was not read.
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink,
    /// A submodule.
    Submodule,
}

/// A primary branch that did not move forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The last commit seen on it, which is no ancestor of the head.
    pub last_seen: CommitId,
}

/// How an entry came to be where it is.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// The first-parent commit of the primary branch in which this blob appeared at this path.
    Commit(Box<Arrived>),
    /// A file of this machine (`dispatch once --action`): nobody approved it.
    LocalFile,
    /// It could not be found out now, or only in part.
    Unknown {
        /// Why.
        detail: String,
    },
}

/// The commit that brought an action.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// The commit.
    pub commit: CommitId,
    /// Its first parent; `None`: it is the first commit of the repository.
    pub parent: Option<CommitId>,
    /// Who says to have written it: name and e-mail; believed by no check.
    pub author: String,
    /// When it was committed, by its own word.
    pub committed: Timestamp,
    /// `vault/allowed_signers` as it counted before this commit.
    pub signers: TrustedFile,
    /// What its signature is worth under those signers; `None`: it was not verified, since the tier does not ask for one.
    pub signature: Option<Signature>,
    /// The pull request that brought it.
    pub request: Search,
}

/// A file of the repository in the version that is trusted: changes of it that nobody trusted has signed have no effect.
#[derive(Debug, Clone, Default)]
pub struct TrustedFile {
    /// Its path.
    pub path: String,
    /// Its bytes; `None`: there is no such file.
    pub bytes: Option<Shared>,
    /// Where this version comes from, and which changes were ignored: one sentence each.
    pub evidence: Vec<String>,
}

/// What looking for a formula gave.
#[derive(Debug, Clone)]
pub enum FormulaAnswer {
    /// It was found.
    Found(Arc<Bundle>),
    /// No source has it.
    NotFound {
        /// Where it was looked for.
        looked_in: Vec<String>,
    },
    /// The first source that has the name holds something that cannot be a formula: a link, or a file too large.
    Unfit {
        /// Where, and what is wrong.
        detail: String,
    },
    /// A source that might have it could not be asked.
    Unavailable {
        /// Which, and why.
        detail: String,
    },
    /// It was not looked for: the action does not say which.
    NotAsked,
}

/// A formula with all that belongs to it, from one place and one version.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Which source.
    pub source: Source,
    /// Script or prompt.
    pub kind: FormulaKind,
    /// The path of the formula inside its source.
    pub path: String,
    /// Its bytes.
    pub script: Shared,
    /// `<name>.meta.toml`: its path and bytes.
    pub meta: Option<(String, Shared)>,
    /// Context files by their path in the ops repo.
    pub context_files: BTreeMap<String, Shared>,
}

/// Where a formula comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The ops repo's tree at a commit.
    Ops {
        /// The commit.
        commit: CommitId,
    },
    /// A directory of the config.
    Directory {
        /// Its path.
        directory: String,
    },
    /// Another git repo of the config.
    Git {
        /// The remote.
        remote: String,
        /// The commit that the ref named.
        commit: CommitId,
    },
}

/// Whether a backend can take runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Ready,
    /// It cannot now.
    Unreachable {
        /// Why.
        detail: String,
    },
}

/// What the journal knows of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The bytes that it was taken up with.
    pub blob: BlobId,
    /// When these bytes were first seen.
    pub since: Timestamp,
    /// The head of the primary branch in which they were first seen.
    pub head: CommitId,
    /// How far that went.
    pub stage: Stage,
    /// The result file that this dispatcher has written for it.
    pub result: Option<BlobId>,
    /// What was proven of the approval of these bytes when they were looked at before. The forge may have lost it since.
    pub approved: Option<Approval>,
}

/// How far an id has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It was seen and waits; nothing was decided.
    Seen,
    /// It was admitted and is not settled.
    UnderWay,
    /// It has its end.
    Settled {
        /// Which.
        state: ResultState,
        /// Why.
        reason: Reason,
    },
    /// It has its end, and a person has asked for another attempt at the same bytes.
    RetryAsked {
        /// Who.
        by: String,
    },
}

/// A result file in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultEntry {
    /// Its path.
    pub path: String,
    /// Its blob.
    pub blob: BlobId,
}

/// What is known of an action that another depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependency {
    /// The journal says that it succeeded. A result file alone never does.
    Succeeded,
    /// It ended otherwise.
    Failed {
        /// How.
        state: ResultState,
    },
    /// It is in the repository or under way, and depends on these itself.
    Pending {
        /// Its own dependencies.
        on: BTreeSet<ActionId>,
    },
    /// Nobody has heard of it.
    Unknown,
}

/// `path` relative to the folder of actions, without `.toml`; `None` where it is not directly inside it.
pub fn stem_of<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let inner = path.strip_prefix(folder)?.strip_prefix('/')?;
    inner.strip_suffix(".toml").filter(|stem| !stem.contains('/'))
}

impl Entry {
    /// The name that the entry would give its action; `None` where it stands deeper than one level.
    pub fn stem(&self) -> Option<&str> {
        stem_of(&self.path, &self.folder)
    }

    /// Whether its name keeps the rule of ids.
    pub fn is_well_named(&self) -> bool {
        self.stem().is_some_and(|stem| stem.parse::<ActionId>().is_ok())
    }

    /// The id under which a result of this entry could be filed; `None` where the entry has no claim to one.
    pub fn id(&self) -> Option<ActionId> {
        ActionId::of_refused(self.stem()?)
    }
}

impl Arrived {
    /// "blob 3f2a… appeared at … in 1a2b… (Alice, 2026-11-20)"
    pub fn words(&self, entry: &Entry) -> String {
        let day = self.committed.strftime("%Y-%m-%d");
        let Self { commit, author, .. } = self;
        format!("blob {} appeared on the primary branch in {} ({author}, {day})", entry.blob.short(), commit.short())
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ops { commit } => write!(f, "the ops repo at {}", commit.short()),
            Self::Directory { directory } => write!(f, "directory {directory}"),
            Self::Git { remote, commit } => write!(f, "{remote} at {}", commit.short()),
        }
    }
}
