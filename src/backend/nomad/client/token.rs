//! The token: read again for each request, so that a rotated one counts at once, and never printable.

use std::io;
use std::path::PathBuf;

use secrecy::SecretString;
use zeroize::Zeroizing;

/// Where the token comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TokenSource {
    /// A server without ACLs.
    #[default]
    None,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
}

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {from}")]
pub struct TokenError {
    /// The file or variable.
    pub from: String,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl TokenSource {
    /// The token as it stands now.
    pub(super) fn read(&self) -> Result<Option<SecretString>, TokenError> {
        let (from, read) = match self {
            Self::None => return Ok(None),
            Self::File(path) => (path.display().to_string(), std::fs::read_to_string(path)),
            Self::Environment(name) => (format!("${name}"), std::env::var(name).map_err(io::Error::other)),
        };
        let failed = |source| TokenError { from: from.clone(), source };
        let text = Zeroizing::new(read.map_err(failed)?);
        let token = text.trim();
        if token.is_empty() || token.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it holds no token")));
        }
        Ok(Some(SecretString::from(token)))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_rotated_token_counts_at_the_next_request() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = TokenSource::File(file.path().to_owned());
        for token in ["first", "second"] {
            std::fs::write(file.path(), format!("{token}\n")).unwrap();
            assert_eq!(source.read().unwrap().unwrap().expose_secret(), token);
        }
        std::fs::write(file.path(), "two lines\nX-Admin: 1").unwrap();
        assert!(source.read().is_err());
    }
}
