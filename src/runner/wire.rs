//! The envelope as bytes: versioned JSON, files in base64 (formula and context compressed), written by the dispatcher's backend
//! and read by the runner. The only place where secrets become part of a document, by an explicit call.
//!
//! What is read is foreign: sizes are bounded before anything is unpacked, every digest is checked, and no error text repeats
//! a part of the document, since any part could be a secret that stands in the wrong place.

use std::collections::BTreeMap;
use std::io::{self, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::envelope::{Envelope, FormulaKind, Limits, PROTOCOL, Sealed};
use crate::support::ids::{FormulaName, LaunchKey, MountName, RunId, sha256_hex};
use crate::support::seal;
use handover::{Given, Taken};

mod error;
mod handover;
mod sealed;

pub use error::EnvelopeError;

/// The oldest protocol that is still read: the one before the present, once there is one.
const OLDEST: u32 = if PROTOCOL > 1 { PROTOCOL - 1 } else { PROTOCOL };

/// All files of an envelope together, unpacked.
pub const MAX_DECODED: u64 = 16 * 1024 * 1024;

/// The document itself. Base64 makes four bytes of three; the rest is for names and parameters.
pub const MAX_DOCUMENT: u64 = 24 * 1024 * 1024;

/// A frame may ask its reader for a window of this size (log2) and no more: 8 MiB, what the encoder uses at its highest levels.
const MAX_WINDOW_LOG: u32 = 23;

#[derive(Deserialize)]
struct Version {
    protocol: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zstd: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Mechanical,
    Agent,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    timeout_seconds: u64,
    grace_seconds: u64,
}

/// The document without its secrets; `S` is what stands in their place.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<S> {
    protocol: u32,
    run: RunId,
    key: LaunchKey,
    slot: u32,
    action: File,
    formula: FormulaName,
    kind: Kind,
    script: File,
    context_files: BTreeMap<String, File>,
    params: BTreeMap<String, String>,
    mounts: BTreeMap<MountName, String>,
    environment: BTreeMap<String, String>,
    handover: S,
    limits: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    working_directory: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

impl Envelope {
    /// The document to hand over, **with the secrets in it**: for a private channel only. The buffer is wiped when dropped.
    ///
    /// # Errors
    /// When compression fails, or the result is larger than a runner reads.
    pub fn to_handover(&self) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
        let given = Given::of(&self.handover);
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.encoded_size()? + given.room()));
        serde_json::to_writer(&mut *bytes, &self.document(given)?)
            .map_err(|error| EnvelopeError::Write(error.into()))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(EnvelopeError::TooLarge { limit: MAX_DOCUMENT, detail: "" });
        }
        Ok(bytes)
    }

    /// The size of the document without its secrets, in bytes: for limits that hold before anything is granted.
    ///
    /// # Errors
    /// When compression fails.
    pub fn encoded_size(&self) -> Result<usize, EnvelopeError> {
        let document = self.document(Given::nothing())?;
        Ok(serde_json::to_vec(&document).map_err(|error| EnvelopeError::Write(error.into()))?.len())
    }

    fn document<S>(&self, handover: S) -> Result<Document<S>, EnvelopeError> {
        Ok(Document {
            protocol: self.protocol,
            run: self.run.clone(),
            key: self.key.clone(),
            slot: self.slot,
            action: plain(&self.action),
            formula: self.formula.clone(),
            kind: match self.kind {
                FormulaKind::Mechanical => Kind::Mechanical,
                FormulaKind::Agent => Kind::Agent,
            },
            script: packed(&self.script)?,
            context_files: self
                .context_files
                .iter()
                .map(|(path, file)| Ok((path.clone(), packed(file)?)))
                .collect::<Result<_, EnvelopeError>>()?,
            params: self.params.clone(),
            mounts: self.mounts.clone(),
            environment: self.environment.clone(),
            handover,
            limits: Time { timeout_seconds: self.limits.timeout_seconds, grace_seconds: self.limits.grace_seconds },
            working_directory: self.working_directory.clone(),
            traceparent: self.traceparent.clone(),
        })
    }

    /// Reads a document from `source` up to the largest size allowed, then as [`Envelope::from_handover`].
    ///
    /// # Errors
    /// When it cannot be read or used, or is encrypted.
    pub fn read_handover(source: impl Read) -> Result<Self, EnvelopeError> {
        let bytes = whole(source)?;
        if seal::looks_sealed(&bytes) {
            return Err(EnvelopeError::Sealed);
        }
        Self::from_handover(&bytes)
    }

    /// Reads a document back, checking protocol, sizes, digests and paths.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_handover(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(EnvelopeError::TooLarge { limit: MAX_DOCUMENT, detail: "" });
        }
        let Version { protocol } = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        if !(OLDEST..=PROTOCOL).contains(&protocol) {
            return Err(EnvelopeError::Protocol { found: protocol });
        }
        let document: Document<Taken> = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        let mut room = Room(MAX_DECODED);
        Ok(Self {
            protocol,
            action: room.unpack("action", &document.action)?,
            script: room.unpack("formula", &document.script)?,
            context_files: room.unpack_all(document.context_files)?,
            run: document.run,
            key: document.key,
            slot: document.slot,
            formula: document.formula,
            kind: match document.kind {
                Kind::Mechanical => FormulaKind::Mechanical,
                Kind::Agent => FormulaKind::Agent,
            },
            params: document.params,
            mounts: document.mounts,
            environment: document.environment,
            handover: document.handover.into_handover().ok_or(EnvelopeError::Ambiguous)?,
            limits: Limits {
                timeout_seconds: document.limits.timeout_seconds,
                grace_seconds: document.limits.grace_seconds,
            },
            working_directory: document.working_directory,
            traceparent: document.traceparent,
        })
    }
}

