//! The loop: one approved action after the other, from the ops repo to its result.
//!
//! [`Dispatcher`] holds the parts and does one round of each on request; [`service`] keeps them going day and night, [`once`]
//! takes them through until nothing is left to do. The parts know nothing of each other and meet in the journal:
//!
//! - [`pickup`]: did the primary branch move, and what does that bring?
//! - [`judge`]: which of the requests seen are admitted?
//! - [`queue`] (pure) and [`crew`]: whose turn is it, and who is being driven?
//! - [`reach`]: which backends answer.
//! - [`outbox`]: results to the ops repo.
//! - [`start`]: opening what a dispatcher needs, in which order, and what is taken up again.
//! - [`doctor`]: whether everything that the config names can be worked with.
//! - [`nomad`]: Nomad as the config has it.
//! - [`lease`]: which of several dispatchers works.
//! - [`secrets`]: which secret provider is meant.
//! - [`preview`]: what would be decided and launched, without any of it.
//! - [`adhoc`]: one run of a file that is not from the ops repo, apart from all of the above.
//! - [`again`]: another attempt where a grant had expired unopened.
//! - [`rebuild`]: a journal that is new or older than what was done under it, compared with what the backends and the ops repo know.
//! - [`report`]: how runs and the dispatcher are shown.
//! - [`audit`]: whether the journal is whole, and the one that its results speak of.
//! - [`sweep`]: removing what published runs left behind.
//! - [`telling`]: statuses and comments on the forge.
//! - [`wake`]: the forge's webhook, and whether the dispatcher is well.
//! - [`control`]: the unix socket for `dispatch cancel` and its like.

pub mod adhoc;
mod again;
pub mod audit;
pub mod control;
pub mod crew;
pub mod doctor;
pub mod judge;

pub mod lease;
pub mod lock;
pub mod nomad;
pub mod once;
pub mod outbox;
pub mod pickup;
pub mod preview;
pub mod queue;
pub mod reach;
mod rebuild;
pub mod report;
pub mod secrets;
pub mod service;
pub mod settings;
pub mod start;
pub mod sweep;
pub mod telling;
pub mod wake;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::run::journal::JournalError;
use crate::run::record::Run;
use crate::run::state::State;
use crew::{Crew, Wakes};
use judge::{Judge, Judged, Patience};
use lease::Lease;
use lock::StateLock;
use outbox::{Flushed, Outbox, OutboxError};
use pickup::{Look, Pickup, PickupError};
use settings::Settings;
use telling::Teller;

/// How the parts fare, for `dispatch status`: the last trouble of each, until it is over.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<&'static str, String>>);

impl Troubles {
    /// Notes trouble of a part, once in the log for as long as it stays the same.
    pub fn set(&self, part: &'static str, words: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(part) != Some(&words) {
            tracing::warn!(part, "{words}");
            all.insert(part, words);
        }
    }

    /// The part is well.
    pub fn clear(&self, part: &'static str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.remove(part).is_some() {
            tracing::info!(part, "well again");
        }
    }

    /// All troubles.
    pub fn all(&self) -> BTreeMap<&'static str, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A dispatcher: everything opened, nothing going yet.
#[derive(Debug)]
pub struct Dispatcher {
    pickup: Pickup,
    judge: Judge,
    outbox: tokio::sync::Mutex<Outbox>,
    crew: Arc<Crew>,
    wakes: Arc<Wakes>,
    settings: watch::Sender<Arc<Settings>>,
    draining: watch::Sender<bool>,
    /// Becomes true with the first look at the ops repo that succeeded: before, nothing may begin, for the ops repo may hold
    /// results that a journal restored from an older copy does not know of.
    looked: watch::Sender<bool>,
    /// When the ops repo was last looked at with success.
    looked_at: watch::Sender<Option<Timestamp>>,
    troubles: Troubles,
    reach: Arc<reach::Reach>,
    teller: Option<Arc<Teller>>,
    lease: Option<Arc<Lease>>,
    since: Timestamp,
    remote: String,
    branch: String,
    _lock: StateLock,
}

impl Dispatcher {
    /// Looks at the ops repo once, and records what is new.
    ///
    /// # Errors
    /// [`PickupError`]: nothing was recorded.
    pub async fn look(&self) -> Result<Look, PickupError> {
        let look = match self.pickup.look().await {
            Ok(look) => look,
            Err(error) => {
                self.catch_up().await?;
                return Err(error);
            }
        };
        self.looked_at.send_replace(Some(self.crew.world().clock.now()));
        if !matches!(look, Look::Rewritten { .. }) && !*self.looked.borrow() {
            self.rebuild().await?;
            self.crew.resume_launches().await?;
            self.looked.send_replace(true);
        } else if *self.looked.borrow() {
            self.compare_rest().await?;
        }
        if matches!(look, Look::Moved { .. }) {
            self.moved().await?;
        }
        Ok(look)
    }

