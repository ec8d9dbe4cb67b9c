//! What the end of a run means: from the backend's account, the runner's own and what we had asked for, to the state, reason
//! and exit code of the result. Pure.
//!
//! The backend's exit code decides. The runner's stream is asked two things only: whether the formula had begun (a reserved exit
//! code means what it says only when it had not), and what the runner knows of an exit code that a formula may also choose: that it ended
//! it at its time limit, or that a signal did. Where a part of that stream is missing, what is not in it proves nothing.

use super::step::{Finish, StopCause};
use crate::action::reason::Reason;
use crate::action::result::ResultState;
use crate::backend::{End, Ended};
use crate::grant::Fate;
use crate::runner::event::{EXIT_TIMED_OUT, ReservedExit};

/// The exit code written where there is none: never 0.
pub const NO_EXIT_CODE: i32 = 125;

/// What the runner's stream tells of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// How often a runner said that the formula begins.
    pub starts: u32,
    /// A part of what the runner said is missing: what was not heard of it, it may have said.
    pub gap: bool,
    /// The runner said with what it exits: the end of what it had to say is there.
    pub last_word: bool,
    /// The runner said that it ended the formula at its time limit.
    pub timed_out: bool,
    /// A signal ended the formula or the runner: the runner said so, or fell silent.
    pub signalled: bool,
    /// The runner said that it has opened the wrapping of its grant.
    pub opened: bool,
    /// What had become of that wrapping by the end, where the runner did not say so and it was asked.
    pub wrapping: Option<Fate>,
    /// The exit code of a runner that came after one whose formula had begun, and stopped before it began anything itself.
    pub turned_away: Option<i32>,
    /// The last thing that the runner had to say about itself.
    pub complaint: Option<String>,
}

/// With what a second copy of a launch stops that finds the marker or the wrapping taken.
const FENCES: [i32; 3] =
    [ReservedExit::FenceLost as i32, ReservedExit::GrantExpired as i32, ReservedExit::GrantIntercepted as i32];

impl Told {
    /// A runner that finds the wrapping opened, after one that said that it opened it, is only the second copy of the same launch.
    fn seen_as(&self, code: i32) -> i32 {
        const TAKEN: [i32; 2] = [ReservedExit::GrantIntercepted as i32, ReservedExit::GrantExpired as i32];
        if self.opened && TAKEN.contains(&code) { ReservedExit::FenceLost as i32 } else { code }
    }

    /// Whether all of it is there, so that what was not said did not happen.
    fn is_whole(&self) -> bool {
        !self.gap && self.last_word
    }
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// For the result.
    pub state: ResultState,
    /// For the result.
    pub reason: Reason,
    /// For the result, in words.
    pub message: String,
    /// The exit code as learned.
    pub exit: Option<i32>,
}

impl Meaning {
    fn new(state: ResultState, reason: Reason, exit: Option<i32>, message: String) -> Self {
        Self { state, reason, message, exit }
    }

    /// This, unless it is a failure of a run that was stopped past us: then that is what became of it.
    fn or_stopped_elsewhere(self, ended: &Ended, stop: Option<StopCause>) -> Self {
        match ended.reason {
            Some(reason) if stop.is_none() && self.state == ResultState::Failed => {
                let words = ended.detail.clone().unwrap_or_else(|| reason.words().to_owned());
                let message = format!("{words}; {}", self.message);
                Self { state: ResultState::Cancelled, reason, message, ..self }
            }
            _ => self,
        }
    }

    /// The exit code for tools that read only that.
    pub fn exit_code(&self) -> i32 {
        match (self.state, self.exit) {
            (ResultState::Succeeded, Some(code)) => code,
            (_, Some(code)) if code != 0 => code,
            _ => NO_EXIT_CODE,
        }
    }
}

/// What `finish` means for a run that was asked to stop for `stop`, if it was.
pub fn meaning(finish: &Finish, stop: Option<StopCause>, told: &Told) -> Meaning {
    match finish {
        Finish::NotStarted { reason, message } => match stop {
            Some(cause) => stopped_before(cause),
            None => Meaning::new(ResultState::NotStarted, *reason, None, message.clone()),
        },
        Finish::Lost { reason, message } => Meaning::new(ResultState::Lost, *reason, None, message.clone()),
        Finish::Ended(ended) => {
            let mut meaning = ended_meaning(ended, stop, told);
            if told.starts > 1 || ended.restarted {
                meaning.message.push_str("; it was seen to begin more than once");
            }
            meaning
        }
    }
}

