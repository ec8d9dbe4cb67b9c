//! The crew: the runs that are being driven right now, one task each, and the slots that they hold.
//!
//! [`recovery`] is what it takes up of a journal that has a past, [`upkeep`] what it does for runs that are over.

mod recovery;
mod upkeep;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::queue::{Candidate, Capacity, Claim, Decision, decide};
use super::reach::Reach;
use crate::action::reason::Reason;
use crate::backend::BackendError;
use crate::run::life::{Driven, LifeError, Wishes, World, drive};
use crate::run::record::{Held, Run};
use crate::run::state::State;
use crate::support::ids::{BlobId, RunId};
use crate::support::retry::RetryPolicy;
use upkeep::Upkeep;

/// Between two tries at a step of a run's life that failed, and at clearing up after one.
const STEP: RetryPolicy = RetryPolicy { first: Duration::from_millis(100), cap: Duration::from_secs(30), budget: None };

/// How long a run that was returned to the queue, since a server did not answer, stays there at least.
const RETURNED: Duration = Duration::from_secs(5);

/// Who is to look again after something changed.
#[derive(Debug, Default)]
pub struct Wakes {
    /// The queue: a run was admitted, or a slot is free.
    pub queue: Notify,
    /// The judge: a run that others depend on is over.
    pub judge: Notify,
    /// The outbox: a result is ready.
    pub outbox: Notify,
    /// The poll: somebody says that the branch moved.
    pub poll: Notify,
    /// Who checks open requests: something may have happened on the forge.
    pub telling: Notify,
}

/// A run that is being driven.
#[derive(Debug)]
struct Active {
    /// What it holds while it is driven.
    holds: Option<Holds>,
    /// Why it stands still, where it does: nothing can be done for it until a person acts. It has no slot then.
    parked: Option<Held>,
    stop: watch::Sender<bool>,
    /// Somebody wanted it driven while it was: once more, then, for its row may have changed behind the last look at it.
    again: Option<Turn>,
}

/// One time of being driven.
#[derive(Debug, Clone, Default)]
struct Turn {
    /// What it holds meanwhile.
    holds: Option<Holds>,
    /// The blob of the request that this is claimed for; not set: whatever the run is of.
    request: Option<BlobId>,
}

/// A slot, and what its run claims beside it. One that stands still has given its slot back and keeps its claims: it may go
/// on where nobody sees it, and what must not run beside it must not run now either.
type Holds = (Option<u32>, Claim);

/// An admitted run that waits for its turn.
#[derive(Debug, Clone)]
struct Queued {
    candidate: Candidate,
    /// The blob of its request.
    request: Option<BlobId>,
    /// Why it waits, as of the last look at the queue.
    held: Option<Held>,
    /// It was returned to the queue and is not tried again before then.
    not_until: Option<Instant>,
}

impl Active {
    fn slot(&self) -> Option<u32> {
        self.holds.as_ref().and_then(|(slot, _)| *slot)
    }

    /// What it holds now, and what it is to hold next.
    fn all_holds(&self) -> impl Iterator<Item = &Holds> {
        self.holds.iter().chain(self.again.iter().filter_map(|turn| turn.holds.as_ref()))
    }
}