    /// The head moved: what was withdrawn is settled, what is new is judged.
    async fn moved(&self) -> Result<(), JournalError> {
        self.settle_stopped().await?;
        self.wakes.judge.notify_one();
        self.wakes.queue.notify_one();
        Ok(())
    }

    /// After a step of several runs failed: what was recorded all the same, and was not passed on, is passed on now.
    async fn catch_up(&self) -> Result<(), JournalError> {
        self.crew.catch_up().await?;
        self.wakes.judge.notify_one();
        self.wakes.queue.notify_one();
        Ok(())
    }

    /// Runs whose file was removed or changed before they were launched.
    async fn settle_stopped(&self) -> Result<(), JournalError> {
        for run in self.crew.world().journal.in_state(State::Finished).await? {
            self.crew.dequeue(&run.id);
            self.crew.take_up(&run);
        }
        for run in self.crew.world().journal.in_state(State::Seen).await? {
            self.crew.dequeue(&run.id);
        }
        Ok(())
    }

    /// Judges all requests that were seen and are neither admitted nor refused.
    ///
    /// # Errors
    /// Any failure to read or write the journal.
    pub async fn judge(&self, patience: Patience) -> Result<Judged, JournalError> {
        let settings = self.settings.borrow().clone();
        let (judged, moved) = match self.judge.pass(&settings.rules, patience).await {
            Ok(passed) => passed,
            Err(error) => {
                self.catch_up().await?;
                return Err(error);
            }
        };
        for run in &moved {
            match run.state {
                State::Admitted => self.crew.enqueue(run),
                State::Rejected => self.crew.take_up(run),
                _ => {}
            }
        }
        if !moved.is_empty() {
            self.wakes.queue.notify_one();
        }
        Ok(judged)
    }

    /// Lets those runs begin whose turn it is. Answers how many began.
    pub fn begin(&self) -> usize {
        if *self.draining.borrow() || !*self.looked.borrow() {
            return 0;
        }
        let settings = self.settings.borrow().clone();
        self.crew.begin_ready(&settings.capacity)
    }

    /// Brings what is settled to the ops repo, once.
    ///
    /// # Errors
    /// [`OutboxError`]: nothing is lost.
    pub async fn flush(&self) -> Result<Flushed, OutboxError> {
        if !self.crew.world().tenure.holds() {
            // Another may lead, and publish. Ours stay in the journal.
            return Ok(Flushed::Nothing);
        }
        let flushed = self.outbox.lock().await.flush().await?;
        if let Flushed::Published(runs) = &flushed {
            self.crew.clear_up(runs.clone());
            self.try_expired_again(runs).await;
            self.wakes.judge.notify_one();
        }
        Ok(flushed)
    }

    /// Has the ops repo looked at now: somebody says that it moved.
    pub fn look_now(&self) {
        self.wakes.poll.notify_one();
        self.wakes.telling.notify_one();
    }

    /// What keeps it from its work now, each as `part: why`. Empty: nothing. That the forge is not told keeps it from none.
    pub fn not_ready(&self) -> Vec<String> {
        if let Some(words) = self.stands_by() {
            return vec![format!("lease: {words}")];
        }
        let troubles = self.troubles.all().into_iter().filter(|(part, _)| !telling::PARTS.contains(part));
        let mut missing: Vec<String> = troubles.map(|(part, words)| format!("{part}: {words}")).collect();
        if !*self.looked.borrow() && missing.is_empty() {
            missing.push("ops: it has not been looked at yet".to_owned());
        }
        missing
    }

    /// Takes over a changed config.
    pub fn reconfigure(&self, settings: Settings) {
        self.settings.send_replace(Arc::new(settings));
        self.wakes.judge.notify_one();
        self.wakes.queue.notify_one();
    }

    /// The journal.
    pub fn journal(&self) -> &crate::run::journal::Journal {
        &self.crew.world().journal
    }

    /// The runs of the journal for which something is still to be done.
    ///
    /// # Errors
    /// Any failure to read the journal.
    pub async fn unfinished(&self) -> Result<Vec<Run>, JournalError> {
        self.crew.world().journal.unfinished().await
    }
}
