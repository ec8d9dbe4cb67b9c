//! What a test writes down for a run on the fake backend.

use std::time::Duration;

use super::{NAME, refused};
use crate::action::reason::Reason;
use crate::backend::{BackendError, Cursor, End, Handle, Observation};

/// What a launch does and what it answers, which need not agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LaunchAnswer {
    /// It happens and says so.
    #[default]
    Works,
    /// It happens, and the answer is lost.
    DoneButAmbiguous,
    /// It does not happen, and the answer is lost.
    NotDoneAndAmbiguous,
    /// The answer is lost, and it happens only after this time, unless `find` comes before.
    AmbiguousAndLate(Duration),
    /// It is refused for good.
    Refused,
    /// The server does not answer; nothing happened.
    Unreachable,
}

impl LaunchAnswer {
    pub(super) fn takes_effect(self) -> bool {
        matches!(self, Self::Works | Self::DoneButAmbiguous | Self::AmbiguousAndLate(_))
    }

    pub(super) fn begins_after(self) -> Duration {
        if let Self::AmbiguousAndLate(time) = self { time } else { Duration::ZERO }
    }

    pub(super) fn answer(self, handle: Handle) -> Result<Handle, BackendError> {
        match self {
            Self::Works => Ok(handle),
            Self::DoneButAmbiguous | Self::NotDoneAndAmbiguous | Self::AmbiguousAndLate(_) => {
                Err(BackendError::Ambiguous { backend: NAME, detail: "the answer was lost".to_owned() })
            }
            Self::Refused => Err(refused("scripted")),
            Self::Unreachable => Err(unreachable()),
        }
    }
}

/// What `find` answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FindAnswer {
    /// What is so.
    #[default]
    Truth,
    /// [`crate::backend::Found::Unknown`].
    Unknown,
    /// No answer.
    Unreachable,
}

/// One thing that `observe` tells, or a time in which it tells nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Whole lines of the runner's stream.
    Events(Vec<u8>),
    /// A part was dropped.
    Dropped(u64),
    /// Time passes.
    Wait(Duration),
    /// `observe` fails once as unreachable; called again, it goes on behind this.
    ConnectionLost,
}

impl Step {
    /// What is sent for this step; `next` is the number of the one behind it.
    pub(super) fn observation(&self, next: usize) -> Option<Observation> {
        match self {
            Self::Events(bytes) => Some(Observation::Events { bytes: bytes.clone(), cursor: Cursor(next.into()) }),
            Self::Dropped(bytes) => Some(Observation::Dropped { bytes: *bytes }),
            Self::Wait(_) | Self::ConnectionLost => None,
        }
    }
}

/// What happens under a launch key. Change what differs from a run that exits with 0 at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What `launch` does.
    pub launch: LaunchAnswer,
    /// How long `launch` takes to answer.
    pub launch_takes: Duration,
    /// What `find` answers.
    pub find: FindAnswer,
    /// How long after its launch its process is there; `None`: it never is.
    pub starts_after: Option<Duration>,
    /// What the run tells, in order, counted from its launch.
    pub steps: Vec<Step>,
    /// How it ends behind the last step; `None`: it goes on until it is cancelled.
    pub end: Option<End>,
    /// Why, where the backend knows more than that.
    pub reason: Option<Reason>,
    /// How it ends when it is cancelled.
    pub cancelled_end: End,
    /// How long it takes to stop when it is cancelled.
    pub cancel_takes: Duration,
    /// Words beside the end.
    pub detail: Option<String>,
    /// Whether the backend saw the run begin twice.
    pub restarted: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            launch: LaunchAnswer::Works,
            launch_takes: Duration::ZERO,
            find: FindAnswer::Truth,
            starts_after: Some(Duration::ZERO),
            steps: Vec::new(),
            end: Some(End::Exited(0)),
            reason: None,
            cancelled_end: End::Exited(143),
            cancel_takes: Duration::ZERO,
            detail: None,
            restarted: false,
        }
    }
}

impl Script {
    /// The time that the first `count` steps take.
    pub(super) fn time_until(&self, count: usize) -> Duration {
        let time = |step: &Step| if let Step::Wait(time) = step { *time } else { Duration::ZERO };
        self.steps.iter().take(count).map(time).sum()
    }
}

pub(super) fn unreachable() -> BackendError {
    BackendError::Unreachable { backend: NAME, detail: "scripted".to_owned() }
}
