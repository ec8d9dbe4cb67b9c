//! A secret of the dispatcher's own (a login, a webhook's key): named by a file or by an environment variable, read anew at each
//! use, so that a rotated one counts at once, and never printable.

use std::io;
use std::path::Path;

use secrecy::SecretString;
use zeroize::Zeroizing;

/// The secret could not be read. Says where it was looked for, and never what was found.
#[derive(Debug, thiserror::Error)]
#[error("reading {from}")]
pub struct KeepsakeError {
    /// The file, or `$NAME`.
    pub from: String,
    /// What went wrong.
    #[source]
    pub source: io::Error,
}

/// Reads what `file` holds, else the variable `variable`, without the newline at the end; `None` where neither is named.
///
/// # Errors
/// [`KeepsakeError`]: it is not there, or holds control characters, with which it could smuggle a header.
pub fn read(file: Option<&Path>, variable: Option<&str>) -> Result<Option<SecretString>, KeepsakeError> {
    let (from, read) = match (file, variable) {
        (Some(file), _) => (file.display().to_string(), std::fs::read_to_string(file)),
        (None, Some(name)) => (format!("${name}"), std::env::var(name).map_err(io::Error::other)),
        (None, None) => return Ok(None),
    };
    let text = match read {
        Ok(text) => Zeroizing::new(text),
        Err(source) => return Err(KeepsakeError { from, source }),
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.chars().any(char::is_control) {
        let source = io::Error::new(io::ErrorKind::InvalidData, "it holds control characters");
        return Err(KeepsakeError { from, source });
    }
    Ok(Some(SecretString::from(text)))
}
