//! What admission asks of the journal, which stands above it: what is known of an id, when a change of the policy was first
//! seen, and which of them were seen approved. On the forge a review can be deleted later; here it stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::admission::checks::approval::Given;
use crate::admission::snapshot::Earlier;
use crate::forge::PullNumber;
use crate::support::ids::{ActionId, BlobId, CommitId};

/// The journal cannot answer.
#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be read")]
pub struct LedgerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A change of the policy that was approved, as that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedPolicy {
    /// The commit of the primary branch that made it.
    pub commit: CommitId,
    /// The pull request that brought it.
    pub pull_request: PullNumber,
    /// Its merge commit.
    pub merge: CommitId,
    /// Who approved what.
    pub given: Vec<Given>,
    /// The policy on which it was made: what stood where the request forked off.
    #[serde(default)]
    pub made_on: Option<BlobId>,
}

/// When something was seen first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// The head of the primary branch in which it was.
    pub head: CommitId,
    /// When.
    pub at: Timestamp,
}

/// The journal, as far as admission asks it.
#[async_trait]
pub trait Ledger: Debug + Send + Sync {
    /// What is known of each of `ids`. An id that was never seen is left out.
    async fn earlier(&self, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Earlier>, LedgerError>;

    /// What was kept of the change of the policy in `commit`.
    async fn approved_policy(&self, commit: &CommitId) -> Result<Option<ApprovedPolicy>, LedgerError>;

    /// Keeps that a change was seen approved. Whoever may only read keeps nothing.
    async fn keep_policy(&self, approved: &ApprovedPolicy) -> Result<(), LedgerError>;

    /// When each of these changes of the policy was first seen, by the commit that made it. One that is new is kept as seen `now`;
    /// whoever may only read keeps nothing and leaves it out.
    async fn policy_seen(&self, changes: &[CommitId], now: &Sight) -> Result<BTreeMap<CommitId, Sight>, LedgerError>;
}
