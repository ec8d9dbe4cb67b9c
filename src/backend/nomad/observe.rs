//! Following one run: its state whenever the watch says that something may have changed, its log at the same time, until it is
//! over. Nothing here polls; the timers are the deadline of a placement and the repetition of a request that may not have arrived.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::client::ClientError;
use super::client::types::{Allocation, Evaluation, Job, Task};
use super::decide::{Fate, JobStanding, Shown, Verdict, decide, has_started, started, terminated};
use super::log::Log;
use super::watch::Hint;
use super::{Maker, NomadBackend, Place, persist, plainly, point};
use crate::action::reason::Reason;
use crate::backend::{BackendError, Cursor, End, Ended, Observation, Placement};
use crate::support::clock::{Clock as _, SystemClock};
use crate::support::retry::RetryPolicy;

/// The task of the shipped jobs.
const TASK: &str = "runner";

/// Between two requests to take a run back.
const GIVE_UP_AGAIN: Duration = Duration::from_secs(30);

/// What was read of a run at one moment.
#[derive(Debug, Default)]
struct Look {
    job: Option<Job>,
    allocations: Vec<Allocation>,
    evaluations: Vec<Evaluation>,
}

impl Look {
    fn standing(&self) -> JobStanding {
        match &self.job {
            None => JobStanding::Gone,
            Some(job) if job.stop => JobStanding::Stopped,
            Some(_) => JobStanding::Wanted,
        }
    }

    fn verdict(&self) -> Verdict {
        let (allocations, evaluations) = (&self.allocations, &self.evaluations);
        decide(Shown { job: self.standing(), allocations, evaluations })
    }

    fn task(&self) -> Option<&Task> {
        self.job.as_ref()?.task_groups.as_ref()?.first()?.tasks.as_ref()?.first()
    }
}

/// The first execution of which is known that its process exists.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Begun {
    allocation: String,
    task: String,
}

impl NomadBackend {
    /// Follows the run to its end.
    pub(super) async fn follow(
        &self,
        place: &Place,
        cursor: &Cursor,
        news: &mpsc::Sender<Observation>,
    ) -> Result<Ended, BackendError> {
        let (begun, mut beginning) = tokio::sync::watch::channel(None::<Begun>);
        let mut run = Run { backend: self, place, news, begun, seen: Look::default(), placed: BTreeSet::new() };
        let mut log = Log::new(&self.client, &self.turns, cursor, news);
        let fate = {
            let listen = async {
                if let Ok(found) = beginning.wait_for(Option::is_some).await.map(|found| found.clone())
                    && let Some(begun) = found
                {
                    log.follow(&begun.allocation, &begun.task).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                fate = run.until_over() => fate?,
                () = listen => Fate::unknown(),
            }
        };
        if let Some(allocation) = &fate.allocation
            && run.has_begun(allocation)
        {
            point("nomad.rest.before", "reading the rest of the log")?;
            log.rest(allocation, &run.task()).await;
            point("nomad.rest.after", "reading the rest of the log")?;
        }
        Ok(run.ended(fate))
    }
}

/// One run that is followed.
struct Run<'a> {
    backend: &'a NomadBackend,
    place: &'a Place,
    news: &'a mpsc::Sender<Observation>,
    begun: tokio::sync::watch::Sender<Option<Begun>>,
    seen: Look,
    /// The allocations of which it was told.
    placed: BTreeSet<String>,
}

