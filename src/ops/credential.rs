//! The login for HTTP(S): read again at each use, so that a rotated token counts at once, and never printable.

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::error::OpsError;
use crate::config::types::Credential;
use crate::support::keepsake::{self, KeepsakeError};

/// The value of an `Authorization` header.
#[derive(Debug)]
pub(super) struct Login {
    header: SecretString,
    /// What must not appear in any text that leaves this module.
    secrets: [SecretString; 2],
}

impl Login {
    /// Reads the password of `credential` now.
    pub(super) fn read(credential: &Credential) -> Result<Self, OpsError> {
        let password = password(credential)?;
        let plain = Zeroizing::new(format!("{}:{}", credential.username, password.expose_secret()));
        let encoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(plain.as_bytes()));
        Ok(Self {
            header: SecretString::from(format!("Basic {}", encoded.as_str())),
            secrets: [password, SecretString::from(encoded.as_str())],
        })
    }

    /// `Basic …`
    pub(super) fn header(&self) -> &SecretString {
        &self.header
    }

    /// `text` without the password, plain or encoded: a server may send back what it was sent.
    pub(super) fn scrub(&self, text: &str) -> String {
        let hide = |text: String, secret: &SecretString| match secret.expose_secret() {
            "" => text,
            value => text.replace(value, "***"),
        };
        self.secrets.iter().fold(text.to_owned(), hide)
    }
}

fn password(credential: &Credential) -> Result<SecretString, OpsError> {
    let read = keepsake::read(credential.password_file.as_deref(), credential.password_env.as_deref());
    let read = read.map_err(|KeepsakeError { from, source }| OpsError::Credential { from, source })?;
    Ok(read.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(password: &str) -> (tempfile::NamedTempFile, Credential) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), password).unwrap();
        let path = Some(file.path().to_owned());
        (file, Credential { username: "bot".into(), password_file: path, password_env: None })
    }

    #[test]
    fn the_newline_at_the_end_of_a_password_file_is_not_part_of_it() {
        let (_file, credential) = credential("s3cr3t\n");
        assert_eq!(Login::read(&credential).unwrap().header().expose_secret(), "Basic Ym90OnMzY3IzdA==");
    }

    #[test]
    fn a_login_shows_itself_neither_in_debug_nor_in_text_that_a_server_sent_back() {
        let (_file, credential) = credential("s3cr3t");
        let login = Login::read(&credential).unwrap();
        assert!(!format!("{login:?}").contains("s3cr3t"));
        assert_eq!(login.scrub("you sent s3cr3t as Ym90OnMzY3IzdA=="), "you sent *** as ***");
    }

    #[test]
    fn a_password_of_two_lines_cannot_smuggle_a_header() {
        let (_file, credential) = credential("s3cr3t\nX-Admin: 1");
        let error = Login::read(&credential).unwrap_err();
        assert!(!format!("{error:?}").contains("s3cr3t"));
    }
}
