//! Where the forge is and who asks: the address by the config, and the token, which is read again at each use, so that a rotated
//! one counts at once, and is never printable.

use std::io;
use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::error::ForgeError;
use crate::config::Config;
use crate::support::keepsake::{self, KeepsakeError};

/// The repository that is asked about, and the API that answers.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// `https://host/base/api/v1/`
    pub(super) api: Url,
    pub(super) owner: String,
    pub(super) name: String,
}

/// Which of the two users asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// The one that only reads: for admission.
    Reader,
    /// The one that tells: statuses, comments, new requests. Without a token of its own it is the reader.
    Teller,
}

impl Address {
    /// By `[forge]`, and `ops.remote` for what is not said there.
    pub(super) fn of(config: &Config) -> Result<Self, ForgeError> {
        let (derived_base, derived_repository) = derived(&config.ops.remote);
        let repository = config.forge.repository.clone().or(derived_repository);
        let Some((owner, name)) = repository.as_deref().and_then(split) else {
            return Err(setting("forge.repository", "write it as `owner/name`; `ops.remote` does not say it"));
        };
        let Some(base) = config.forge.url.clone().or(derived_base) else {
            return Err(setting("forge.url", "it is not set, and `ops.remote` is not reached over HTTP"));
        };
        Ok(Self { api: api(&base)?, owner: owner.to_owned(), name: name.to_owned() })
    }
}

fn setting(key: &'static str, why: &str) -> ForgeError {
    ForgeError::Setting { key, why: why.to_owned() }
}

fn split(repository: &str) -> Option<(&str, &str)> {
    let plain = |part: &str| !part.is_empty() && !matches!(part, "." | "..");
    repository.split_once('/').filter(|(owner, name)| plain(owner) && plain(name) && !name.contains('/'))
}

/// The base address and `owner/name`, as far as a remote shows them.
fn derived(remote: &str) -> (Option<String>, Option<String>) {
    let trimmed = remote.trim_end_matches('/');
    let trimmed = trimmed.strip_suffix(".git").unwrap_or(trimmed);
    let Some((rest, name)) = trimmed.rsplit_once('/') else { return (None, None) };
    let Some(at) = rest.rfind(['/', ':']) else { return (None, None) };
    let (base, owner) = (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default());
    let base = (base.starts_with("http://") || base.starts_with("https://")).then(|| base.to_owned());
    (base, Some(format!("{owner}/{name}")))
}

fn api(base: &str) -> Result<Url, ForgeError> {
    let refused = |why: &str| setting("forge.url", why);
    let mut url = Url::parse(base.trim_end_matches('/')).map_err(|_| refused("it is not an address"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refused("it must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it holds a login; put the token into a file and name that as `forge.token_file`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("it has a `?` or `#` in it"));
    }
    url.path_segments_mut().map_err(|()| refused("it has no path"))?.pop_if_empty().extend(["api", "v1"]);
    Ok(url)
}

/// Where a token is read from.
#[derive(Debug, Clone)]
pub(super) enum Token {
    File(PathBuf),
    Environment(String),
    /// None is configured: what everybody may see can still be asked.
    Nobody,
}

impl Token {
    pub(super) fn of(config: &Config, who: As) -> Self {
        let forge = &config.forge;
        let reader = Self::from(forge.token_file.as_ref(), forge.token_env.as_ref());
        match who {
            As::Reader => reader.unwrap_or(Self::Nobody),
            As::Teller => Self::from(forge.write_token_file.as_ref(), forge.write_token_env.as_ref())
                .or(reader)
                .unwrap_or(Self::Nobody),
        }
    }

    fn from(file: Option<&PathBuf>, name: Option<&String>) -> Option<Self> {
        file.cloned().map(Self::File).or_else(|| name.cloned().map(Self::Environment))
    }

    /// The token as it is now.
    pub(super) fn read(&self) -> Result<Option<Login>, ForgeError> {
        let (from, read) = match self {
            Self::File(file) => (file.display().to_string(), keepsake::read(Some(file), None)),
            Self::Environment(name) => (format!("${name}"), keepsake::read(None, Some(name))),
            Self::Nobody => return Ok(None),
        };
        let token = read.map_err(|KeepsakeError { from, source }| ForgeError::Token { from, source })?;
        token.map(Login::new).transpose().map_err(|why| {
            let source = io::Error::new(io::ErrorKind::InvalidData, why);
            ForgeError::Token { from, source }
        })
    }
}

/// A token as it goes into a request.
#[derive(Debug)]
pub(super) struct Login(SecretString);

impl Login {
    fn new(token: SecretString) -> Result<Self, &'static str> {
        if token.expose_secret().contains(' ') { Err("it holds a space") } else { Ok(Self(token)) }
    }

    /// `token …`; `None` where a header cannot hold it.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("token {}", self.0.expose_secret()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// `text` without the token: a server may send back what it was sent.
    pub(super) fn scrub(&self, text: &str) -> String {
        text.replace(self.0.expose_secret(), "***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(value: serde_json::Value) -> Config {
        serde_json::from_value(value).unwrap()
    }

    fn address(remote: &str) -> Result<(String, String), ForgeError> {
        let found = Address::of(&config(serde_json::json!({ "ops": { "remote": remote } })))?;
        Ok((found.api.to_string(), format!("{}/{}", found.owner, found.name)))
    }

    #[test]
    fn the_forge_is_where_the_ops_repo_is_unless_the_config_says_otherwise() {
        let at = |remote| address(remote).unwrap();
        assert_eq!(at("https://h:3000/o/r.git"), ("https://h:3000/api/v1".to_owned(), "o/r".to_owned()));
        assert_eq!(at("http://h/forge/o/r"), ("http://h/forge/api/v1".to_owned(), "o/r".to_owned()));
        assert!(address("git@h:o/r.git").unwrap_err().to_string().contains("forge.url"));
        let said = serde_json::json!({
            "ops": { "remote": "git@h:o/r.git" }, "forge": { "url": "https://h/sub/", "repository": "a/b" }
        });
        let found = Address::of(&config(said)).unwrap();
        assert_eq!((found.api.as_str(), found.owner.as_str()), ("https://h/sub/api/v1", "a"));
    }

    #[test]
    fn a_login_in_the_address_is_refused_and_not_repeated() {
        let said = serde_json::json!({ "ops": { "remote": "/srv/x" }, "forge": { "url": "https://u:s3cr3t@h", "repository": "a/b" } });
        let error = Address::of(&config(said)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_token_shows_itself_neither_in_debug_nor_in_what_a_server_sent_back() {
        let login = Login::new(SecretString::from("s3cr3t")).unwrap();
        assert!(!format!("{login:?} {:?}", login.header().unwrap()).contains("s3cr3t"));
        assert_eq!(login.scrub("no such user s3cr3t"), "no such user ***");
        assert!(Login::new(SecretString::from("two words")).is_err());
    }

    #[test]
    fn the_teller_without_a_token_of_its_own_is_the_reader() {
        let both = config(serde_json::json!({
            "ops": { "remote": "/x" }, "forge": { "token_env": "READ", "write_token_env": "WRITE" }
        }));
        assert!(matches!(Token::of(&both, As::Teller), Token::Environment(name) if name == "WRITE"));
        let one = config(serde_json::json!({ "ops": { "remote": "/x" }, "forge": { "token_env": "READ" } }));
        assert!(matches!(Token::of(&one, As::Teller), Token::Environment(name) if name == "READ"));
    }
}
