//! One dispatcher, from its start until it dies or until nothing is left to do: the real crew, queue, journal and steps. What
//! needs git in the real one is played here in its order: looking, judging, publishing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dispatch::action::result::{ActionResult, DispatcherRef};
use dispatch::backend::Backend;
use dispatch::config::types::Layout;
use dispatch::dispatcher::crew::{Crew, Wakes};
use dispatch::dispatcher::queue::Capacity;
use dispatch::dispatcher::reach::Reach;
use dispatch::run::journal::{Journal, JournalError, Passing, Sighting, StandingResult, read, store};
use dispatch::run::life::{Hindered, World};
use dispatch::run::log::LogStore;
use dispatch::run::record::Run;
use dispatch::run::settle::ResultPaths;
use dispatch::run::state::State;
use dispatch::run::step::{Step, StopCause};
use dispatch::support::ids::RunId;
use dispatch::support::tenure::Tenure;
use tokio::time::sleep;

use crate::chance::Chance;
use crate::history::{Asked, head};
use crate::place::{Grants, Place};
use crate::remote::Remote;

/// What outlives a dispatcher.
pub(crate) struct Surroundings<'s> {
    pub(crate) chance: Chance,
    pub(crate) folder: &'s Path,
    pub(crate) place: Place,
    pub(crate) grants: Grants,
    pub(crate) remote: Remote,
    pub(crate) asked: Arc<Vec<Asked>>,
    pub(crate) slots: u32,
}

struct Life {
    chance: Chance,
    crew: Arc<Crew>,
    wakes: Arc<Wakes>,
    reach: Arc<Reach>,
    remote: Remote,
    asked: Arc<Vec<Asked>>,
    slots: u32,
}

impl Surroundings<'_> {
    fn begin(&self) -> Life {
        let disk = self.chance.clone();
        let disk = move || Passing { before: disk.millis(4), full: disk.trouble(2), after: disk.millis(4) };
        let clock: Arc<Chance> = Arc::new(self.chance.clone());
        let journal = Journal::open_here(&self.folder.join("journal.db"), clock.clone(), Box::new(disk)).unwrap();
        let backend: Arc<dyn Backend> = Arc::new(self.place.clone());
        let backends = BTreeMap::from([("fake".to_owned(), backend)]);
        let world = World {
            journal,
            backends: backends.clone(),
            secrets: Arc::new(self.grants.clone()),
            logs: LogStore::new(self.folder.join("logs")),
            clock,
            grace: Duration::from_secs(5),
            environment: BTreeMap::new(),
            dispatcher: DispatcherRef { version: "0".to_owned(), host: "simulation".to_owned() },
            paths: ResultPaths { actions: "vault/actions".to_owned(), layout: Layout::Flat },
            tenure: Tenure::unlimited(),
            hindered: Hindered::default(),
        };
        let (wakes, reach) = (Arc::new(Wakes::default()), Arc::new(Reach::new(backends)));
        let crew = Crew::new(Arc::new(world), wakes.clone(), reach.clone());
        let (chance, remote, asked, slots) = (self.chance.clone(), self.remote.clone(), self.asked.clone(), self.slots);
        Life { chance, crew, wakes, reach, remote, asked, slots }
    }

    /// Lives until nothing is left to do.
    pub(crate) async fn live(&self) {
        let life = Arc::new(self.begin());
        while let Err(error) = life.crew.resume().await {
            life.chance.tell(format!("resume: {error}"));
            sleep(Duration::from_millis(100)).await;
        }
        tokio::spawn(watch_slots(life.clone(), self.folder.join("journal.db")));
        tokio::spawn(async_of(life.clone(), Life::keep_publishing));
        let reaching = life.clone();
        tokio::spawn(async move {
            let news = || reaching.wakes.queue.notify_one();
            reaching.reach.keep_looking(news).await;
        });
        life.chance.pause().await;
        while life.crew.resume_launches().await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
        tokio::spawn(async_of(life.clone(), Life::keep_beginning));
        for number in 0..life.asked.len() {
            let life = life.clone();
            tokio::spawn(async move { life.ask_for(number).await });
        }
        life.until_at_rest().await;
    }
}