/// What it means that a run was stopped before it was launched.
pub fn stopped_before(cause: StopCause) -> Meaning {
    let (reason, message) = match cause {
        StopCause::Operator => (Reason::CancelledByOperator, "cancelled before it was launched"),
        StopCause::Removed => (Reason::RemovedBeforeLaunch, "its file was removed before it was launched"),
        StopCause::Timeout => (Reason::TimedOut, "its time was over before it began"),
    };
    Meaning::new(ResultState::Cancelled, reason, None, message.to_owned())
}

fn ended_meaning(ended: &Ended, stop: Option<StopCause>, told: &Told) -> Meaning {
    if let Some(meaning) = intercepted(ended, told) {
        return meaning;
    }
    let detail = ended.detail.clone();
    match ended.how {
        End::Exited(code) => exited(code, stop, told).or_stopped_elsewhere(ended, stop),
        End::OutOfMemory => Meaning::new(
            ResultState::Failed,
            Reason::OutOfMemory,
            Some(137),
            detail.unwrap_or_else(|| "the kernel ended it for its memory".to_owned()),
        ),
        End::Signalled(signal) => stopped(stop, Some(128 + signal)).unwrap_or_else(|| {
            let words = detail.unwrap_or_else(|| format!("signal {signal} ended the runner"));
            Meaning::new(ResultState::Failed, Reason::Signalled, Some(128 + signal), words)
                .or_stopped_elsewhere(ended, stop)
        }),
        End::NotStarted => stop.map_or_else(
            || {
                let words = detail.unwrap_or_else(|| "the backend never started it".to_owned());
                let reason = ended.reason.unwrap_or(Reason::LaunchRefused);
                Meaning::new(ResultState::NotStarted, reason, None, words)
            },
            stopped_before,
        ),
        End::Killed => killed(ended, stop),
        End::Unknown => Meaning::new(
            ResultState::Lost,
            ended.reason.unwrap_or(Reason::ExitUnknown),
            None,
            detail.unwrap_or_else(|| "it is over, and its exit code cannot be learned".to_owned()),
        ),
    }
}

/// It was ended by us, past us, or by nobody knows whom, and its exit code is lost.
fn killed(ended: &Ended, stop: Option<StopCause>) -> Meaning {
    let words =
        ended.detail.clone().unwrap_or_else(|| "it was ended from outside, and its exit code is lost".to_owned());
    stopped(stop, None).unwrap_or_else(|| match ended.reason {
        Some(reason) => Meaning::new(ResultState::Cancelled, reason, None, words),
        None => Meaning::new(ResultState::Lost, Reason::ExitUnknown, None, words),
    })
}

/// A wrapping that is gone before its time, of a run that ended before its runner can have opened it: somebody else has the grant.
///
/// Not of a run whose runner may have begun unseen (an exit code of the formula, an end that cannot be learned, a stream with a
/// part missing), and not where the runner itself accounts for it: it lost the answer to its own unwrap (66), or found an earlier
/// execution (65).
fn intercepted(ended: &Ended, told: &Told) -> Option<Meaning> {
    const BEFORE: [i32; 3] = [
        ReservedExit::BadEnvelope as i32,
        ReservedExit::GrantIntercepted as i32,
        ReservedExit::FormulaNotRunnable as i32,
    ];
    let exit = match ended.how {
        End::Exited(code) if BEFORE.contains(&code) && told.is_whole() => Some(code),
        // Killed, a runner has no last word.
        End::Signalled(signal) if !told.gap => Some(128 + signal),
        End::OutOfMemory if !told.gap => Some(137),
        // It had nothing to say that could be missing.
        End::NotStarted => None,
        _ => return None,
    };
    if told.wrapping != Some(Fate::Gone) || told.opened || told.starts > 0 {
        return None;
    }
    let why = told.complaint.as_deref().map(|words| format!(" ({words})")).unwrap_or_default();
    let words = format!(
        "the wrapping of its grant was opened before its time, and its runner did not say that it did{why}; what was granted is revoked"
    );
    Some(Meaning::new(ResultState::Failed, Reason::GrantIntercepted, exit, words))
}

