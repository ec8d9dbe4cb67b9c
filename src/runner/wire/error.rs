//! Why an envelope could not be read or written. No text repeats a part of the document, but for names of files.

use std::io;

use super::{OLDEST, PROTOCOL};
use crate::support::seal::{OpenError, SealError};

/// Why a document is not an envelope that this build can use.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Reading failed.
    #[error("the envelope cannot be read")]
    Read(#[source] io::Error),
    /// Too many bytes.
    #[error("the envelope is larger than {limit} bytes{detail}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// Of what.
        detail: &'static str,
    },
    /// Not JSON, or not of the right shape.
    #[error("the envelope is not a document of this protocol: {what} at line {line}, column {column}")]
    Malformed {
        /// The kind of fault.
        what: &'static str,
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// A wrapping that is two, or none.
    #[error("the envelope holds both a wrapping token and a place where one was deposited, or neither")]
    Ambiguous,
    /// Made by a build that is too new or too old.
    #[error(
        "the envelope has protocol {found}; this runner reads {OLDEST} to {PROTOCOL}: \
         the dispatcher and the runner must be at most one protocol apart"
    )]
    Protocol {
        /// The document's.
        found: u32,
    },
    /// A file's bytes do not unpack.
    #[error("the envelope's {part} cannot be unpacked")]
    Unpack {
        /// Which file.
        part: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not the one that was admitted.
    #[error("the envelope's {part} has the digest {found}, but {expected} was admitted")]
    Digest {
        /// Which file.
        part: String,
        /// What was admitted.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A context file's path would leave its folder.
    #[error("the envelope's context file `{path}` is not a plain relative path")]
    Path {
        /// The path.
        path: String,
    },
    /// It is encrypted, and there is nothing to open it with.
    #[error("the envelope is encrypted, and this runner was given no --identity to open it with")]
    Sealed,
    /// It is not encrypted, although it should be: somebody may have read it on its way, or put it in place of the real one.
    #[error("the envelope is not encrypted, although this runner was given an --identity to open it with")]
    NotSealed,
    /// It does not open.
    #[error("the envelope cannot be decrypted")]
    Unseal(#[source] OpenError),
    /// It could not be encrypted.
    #[error("the envelope cannot be encrypted")]
    Seal(#[source] SealError),
    /// Writing failed.
    #[error("the envelope cannot be written")]
    Write(#[source] io::Error),
}
