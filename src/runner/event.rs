//! The runner's event stream: one JSON object a line on stdout. The dispatcher reads it for logs and progress;
//! its truth about the end of a run is the backend's exit code, never this stream.

use serde::{Deserialize, Serialize};

/// Exit codes that the runner keeps for stops **before** the formula began. Together with the absence of
/// [`Kind::Status`] `started` they prove that nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ReservedExit {
    /// The envelope does not parse, or a hash does not match.
    BadEnvelope = 64,
    /// Another execution of this run has begun before.
    FenceLost = 65,
    /// The grant could not be had, and nobody else has it: the wrapping was too old, Vault did not answer for as long as it lived,
    /// or the answer to the unwrap was lost. A new grant may be made.
    GrantExpired = 66,
    /// The wrapping is not the one that was made for this run, or it was opened before its time. Where an earlier execution of the
    /// same launch has said [`GRANT_OPENED`], this one is only its second copy; where none has, somebody else has the grant.
    GrantIntercepted = 67,
    /// A granted secret is absent, empty or unfit.
    SecretMissing = 68,
    /// The formula cannot be started.
    FormulaNotRunnable = 69,
}

impl ReservedExit {
    /// All of them.
    pub const CODES: std::ops::RangeInclusive<i32> = Self::BadEnvelope as i32..=Self::FormulaNotRunnable as i32;
}

/// The exit code of the runner when it ended the formula at its time limit (as `timeout(1)` does).
pub const EXIT_TIMED_OUT: i32 = 124;

/// [`Kind::Status`]: the formula begins now.
pub const STARTED: &str = "started";

/// [`Kind::Status`]: this runner has opened the wrapping that it was handed, and holds what was in it. Said at once, before any
/// secret is read: a wrapping that is gone without it is in other hands.
pub const GRANT_OPENED: &str = "grant_opened";

/// [`Kind::Status`]: Vault cannot answer now, and is asked again; the detail says why. Once for each new reason.
pub const WAITING: &str = "waiting_for_vault";

/// [`Kind::Status`]: the run was stopped because somebody asked for it.
pub const CANCELLED: &str = "cancelled";

/// [`Kind::Status`]: a signal that the runner did not send ended the formula. Its exit code, 128 and the signal, is one that a
/// formula may also choose.
pub const SIGNALLED: &str = "signalled";

/// The formula's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When: RFC 3339, UTC, milliseconds.
    pub t: String,
    /// What.
    #[serde(flatten)]
    pub kind: Kind,
}

impl Kind {
    /// The runner's own progress.
    pub fn status(state: &str, detail: Option<String>) -> Self {
        Self::Status { state: state.to_owned(), detail }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// A line of the formula's output, redacted, without its newline.
    Log {
        /// Which stream.
        stream: Stream,
        /// The line, where it is UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// The line in base64, where it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
        /// The line goes on in the next event (lines over 64 KiB are cut; and an unfinished last line).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    },
    /// The runner's own progress: [`STARTED`], [`GRANT_OPENED`], [`WAITING`], `timed_out`, [`CANCELLED`], [`SIGNALLED`].
    Status {
        /// Which.
        state: String,
        /// Words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// Something the runner has to say about itself.
    Error {
        /// Words; never a secret.
        message: String,
    },
    /// The runner lives; every 10 s.
    Heartbeat {},
    /// The last event.
    Exit {
        /// The exit code that the runner is about to exit with.
        code: i32,
        /// Bytes of output seen.
        bytes: u64,
    },
}
