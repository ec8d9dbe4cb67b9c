//! Telling the forge what would run, what runs and how it ended. Nothing waits for it, and nothing of a run depends on it.
//!
//! - [`runs`]: `dispatch/run` on the commits that brought actions, and the comment with the results; driven by the journal, which
//!   is also the queue: a restart goes on where the last dispatcher stopped telling.
//! - [`requests`]: `dispatch/check` on the heads of open pull requests.
//! - [`words`] (pure): what is said. Never a secret's value, a line of a log, or words of a run.
//! - [`said`]: what was said last, so that nothing is said twice.

mod requests;
mod runs;
mod said;
mod words;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};
use tokio::time::{sleep, timeout};

use super::Dispatcher;
use super::preview::PreviewError;
use super::start::Surroundings;
use crate::config::Config;
use crate::forge::{As, Class, Forge, ForgeError, UserId};
use crate::ops::{Mirror, OpsError};
use crate::run::journal::{Journal, JournalError};
use crate::support::chain;
use crate::support::retry::RetryPolicy;
use said::Said;

/// The names under which its troubles are shown.
pub(super) const PARTS: [&str; 2] = ["telling", "checking"];

/// Between two rounds of telling, so that the steps of a run that come close together are told as one.
const GATHER: Duration = Duration::from_millis(500);

/// Between two tries after the forge did not take what it was told.
const AGAIN: RetryPolicy = RetryPolicy { first: Duration::from_secs(1), cap: Duration::from_secs(300), budget: None };

/// The forge was not told. A run is none the worse for it.
#[derive(Debug, thiserror::Error)]
enum TellError {
    /// The forge.
    #[error("the forge was not told")]
    Forge(#[from] ForgeError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ops repo.
    #[error("the ops repo cannot be read")]
    Ops(#[from] OpsError),
    /// A request cannot be looked at.
    #[error("an open request cannot be checked")]
    Preview(#[from] PreviewError),
}

impl TellError {
    /// Whether another try can go better: a right that is missing, or a commit that is gone, stays as it is.
    fn passes(&self) -> bool {
        match self {
            Self::Forge(error) => error.class() != Class::Permanent,
            Self::Journal(_) | Self::Ops(_) | Self::Preview(_) => true,
        }
    }
}

/// What is needed to tell.
#[derive(Debug)]
pub(super) struct Teller {
    forge: Forge,
    journal: Journal,
    mirror: Mirror,
    config: Config,
    surroundings: Surroundings,
    me: OnceCell<UserId>,
    said: Mutex<Said>,
}

impl Teller {
    /// Where the config wants something told. That the forge's settings do not hold is no reason not to run: it is reported.
    pub(super) fn of(
        config: &Config,
        surroundings: &Surroundings,
        journal: &Journal,
        mirror: &Mirror,
    ) -> Option<Result<Arc<Self>, ForgeError>> {
        let telling = &config.telling;
        (telling.statuses || telling.comments).then(|| {
            Ok(Arc::new(Self {
                forge: Forge::open(config, As::Teller)?,
                journal: journal.clone(),
                mirror: mirror.clone(),
                config: config.clone(),
                surroundings: surroundings.clone(),
                me: OnceCell::new(),
                said: Mutex::default(),
            }))
        })
    }
}

impl Dispatcher {
    /// Tells how runs go, for as long as the service lives.
    pub(super) async fn keep_telling(self: Arc<Self>, teller: Arc<Teller>) {
        let mut news = self.journal().news();
        let mut delays = AGAIN.delays();
        loop {
            news.mark_unchanged();
            match teller.tell_runs().await {
                Ok(()) => {
                    self.troubles.clear("telling");
                    delays = AGAIN.delays();
                    // The sender lives in the journal, which outlives this.
                    drop(news.changed().await);
                    sleep(GATHER).await;
                }
                Err(error) => {
                    self.troubles.set("telling", chain::words(&error));
                    sleep(delays.next().unwrap_or(AGAIN.cap)).await;
                }
            }
        }
    }

    /// Checks open pull requests, for as long as the service lives: when a webhook comes, and at a slow pace.
    pub(super) async fn keep_checking(self: Arc<Self>, teller: Arc<Teller>) {
        let pace = Duration::from_secs(u64::from(teller.config.telling.look_seconds));
        let mut delays = AGAIN.delays();
        loop {
            let rules = self.settings.borrow().rules.clone();
            let pause = match teller.check_requests(&rules).await {
                Ok(()) => {
                    self.troubles.clear("checking");
                    delays = AGAIN.delays();
                    pace
                }
                Err(error) => {
                    self.troubles.set("checking", chain::words(&error));
                    delays.next().unwrap_or(AGAIN.cap).min(pace)
                }
            };
            drop(timeout(pause, self.wakes.telling.notified()).await);
        }
    }
}
