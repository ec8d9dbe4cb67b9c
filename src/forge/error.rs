//! What can go wrong with the forge, by the step that failed, and what that means for trying again. No text here ever holds a
//! token.

use std::io;

use crate::support::http::HttpError;

/// What an error says about asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The same question gets the same answer until a person changes something.
    Permanent,
    /// It may go better in a moment, and nothing has happened.
    Transient,
    /// Nothing is known: the answer is no answer of a forge, or what was to be written may or may not be there.
    CannotTell,
}

/// Whether a call only reads, which decides what a lost answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Asked twice it does no harm.
    Reads,
    /// It may have happened.
    Writes,
}

/// The forge did not answer what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// A setting of `[forge]` is refused or missing.
    #[error("`{key}` is not usable: {why}")]
    Setting {
        /// The key in `dispatch.toml`.
        key: &'static str,
        /// The reason; never the address itself, which may hold a password.
        why: String,
    },
    /// The token cannot be had.
    #[error("reading the forge's token from {from}")]
    Token {
        /// The file or the environment variable.
        from: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Client(#[from] HttpError),
    /// No answer came.
    #[error("the forge did not answer when asked for {what}")]
    Send {
        /// What was asked for.
        what: String,
        /// Whether something may have happened.
        effect: Effect,
        /// What went wrong; without the address.
        #[source]
        source: reqwest::Error,
    },
    /// It is not there, or the token's user may not see it.
    #[error("the forge has no {what}, or the token's user may not see it{}", words(.said))]
    NotFound {
        /// What was asked for.
        what: String,
        /// Its words.
        said: String,
    },
    /// An answer that is no success.
    #[error("the forge answered {status} when asked for {what}{}{}", words(.said), hint(*.status))]
    Status {
        /// What was asked for.
        what: String,
        /// Whether something may have happened.
        effect: Effect,
        /// The HTTP status.
        status: u16,
        /// Its words, where they are JSON of a forge.
        said: String,
    },
    /// It sends us somewhere else, where the token does not go.
    #[error(
        "the forge sends elsewhere when asked for {what}: set `forge.url` and `forge.repository` to where it is now"
    )]
    Elsewhere {
        /// What was asked for.
        what: String,
    },
    /// An answer that no forge gives: a page of a proxy, another content type, a form that is not known.
    #[error("what came back when the forge was asked for {what} is not its answer: {why}")]
    NotAnAnswer {
        /// What was asked for.
        what: String,
        /// Whether something may have happened.
        effect: Effect,
        /// What was seen instead.
        why: String,
    },
    /// A list whose pages do not make up what the forge says it holds.
    #[error("the list of {what} was not read to its end: {why}")]
    Incomplete {
        /// What was asked for.
        what: String,
        /// What did not fit.
        why: String,
    },
}

fn words(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => " (check `forge.token_file` or FORGE_TOKEN; a forge that is stopping answers this too)",
        403 => " (the token's user or its scopes do not allow it)",
        423 => " (the repository is archived)",
        _ => "",
    }
}

impl ForgeError {
    /// What it says about asking again.
    pub fn class(&self) -> Class {
        match self {
            // A connection that was never made has carried nothing.
            Self::Send { source, .. } if source.is_connect() => Class::Transient,
            Self::Send { effect: Effect::Reads, .. }
            | Self::Status { status: 429, .. }
            | Self::Status { status: 500.., effect: Effect::Reads, .. } => Class::Transient,
            Self::Send { .. }
            | Self::Status { status: 500.. | 401, .. }
            | Self::NotAnAnswer { .. }
            | Self::Incomplete { .. } => Class::CannotTell,
            Self::Setting { .. }
            | Self::Token { .. }
            | Self::Client(_)
            | Self::NotFound { .. }
            | Self::Elsewhere { .. }
            | Self::Status { .. } => Class::Permanent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, effect: Effect) -> Class {
        ForgeError::Status { what: "it".to_owned(), effect, status, said: String::new() }.class()
    }

    #[test]
    fn an_inner_error_of_the_forge_is_worth_another_read_and_leaves_a_write_unknown() {
        assert_eq!(status(500, Effect::Reads), Class::Transient);
        assert_eq!(status(503, Effect::Writes), Class::CannotTell);
    }

    #[test]
    fn a_refused_token_may_be_a_forge_that_is_stopping_and_a_refused_right_is_for_a_person() {
        assert_eq!(status(401, Effect::Reads), Class::CannotTell);
        assert_eq!(status(403, Effect::Reads), Class::Permanent);
        assert_eq!(status(429, Effect::Writes), Class::Transient);
    }
}