impl Run<'_> {
    async fn until_over(&mut self) -> Result<Fate, BackendError> {
        // Before the first look: what changes after it is told.
        let mut listener = self.backend.watch.listen(&self.place.job);
        let (mut given_up, mut patience) = (None, None);
        let mut hint = Hint::default();
        loop {
            point("nomad.look.before", "looking how the run stands")?;
            self.look(hint).await?;
            point("nomad.look.after", "looking how the run stands")?;
            self.tell_placements().await;
            self.tell_beginning().await;
            let awaited = match self.seen.verdict() {
                Verdict::Over(fate) => return Ok(explained(fate, given_up)),
                Verdict::GoesOn if self.begun.borrow().is_some() => {
                    hint = listener.changed().await;
                    continue;
                }
                Verdict::Repeated => {
                    tracing::warn!(job = self.place.job, "Nomad begins a run of a lost node once more; ending that");
                    self.give_up().await;
                    if let Ok(news) = tokio::time::timeout(GIVE_UP_AGAIN, listener.changed()).await {
                        hint = news;
                    }
                    continue;
                }
                Verdict::GoesOn => self.not_set_up(),
                Verdict::Unplaced(why) => GivenUp::unplaced(why),
            };
            let until = match patience {
                Some((reason, until)) if reason == awaited.reason => until,
                _ => self.deadline_of(&awaited),
            };
            patience = Some((awaited.reason, until));
            if let Ok(news) = tokio::time::timeout_at(until, listener.changed()).await {
                hint = news;
            } else {
                patience = Some((awaited.reason, Instant::now() + GIVE_UP_AGAIN));
                given_up.get_or_insert(awaited);
                self.give_up().await;
            }
        }
    }

    /// Reads how the run stands. What was known of a job that is gone since stays; while all is as the server wants it to be, the job is
    /// the one that it was.
    async fn look(&mut self, hint: Hint) -> Result<(), BackendError> {
        let client = &self.backend.client;
        let id = &self.place.job;
        let known = self.seen.job.as_ref().is_some_and(|job| !job.stop);
        let read = || async {
            let allocations = client.allocations(id, hint.allocations).await?;
            let unexplained = allocations.is_empty() || allocations.iter().any(|one| one.desired_status != "run");
            let evaluations = if unexplained { client.evaluations(id, hint.evaluations).await? } else { Vec::new() };
            let job = if known && !unexplained { None } else { Some(client.job(id).await?) };
            Ok::<_, ClientError>((allocations, evaluations, job))
        };
        let read = persist(RetryPolicy::FOLLOW, read).await.map_err(|error| plainly(&error))?;
        let (allocations, evaluations, job) = read;
        let job = job.unwrap_or_else(|| self.seen.job.take());
        if job.is_some() || !allocations.is_empty() {
            self.seen.allocations = allocations;
        }
        (self.seen.job, self.seen.evaluations) = (job, evaluations);
        Ok(())
    }

    /// An allocation that is to run and is not over may want what its identity gives it a right to. Of a child that may be somebody
    /// else's nothing is said: nobody has anything for it.
    async fn tell_placements(&mut self) {
        if self.place.maker != Maker::We {
            return;
        }
        let alive = |one: &&Allocation| {
            one.desired_status == "run" && matches!(one.client_status.as_str(), "pending" | "running")
        };
        for one in self.seen.allocations.iter().filter(alive) {
            if self.placed.insert(one.id.clone()) {
                // As below.
                let _ = self.news.send(Observation::Placed { allocation: one.id.clone() }).await;
            }
        }
    }

    async fn tell_beginning(&mut self) {
        let Some(first) = self.seen.allocations.iter().find(|one| has_started(one)) else { return };
        let begun = Begun { allocation: first.id.clone(), task: self.task() };
        if self.begun.borrow().is_none() {
            // Nobody listening any more is no reason to lose sight of the end.
            let lasted = lasted(first, self.backend.client.server_now());
            let _ = self.news.send(Observation::Started { placement: self.placement(Some(first)), lasted }).await;
            self.begun.send_replace(Some(begun));
        }
    }

    fn has_begun(&self, allocation: &str) -> bool {
        self.seen.allocations.iter().any(|one| one.id == allocation && has_started(one))
    }

    fn task(&self) -> String {
        self.seen.task().map_or(TASK, |task| &task.name).to_owned()
    }

    /// When what is awaited must have come: the place counted from the dispatch, whoever follows the run by then, the process from the
    /// placement; and by the servers' clock, which has dated both.
    fn deadline_of(&self, awaited: &GivenUp) -> Instant {
        let settings = &self.backend.settings;
        let (time, since) = match awaited.reason {
            Reason::NeverPlaced => (settings.placement, self.seen.job.as_ref().map(|job| job.submit_time)),
            _ => (settings.setup, self.seen.allocations.last().map(|one| one.create_time)),
        };
        let gone = since.and_then(instant).zip(self.backend.client.server_now());
        let gone = gone.map(|(since, now)| between(since, now)).unwrap_or_default();
        Instant::now() + time.saturating_sub(gone)
    }

    fn not_set_up(&self) -> GivenUp {
        let node = self.seen.allocations.last().map_or("", |one| one.node_name.as_str());
        GivenUp { reason: Reason::SetupFailed, why: format!("its process did not come about on {node}") }
    }

    /// Takes the job back. What that comes to is seen by looking.
    async fn give_up(&self) {
        if let Err(error) = self.backend.client.deregister(&self.place.job).await {
            tracing::warn!(job = self.place.job, %error, "a run could not be taken back; trying again");
        }
    }

    fn placement(&self, allocation: Option<&Allocation>) -> Placement {
        let image = self.seen.task().and_then(|task| task.config.as_ref()?.image.clone());
        Placement {
            id: self.place.job.clone(),
            allocation: allocation.map(|one| one.id.clone()),
            node: allocation.map(|one| one.node_name.clone()),
            image,
        }
    }

    fn ended(&self, fate: Fate) -> Ended {
        let of_fate = |one: &&Allocation| fate.allocation.as_deref() == Some(one.id.as_str());
        Ended {
            how: fate.how,
            at: fate.at.unwrap_or_else(|| SystemClock.now()),
            placement: self.placement(self.seen.allocations.iter().find(of_fate)),
            detail: fate.detail,
            reason: fate.reason,
            restarted: fate.restarted,
        }
    }
}

