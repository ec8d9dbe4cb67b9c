//! What admission asks of the journal, which stands above it: what is known of an id.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use async_trait::async_trait;

use crate::admission::snapshot::Earlier;
use crate::support::ids::ActionId;

/// The journal cannot answer.
#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be read")]
pub struct LedgerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The journal, as far as admission asks it.
#[async_trait]
pub trait Ledger: Debug + Send + Sync {
    /// What is known of each of `ids`. An id that was never seen is left out.
    async fn earlier(&self, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Earlier>, LedgerError>;
}
