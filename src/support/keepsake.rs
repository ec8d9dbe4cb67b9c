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
/// [`KeepsakeError`]: it is not there, is empty, as one is whose file is being written, or holds control characters, with which it
/// could smuggle a header.
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
    let wrong = match text {
        "" => Some("it is empty"),
        _ if text.chars().any(char::is_control) => Some("it holds control characters"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(KeepsakeError { from, source: io::Error::new(io::ErrorKind::InvalidData, wrong) });
    }
    Ok(Some(SecretString::from(text)))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn of(content: &str) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let read = read(Some(file.path()), None).map_err(|error| error.source.to_string())?;
        Ok(read.unwrap().expose_secret().to_owned())
    }

    #[test]
    fn it_is_what_stands_in_the_file_without_the_newline_and_never_nothing() {
        assert_eq!(of("s3cr3t\n").unwrap(), "s3cr3t");
        assert_eq!(of("\n").unwrap_err(), "it is empty");
        assert_eq!(of("two\nlines").unwrap_err(), "it holds control characters");
    }
}