fn exited(code: i32, stop: Option<StopCause>, told: &Told) -> Meaning {
    if code == 0 {
        // Also after a stop that came too late: the formula did all it was asked to.
        return Meaning::new(
            ResultState::Succeeded,
            Reason::Succeeded,
            Some(0),
            "the formula exited with 0".to_owned(),
        );
    }
    if told.starts == 0
        && let Some(meaning) = reserved(told.seen_as(code), told.complaint.as_deref())
    {
        return if told.is_whole() { meaning } else { begun_unseen(code) };
    }
    if told.turned_away == Some(code) && FENCES.contains(&code) {
        return turned_away(code, told);
    }
    if code == EXIT_TIMED_OUT && told.timed_out {
        let words = "it was ended at its time limit".to_owned();
        return Meaning::new(ResultState::TimedOut, Reason::TimedOut, Some(code), words);
    }
    stopped(stop, Some(code)).unwrap_or_else(|| {
        if let 129..=192 = code
            && told.signalled
        {
            let words = format!("signal {} ended it", code - 128);
            return Meaning::new(ResultState::Failed, Reason::Signalled, Some(code), words);
        }
        let words = match code {
            129..=192 => format!("the formula exited with {code}, as one does that signal {} ended", code - 128),
            _ => format!("the formula exited with {code}"),
        };
        Meaning::new(ResultState::Failed, Reason::ExitNonzero, Some(code), words)
    })
}

/// The exit code is one that the runner keeps for stops before the formula, and the formula may have chosen it: it was not heard to
/// begin, but not all was heard. Such a run is never called one that did not start.
fn begun_unseen(code: i32) -> Meaning {
    let words = format!(
        "it exited with {code}, which the runner keeps for stops before the formula begins; a part of what it said is missing, and \
         whether the formula had begun cannot be learned"
    );
    Meaning::new(ResultState::Lost, Reason::ExitUnknown, Some(code), words)
}

/// The backend shows the end of a later execution only: of the one in which the formula had begun, nothing is known but that.
fn turned_away(code: i32, told: &Told) -> Meaning {
    let why = told.complaint.as_deref().map(|words| format!(" ({words})")).unwrap_or_default();
    let words = format!(
        "its formula had begun when the backend executed it once more; that execution stopped before the formula, with exit code \
         {code}{why}, and how the first one ended cannot be learned"
    );
    Meaning::new(ResultState::Lost, Reason::FenceLost, None, words)
}

/// What an end with `code`, where that is known, means when we had asked for one.
fn stopped(stop: Option<StopCause>, code: Option<i32>) -> Option<Meaning> {
    let (state, reason, words) = match stop? {
        StopCause::Operator => (ResultState::Cancelled, Reason::CancelledByOperator, "a person cancelled it"),
        StopCause::Removed => (ResultState::Cancelled, Reason::RemovedBeforeLaunch, "its file was removed"),
        StopCause::Timeout => (ResultState::TimedOut, Reason::TimedOut, "it was ended at its time limit"),
    };
    let how = code.map_or("and its exit code is lost".to_owned(), |code| format!("with exit code {code}"));
    Some(Meaning::new(state, reason, code, format!("{words}; it has stopped, {how}")))
}

/// The runner's own stops before the formula began.
fn reserved(code: i32, complaint: Option<&str>) -> Option<Meaning> {
    const ALL: [(ReservedExit, ResultState, Reason); 6] = [
        (ReservedExit::BadEnvelope, ResultState::NotStarted, Reason::BadEnvelope),
        (ReservedExit::FenceLost, ResultState::Lost, Reason::FenceLost),
        (ReservedExit::GrantExpired, ResultState::NotStarted, Reason::GrantExpired),
        (ReservedExit::GrantIntercepted, ResultState::Failed, Reason::GrantIntercepted),
        (ReservedExit::SecretMissing, ResultState::NotStarted, Reason::SecretUnusable),
        (ReservedExit::FormulaNotRunnable, ResultState::NotStarted, Reason::FormulaNotRunnable),
    ];
    let (_, state, reason) = ALL.into_iter().find(|(exit, ..)| *exit as i32 == code)?;
    let why = complaint.unwrap_or_else(|| reason.words());
    let words = format!("the runner stopped before the formula began, with exit code {code}: {why}");
    Some(Meaning::new(state, reason, Some(code), words))
}

#[cfg(test)]
mod tests;
