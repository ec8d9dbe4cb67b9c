//! The channel between dispatcher and supervisor: one document on stdin with its length before it, one word back.
//!
//! The length is what makes a half-delivered handover harmless: a dispatcher that dies while writing leaves a document that
//! is too short, and the supervisor goes away without having done anything.

use std::io::{self, Read};

use zeroize::Zeroizing;

use crate::runner::envelope::Envelope;
use crate::runner::wire::EnvelopeError;

/// What the supervisor says on its stdout once it holds the handover and is on record.
pub(super) const READY: &[u8] = b"ready\n";
/// A handover larger than this is no handover.
const MAX: u64 = 64 << 20;

/// The bytes to write to the supervisor.
pub(super) fn frame(envelope: &Envelope) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let document = envelope.to_handover()?;
    let mut framed = Zeroizing::new(Vec::with_capacity(8 + document.len()));
    framed.extend_from_slice(&(document.len() as u64).to_be_bytes());
    framed.extend_from_slice(&document);
    Ok(framed)
}

/// Reads what [`frame`] made: the runner's document, whole, or an error.
pub(super) fn receive(mut from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = Some(u64::from_be_bytes(length)).filter(|length| *length <= MAX).ok_or(io::ErrorKind::InvalidData)?;
    let mut document = Zeroizing::new(vec![0; usize::try_from(length).map_err(io::Error::other)?]);
    from.read_exact(&mut document)?;
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handover_that_breaks_off_anywhere_is_none() {
        let framed = [&5_u64.to_be_bytes()[..], b"hello"].concat();
        for end in 0..framed.len() {
            assert!(receive(&framed[..end]).is_err(), "{end}");
        }
        assert_eq!(receive(&framed[..]).unwrap().as_slice(), b"hello");
    }

    #[test]
    fn a_length_that_cannot_be_is_refused_before_memory_is_taken() {
        assert!(receive(&u64::MAX.to_be_bytes()[..]).is_err());
    }
}
