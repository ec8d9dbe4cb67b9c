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

pub use self::words::vouches;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell, watch};
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

/// How long a round that is over goes on telling: what the forge does not take in that time holds nobody up.
const AT_THE_END: Duration = Duration::from_secs(10);

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
    /// Before anything happens of which the forge is to be told.
    pub(super) async fn begin_telling(&self) -> Result<(), JournalError> {
        match &self.teller {
            Some(teller) => teller.begin().await,
            None => Ok(()),
        }
    }

    /// Tells how runs go until `over` becomes true, and then what is left of that.
    pub(super) async fn keep_telling(&self, teller: &Teller, mut over: watch::Receiver<bool>) {
        let mut news = self.journal().news();
        let mut delays = AGAIN.delays();
        loop {
            news.mark_unchanged();
            let last = *over.borrow();
            match teller.tell_runs().await {
                Ok(()) if last => return,
                Ok(()) => {
                    self.troubles.clear("telling");
                    delays = AGAIN.delays();
                    // The sender lives in the journal, which outlives this.
                    let more = async {
                        drop(news.changed().await);
                        sleep(GATHER).await;
                    };
                    tokio::select! {
                        () = more => {}
                        _ = over.wait_for(|over| *over) => {}
                    }
                }
                Err(error) => {
                    self.troubles.set("telling", chain::words(&error));
                    let pause = sleep(delays.next().unwrap_or(AGAIN.cap));
                    tokio::select! {
                        () = pause => {}
                        _ = over.wait_for(|over| *over), if !last => {}
                    }
                }
            }
        }
    }

    /// Tells the forge of one round while it goes on, and after it what is left and what becomes of open requests: for a bounded
    /// time, and not once somebody has interrupted it.
    pub(super) async fn tell_round(&self, over: watch::Receiver<bool>, mut interrupt: watch::Receiver<bool>) {
        let Some(teller) = &self.teller else { return };
        let mut ended = over.clone();
        let whole = async {
            self.keep_telling(teller, over).await;
            let rules = self.settings.borrow().rules.clone();
            if let Err(error) = teller.check_requests(&rules).await {
                tracing::warn!("open requests are not checked: {}", chain::words(&error));
            }
        };
        let too_long = async {
            drop(ended.wait_for(|over| *over).await);
            sleep(AT_THE_END).await;
        };
        tokio::select! {
            () = whole => {}
            () = too_long => tracing::warn!("the forge is not told of everything; the next dispatcher goes on with it"),
            _ = interrupt.wait_for(|wanted| *wanted) => {}
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
