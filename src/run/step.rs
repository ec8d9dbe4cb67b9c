//! The steps of a run with their data: what is written to the journal, as an event, before or after the act it speaks of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::Kind;
use crate::action::reason::Reason;
use crate::admission::{Admitted, Approval};
use crate::backend::{Ended, Handle, Mark};
use crate::grant::{Fate, GrantRecord};
use crate::support::ids::{BlobId, CommitId};

/// A request as it was found on the primary branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The path of its file in the ops repo.
    pub path: String,
    /// The blob at that path.
    pub blob: BlobId,
    /// The file mode, as git writes it: `100644`.
    pub mode: String,
    /// The head of the primary branch in which it was found.
    pub head: CommitId,
    /// Of a file that is not from the ops repo (`dispatch once --action`): the occasion, which no other run has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occasion: Option<String>,
}

/// Why a run is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// A person asked.
    Operator,
    /// It took longer than it may.
    Timeout,
    /// The action was removed from the primary branch before the launch.
    Removed,
}

/// How a run is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// As the backend says.
    Ended(Ended),
    /// It provably never began; why.
    NotStarted {
        /// The stable reason.
        reason: Reason,
        /// In words.
        message: String,
    },
    /// What became of it cannot be known.
    Lost {
        /// The stable reason.
        reason: Reason,
        /// In words.
        message: String,
    },
}

/// One step, with all that the journal keeps of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// See [`Kind::See`].
    See {
        /// What was found.
        request: Request,
        /// The login name or host of the person who asked for another attempt, where one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked_by: Option<String>,
    },
    /// See [`Kind::Recover`].
    Recover {
        /// To adopt it by.
        handle: Handle,
        /// The backend that lists it.
        backend: String,
    },
    /// See [`Kind::Amend`].
    Amend {
        /// The new bytes.
        request: Request,
    },
    /// See [`Kind::Hold`].
    Hold {
        /// The bytes that were judged; not set by earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blob: Option<BlobId>,
        /// The stable reason.
        reason: Reason,
        /// In words.
        message: String,
        /// When to look again at the latest; not set: at the next change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// What is proven of its approval, where it waits for something else: the forge may lose the evidence meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approved: Option<Box<Approval>>,
    },
    /// See [`Kind::Admit`].
    Admit {
        /// Everything that will run, and the evidence.
        admitted: Box<Admitted>,
    },
    /// See [`Kind::Reject`].
    Reject {
        /// The bytes that were judged.
        blob: BlobId,
        /// The stable reason.
        reason: Reason,
        /// In words.
        message: String,
    },
    /// See [`Kind::Grant`].
    Grant {
        /// The bytes that it was made for.
        blob: BlobId,
        /// What is needed to revoke it.
        record: GrantRecord,
        /// The slot that was taken.
        slot: u32,
    },
    /// See [`Kind::Launch`].
    Launch {
        /// Where.
        backend: String,
        /// By what it can be ruled out later, where the backend had something.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<Mark>,
    },
    /// See [`Kind::Start`].
    Start {
        /// To observe, cancel and remove it by.
        handle: Handle,
    },
    /// See [`Kind::Deposit`].
    Deposit {
        /// For which placement.
        allocation: String,
    },
    /// See [`Kind::Return`].
    Return {
        /// The proof, in words.
        proof: String,
    },
    /// See [`Kind::Stop`].
    Stop {
        /// Why.
        cause: StopCause,
        /// Who asked, where somebody did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// See [`Kind::Finish`].
    Finish {
        /// How.
        how: Finish,
        /// What had become of the wrapping of its grant by then, where that was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wrapping: Option<Fate>,
    },
    /// See [`Kind::Settle`].
    Settle {
        /// The path of the result in the ops repo.
        path: String,
        /// The result, as it will be committed.
        result: String,
    },
    /// See [`Kind::Publish`].
    Publish {
        /// The commit on the primary branch that holds it.
        commit: CommitId,
        /// Set when another result stood there already: ours was kept aside, at this path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept_aside: Option<String>,
    },
    /// See [`Kind::Revoke`].
    Revoke {},
}

impl Step {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::See { .. } => Kind::See,
            Self::Recover { .. } => Kind::Recover,
            Self::Amend { .. } => Kind::Amend,
            Self::Hold { .. } => Kind::Hold,
            Self::Admit { .. } => Kind::Admit,
            Self::Reject { .. } => Kind::Reject,
            Self::Grant { .. } => Kind::Grant,
            Self::Launch { .. } => Kind::Launch,
            Self::Start { .. } => Kind::Start,
            Self::Deposit { .. } => Kind::Deposit,
            Self::Return { .. } => Kind::Return,
            Self::Stop { .. } => Kind::Stop,
            Self::Finish { .. } => Kind::Finish,
            Self::Settle { .. } => Kind::Settle,
            Self::Publish { .. } => Kind::Publish,
            Self::Revoke {} => Kind::Revoke,
        }
    }
}
