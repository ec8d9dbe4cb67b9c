//! The journal: an embedded `SQLite` database in which each step of each run is recorded before it is taken, and again when it
//! is known to have happened.
//!
//! - [`store`] opens the file and knows its tables; [`writer`] is the one thread that writes; [`chain`] makes the events a hash
//!   chain and checks it; [`replay`] compares the runs with their events; [`read`] answers questions, also to a [`Reader`] in
//!   another process; [`alarm`] counts what a person must know of; [`terms`] tells whose commits are whose.
//! - [`minting`]: grants that were asked for and are not recorded yet.
//! - A call returns when what it wrote is on disk (`synchronous = FULL`). Calls that wait at the same time share one commit.

mod alarm;
pub mod chain;
mod error;
mod ledger;
mod minting;
pub mod read;
mod reader;
pub mod replay;
pub mod store;
pub mod terms;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::watch;

use super::record::Run;
use super::state::State;
use super::step::Step;
use super::story;
use crate::support::clock::Clock;
use crate::support::fault;
use crate::support::ids::{ActionId, BlobId, CommitId, RunId};
use store::{News, Stepped};
use writer::Writer;

pub use alarm::{Alarm, alarms};
pub use error::JournalError;
pub use reader::Reader;
#[cfg(any(test, feature = "fault-points"))]
pub use writer::here::{Disk, Passing};

/// A result that stands in the ops repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingResult {
    /// The action it is of, or the stem of a refused file.
    pub action: String,
    /// Its path in the ops repo.
    pub path: String,
    /// Its blob.
    pub blob: BlobId,
    /// The attempt that it is of; 0 where nobody had a reason to look.
    pub attempt: u32,
}

/// A result that stands in the ops repo no longer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoneResult {
    /// The action it was of, or the stem of a refused file.
    pub action: String,
    /// Where it stood.
    pub path: String,
}

/// What one look at the ops repo brought: recorded in one piece, together with how far it got.
#[derive(Debug, Clone, Default)]
pub struct Sighting {
    /// The head that was looked at. What was known of a rewritten branch is over with it.
    pub head: Option<CommitId>,
    /// Results that appeared or changed.
    pub results: Vec<StandingResult>,
    /// Results that are gone from where they stood. One of the same action at another path is not.
    pub results_gone: Vec<GoneResult>,
    /// First steps of new runs, and further steps of runs whose file changed.
    pub steps: Vec<(RunId, Step)>,
}

/// The journal. Cheap to clone; all clones share one writer.
#[derive(Debug, Clone)]
pub struct Journal {
    writer: Arc<Writer>,
    clock: Arc<dyn Clock>,
    news: Arc<watch::Sender<()>>,
}