fn explained(fate: Fate, given_up: Option<GivenUp>) -> Fate {
    match given_up {
        Some(given_up) => given_up.explain(fate),
        None => fate,
    }
}

/// What a run waits for, and is taken back for where that does not come in time.
#[derive(Debug)]
struct GivenUp {
    reason: Reason,
    why: String,
}

impl GivenUp {
    fn unplaced(why: Option<String>) -> Self {
        Self { reason: Reason::NeverPlaced, why: why.unwrap_or_else(|| "Nomad does not say why".to_owned()) }
    }

    /// The fate of such a run; one that had started all the same has its own.
    fn explain(self, fate: Fate) -> Fate {
        if fate.how != End::NotStarted {
            return fate;
        }
        let what = if self.reason == Reason::NeverPlaced { "found no place" } else { "was not set up" };
        let detail = Some(format!("it {what} in time and was taken back: {}", self.why));
        Fate { detail, reason: Some(self.reason), ..fate }
    }
}

/// How long the process of `allocation` has gone on at `now`, the servers' time, or went on. Its beginning and its end are dated by the
/// client, whose clock may be off: no process is older than its allocation, which the servers have dated.
fn lasted(allocation: &Allocation, now: Option<Timestamp>) -> Option<Duration> {
    let began = started(allocation).and_then(instant)?;
    if let Some(ended) = terminated(allocation).and_then(instant) {
        return Some(between(began, ended));
    }
    let now = now?;
    let at_most = instant(allocation.create_time).map(|made| between(made, now));
    Some(between(began, now).min(at_most.unwrap_or(Duration::MAX)))
}

/// A date in nanoseconds since 1970; none where it was not noted.
fn instant(nanoseconds: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanoseconds.into()).ok().filter(|at| *at > Timestamp::UNIX_EPOCH)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
