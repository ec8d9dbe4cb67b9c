//! The life of one run: takes it from where its journal row stands to a durable result, one recorded step after the other.
//!
//! A run that is taken up after a crash goes through the same code as a new one: what to do next follows from the row alone.
//! [`drive`] is called by the dispatcher, once at a time for each run, and is never dropped half-way: it looks for the wish to
//! shut down only where nothing is between an act and its record.

mod begin;
mod deposit;
mod follow;
mod hindered;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

pub use self::hindered::Hindered;
use super::journal::{Alarm, Journal, JournalError};
use super::log::{LogError, LogStore, LogWriter};
use super::record::Run;
use super::settle::{ResultPaths, result_of};
use super::state::State;
use super::step::{Finish, Step};
use crate::action::reason::Reason;
use crate::action::result::DispatcherRef;
use crate::backend::{Backend, BackendError};
use crate::grant::{GrantError, SecretProvider};
use crate::support::clock::Clock;
use crate::support::fault;
use crate::support::ids::{BlobId, RunId};
use crate::support::tenure::Tenure;
use crate::support::text::one_line;

/// What the life of every run needs.
#[derive(Debug)]
pub struct World {
    /// Where each step is recorded.
    pub journal: Journal,
    /// The backends by name.
    pub backends: BTreeMap<String, Arc<dyn Backend>>,
    /// Where secrets come from.
    pub secrets: Arc<dyn SecretProvider>,
    /// The runs' logs.
    pub logs: LogStore,
    /// The date.
    pub clock: Arc<dyn Clock>,
    /// Between the polite signal and the kill.
    pub grace: Duration,
    /// What is passed on to formulas by name.
    pub environment: BTreeMap<String, String>,
    /// Who writes the results.
    pub dispatcher: DispatcherRef,
    /// Where the results go.
    pub paths: ResultPaths,
    /// Until when runs may be taken any further by this process.
    pub tenure: Tenure,
    /// Why runs do not stop that are to.
    pub hindered: Hindered,
}

/// Wishes that reach a run while it is driven.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// Becomes true when the run is to stop; why stands in the journal.
    pub stop: watch::Receiver<bool>,
    /// Becomes true when this process is to end and leave its runs running.
    pub detach: watch::Receiver<bool>,
}

/// Where driving a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driven {
    /// Its result is durable here.
    Settled,
    /// It goes on without us; a later dispatcher adopts it.
    Detached,
    /// It is another request by now, which queues for itself: what was claimed for this one is not what that one claims.
    Replaced,
    /// Nothing was launched, and nothing could be now: it queues again.
    Returned {
        /// Why.
        reason: Reason,
        /// In words.
        message: String,
    },
}

/// Why a step of a run's life could not be taken. The run stands where its row says; driving it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// The journal.
    #[error("the journal did not take a step of {run}")]
    Journal {
        /// The run.
        run: RunId,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// The backend.
    #[error("the backend did not do what {run} needs")]
    Backend {
        /// The run.
        run: RunId,
        /// Why.
        #[source]
        source: BackendError,
    },
    /// The secret provider.
    #[error("the grant of {run} is not taken back yet")]
    Grant {
        /// The run.
        run: RunId,
        /// Why.
        #[source]
        source: GrantError,
    },
    /// The log.
    #[error("the log of {run} could not be kept")]
    Log {
        /// The run.
        run: RunId,
        /// Why.
        #[source]
        source: LogError,
    },
    /// The config no longer has the backend.
    #[error(
        "{run} was launched on the backend `{backend}`, which is not configured: add it again and restart, or cancel the run"
    )]
    NoSuchBackend {
        /// The run.
        run: RunId,
        /// The backend.
        backend: String,
    },
}

impl LifeError {
    fn journal(run: &Run) -> impl FnOnce(JournalError) -> Self {
        let run = run.id.clone();
        move |source| Self::Journal { run, source }
    }

    fn backend(run: &Run) -> impl FnOnce(BackendError) -> Self {
        let run = run.id.clone();
        move |source| Self::Backend { run, source }
    }

    fn grant(run: &Run) -> impl FnOnce(GrantError) -> Self {
        let run = run.id.clone();
        move |source| Self::Grant { run, source }
    }

