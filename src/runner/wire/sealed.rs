//! The document encrypted to the runner's own age key, for a place that keeps it where others may read it: then not even the
//! wrapping token shows there. It hides; it does not prove who wrote it: anybody can encrypt to a public key.

use std::io::Read;

use super::{EnvelopeError, MAX_DOCUMENT, whole};
use crate::runner::envelope::Envelope;
use crate::support::seal::{self, Identities};

impl Envelope {
    /// [`Envelope::to_handover`], encrypted to `recipient` (`age1…`).
    ///
    /// # Errors
    /// As there, or `recipient` is none.
    pub fn to_sealed_handover(&self, recipient: &str) -> Result<Vec<u8>, EnvelopeError> {
        seal::seal_for(recipient, &self.to_handover()?).map_err(EnvelopeError::Seal)
    }

    /// [`Envelope::read_handover`] of a document that was encrypted to one of `identities`. One that was not is refused: who gives
    /// a runner a key means that nothing is handed over in the clear.
    ///
    /// # Errors
    /// When it cannot be read, decrypted or used.
    pub fn read_sealed_handover(source: impl Read, identities: &Identities) -> Result<Self, EnvelopeError> {
        let bytes = whole(source)?;
        if !seal::looks_sealed(&bytes) {
            return Err(EnvelopeError::NotSealed);
        }
        let most = usize::try_from(MAX_DOCUMENT + 1).unwrap_or(usize::MAX);
        Self::from_handover(&identities.open(&bytes, most).map_err(EnvelopeError::Unseal)?)
    }
}