async fn async_of<F: Future<Output = ()>>(life: Arc<Life>, part: impl FnOnce(Arc<Life>) -> F) {
    part(life).await;
}

impl Life {
    fn journal(&self) -> &Journal {
        &self.crew.world().journal
    }

    /// Sees that one request is taken up, judged, perhaps cancelled and perhaps asked for again; each step until it is on record.
    async fn ask_for(&self, number: usize) {
        let asked = &self.asked[number];
        sleep(asked.at.saturating_sub(self.chance.elapsed())).await;
        self.insist(|| self.take_in(asked, 1)).await;
        if let Some(at) = asked.cancel_at {
            sleep(at.saturating_sub(self.chance.elapsed())).await;
            self.insist(|| self.cancel(asked)).await;
        }
        if asked.again {
            let first = asked.run(1);
            loop {
                let row = self.journal().run(&first).await;
                if row.is_ok_and(|run| run.is_some_and(|run| run.state == State::Published)) {
                    break;
                }
                sleep(Duration::from_millis(500)).await;
            }
            self.insist(|| self.take_in(asked, 2)).await;
        }
    }

    async fn insist<F: Future<Output = Result<(), JournalError>>>(&self, step: impl Fn() -> F) {
        while let Err(error) = step().await {
            self.chance.tell(format!("a step failed: {error}"));
            drop(self.crew.catch_up().await);
            self.wakes.queue.notify_one();
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// As the look and the judge do it.
    async fn take_in(&self, asked: &Asked, attempt: u32) -> Result<(), JournalError> {
        let id = asked.run(attempt);
        if self.journal().run(&id).await?.is_none() {
            let see = Step::See { request: asked.request(), asked_by: (attempt > 1).then(|| "somebody".to_owned()) };
            if attempt == 1 {
                let steps = vec![(id.clone(), see)];
                self.journal().sight(Sighting { head: Some(head()), steps, ..Sighting::default() }).await?;
            } else {
                self.journal().step(&id, see).await?;
            }
        }
        let Some(run) = self.journal().run(&id).await? else { return Ok(()) };
        if run.state != State::Seen {
            return Ok(());
        }
        let run = self.journal().step(&id, Step::Admit { admitted: Box::new(asked.admitted()) }).await?;
        if run.state == State::Admitted {
            self.crew.enqueue(&run);
            self.wakes.queue.notify_one();
        }
        Ok(())
    }

    /// As the control socket does it.
    async fn cancel(&self, asked: &Asked) -> Result<(), JournalError> {
        let id = asked.run(1);
        let Some(run) = self.journal().run(&id).await? else { return Ok(()) };
        if run.stop.is_some()
            || matches!(run.state, State::Finished | State::Rejected | State::Settled | State::Published)
        {
            return Ok(());
        }
        let step = Step::Stop { cause: StopCause::Operator, by: Some("control socket".to_owned()) };
        let run = match self.journal().step(&id, step).await {
            Err(JournalError::Illegal { .. }) => return Ok(()),
            other => other?,
        };
        self.chance.tell(format!("{id} is cancelled: {}", run.state));
        self.crew.dequeue(&id);
        match run.state {
            State::Finished => self.crew.take_up(&run),
            _ => self.crew.stop(&id),
        }
        Ok(())
    }

    async fn keep_beginning(self: Arc<Self>) {
        let capacity = Capacity { slots: self.slots, ..Capacity::default() };
        loop {
            self.crew.begin_ready(&capacity);
            let pause = self
                .crew
                .next_return()
                .map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(tokio::time::Instant::now()));
            tokio::select! {
                () = self.wakes.queue.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    async fn keep_publishing(self: Arc<Self>) {
        loop {
            match self.publish().await {
                Ok(true) => {}
                Ok(false) => self.wakes.outbox.notified().await,
                Err(why) => {
                    self.chance.tell(format!("not published yet: {why}"));
                    sleep(self.chance.millis(2_000)).await;
                }
            }
        }
    }

    /// As the outbox does it; answers whether there was anything to do.
    async fn publish(&self) -> Result<bool, String> {
        let words = |error: JournalError| error.to_string();
        let waiting = self.journal().in_state(State::Settled).await.map_err(words)?;
        if waiting.is_empty() {
            return Ok(false);
        }
        let mut files = BTreeMap::new();
        for run in &waiting {
            let outcome = run.outcome.clone().unwrap();
            match self.remote.file(&outcome.path) {
                Some(standing) if standing == outcome.result => {}
                Some(standing) if attempt_of(&standing) >= run.id.attempt() => {
                    self.chance.wrong(format!("{} has two results: {standing} and {}", run.id, outcome.result));
                }
                _ => drop(files.insert(outcome.path, outcome.result)),
            }
        }
        self.remote.push(files).await?;
        let publish = |run: &Run| (run.id.clone(), Step::Publish { commit: head(), kept_aside: None });
        self.journal().steps("publish", waiting.iter().map(publish).collect()).await.map_err(words)?;
        let standing = |run: &Run| StandingResult {
            action: run.id.action().to_string(),
            path: run.outcome.clone().unwrap().path,
            blob: "c".repeat(40).parse().unwrap(),
            attempt: run.id.attempt(),
        };
        let results = waiting.iter().map(standing).collect();
        self.journal().sight(Sighting { head: Some(head()), results, ..Sighting::default() }).await.map_err(words)?;
        self.crew.clear_up(waiting.into_iter().map(|run| run.id).collect());
        Ok(true)
    }

    async fn until_at_rest(&self) {
        loop {
            sleep(Duration::from_secs(1)).await;
            let Ok(unfinished) = self.journal().unfinished().await else { continue };
            let wanted: BTreeSet<RunId> = self.asked.iter().map(Asked::last_run).collect();
            let mut here = 0;
            for id in &wanted {
                let row = self.journal().run(id).await;
                here += usize::from(row.is_ok_and(|run| run.is_some_and(|run| run.state == State::Published)));
            }
            if unfinished.is_empty() && here == wanted.len() && self.crew.is_idle() {
                return;
            }
        }
    }
}

fn attempt_of(result: &str) -> u32 {
    serde_json::from_str::<ActionResult>(result).unwrap().attempt
}

/// Looks at every change of the journal: no more runs than slots, each in its own, and one at a time with the same key.
async fn watch_slots(life: Arc<Life>, journal: std::path::PathBuf) {
    let beside = store::open_to_read(&journal).unwrap();
    let mut news = life.journal().news();
    loop {
        let rows = read::unfinished(&beside).unwrap();
        let holding: Vec<&Run> = rows.iter().filter(|run| run.state.holds_slot()).collect();
        let slots: BTreeSet<u32> = holding.iter().filter_map(|run| run.slot).collect();
        let ids = || holding.iter().map(|run| format!("{} in {:?}", run.id, run.slot)).collect::<Vec<_>>().join(", ");
        if slots.len() != holding.len() || slots.iter().any(|slot| *slot >= life.slots) {
            life.chance.wrong(format!("{} slots are held by {}", life.slots, ids()));
        }
        let keys: Vec<&String> =
            holding.iter().filter_map(|run| run.admitted.as_ref()?.concurrency_key.as_ref()).collect();
        if keys.iter().collect::<BTreeSet<_>>().len() != keys.len() {
            life.chance.wrong(format!("runs of one key go on at once: {}", ids()));
        }
        if news.changed().await.is_err() {
            return;
        }
    }
}
