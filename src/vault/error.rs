//! Every way in which Vault does not do what it was asked, in words that an operator can act on. None of them holds a token, a
//! secret or a body: the server's own words pass `scrub` first.

use std::time::Duration;

use crate::support::http::HttpError;

/// Settings from which no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not an address of a server.
    #[error("`{address}` is not an address of a Vault server: {rule}; write it like `https://vault.example.org:8200`")]
    Address {
        /// What was given, without what may be a password in it.
        address: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Not a namespace.
    #[error("the namespace of Vault holds characters that no header can carry")]
    Namespace,
    /// Not a token.
    #[error("the token for Vault is empty or holds characters that no token has (a line break, perhaps)")]
    Token,
    /// The HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// A call that was refused, or whose answer did not come.
#[derive(Debug, thiserror::Error)]
#[error("Vault at {address}, {call}")]
pub struct VaultError {
    /// The server.
    pub address: String,
    /// Method and path, without a query.
    pub call: String,
    /// What happened.
    #[source]
    pub why: Why,
}

/// What happened to a call.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// No connection: nothing was sent.
    #[error("no connection to the server")]
    Unreachable(#[source] reqwest::Error),
    /// The request was sent, and no answer came in time.
    #[error("no answer in time; whether it was done is not known")]
    Slow,
    /// The request was sent, and the answer broke off or never came.
    #[error("the answer was lost; whether it was done is not known")]
    Lost(#[source] reqwest::Error),
    /// 503. Calls cannot tell the two apart; [`super::sys::Health`] can.
    #[error("it is sealed, or was never initialised: unseal it (`vault operator unseal`)")]
    Sealed,
    /// 472, 473, 474, or the second in which a leader is chosen.
    #[error("this node is a standby, and no active node answers it")]
    NoLeader,
    /// 429 by a quota.
    #[error("a rate limit of the server refuses it for now{}", after(*retry_after))]
    Busy {
        /// `Retry-After`, where the server says it.
        retry_after: Option<Duration>,
    },
    /// Another 5xx.
    #[error("it failed inside the server with status {status}{}", said(words))]
    Server {
        /// The status.
        status: u16,
        /// What the server says.
        words: String,
    },
    /// A 500 or 413 about the request itself: it will be refused again, however long one waits.
    #[error("the server cannot take the request as it is, and waiting does not help{}", said(words))]
    Malformed {
        /// What the server says.
        words: String,
    },
    /// 403 with a good token.
    #[error(
        "permission denied: the token's policies do not give `{capability}` on `{path}`, or not with these parameters"
    )]
    Denied {
        /// The capability that the call needs.
        capability: &'static str,
        /// Where.
        path: String,
    },
    /// 403 `invalid token`.
    #[error("the token is expired, revoked, used up, or of another server")]
    TokenDead,
    /// 403 for want of a token: none was sent, or it is bound to other addresses than this machine's.
    #[error("the server sees no token that is valid from here (absent, or bound to other addresses)")]
    NoToken,
    /// The wrapping is used, expired, revoked, or never was: the server does not say which.
    #[error("the wrapping token is not valid (used, expired or revoked)")]
    WrappingGone,
    /// No living token has this accessor.
    #[error("no living token has this accessor")]
    NoSuchAccessor,
    /// 404.
    #[error("there is nothing at `{path}`{}", said(words))]
    NotFound {
        /// Where.
        path: String,
        /// What the server says.
        words: String,
    },
    /// Another 4xx.
    #[error("refused with status {status}{}", said(words))]
    Refused {
        /// The status.
        status: u16,
        /// What the server says.
        words: String,
    },
    /// 3xx to where no token of ours goes.
    #[error("the server sends us on to `{to}`, which is not a configured address, so the token does not go there")]
    Redirect {
        /// Scheme, host and port of the other.
        to: String,
    },
    /// An answer, but not Vault's, or not to this call.
    #[error("the answer is not what this call has: {expected} was expected")]
    Unexpected {
        /// What was.
        expected: &'static str,
    },
}

/// Whether what was asked for has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It has not.
    None,
    /// It may have.
    Unknown,
}

impl Why {
    /// Whether the same call may succeed later without anyone changing what is asked, or who may. A dead token and a denied path
    /// are for the caller: one logs in anew, the other calls a person.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::Slow
                | Self::Lost(_)
                | Self::Sealed
                | Self::NoLeader
                | Self::Busy { .. }
                | Self::Server { .. }
                | Self::Redirect { .. }
        )
    }

    /// What is known of the effect: a mint with an [`Effect::Unknown`] may have made a token, an unwrap is spent.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Slow | Self::Lost(_) | Self::Server { .. } | Self::Unexpected { .. } => Effect::Unknown,
            _ => Effect::None,
        }
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } => *retry_after,
            _ => None,
        }
    }
}

fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" ({words})") }
}

fn after(seconds: Option<Duration>) -> String {
    seconds.map_or_else(String::new, |wait| format!("; it asks for {} s of patience", wait.as_secs()))
}