    fn log(run: &Run) -> impl FnOnce(LogError) -> Self {
        let run = run.id.clone();
        move |source| Self::Log { run, source }
    }
}

/// What one stride of a run's life leads to.
enum Stride {
    /// The row changed: look at it again.
    Again,
    /// No further.
    Done(Driven),
}

/// Takes the run `id` to a durable result, in `slot`. Nothing is begun of another request than the one of the blob `claimed_for`, or,
/// where none is named, the one that it is of at first.
///
/// # Errors
/// [`LifeError`]: nothing is lost; the caller waits and calls again.
pub async fn drive(
    world: &World,
    id: &RunId,
    slot: u32,
    claimed_for: Option<BlobId>,
    wishes: &mut Wishes,
) -> Result<Driven, LifeError> {
    let mut claimed_for = claimed_for;
    loop {
        if !world.tenure.holds() {
            // Another dispatcher may have taken it over.
            return Ok(Driven::Detached);
        }
        let lookup = world.journal.run(id).await;
        let found = lookup.map_err(|source| LifeError::Journal { run: id.clone(), source })?;
        let Some(run) = found else {
            return Err(LifeError::Journal { run: id.clone(), source: JournalError::NoSuchRun(id.clone()) });
        };
        let blob = run.request.as_ref().map(|request| &request.blob);
        claimed_for = claimed_for.or_else(|| blob.cloned());
        let stride = match run.state {
            State::Admitted if *wishes.detach.borrow() => Ok(Stride::Done(Driven::Detached)),
            State::Admitted if blob != claimed_for.as_ref() => Ok(Stride::Done(Driven::Replaced)),
            State::Admitted => begin::begin(world, &run, slot).await,
            State::Granted => begin::return_unlaunched(world, &run, "the launch was never asked for").await,
            State::Launching => begin::resolve(world, &run).await,
            State::Running | State::Cancelling => follow::follow(world, &run, wishes).await,
            State::Finished | State::Rejected => settle(world, &run).await,
            // It became another request while it was being launched: what was granted for the one before is taken back.
            State::Seen => revoke(world, &run).await.map(|()| Stride::Done(Driven::Replaced)),
            State::Settled | State::Published => Ok(Stride::Done(Driven::Settled)),
        };
        let stride = match stride {
            Err(LifeError::NoSuchBackend { backend, .. }) => without_backend(world, &run, backend).await,
            other => other,
        };
        match stride {
            Ok(Stride::Done(driven)) => return Ok(driven),
            // Somebody else moved the run meanwhile (a person cancelled it): its row says how to go on.
            Ok(Stride::Again) | Err(LifeError::Journal { source: JournalError::Illegal { .. }, .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What becomes of a run whose backend the config no longer has. Where it was launched and nobody has asked it to stop, it may
/// go on there: it stands as it is until the backend is back, or a person gives it up.
async fn without_backend(world: &World, run: &Run, backend: String) -> Result<Stride, LifeError> {
    match run.state {
        State::Admitted => {
            let message = format!("the backend `{backend}` is not configured");
            Ok(Stride::Done(Driven::Returned { reason: Reason::BackendUnavailable, message }))
        }
        State::Cancelling => {
            let message = format!(
                "it was launched on the backend `{backend}`, which is not configured any more: whether it stopped, and \
                 how it ended, cannot be known"
            );
            let how = Finish::Lost { reason: Reason::ExitUnknown, message };
            world.step(run, Step::Finish { how, wrapping: None }).await.map(|_| Stride::Again)
        }
        _ => Err(LifeError::NoSuchBackend { run: run.id.clone(), backend }),
    }
}

impl World {
    fn backend(&self, run: &Run) -> Result<&Arc<dyn Backend>, LifeError> {
        let name = run
            .backend
            .as_deref()
            .or_else(|| run.admitted.as_ref().map(|admitted| admitted.backend.as_str()))
            .unwrap_or_default();
        self.backends
            .get(name)
            .ok_or_else(|| LifeError::NoSuchBackend { run: run.id.clone(), backend: name.to_owned() })
    }

    fn log_of(&self, run: &Run) -> Result<LogWriter, LifeError> {
        self.logs.open(&run.id).map_err(LifeError::log(run))
    }

    async fn step(&self, run: &Run, step: Step) -> Result<Run, LifeError> {
        self.journal.step(&run.id, step).await.map_err(LifeError::journal(run))
    }
}

/// Makes the result durable. Refused and never launched runs have no log.
async fn settle(world: &World, run: &Run) -> Result<Stride, LifeError> {
    world.hindered.clear(&run.id);
    let log = match &run.handle {
        Some(_) => Some(world.log_of(run)?.finish().map_err(LifeError::log(run))?),
        None => None,
    };
    let at = world.clock.now();
    let result = result_of(run, log.as_ref(), &world.dispatcher, at);
    if result.reason == Reason::GrantIntercepted {
        raise(world, run, Alarm::GrantIntercepted, &result.message).await?;
    }
    let result = result.to_text();
    let path = place(world, run, at).await?;
    world.step(run, Step::Settle { path, result }).await?;
    Ok(Stride::Done(Driven::Settled))
}

/// Where the result of `run` goes: where one of its action stands, whoever wrote it, for an action has one result; a retry in a later
/// month would else leave two. Whether it may take that one's place is decided when it is published.
async fn place(world: &World, run: &Run, at: Timestamp) -> Result<String, LifeError> {
    let action = run.id.action();
    let standing = world.journal.standing(vec![action.to_string()]).await.map_err(LifeError::journal(run))?;
    if let Some(standing) = standing.into_iter().flatten().next() {
        return Ok(standing.path);
    }
    // It may have been published since the last look at the ops repo.
    let before = match run.id.attempt().checked_sub(1) {
        Some(attempt) => {
            world.journal.run(&RunId::new(action.clone(), attempt)).await.map_err(LifeError::journal(run))?
        }
        None => None,
    };
    let published = before.filter(|before| before.published.is_some() && before.kept_aside.is_none());
    Ok(published.and_then(|before| before.outcome).map_or_else(|| world.paths.path(action, at), |outcome| outcome.path))
}

/// After the result is in the ops repo: takes the grant back and removes what the launch made. Safe to call twice.
///
/// # Errors
/// [`LifeError`] where one of the two did not succeed; the caller tries again later, and it holds nothing else up.
pub async fn clear_up(world: &World, run: &Run) -> Result<(), LifeError> {
    revoke(world, run).await?;
    let Some(handle) = &run.handle else { return Ok(()) };
    match world.backend(run) {
        Ok(backend) => {
            if fault::twice("backend.remove") {
                backend.remove(handle).await.map_err(LifeError::backend(run))?;
            }
            backend.remove(handle).await.map_err(LifeError::backend(run))
        }
        // Nobody is left to ask, and trying again would not change that.
        Err(gone) => {
            tracing::warn!(run = %run.id, "what its launch left stays where it is: {gone}");
            Ok(())
        }
    }
}

/// Says in the log and in the journal that something happened which a person must know of, and counts it.
async fn raise(world: &World, run: &Run, alarm: Alarm, words: &str) -> Result<(), LifeError> {
    tracing::error!(run = %run.id, alarm = alarm.word(), "{}", one_line(words));
    let data = serde_json::json!({ "run": run.id, "message": words });
    world.journal.alarm(alarm, data).await.map_err(LifeError::journal(run))
}

/// Takes the grant of a run that is over back. Safe to call twice, and beside [`clear_up`].
///
/// # Errors
/// [`LifeError`] where it did not succeed; the caller tries again, and it holds nothing else up.
pub async fn take_back(world: &World, run: &Run) -> Result<(), LifeError> {
    revoke(world, run).await
}

/// Takes the grant back, where there is one, and records that.
async fn revoke(world: &World, run: &Run) -> Result<(), LifeError> {
    let Some(record) = &run.grant else { return Ok(()) };
    if fault::twice("grant.revoke") {
        world.secrets.revoke(record).await.map_err(LifeError::grant(run))?;
    }
    world.secrets.revoke(record).await.map_err(LifeError::grant(run))?;
    world.step(run, Step::Revoke {}).await.map(drop)
}

#[cfg(test)]
mod tests;
