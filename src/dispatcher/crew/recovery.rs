//! Taking up what stands in the journal: after a start, and after a step of several runs failed.

use std::sync::Arc;

use super::Crew;
use crate::run::journal::JournalError;
use crate::run::state::State;

impl Crew {
    /// Takes up what needs no look at the ops repo: what runs, and what only waits for its result to be made.
    ///
    /// # Errors
    /// Any failure to read the journal.
    pub async fn resume(self: &Arc<Self>) -> Result<(), JournalError> {
        for run in self.world().journal.unfinished().await? {
            match run.state {
                State::Admitted => self.enqueue(&run),
                State::Published => self.clear_up(vec![run.id.clone()]),
                State::Running | State::Cancelling | State::Finished | State::Rejected => self.take_up(&run),
                State::Settled if run.grant.is_some() => self.take_back(run.id.clone()),
                State::Seen | State::Granted | State::Launching | State::Settled => {}
            }
        }
        Ok(())
    }

    /// Takes up launches that were broken off. Only once the ops repo was looked at: it may hold results that a journal restored
    /// from an older copy does not know of.
    ///
    /// # Errors
    /// Any failure to read the journal.
    pub async fn resume_launches(self: &Arc<Self>) -> Result<(), JournalError> {
        let unfinished = self.world().journal.unfinished().await?;
        let broken_off = unfinished.iter().filter(|run| matches!(run.state, State::Granted | State::Launching));
        broken_off.for_each(|run| self.take_up(run));
        Ok(())
    }

    /// After a step of several runs failed: what was recorded all the same, and was not passed on, is passed on now.
    ///
    /// # Errors
    /// Any failure to read the journal.
    pub async fn catch_up(self: &Arc<Self>) -> Result<(), JournalError> {
        for run in self.world().journal.unfinished().await? {
            match run.state {
                _ if self.has(&run.id) => {}
                State::Admitted => self.enqueue(&run),
                State::Finished | State::Rejected | State::Cancelling => self.take_up(&run),
                _ => {}
            }
        }
        Ok(())
    }
}
