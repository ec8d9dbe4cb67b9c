//! What is known of the pull request that brought a file, as plain data: the forge's answers and what git says of them.
//!
//! The forge's word for itself (`stale`, `official`) is kept to be shown. What decides is which bytes stood in the tree of the
//! commit that somebody approved, and those are compared here by their object ids.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::checks::approval::Approval;
use crate::forge::{PullNumber, RepositoryId, ReviewState, User, UserId};
use crate::support::ids::{BlobId, CommitId};

/// What became of the search for a request.
#[derive(Debug, Clone, Default)]
pub enum Search {
    /// It was not looked for: the tier does not ask for one.
    #[default]
    NotAsked,
    /// The forge or git did not answer, or only in part.
    Unknown {
        /// Why.
        detail: String,
    },
    /// The forge maps no commit to a request of the primary branch.
    None(Nothing),
    /// It was found.
    Found(Box<Request>),
    /// The forge maps none any more. It did when this dispatcher saw it approved, and its merge is on the line that stands now.
    Forgotten(Box<Approval>),
}

/// That nothing was found, and how often that was so already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nothing {
    /// When it was first so.
    pub since: Timestamp,
    /// How many commits were asked about, from the one that brought the file on.
    pub asked: usize,
    /// Requests that were found and passed over, a sentence each.
    pub passed_over: Vec<String>,
}

/// A merged request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its number.
    pub number: PullNumber,
    /// Who opened it.
    pub author: Option<User>,
    /// The branch that it went to, and that branch's repository.
    pub base: (String, RepositoryId),
    /// The primary branch, and the number of the repository that it is in.
    pub primary: (String, RepositoryId),
    /// What the forge says of the merge.
    pub merge: Merge,
    /// `refs/pull/N/head`: what was reviewed, as it stood at the merge.
    pub head: CommitId,
    /// How the file came to the primary branch.
    pub brought: Brought,
    /// What runs, by path, as it stands in the tree of the merge commit; `None`: nothing stands there, which counts too.
    pub bundle: BTreeMap<String, Option<BlobId>>,
    /// Of those paths the ones at which the same stood where it forked off: no diff of the request shows them.
    pub untouched: BTreeSet<String>,
    /// Whoever wrote or committed a part of it.
    pub people: People,
    /// All reviews, oldest first.
    pub reviews: Vec<Reviewed>,
    /// Requests that were found before it and passed over, a sentence each.
    pub passed_over: Vec<String>,
}

/// What the forge says of a merge.
#[derive(Debug, Clone)]
pub struct Merge {
    /// Whether it happened.
    pub merged: bool,
    /// The commit that it left on the primary branch.
    pub commit: CommitId,
    /// By whom.
    pub by: Option<User>,
    /// When.
    pub at: Option<Timestamp>,
    /// Whether requests of this repository may be marked as merged by hand; then `by` says nothing.
    pub by_hand: ByHand,
}

/// Whether a repository lets writers mark requests as merged by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// It does not.
    Off,
    /// It does, or the forge does not say.
    Possible,
}

/// How a file came to the primary branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Its path.
    pub path: String,
    /// Its bytes on the primary branch since; `None`: it was removed.
    pub blob: Option<BlobId>,
    /// The commit of the primary branch in which they appeared.
    pub commit: CommitId,
    /// Whether that commit is one of the request's own, or came to its branch from elsewhere.
    pub own: Ownership,
    /// The head of the primary branch in which this dispatcher saw them before the request was merged.
    pub seen_before: Option<CommitId>,
    /// Where the request forked off, and what stood at the path there.
    pub fork: Option<(CommitId, Option<BlobId>)>,
}

/// Whose commit it is that brought a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The merge made it, or it is one of the request's commits.
    Request,
    /// The request's branch took it over from the primary branch, where it stood before.
    Elsewhere,
    /// It is in the history of a request that was merged by moving the primary branch forward, and that was closed and opened
    /// again: what it takes for its own commits may have been pushed to the primary branch meanwhile.
    Untold,
}

/// Whoever wrote or committed a part of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// By the forge's word, which goes by e-mail.
    pub users: BTreeSet<UserId>,
    /// By the commits themselves, in lower case.
    pub emails: BTreeSet<String>,
    /// Whoever pushed to its branch while it was open, under whatever name the commits were written.
    pub pushers: BTreeSet<UserId>,
}

/// A review, with what its commit holds.
#[derive(Debug, Clone)]
pub struct Reviewed {
    /// Its number; later reviews have higher ones.
    pub id: i64,
    /// By whom; `None`: nobody that the forge could name.
    pub user: Option<User>,
    /// What it says.
    pub state: ReviewState,
    /// Whether it was taken back.
    pub dismissed: bool,
    /// The forge's own opinion of it, shown and not used.
    pub remarks: Vec<&'static str>,
    /// When.
    pub at: Option<Timestamp>,
    /// Which commit was reviewed, by the reviewer's word, and what is to be said of that.
    pub commit: Option<(CommitId, Standing)>,
    /// Of an approval: the branch that the request went to when it was given.
    pub target: Option<String>,
}

/// What a reviewed commit is to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No part of it.
    NotOfRequest,
    /// Its head.
    Head {
        /// What stands otherwise in its tree than in that of the merge.
        differs: Vec<Difference>,
    },
    /// An earlier commit of it.
    Earlier {
        /// What stands otherwise in its tree than in that of the merge.
        differs: Vec<Difference>,
    },
}

/// A path at which a reviewed commit and the merge hold different bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path.
    pub path: String,
    /// The commit of the request that changed it after the review; `None`: none did, it was changed on the way to the primary
    /// branch.
    pub changed_in: Option<CommitId>,
}
