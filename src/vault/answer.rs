//! What comes back. These types have no `Debug`, and the errors of parsing are dropped: serde quotes what it found.

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use super::client::Token;
use super::error::Why;

/// The frame of nearly every answer of Vault.
#[derive(Deserialize)]
pub struct Answer {
    /// The answer itself.
    #[serde(default)]
    pub data: Option<Value>,
    /// A token that was made or opened.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// The wrapping that was made in place of an answer.
    #[serde(default)]
    pub wrap_info: Option<WrapInfo>,
    /// What the server would have liked otherwise.
    #[serde(default)]
    pub warnings: Option<Vec<String>>,
}

/// A token, with what it is worth.
#[derive(Deserialize)]
pub struct Auth {
    /// The token.
    pub client_token: Token,
    /// Its accessor.
    pub accessor: String,
    /// Its policies, in lower case and sorted.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Seconds that it lives from when it was made; 0: for ever.
    pub lease_duration: u64,
    /// Whether it can be renewed.
    #[serde(default)]
    pub renewable: bool,
}

/// A wrapping, as its maker sees it.
#[derive(Deserialize)]
pub struct WrapInfo {
    /// The single-use token that opens it.
    pub token: Token,
    /// That token's accessor: alive as long as nobody has opened it.
    pub accessor: String,
    /// Seconds that it lives.
    pub ttl: u64,
    /// When it was made, to the nanosecond: with the path, what its lookup answers.
    pub creation_time: String,
    /// The path that made it.
    pub creation_path: String,
    /// The accessor of the token inside, where there is one.
    #[serde(default)]
    pub wrapped_accessor: Option<String>,
}

/// The bytes of an answer, wiped when they are dropped.
pub(super) struct Body(pub(super) Zeroizing<Vec<u8>>);

impl Body {
    /// As `T`, or that it is not `expected`.
    pub(super) fn parse<T: DeserializeOwned>(&self, expected: &'static str) -> Result<T, Why> {
        serde_json::from_slice(&self.0).map_err(|_| Why::Unexpected { expected })
    }
}

impl Answer {
    /// `data` as `T`, or that it is not `expected`.
    pub(super) fn data<T: DeserializeOwned>(self, expected: &'static str) -> Result<T, Why> {
        let data = self.data.ok_or(Why::Unexpected { expected })?;
        T::deserialize(data).map_err(|_| Why::Unexpected { expected })
    }
}

/// A text of an answer as a secret; the answer keeps no copy.
pub(super) fn take_secret(mut text: String) -> SecretString {
    let secret = SecretString::from(text.as_str());
    text.zeroize();
    secret
}