/// The runs that are being driven, and those that wait for their turn.
#[derive(Debug)]
pub struct Crew {
    world: Arc<World>,
    wakes: Arc<Wakes>,
    reach: Arc<Reach>,
    active: Mutex<BTreeMap<RunId, Active>>,
    queued: Mutex<BTreeMap<RunId, Queued>>,
    detach: watch::Sender<bool>,
    news: watch::Sender<()>,
    tasks: TaskTracker,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew {
    /// A crew without runs. It tells `reach` of calls that failed.
    pub fn new(world: Arc<World>, wakes: Arc<Wakes>, reach: Arc<Reach>) -> Arc<Self> {
        Arc::new(Self {
            world,
            wakes,
            reach,
            active: Mutex::default(),
            queued: Mutex::default(),
            detach: watch::Sender::new(false),
            news: watch::Sender::new(()),
            tasks: TaskTracker::new(),
        })
    }

    /// What every run's life needs.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// How many runs hold a slot.
    pub fn running(&self) -> usize {
        locked(&self.active).values().filter(|active| active.slot().is_some()).count()
    }

    /// Changes whenever a run is over or its result was published.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Whether nothing is being driven. A run that stands still until a person acts is not.
    pub fn is_idle(&self) -> bool {
        locked(&self.active).values().all(|active| active.parked.is_some())
    }

    /// Whether the run is being driven or waits for its turn.
    pub fn has(&self, run: &RunId) -> bool {
        locked(&self.active).contains_key(run) || locked(&self.queued).contains_key(run)
    }

    /// Why admitted runs wait for their turn, as of the last look at the queue.
    pub fn waits(&self) -> BTreeMap<RunId, Held> {
        let queued = locked(&self.queued);
        queued.iter().filter_map(|(run, queued)| Some((run.clone(), queued.held.clone()?))).collect()
    }

    /// Why runs that were launched stand still until a person acts.
    pub fn parked(&self) -> BTreeMap<RunId, Held> {
        let active = locked(&self.active);
        active.iter().filter_map(|(run, active)| Some((run.clone(), active.parked.clone()?))).collect()
    }

    /// How many admitted runs wait for their turn.
    pub fn queued(&self) -> usize {
        locked(&self.queued).len()
    }

    /// Puts an admitted run into the queue.
    pub fn enqueue(&self, run: &Run) {
        locked(&self.queued).insert(run.id.clone(), Queued::of(run));
    }

    /// Takes a run out of the queue: it was stopped, or is another request now.
    pub fn dequeue(&self, run: &RunId) {
        locked(&self.queued).remove(run);
    }

    /// Takes up a run where its row says it stands: after a start, and to settle what needs no slot.
    pub fn take_up(self: &Arc<Self>, run: &Run) {
        let slot = || run.slot.unwrap_or_else(|| self.lowest_free());
        let holds = run.state.holds_slot().then(|| (Some(slot()), claim_of(run)));
        self.spawn(run.id.clone(), Turn { holds, request: None });
    }

    fn lowest_free(&self) -> u32 {
        let active = locked(&self.active);
        let taken: Vec<u32> = active.values().flat_map(Active::all_holds).filter_map(|(slot, _)| *slot).collect();
        (0..u32::MAX).find(|slot| !taken.contains(slot)).unwrap_or(u32::MAX)
    }

    /// Lets those queued runs begin whose turn it is, and notes why the others wait. Answers how many began.
    pub fn begin_ready(self: &Arc<Self>, capacity: &Capacity) -> usize {
        let now = Instant::now();
        let waiting = |queued: &&Queued| queued.not_until.is_none_or(|until| until <= now);
        let candidates = locked(&self.queued).values().filter(waiting).map(|queued| queued.candidate.clone()).collect();
        let holding: Vec<Holds> = locked(&self.active).values().flat_map(Active::all_holds).cloned().collect();
        let capacity = Capacity { out: self.reach.out(), ..capacity.clone() };
        let mut begun = 0;
        for decision in decide(candidates, &holding, &capacity) {
            match decision {
                Decision::Begin { run, slot } => begun += usize::from(self.begin(&run, slot)),
                Decision::Wait { run, reason, message } => {
                    if let Some(queued) = locked(&self.queued).get_mut(&run) {
                        queued.held = Some(Held { reason, message, until: None });
                    }
                }
            }
        }
        begun
    }

    fn begin(self: &Arc<Self>, run: &RunId, slot: u32) -> bool {
        let Some(queued) = locked(&self.queued).remove(run) else { return false };
        let holds = Some((Some(slot), queued.candidate.claim));
        self.spawn(run.clone(), Turn { holds, request: queued.request });
        true
    }

    /// Passes on that the run is to stop; why stands in the journal already.
    pub fn stop(&self, run: &RunId) {
        if let Some(active) = locked(&self.active).get(run) {
            active.stop.send_replace(true);
        }
    }

    /// Leaves all runs running, and waits until each is where a later dispatcher can adopt it.
    pub async fn detach(&self) {
        self.detach.send_replace(true);
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn spawn(self: &Arc<Self>, id: RunId, turn: Turn) {
        let stop = watch::Sender::new(false);
        let wishes = Wishes { stop: stop.subscribe(), detach: self.detach.subscribe() };
        match locked(&self.active).entry(id.clone()) {
            Entry::Occupied(mut driven) => {
                let next = driven.get_mut().again.get_or_insert_default();
                if turn.holds.is_some() {
                    *next = turn;
                }
                return;
            }
            Entry::Vacant(place) => {
                place.insert(Active { holds: turn.holds.clone(), parked: None, stop, again: None });
            }
        }
        let crew = Arc::clone(self);
        self.tasks.spawn(async move {
            let mut turn = Some(turn);
            while let Some(Turn { holds, request }) = turn {
                let slot = holds.and_then(|(slot, _)| slot).unwrap_or(0);
                crew.see_through(&id, slot, request, wishes.clone()).await;
                turn = crew.once_more(&id);
            }
            crew.news.send_replace(());
            crew.wakes.queue.notify_one();
            crew.wakes.outbox.notify_one();
            crew.wakes.judge.notify_one();
            // Not together with the publication, which may have to wait for the ops repo: a grant ends with its run.
            crew.until_done(&id, Upkeep::TakeBack).await;
        });
    }

    /// How the run is to be driven once more; `None`: it is driven no longer.
    fn once_more(&self, id: &RunId) -> Option<Turn> {
        let mut active = locked(&self.active);
        let again = active.get_mut(id).filter(|_| !*self.detach.borrow()).and_then(|driven| {
            let Turn { holds, request } = driven.again.take()?;
            driven.holds = holds.or(driven.holds.take());
            Some(Turn { holds: driven.holds.clone(), request })
        });
        if again.is_none() {
            active.remove(id);
        }
        again
    }

    /// Drives the run until there is nothing left to do; a step that failed is tried again from where the row stands.
    async fn see_through(&self, id: &RunId, slot: u32, request: Option<BlobId>, mut wishes: Wishes) {
        let mut delays = STEP.delays();
        loop {
            match drive(&self.world, id, slot, request.clone(), &mut wishes).await {
                Ok(Driven::Settled | Driven::Detached | Driven::Replaced) => return,
                Ok(Driven::Returned { reason, message }) => return self.note_returned(id, reason, message).await,
                Err(error @ LifeError::NoSuchBackend { .. }) => {
                    self.park(id, error.to_string());
                    tokio::select! {
                        _ = wishes.stop.wait_for(|wanted| *wanted) => {}
                        _ = wishes.detach.wait_for(|wanted| *wanted) => return,
                    }
                    self.unpark(id);
                    continue;
                }
                Err(error) => {
                    if let LifeError::Backend { source: BackendError::Unreachable { backend, .. }, .. } = &error {
                        self.reach.doubt(backend);
                    }
                    tracing::warn!(run = %id, error = %crate::support::chain::words(&error), "trying again");
                }
            }
            let pause = delays.next().unwrap_or(STEP.cap);
            tokio::select! {
                () = sleep(pause) => {}
                _ = wishes.detach.wait_for(|wanted| *wanted) => return,
            }
        }
    }

    /// Nothing can be done for the run: it gives its slot back, and says why it stands still.
    fn park(&self, id: &RunId, message: String) {
        tracing::warn!(run = %id, "stands still: {message}");
        if let Some(active) = locked(&self.active).get_mut(id) {
            active.parked = Some(Held { reason: Reason::BackendUnavailable, message, until: None });
            active.holds.iter_mut().for_each(|(slot, _)| *slot = None);
        }
        self.news.send_replace(());
        self.wakes.queue.notify_one();
        self.wakes.outbox.notify_one();
    }

    fn unpark(&self, id: &RunId) {
        if let Some(active) = locked(&self.active).get_mut(id) {
            active.parked = None;
        }
    }

    async fn note_returned(&self, id: &RunId, reason: Reason, message: String) {
        tracing::info!(run = %id, %reason, message, "back in the queue");
        let mut detach = self.detach.subscribe();
        for pause in STEP.delays() {
            match self.world.journal.run(id).await {
                Ok(Some(run)) if run.state == State::Admitted => {
                    let queued = Queued::of(&run);
                    if reason == Reason::BackendUnavailable {
                        self.reach.doubt(&queued.candidate.claim.backend);
                    }
                    let held = Some(Held { reason, message, until: None });
                    let not_until = Some(Instant::now() + RETURNED);
                    locked(&self.queued).insert(id.clone(), Queued { held, not_until, ..queued });
                    return;
                }
                // Stopped, or another request: others take it from there.
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(run = %id, error = %crate::support::chain::words(&error), "not queued yet");
                }
            }
            // A later start finds it in the journal as it is.
            tokio::select! {
                () = sleep(pause) => {}
                _ = detach.wait_for(|wanted| *wanted) => return,
            }
        }
    }

    /// When a returned run may be tried again, if there is one.
    pub fn next_return(&self) -> Option<Instant> {
        let now = Instant::now();
        locked(&self.queued).values().filter_map(|queued| queued.not_until).filter(|until| *until > now).min()
    }
}

impl Queued {
    fn of(run: &Run) -> Self {
        let priority = run.admitted.as_ref().map_or(0, |admitted| admitted.priority);
        let candidate = Candidate { claim: claim_of(run), priority, order: run.order };
        let request = run.request.as_ref().map(|request| request.blob.clone());
        Self { candidate, request, held: None, not_until: None }
    }
}

/// What a run claims while it runs.
pub(super) fn claim_of(run: &Run) -> Claim {
    let admitted = run.admitted.as_deref();
    Claim {
        run: run.id.clone(),
        formula: admitted.map(|admitted| admitted.formula.name.clone()),
        formula_limit: admitted.and_then(|admitted| admitted.formula.max_concurrent),
        backend: run.backend.clone().or_else(|| admitted.map(|admitted| admitted.backend.clone())).unwrap_or_default(),
        concurrency_key: admitted.and_then(|admitted| admitted.concurrency_key.clone()),
        working_directory: admitted.and_then(|admitted| admitted.working_directory.clone()),
    }
}
