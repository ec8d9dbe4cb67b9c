//! Why nothing could be gathered.

use super::ledger::LedgerError;
use crate::ops::OpsError;

/// Why a batch could not be looked at. All of its actions wait.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The mirror did not answer.
    #[error("reading the ops repo")]
    Ops(#[from] OpsError),
    /// The journal did not answer.
    #[error("asking the journal")]
    Ledger(#[from] LedgerError),
    /// The forge did not answer.
    #[error("asking the forge: {detail}")]
    Forge {
        /// Why.
        detail: String,
    },
}
