//! The part of the document that holds secrets: written from a [`Handover`] and read back into one, by `wire` alone. Its types
//! are `Serialize` so that those of the envelope need not be, and wipe what they held.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use crate::runner::envelope::{Deposit, Handover, Opens, SecretPlace, Wrapped, WrappingToken};
use crate::support::ids::SecretName;

/// What goes into the document.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Given<'a> {
    Values(BTreeMap<&'a SecretName, &'a str>),
    Wrapped(Box<Wrapping<&'a str>>),
}

/// What comes out of it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Taken {
    Values(BTreeMap<SecretName, WireSecret>),
    Wrapped(Box<Wrapping<WireSecret>>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wrapping<T> {
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deposit: Option<Deposit>,
    creation_path: String,
    creation_time: String,
    ttl_seconds: u64,
    opens: Contents,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Contents {
    Grant { accessor: String, secrets: BTreeMap<SecretName, SecretPlace> },
    Nonce(String),
}

/// A value on its way from the document into a [`SecretString`]; wiped when dropped.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct WireSecret(String);

impl Drop for WireSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<'a> Given<'a> {
    /// A handover without any secret.
    pub(super) fn nothing() -> Self {
        Self::Values(BTreeMap::new())
    }

    pub(super) fn of(handover: &'a Handover) -> Self {
        match handover {
            Handover::Values(values) => {
                Self::Values(values.iter().map(|(name, value)| (name, value.expose_secret())).collect())
            }
            Handover::Wrapped(wrapped) => Self::Wrapped(Box::new(Wrapping {
                address: wrapped.address.clone(),
                namespace: wrapped.namespace.clone(),
                ca_pem: wrapped.ca_pem.clone(),
                token: match &wrapped.token {
                    WrappingToken::Carried(token) => Some(token.expose_secret()),
                    WrappingToken::Deposited(_) => None,
                },
                deposit: match &wrapped.token {
                    WrappingToken::Carried(_) => None,
                    WrappingToken::Deposited(deposit) => Some(deposit.clone()),
                },
                creation_path: wrapped.creation_path.clone(),
                creation_time: wrapped.creation_time.clone(),
                ttl_seconds: wrapped.ttl_seconds,
                opens: (&wrapped.opens).into(),
            })),
        }
    }

    /// Room for it with each byte escaped as \u00XX, so that the buffer that it is written to never moves and leaves a copy of a
    /// secret behind.
    pub(super) fn room(&self) -> usize {
        match self {
            Self::Values(values) => values.iter().map(|(name, value)| name.as_str().len() + 6 * value.len() + 8).sum(),
            Self::Wrapped(wrapping) => 6 * (wrapping.token.map_or(0, str::len) + wrapping.rest()) + 512,
        }
    }
}

impl<T> Wrapping<T> {
    /// How long everything but the token is.
    fn rest(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let opens = match &self.opens {
            Contents::Nonce(nonce) => nonce.len(),
            Contents::Grant { accessor, secrets } => {
                let places =
                    secrets.iter().map(|(name, place)| name.as_str().len() + place.path.len() + place.field.len());
                accessor.len() + places.map(|length| length + 32).sum::<usize>()
            }
        };
        let plain = self.address.len() + self.creation_path.len() + self.creation_time.len();
        let deposit = self.deposit.as_ref().map_or(0, |at| at.mount.len() + at.role.len() + at.folder.len());
        plain + deposit + optional(&self.namespace) + optional(&self.ca_pem) + opens
    }
}

impl From<&Opens> for Contents {
    fn from(opens: &Opens) -> Self {
        match opens {
            Opens::Grant { accessor, secrets } => Self::Grant { accessor: accessor.clone(), secrets: secrets.clone() },
            Opens::Nonce(nonce) => Self::Nonce(nonce.clone()),
        }
    }
}

impl From<Contents> for Opens {
    fn from(contents: Contents) -> Self {
        match contents {
            Contents::Grant { accessor, secrets } => Self::Grant { accessor, secrets },
            Contents::Nonce(nonce) => Self::Nonce(nonce),
        }
    }
}

impl Taken {
    /// What it says; `None` where it holds a token as well as a place to find one, or neither.
    pub(super) fn into_handover(self) -> Option<Handover> {
        match self {
            Self::Values(values) => {
                let values = values.into_iter().map(|(name, value)| (name, SecretString::from(value.0.as_str())));
                Some(Handover::Values(values.collect()))
            }
            Self::Wrapped(wrapping) => Some(Handover::Wrapped(Box::new(Wrapped {
                token: match (wrapping.token, wrapping.deposit) {
                    (Some(token), None) => WrappingToken::Carried(SecretString::from(token.0.as_str())),
                    (None, Some(deposit)) => WrappingToken::Deposited(deposit),
                    _ => return None,
                },
                address: wrapping.address,
                namespace: wrapping.namespace,
                ca_pem: wrapping.ca_pem,
                creation_path: wrapping.creation_path,
                creation_time: wrapping.creation_time,
                ttl_seconds: wrapping.ttl_seconds,
                opens: wrapping.opens.into(),
            }))),
        }
    }
}
