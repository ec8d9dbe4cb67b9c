//! Where a run runs. One boxed trait; which implementation is used is decided by the config, never by a silent fallback.
//!
//! The contract stands on [`Backend`].

#[cfg(any(test, feature = "fault-points"))]
pub mod fake;
pub mod local;
pub mod nomad;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::action::reason::Reason;
use crate::runner::envelope::Envelope;
use crate::support::checkup::Finding;
use crate::support::ids::{LaunchKey, RunId};

/// What a backend needs in order to find its run again: opaque to everyone else, kept in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle(pub serde_json::Value);

impl Handle {
    /// The backend's own id for the run, for people who look for it there; not every backend has one.
    pub fn job(&self) -> Option<&str> {
        self.0.get("job")?.as_str()
    }
}

/// Where a run was placed, as far as the backend can say: as it goes into the result.
pub use crate::action::result::JobRef as Placement;

/// What is known of a launch key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The launch happened; the run may be going on or over: [`Backend::observe`] tells.
    Launched(Handle),
    /// It did not happen. Of [`Backend::rule_out`]: provably, **and no earlier call to `launch` under this key can take effect any
    /// more**.
    NotLaunched,
    /// It cannot be known. Such a run is settled as lost, never repeated.
    Unknown(String),
}

/// A run that [`Backend::list`] came across.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key under which it was launched.
    pub key: LaunchKey,
    /// The run.
    pub run: RunId,
    /// To adopt it by.
    pub handle: Handle,
}

/// Something of a backend's own that was there before a launch was asked for, and that it forgets no later than that launch: as long as it is
/// there, so is what came of the launch. Kept in the journal, meaningful to the backend that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark(pub serde_json::Value);

/// Position in a run's event stream: opaque to the dispatcher, kept in the journal, meaningful to the backend that made it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor(pub serde_json::Value);

/// News of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// The backend has chosen a place for it, where its workload has an identity of its own; its process may not exist yet. Of a run
    /// that is placed more than once, each time. Each call of [`Backend::observe`] says so anew.
    Placed {
        /// What the identity is of.
        allocation: String,
    },
    /// The job's process exists. Each call of [`Backend::observe`] says so anew.
    Started {
        /// Where.
        placement: Placement,
        /// For how long it has gone on by now, or went on if it is over, by the backend's clocks; none where the backend cannot tell,
        /// and starts a process with the launch.
        lasted: Option<Duration>,
    },
    /// Whole lines of the runner's NDJSON event stream, in order, and the cursor behind them.
    Events {
        /// One or more whole lines, each ended by `\n`.
        bytes: Vec<u8>,
        /// Where to go on after these.
        cursor: Cursor,
    },
    /// A part of the stream was dropped because of the caps.
    Dropped {
        /// How many bytes.
        bytes: u64,
    },
    /// The stream breaks off before its end, and the rest cannot be had; why, in words.
    Incomplete {
        /// Why.
        why: String,
    },
}

/// How a run ended, in the backend's own words; what it means is decided by `run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The end.
    pub how: End,
    /// When, as far as the backend knows.
    pub at: Timestamp,
    /// Where it ran.
    pub placement: Placement,
    /// Words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why, where the backend knows more than [`Self::how`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Whether the backend saw the run begin more than once.
    #[serde(default)]
    pub restarted: bool,
}

impl Ended {
    /// Of a run that the backend no longer knows of, as it was seen `at`.
    fn forgotten(at: Timestamp, placement: Placement) -> Self {
        let detail = Some("the backend does not know of this run any more".to_owned());
        Self { how: End::Unknown, at, placement, detail, reason: Some(Reason::ExitUnknown), restarted: false }
    }
}

/// The ways in which a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The runner's process exited with this code (128+n when a signal ended it).
    Exited(i32),
    /// A signal ended the runner itself.
    Signalled(i32),
    /// The kernel ended it for its memory.
    OutOfMemory,
    /// It provably never started.
    NotStarted,
    /// It was ended from outside, and its exit code was lost on the way.
    Killed,
    /// It is over, and its exit code cannot be learned.
    Unknown,
}

