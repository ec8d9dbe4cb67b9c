//! The states of a run and the one function that says which step may follow which. Pure; everything else asks it.
//!
//! ```text
//! seen ─► admitted ─► granted ─► launching ─► running ─► finished ─► settled ─► published
//!   └────► rejected ──────────────────┴──────────┴─► cancelling ─┘
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its file was found on the primary branch; not judged yet, or judged to wait.
    Seen,
    /// Every check passed; it queues for a slot.
    Admitted,
    /// Refused; a result saying so is due.
    Rejected,
    /// A slot is taken and the grant recorded; nothing was launched.
    Granted,
    /// The launch is intended: it may or may not have happened.
    Launching,
    /// The launch is known to have happened.
    Running,
    /// It was asked to stop and has not stopped yet.
    Cancelling,
    /// It is over, or will provably never begin; no result exists yet.
    Finished,
    /// The result is durable here and not yet pushed.
    Settled,
    /// The result is in the ops repo.
    Published,
}

impl State {
    /// All states, in the order of a run's life.
    pub const ALL: [Self; 10] = [
        Self::Seen,
        Self::Admitted,
        Self::Rejected,
        Self::Granted,
        Self::Launching,
        Self::Running,
        Self::Cancelling,
        Self::Finished,
        Self::Settled,
        Self::Published,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Admitted => "admitted",
            Self::Rejected => "rejected",
            Self::Granted => "granted",
            Self::Launching => "launching",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Finished => "finished",
            Self::Settled => "settled",
            Self::Published => "published",
        }
    }

    /// Whether it occupies a slot: something of it may exist outside this process.
    pub fn holds_slot(self) -> bool {
        matches!(self, Self::Granted | Self::Launching | Self::Running | Self::Cancelling)
    }

    /// Whether it can still be withdrawn without anything having had an effect.
    pub fn is_before_launch(self) -> bool {
        matches!(self, Self::Seen | Self::Admitted | Self::Granted)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A word that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a state of a run")]
pub struct UnknownState(pub String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.word() == word).ok_or_else(|| UnknownState(word.to_owned()))
    }
}

/// What may happen to a run, without its data (that is [`super::step::Step`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Found for the first time, or asked for again by a person.
    See,
    /// Found running in a backend after the journal was lost.
    Recover,
    /// Its bytes changed before it was launched: it is a new request.
    Amend,
    /// It must wait, and why.
    Hold,
    /// Every check passed.
    Admit,
    /// A check failed.
    Reject,
    /// A slot was taken and the grant made.
    Grant,
    /// The launch is about to be asked for.
    Launch,
    /// The launch happened.
    Start,
    /// The wrapping token of its grant is about to be deposited for it.
    Deposit,
    /// The launch provably did not happen.
    Return,
    /// It is to stop.
    Stop,
    /// It is over, or never began.
    Finish,
    /// The result is durable.
    Settle,
    /// The result is in the ops repo.
    Publish,
    /// The grant was taken back.
    Revoke,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::See,
        Self::Recover,
        Self::Amend,
        Self::Hold,
        Self::Admit,
        Self::Reject,
        Self::Grant,
        Self::Launch,
        Self::Start,
        Self::Deposit,
        Self::Return,
        Self::Stop,
        Self::Finish,
        Self::Settle,
        Self::Publish,
        Self::Revoke,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::See => "see",
            Self::Recover => "recover",
            Self::Amend => "amend",
            Self::Hold => "hold",
            Self::Admit => "admit",
            Self::Reject => "reject",
            Self::Grant => "grant",
            Self::Launch => "launch",
            Self::Start => "start",
            Self::Deposit => "deposit",
            Self::Return => "return",
            Self::Stop => "stop",
            Self::Finish => "finish",
            Self::Settle => "settle",
            Self::Publish => "publish",
            Self::Revoke => "revoke",
        }
    }
}

impl FromStr for Kind {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|kind| kind.word() == word).ok_or_else(|| UnknownState(word.to_owned()))
    }
}

/// What a legal step leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// To this state; the step is recorded.
    Move(State),
    /// The step was taken before: nothing is recorded, nothing changes. A step that is executed twice ends here.
    Already,
}

/// A step that may not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {from} cannot {}", .kind.word())]
pub struct Illegal {
    /// Where the run stands.
    pub from: State,
    /// What was tried.
    pub kind: Kind,
}

