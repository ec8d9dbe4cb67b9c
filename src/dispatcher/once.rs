//! `dispatch once`: looks at the ops repo, takes everything that can run through to its result in the ops repo, tells the forge, and ends.

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Dispatcher;
use super::judge::Patience;
use super::lease::LeadError;
use super::outbox::{Flushed, OutboxError};
use super::pickup::{Look, PickupError};
use crate::run::journal::JournalError;
use crate::run::record::Run;
use crate::support::retry::RetryPolicy;

/// Why a round could not be finished. What was recorded is taken up by the next one.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// Looking at the ops repo.
    #[error(transparent)]
    Pickup(#[from] PickupError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Publishing.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The ops repo refuses the results.
    #[error("the ops repo refuses the results: {0}")]
    Refused(String),
}

/// How a round ended.
#[derive(Debug)]
pub enum Round {
    /// Everything that could run has its result in the ops repo; these still wait.
    Done(Vec<Run>),
    /// It was interrupted; what runs goes on and is adopted by the next dispatcher.
    Interrupted,
    /// The primary branch was rewritten; nothing new was admitted.
    Rewritten,
    /// Another dispatcher leads, or may by now, in words.
    NotLeading(String),
}

impl Dispatcher {
    /// One round, where no other dispatcher leads. `interrupt` becomes true when it is to end early.
    ///
    /// # Errors
    /// [`OnceError`].
    pub async fn once(&self, interrupt: watch::Receiver<bool>) -> Result<Round, OnceError> {
        let keeping = match self.lead_now().await {
            Ok(keeping) => keeping,
            Err(LeadError::Journal(error)) => return Err(error.into()),
            Err(error) => return Ok(Round::NotLeading(error.to_string())),
        };
        self.begin_telling().await?;
        let over = watch::Sender::new(false);
        let round = async {
            let round = self.round(interrupt.clone()).await;
            over.send_replace(true);
            round
        };
        let telling = Box::pin(self.tell_round(over.subscribe(), interrupt.clone()));
        let round = tokio::join!(round, telling).0;
        self.step_down(keeping).await;
        round
    }

    async fn round(&self, mut interrupt: watch::Receiver<bool>) -> Result<Round, OnceError> {
        self.crew.resume().await?;
        let whole = async {
            let look = self.look().await?;
            self.work_off().await.map(|()| look)
        };
        let round = tokio::select! {
            look = whole => look.map(Ok),
            _ = interrupt.wait_for(|wanted| *wanted) => Ok(Err(Round::Interrupted)),
            why = self.lease_over() => Ok(Err(Round::NotLeading(why))),
        };
        self.crew.detach().await;
        match round? {
            Err(early) => Ok(early),
            Ok(Look::Rewritten { .. }) => Ok(Round::Rewritten),
            Ok(_) => Ok(Round::Done(self.unfinished().await?)),
        }
    }

    async fn work_off(&self) -> Result<(), OnceError> {
        let mut delays = RetryPolicy::OPS.delays();
        loop {
            self.judge(Patience::UntilItAnswers).await?;
            let begun = self.begin();
            match self.flush().await? {
                Flushed::TryAgain(_) => sleep(delays.next().unwrap_or_default()).await,
                Flushed::Refused(detail) => return Err(OnceError::Refused(detail)),
                Flushed::Published(_) => {}
                Flushed::Nothing if begun == 0 && self.crew.is_idle() && self.crew.next_return().is_none() => {
                    return Ok(());
                }
                Flushed::Nothing => self.changed().await,
            }
        }
    }

    /// Waits until a run is over or one that was returned may be tried again.
    async fn changed(&self) {
        let wait = self.crew.next_return().map(|at| at.saturating_duration_since(tokio::time::Instant::now()));
        let over = self.wakes.outbox.notified();
        match wait {
            Some(wait) => drop(timeout(wait, over).await),
            None => over.await,
        }
    }
}