/// Why a backend could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The server or host did not answer, or answered that it is busy: worth another try.
    #[error("{backend}: not reachable: {detail}")]
    Unreachable {
        /// Which backend.
        backend: &'static str,
        /// What happened.
        detail: String,
    },
    /// The request is refused and will be refused again.
    #[error("{backend}: refused: {detail}")]
    Refused {
        /// Which backend.
        backend: &'static str,
        /// What happened.
        detail: String,
    },
    /// It may or may not have taken effect: ask [`Backend::find`].
    #[error("{backend}: no certain answer: {detail}")]
    Ambiguous {
        /// Which backend.
        backend: &'static str,
        /// What happened.
        detail: String,
    },
    /// A file or process operation failed on this machine.
    #[error("{backend}: {step}")]
    Io {
        /// Which backend.
        backend: &'static str,
        /// The step that failed.
        step: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// How an envelope travels to its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Nobody but the run can read it: secret values may travel in it.
    Private,
    /// The place keeps it, and others may read it there: only what is worthless to a second reader may travel in it.
    Shared {
        /// The most bytes that it takes.
        limit: usize,
    },
}

/// A place where runs run.
///
/// # Order of calls
/// `check` once before the loop starts and whenever a person asks. Per run: `find` and then `mark`, before the launch is recorded as
/// asked for; `launch`, then `observe` until it answers an [`Ended`]; `cancel` at any time after `launch`; `remove` after the result is
/// durable. After a restart: `rule_out` for a launch whose outcome was not recorded, `observe` with the journalled handle and
/// cursor for one that was (that *is* adoption).
///
/// # Guarantees an implementation gives
/// - `launch` is idempotent under its key: however often and by whomever it is called, at most one run comes of it, and a
///   later call answers the handle of the first.
/// - After `rule_out` has answered [`Found::NotLaunched`], no earlier `launch` under that key can take effect; a later one can.
/// - `observe` may be called again from any cursor it has given; it repeats nothing before it and loses nothing after it
///   beyond the caps, which it reports as [`Observation::Dropped`]. Dropping its future leaves the run going. A run that the backend
///   no longer knows of is over, and answers [`End::Unknown`].
/// - `cancel` and `remove` may be called twice, and on a run that is over or gone.
/// - Every call returns within a bound of the implementation's own, except `observe`.
/// - A launch has come to [`Observation::Started`] or to its end within a bound of the implementation's own: a run's time limit counts
///   from its process, whatever it waited for before.
///
/// # What a caller may do at once
/// Anything for different keys. For one key: `observe` together with `cancel`; nothing else.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// The name used in config, results and messages: `local`, `nomad`, `docker`, `ssh`.
    fn name(&self) -> &'static str;

    /// Can it work: reachable, permitted, everything present? One finding for each thing looked at, in order; what depends on
    /// something that does not hold is not looked at.
    async fn check(&self) -> Vec<Finding>;

    /// Who else could read what is handed over to a run.
    fn channel(&self) -> Channel;

    /// Starts the run. When it returns an error that is not [`BackendError::Ambiguous`], nothing was started.
    async fn launch(&self, key: &LaunchKey, envelope: &Envelope) -> Result<Handle, BackendError>;

    /// What there is of a launch under `key`.
    async fn find(&self, key: &LaunchKey) -> Result<Found, BackendError>;

    /// By what a launch that is asked for after this can be ruled out; none where that takes nothing, or where there is nothing yet.
    async fn mark(&self) -> Option<Mark> {
        None
    }

    /// What became of a launch under `key` whose outcome nobody recorded; where nothing came of it, makes sure that nothing will.
    /// `before` is the mark that was there when it was asked for.
    async fn rule_out(&self, key: &LaunchKey, before: Option<&Mark>) -> Result<Found, BackendError>;

    /// Follows the run from `cursor` and answers its end. Waits by events, not by sleeping.
    async fn observe(
        &self,
        handle: &Handle,
        cursor: &Cursor,
        news: mpsc::Sender<Observation>,
    ) -> Result<Ended, BackendError>;

    /// Asks the run to stop: a polite signal, then after the envelope's grace a kill. Returns once it has been asked;
    /// `observe` tells when it has stopped.
    async fn cancel(&self, handle: &Handle) -> Result<(), BackendError>;

    /// Removes what `launch` made. The run must be over.
    async fn remove(&self, handle: &Handle) -> Result<(), BackendError>;

    /// All runs that this backend still knows of: to rebuild a lost journal, and to sweep.
    async fn list(&self) -> Result<Vec<Listed>, BackendError>;
}