/// What `kind` leads to from `from`. `None` stands for a run that is not in the journal yet.
///
/// # Errors
/// [`Illegal`] for every pair that is not in the picture above.
pub fn next(from: Option<State>, kind: Kind) -> Result<Next, Illegal> {
    use State::{Admitted, Cancelling, Finished, Granted, Launching, Published, Rejected, Running, Seen, Settled};
    let Some(from) = from else {
        return match kind {
            Kind::See => Ok(Next::Move(Seen)),
            Kind::Recover => Ok(Next::Move(Running)),
            _ => Err(Illegal { from: Seen, kind }),
        };
    };
    if was_taken(kind, from) {
        return Ok(Next::Already);
    }
    let to = match (kind, from) {
        (Kind::Amend, Seen | Admitted | Granted) | (Kind::Hold, Seen) => Seen,
        (Kind::Admit, Seen) | (Kind::Return, Granted | Launching) | (Kind::Hold, Admitted) => Admitted,
        (Kind::Reject, Seen) => Rejected,
        (Kind::Grant, Admitted) => Granted,
        (Kind::Launch, Granted) => Launching,
        (Kind::Start, Launching) | (Kind::Recover, Seen) | (Kind::Deposit, Running) => Running,
        // A start that comes after the stop: from here on it is known what is to be stopped.
        (Kind::Stop, Launching | Running) | (Kind::Start, Cancelling) => Cancelling,
        (Kind::Stop, Seen | Admitted | Granted)
        | (Kind::Finish, Admitted | Granted | Launching | Running | Cancelling) => Finished,
        (Kind::Settle, Finished | Rejected) => Settled,
        (Kind::Publish, Settled) => Published,
        (Kind::Revoke, Finished | Settled | Published | Admitted | Seen) => from,
        _ => return Err(Illegal { from, kind }),
    };
    Ok(Next::Move(to))
}

/// Whether a run that stands at `from` has `kind` behind it already.
fn was_taken(kind: Kind, from: State) -> bool {
    use State::{Admitted, Cancelling, Finished, Granted, Launching, Published, Rejected, Running, Settled};
    match kind {
        Kind::See => true,
        Kind::Admit | Kind::Return => from == Admitted,
        Kind::Reject => from == Rejected,
        Kind::Grant => from == Granted,
        Kind::Launch => from == Launching,
        Kind::Start | Kind::Recover => from == Running,
        Kind::Stop => matches!(from, Cancelling | Finished | Rejected | Settled | Published),
        Kind::Finish => from == Finished,
        Kind::Settle => from == Settled,
        Kind::Publish => from == Published,
        Kind::Amend | Kind::Hold | Kind::Deposit | Kind::Revoke => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(kinds: &[Kind]) -> Option<State> {
        kinds.iter().fold(None, |state, kind| match next(state, *kind) {
            Ok(Next::Move(to)) => Some(to),
            Ok(Next::Already) | Err(_) => state,
        })
    }

    #[test]
    fn the_straight_way_leads_from_seen_to_published() {
        use Kind::{Admit, Finish, Grant, Launch, Publish, See, Settle, Start};
        assert_eq!(walk(&[See, Admit, Grant, Launch, Start, Finish, Settle, Publish]), Some(State::Published));
    }

    #[test]
    fn nothing_is_launched_from_a_state_in_which_it_may_have_been_launched_before() {
        for state in State::ALL {
            let launched = next(Some(state), Kind::Launch);
            assert_eq!(matches!(launched, Ok(Next::Move(_))), state == State::Granted, "{state}");
        }
        for state in [State::Running, State::Cancelling, State::Finished, State::Settled, State::Published] {
            assert!(!matches!(next(Some(state), Kind::Return), Ok(Next::Move(_))), "{state}");
        }
    }

    #[test]
    fn a_stop_before_the_launch_finishes_and_one_after_it_waits_for_the_end() {
        assert_eq!(next(Some(State::Admitted), Kind::Stop), Ok(Next::Move(State::Finished)));
        assert_eq!(next(Some(State::Running), Kind::Stop), Ok(Next::Move(State::Cancelling)));
        assert_eq!(next(Some(State::Settled), Kind::Stop), Ok(Next::Already));
    }

    fn kinds() -> impl Strategy<Value = Vec<Kind>> {
        prop::collection::vec(prop::sample::select(Kind::ALL.to_vec()), 0..60)
    }

    proptest! {
        #[test]
        fn whatever_is_tried_a_launch_is_recorded_once_for_each_proof_that_none_happened(tried in kinds()) {
            let (mut state, mut launches, mut returns) = (None, 0_u32, 0_u32);
            for kind in tried {
                if let Ok(Next::Move(to)) = next(state, kind) {
                    launches += u32::from(kind == Kind::Launch);
                    returns += u32::from(kind == Kind::Return && state == Some(State::Launching));
                    state = Some(to);
                }
            }
            prop_assert!(launches <= returns + 1);
        }

        #[test]
        fn a_step_taken_twice_is_the_step_taken_once(tried in kinds()) {
            let mut once = None;
            let mut twice = None;
            for kind in tried {
                if let Ok(Next::Move(to)) = next(once, kind) { once = Some(to); }
                for _ in 0..2 {
                    if let Ok(Next::Move(to)) = next(twice, kind) { twice = Some(to); }
                }
                prop_assert_eq!(once, twice);
            }
        }

        #[test]
        fn what_is_published_stays_published(tried in kinds()) {
            let state = tried.iter().fold(State::Published, |state, kind| match next(Some(state), *kind) {
                Ok(Next::Move(to)) => to,
                Ok(Next::Already) | Err(_) => state,
            });
            prop_assert_eq!(state, State::Published);
        }
    }
}
