//! What an answer means. Nomad says much with texts only: each that is matched stands here, and nowhere else, with the version that
//! said it.

use std::fmt;

use super::tls::{Distrust, distrust};
use super::token::TokenError;
use crate::support::chain;

/// What is asked of the server, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What is done: `dispatching the job`.
    pub(super) does: &'static str,
    /// The capability of the namespace (or the rule of the policy) without which it is refused; empty: none.
    pub(super) needs: &'static str,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.does)
    }
}

/// Why a call did not do what was asked. The server's own text is kept.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The token cannot be read.
    #[error("{call}: the token cannot be read")]
    Token {
        /// What was asked.
        call: Call,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// The server was not reached: nothing was asked of it.
    #[error("{call}: the server cannot be reached: {detail}")]
    NotSent {
        /// What was asked.
        call: Call,
        /// Why.
        detail: String,
    },
    /// One side does not trust the other: nothing was asked of it.
    #[error("{call}: {}: {detail}: {}", .why.what, .why.fix)]
    Distrusted {
        /// What was asked.
        call: Call,
        /// What to do about it.
        why: Distrust,
        /// Why, in the words of TLS.
        detail: String,
    },
    /// The server may have done it or not: no answer came, or not all of it.
    #[error("{call}: no answer came: {detail}")]
    NoAnswer {
        /// What was asked.
        call: Call,
        /// Why.
        detail: String,
    },
    /// The server did nothing, and may a little later.
    #[error("{call}: the server is not able to now: {said}")]
    Busy {
        /// What was asked.
        call: Call,
        /// Its words.
        said: String,
    },
    /// There is no such thing.
    #[error("{call}: not found: {said}")]
    Absent {
        /// What was asked.
        call: Call,
        /// Its words.
        said: String,
    },
    /// The token does not suffice.
    #[error("{call}: permission denied{}: {said}", needed(*.call))]
    Denied {
        /// What was asked.
        call: Call,
        /// Its words.
        said: String,
    },
    /// It is not as the caller expected, or another has it.
    #[error("{call}: refused, since it is not as it was taken to be: {said}")]
    Conflict {
        /// What was asked.
        call: Call,
        /// Its words.
        said: String,
    },
    /// It will be refused again.
    #[error("{call}: refused: {said}")]
    Refused {
        /// What was asked.
        call: Call,
        /// Its words.
        said: String,
    },
    /// The server failed in a way that is not known here; it may have done it.
    #[error("{call}: the server failed: {said}")]
    Failed {
        /// What was asked.
        call: Call,
        /// Its words.
        said: String,
    },
    /// The answer is not what this API answers.
    #[error("{call}: the answer is not understood")]
    Garbled {
        /// What was asked.
        call: Call,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Whether it is worth asking again, and what may have happened meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// Nothing was done, and asking later may help.
    Later,
    /// It may have been done.
    InDoubt,
    /// It was not done, and will not be.
    Never,
}

impl ClientError {
    pub(super) fn of_transport(call: Call, error: reqwest::Error) -> Self {
        // `is_connect` holds only before a connection stands: no byte of the request was sent.
        let not_sent = error.is_connect() || error.is_builder();
        let error = error.without_url();
        let detail = chain::words(&error);
        if let Some(why) = distrust(&error) {
            // Also where the server says so only after the first bytes of a request: it has not looked at them.
            return Self::Distrusted { call, why, detail };
        }
        if not_sent { Self::NotSent { call, detail } } else { Self::NoAnswer { call, detail } }
    }

    /// The step was not taken: a test had it fail.
    pub(in crate::backend::nomad) fn withheld(does: &'static str, error: &std::io::Error) -> Self {
        Self::NotSent { call: Call { does, needs: "" }, detail: error.to_string() }
    }

    /// What is awaited has not come yet.
    pub(in crate::backend::nomad) fn not_over() -> Self {
        let call = Call { does: "waiting for the job's end", needs: "" };
        Self::Busy { call, said: "it is not over".to_owned() }
    }

    /// Whether the agent that answered knows no server of the region that was asked for.
    pub fn is_of_another_region(&self) -> bool {
        matches!(self, Self::Busy { said, .. } if said.contains(NO_REGION))
    }

    /// Whether it may be otherwise in a moment. A server that has just started answers 403 to a valid token until it has caught up
    /// with the others (seen on 1.11.3).
    pub fn may_pass(&self) -> bool {
        self.prospect() != Prospect::Never || matches!(self, Self::Denied { .. })
    }

    /// What asking again would come to.
    pub fn prospect(&self) -> Prospect {
        match self {
            Self::NotSent { .. } | Self::Distrusted { .. } | Self::Busy { .. } | Self::Token { .. } => Prospect::Later,
            Self::NoAnswer { .. } | Self::Failed { .. } | Self::Garbled { .. } => Prospect::InDoubt,
            Self::Absent { .. } | Self::Denied { .. } | Self::Conflict { .. } | Self::Refused { .. } => Prospect::Never,
        }
    }
}

fn needed(call: Call) -> String {
    if call.needs.is_empty() { String::new() } else { format!(" (the token's policy needs {})", call.needs) }
}

/// Refusals of a dispatch or a registration that come as 500. Each was seen from 1.11.3.
const REFUSALS: [&str; 12] = [
    "Payload exceeds maximum size",
    "Payload is not provided but required",
    "Dispatch request included unpermitted metadata keys",
    "Dispatch did not provide required meta keys",
    "parameterized job not found",
    "is not a parameterized job",
    "\" is stopped",
    "dispatch job priority must be between",
    "Enforcing job modify index",
    "job can't be submitted with a payload",
    "validation failed",
    "UUID must be 36 characters",
];

/// The agent that answered did not get through to a leader: nothing was done. Seen from 1.11.3 (the second through a client agent whose
/// server is gone), the others stand in its program.
const NO_LEADER: [&str; 3] = ["No cluster leader", "failed to get conn", NO_REGION];

const NO_REGION: &str = "No path to region";

/// Seen from 1.11.3: behind a 500 too, where one agent asks another.
const DENIED: &str = "Permission denied";

/// Seen from 1.11.3: as 500 for an allocation that the token may not read; one that does not exist is a 404 with other words.
const HIDDEN: &str = "Unknown allocation";

/// Seen from 1.11.3, as 404: the client that has the allocation is away.
const NO_PATH: &str = "No path to node";

/// Seen from 1.11.3, as 409 for a renewal: there is no lock. While another has it the words are others.
pub(super) const NOT_LOCKED: &str = "doesn't hold a lock";

/// Accepts an answer, or says what is wrong with it.
pub(super) fn judge(call: Call, status: u16, body: &[u8]) -> Result<(), ClientError> {
    if (200..300).contains(&status) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(body);
    let said = format!("{status} {}", text.trim().chars().take(600).collect::<String>()).trim_end().to_owned();
    let has = |part: &&str| text.contains(*part);
    Err(match status {
        403 => ClientError::Denied { call, said },
        404 if has(&NO_PATH) => ClientError::Busy { call, said },
        404 => ClientError::Absent { call, said },
        409 => ClientError::Conflict { call, said },
        408 | 425 | 429 => ClientError::Busy { call, said },
        400..=499 => ClientError::Refused { call, said },
        _ if has(&DENIED) || has(&HIDDEN) => ClientError::Denied { call, said },
        _ if REFUSALS.iter().any(has) => ClientError::Refused { call, said },
        _ if NO_LEADER.iter().any(has) => ClientError::Busy { call, said },
        _ => ClientError::Failed { call, said },
    })
}

/// `fs/readat` says some refusals with 200 (1.11.3): the whole body is then the text.
pub(super) fn judge_file(call: Call, body: &[u8]) -> Result<(), ClientError> {
    let said = || String::from_utf8_lossy(body).trim().to_owned();
    match body {
        b"Permission denied" => Err(ClientError::Denied { call, said: said() }),
        _ if body.starts_with(b"rpc error: ") => Err(ClientError::Failed { call, said: said() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call = Call { does: "dispatching", needs: "dispatch-job" };

    fn of(status: u16, body: &str) -> ClientError {
        judge(CALL, status, body.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_refusal_that_comes_as_500_is_told_from_a_failure() {
        let refused = of(500, "Payload exceeds maximum size; 16385 > 16384");
        assert_eq!(refused.prospect(), Prospect::Never);
        assert_eq!(refused.to_string(), "dispatching: refused: 500 Payload exceeds maximum size; 16385 > 16384");
        assert_eq!(of(500, "something else").prospect(), Prospect::InDoubt);
        assert_eq!(of(500, "rpc error: failed to get conn: dial tcp: refused").prospect(), Prospect::Later);
        assert_eq!(of(429, "Your IP is issuing too many concurrent connections").prospect(), Prospect::Later);
    }

    #[test]
    fn a_denial_names_the_capability_that_is_missing() {
        let words = of(403, "Permission denied").to_string();
        assert!(words.contains("(the token's policy needs dispatch-job)"), "{words}");
        assert!(matches!(of(500, "Unknown allocation \"x\""), ClientError::Denied { .. }));
    }

    #[test]
    fn a_variable_that_another_has_locked_is_told_from_a_request_that_is_wrong() {
        assert!(matches!(of(409, "attempting to modify locked variable"), ClientError::Conflict { .. }));
        assert!(matches!(of(400, "TTL must be between 10 seconds and 24 hours"), ClientError::Refused { .. }));
    }

    #[test]
    fn a_client_that_is_away_is_not_taken_for_a_log_that_is_gone() {
        assert!(matches!(of(404, "No path to node"), ClientError::Busy { .. }));
        assert!(matches!(of(404, "alloc not found"), ClientError::Absent { .. }));
    }

    #[test]
    fn a_file_that_may_not_be_read_is_refused_although_the_status_is_200() {
        assert!(matches!(judge_file(CALL, b"Permission denied"), Err(ClientError::Denied { .. })));
        assert!(judge_file(CALL, b"{\"kind\":\"exit\"}\n").is_ok());
    }
}