fn whole(source: impl Read) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let mut bytes = Zeroizing::new(Vec::new());
    source.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(EnvelopeError::Read)?;
    Ok(bytes)
}

fn plain(file: &Sealed) -> File {
    File { sha256: file.sha256.clone(), base64: Some(STANDARD.encode(&file.bytes)), zstd: None }
}

/// In one piece: zstd then knows how much there is, and takes tables to match. As a stream, a script of ten bytes costs it more
/// than a megabyte in each thread that ever launched a run.
fn packed(file: &Sealed) -> Result<File, EnvelopeError> {
    let bytes = zstd::bulk::compress(&file.bytes, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(EnvelopeError::Write)?;
    Ok(File { sha256: file.sha256.clone(), base64: None, zstd: Some(STANDARD.encode(bytes)) })
}

/// Serde's own text may quote what it found.
fn malformed(error: &serde_json::Error) -> EnvelopeError {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Eof => "it ends early",
        Category::Data => "a field is missing, unknown or of the wrong type",
        Category::Syntax | Category::Io => "it is not JSON",
    };
    EnvelopeError::Malformed { what, line: error.line(), column: error.column() }
}

/// How many unpacked bytes may still come.
struct Room(u64);

impl Room {
    fn unpack_all(&mut self, files: BTreeMap<String, File>) -> Result<BTreeMap<String, Sealed>, EnvelopeError> {
        let mut found = BTreeMap::new();
        for (path, file) in files {
            if !is_plain_path(&path) {
                return Err(EnvelopeError::Path { path: path.chars().take(160).collect() });
            }
            let sealed = self.unpack(&format!("context file `{path}`"), &file)?;
            found.insert(path, sealed);
        }
        Ok(found)
    }

    fn unpack(&mut self, part: &str, file: &File) -> Result<Sealed, EnvelopeError> {
        let bytes = self.bytes(file).map_err(|source| EnvelopeError::Unpack { part: part.to_owned(), source })?;
        self.0 = self
            .0
            .checked_sub(bytes.len() as u64)
            .ok_or(EnvelopeError::TooLarge { limit: MAX_DECODED, detail: " when its files are unpacked" })?;
        let found = sha256_hex(&bytes);
        if found != file.sha256 {
            let expected = file.sha256.chars().take(64).collect();
            return Err(EnvelopeError::Digest { part: part.to_owned(), expected, found });
        }
        Ok(Sealed { sha256: found, bytes })
    }

    /// At most one byte more than there is room for.
    fn bytes(&self, file: &File) -> io::Result<Vec<u8>> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e));
        match (&file.base64, &file.zstd) {
            (Some(text), None) => decode(text),
            (None, Some(text)) => {
                let packed = decode(text)?;
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed.as_slice())?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                let mut bytes = Vec::new();
                decoder.take(self.0 + 1).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "exactly one of `base64` and `zstd` is needed")),
        }
    }
}

/// Relative, without `.`, `..`, empty parts or NUL.
fn is_plain_path(path: &str) -> bool {
    path.len() <= 4096
        && !path.contains('\0')
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part.len() <= 255)
}

#[cfg(test)]
mod tests;