impl Journal {
    /// Opens `path`, and makes it where it is missing.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] and [`JournalError::Newer`] leave the file as it is.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        let connection = store::open(path, clock.as_ref())?;
        let news = Arc::new(watch::Sender::new(()));
        Ok(Self { writer: Arc::new(Writer::start(connection)?), clock, news })
    }

    /// The same, without a thread of its own and on a disk that fares as `disk` says: for simulations, on tokio's clock.
    ///
    /// # Errors
    /// As [`Journal::open`].
    #[cfg(any(test, feature = "fault-points"))]
    pub fn open_here(path: &Path, clock: Arc<dyn Clock>, disk: Disk) -> Result<Self, JournalError> {
        let connection = store::open(path, clock.as_ref())?;
        let news = Arc::new(watch::Sender::new(()));
        Ok(Self { writer: Arc::new(Writer::here(connection, disk)), clock, news })
    }

    /// Changes whenever a step of a run was recorded.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    async fn call<T, F>(&self, job: F) -> Result<T, JournalError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, JournalError> + Send + 'static,
    {
        self.writer.call(job).await
    }

    /// Says what is on record now; a step that was taken before has been told.
    fn tell(&self, stories: &[(RunId, String)], news: impl IntoIterator<Item = News>) {
        for ((run, words), _) in stories.iter().zip(news).filter(|(_, news)| *news == News::Recorded) {
            story::tell(run, words);
            self.news.send_replace(());
        }
    }

    /// Records `step` and answers the run after it; a step that was taken before changes nothing.
    ///
    /// # Errors
    /// [`JournalError::Illegal`] when it may not be taken; any failure to write. In both cases nothing was recorded.
    pub async fn step(&self, run: &RunId, step: Step) -> Result<Run, JournalError> {
        let kind = step.kind().word();
        if fault::twice("journal.step") {
            self.step_once(run, &step).await?;
        }
        fault::point(&format!("journal.{kind}.before"))?;
        let after = self.step_once(run, &step).await?;
        fault::point(&format!("journal.{kind}.after"))?;
        Ok(after)
    }

    async fn step_once(&self, run: &RunId, step: &Step) -> Result<Run, JournalError> {
        let (id, recorded, at) = (run.clone(), step.clone(), self.clock.now());
        let Stepped { run: after, news } =
            self.call(move |connection| store::step(connection, &id, &recorded, at)).await?;
        self.tell(&[(run.clone(), story::words(step))], [news]);
        Ok(after)
    }

    /// Records several steps as one: all of them or none.
    ///
    /// # Errors
    /// As [`Journal::step`].
    pub async fn steps(&self, point: &'static str, steps: Vec<(RunId, Step)>) -> Result<Vec<Run>, JournalError> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        if fault::twice("journal.steps") {
            self.steps_once(steps.clone()).await?;
        }
        fault::point(&format!("journal.{point}.before"))?;
        let after = self.steps_once(steps).await?;
        fault::point(&format!("journal.{point}.after"))?;
        Ok(after)
    }

    async fn steps_once(&self, steps: Vec<(RunId, Step)>) -> Result<Vec<Run>, JournalError> {
        let (at, told) = (self.clock.now(), stories(&steps));
        let job = move |connection: &Connection| {
            steps.iter().map(|(run, step)| store::step(connection, run, step, at)).collect()
        };
        let after: Vec<Stepped> = self.call(job).await?;
        self.tell(&told, after.iter().map(|after| after.news));
        Ok(after.into_iter().map(|after| after.run).collect())
    }

    /// Records what one look at the ops repo brought, all of it or nothing.
    ///
    /// # Errors
    /// As [`Journal::step`].
    pub async fn sight(&self, sighting: Sighting) -> Result<(), JournalError> {
        if fault::twice("journal.sight") {
            self.sight_once(sighting.clone()).await?;
        }
        fault::point("journal.sight.before")?;
        self.sight_once(sighting).await?;
        Ok(fault::point("journal.sight.after")?)
    }

    async fn sight_once(&self, sighting: Sighting) -> Result<(), JournalError> {
        let (at, told) = (self.clock.now(), stories(&sighting.steps));
        let news = self.call(move |connection| store::sight(connection, &sighting, at)).await?;
        self.tell(&told, news);
        Ok(())
    }

    /// Records something that belongs to no run: a rewrite that a person accepted, a journal that was rebuilt.
    ///
    /// # Errors
    /// Any failure to write.
    pub async fn note(&self, kind: &'static str, data: serde_json::Value) -> Result<(), JournalError> {
        let (at, data) = (self.clock.now(), data.to_string());
        if fault::twice("journal.note") {
            let data = data.clone();
            self.call(move |connection| chain::append(connection, at, "", kind, &data)).await?;
        }
        fault::point("journal.note.before")?;
        self.call(move |connection| chain::append(connection, at, "", kind, &data)).await?;
        Ok(fault::point("journal.note.after")?)
    }

    /// Records that something happened which a person must know of, and counts it.
    ///
    /// # Errors
    /// Any failure to write.
    pub async fn alarm(&self, alarm: Alarm, data: serde_json::Value) -> Result<(), JournalError> {
        let at = self.clock.now();
        fault::point("journal.alarm.before")?;
        self.call(move |connection| alarm.record(connection, at, &data)).await?;
        Ok(fault::point("journal.alarm.after")?)
    }

    /// The alarms that there were, with how often.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn alarms(&self) -> Result<BTreeMap<String, u64>, JournalError> {
        self.call(alarms).await
    }

    /// Sets a named value (`head`, `rewritten`); `None` removes it.
    ///
    /// # Errors
    /// Any failure to write.
    pub async fn set(&self, key: &'static str, value: Option<String>) -> Result<(), JournalError> {
        if fault::twice("journal.set") {
            let value = value.clone();
            self.call(move |connection| store::set(connection, key, value.as_deref())).await?;
        }
        fault::point("journal.set.before")?;
        self.call(move |connection| store::set(connection, key, value.as_deref())).await?;
        Ok(fault::point("journal.set.after")?)
    }

    /// A named value.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn get(&self, key: &'static str) -> Result<Option<String>, JournalError> {
        self.call(move |connection| read::value(connection, key)).await
    }

    /// The run of that id.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn run(&self, id: &RunId) -> Result<Option<Run>, JournalError> {
        let id = id.clone();
        self.call(move |connection| read::run(connection, &id)).await
    }

    /// All runs whose result is not yet in the ops repo, or whose grant is not yet revoked, in order of arrival.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn unfinished(&self) -> Result<Vec<Run>, JournalError> {
        self.call(read::unfinished).await
    }

    /// The actions of which an attempt after the first is not over, without the rest of their rows.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn retries(&self) -> Result<Vec<String>, JournalError> {
        self.call(read::retries).await
    }

    /// All runs in that state, in order of arrival.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn in_state(&self, state: State) -> Result<Vec<Run>, JournalError> {
        self.call(move |connection| read::in_state(connection, state)).await
    }

    /// The runs that something happened to after the event `seq`, in order of arrival.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn touched_since(&self, seq: i64) -> Result<Vec<Run>, JournalError> {
        self.call(move |connection| read::touched_since(connection, seq)).await
    }

    /// How many runs there are in each state.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn counts(&self) -> Result<Vec<(String, i64)>, JournalError> {
        self.call(read::counts).await
    }

    /// The end of the chain of events.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn tip(&self) -> Result<chain::Tip, JournalError> {
        self.call(chain::tip).await
    }

    /// The hash of the event `seq`; `None` where there is no such event.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn hash_of(&self, seq: i64) -> Result<Option<String>, JournalError> {
        self.call(move |connection| chain::hash_of(connection, seq)).await
    }

    /// The latest run of each of these actions.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn latest(&self, actions: Vec<ActionId>) -> Result<Vec<Option<Run>>, JournalError> {
        self.call(move |connection| actions.iter().map(|action| read::latest(connection, action.as_str())).collect())
            .await
    }

    /// The results of these actions that stand in the ops repo.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn standing(&self, actions: Vec<String>) -> Result<Vec<Option<StandingResult>>, JournalError> {
        self.call(move |connection| actions.iter().map(|action| read::standing(connection, action)).collect()).await
    }
}

/// The words of steps that are about to be recorded. The steps themselves hold all that will run, and are not kept for this.
fn stories(steps: &[(RunId, Step)]) -> Vec<(RunId, String)> {
    steps.iter().map(|(run, step)| (run.clone(), story::words(step))).collect()
}

#[cfg(test)]
mod tests;
