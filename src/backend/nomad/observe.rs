//! Following one run: its state whenever the watch says that something may have changed, its log at the same time, until it is
//! over. Nothing here polls; the timers are the deadline of a placement and the repetition of a request that may not have arrived.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::client::ClientError;
use super::client::types::{Allocation, Evaluation, Job, Task};
use super::decide::{Fate, JobStanding, Shown, Verdict, decide, has_started};
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
        let mut given_up: Option<String> = None;
        let (mut deadline, mut hint) = (None, Hint::default());
        loop {
            point("nomad.look.before", "looking how the run stands")?;
            self.look(hint).await?;
            point("nomad.look.after", "looking how the run stands")?;
            self.tell_placements().await;
            self.tell_beginning().await;
            match self.seen.verdict() {
                Verdict::Over(fate) => return Ok(with_placement(fate, given_up)),
                Verdict::GoesOn => hint = listener.changed().await,
                Verdict::Repeated => {
                    tracing::warn!(job = self.place.job, "Nomad begins a run of a lost node once more; ending that");
                    self.give_up().await;
                    if let Ok(news) = tokio::time::timeout(GIVE_UP_AGAIN, listener.changed()).await {
                        hint = news;
                    }
                }
                Verdict::Unplaced(why) => {
                    let until = *deadline.get_or_insert_with(|| self.placement_deadline());
                    if let Ok(news) = tokio::time::timeout_at(until, listener.changed()).await {
                        hint = news;
                    } else {
                        given_up.get_or_insert(why.unwrap_or_else(|| "Nomad does not say why".to_owned()));
                        deadline = Some(Instant::now() + GIVE_UP_AGAIN);
                        self.give_up().await;
                    }
                }
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
            let _ = self.news.send(Observation::Started(self.placement(Some(first)))).await;
            self.begun.send_replace(Some(begun));
        }
    }

    fn has_begun(&self, allocation: &str) -> bool {
        self.seen.allocations.iter().any(|one| one.id == allocation && has_started(one))
    }

    fn task(&self) -> String {
        self.seen.task().map_or(TASK, |task| &task.name).to_owned()
    }

    /// When the run must have been placed: counted from its dispatch, whoever follows it by then, and by the servers' clock, which has
    /// dated that.
    fn placement_deadline(&self) -> Instant {
        let submitted = self.seen.job.as_ref().and_then(|job| Timestamp::from_nanosecond(job.submit_time.into()).ok());
        let now = self.backend.client.server_now();
        let gone = submitted.zip(now).map(|(submitted, now)| now.duration_since(submitted));
        let gone = gone.and_then(|gone| Duration::try_from(gone).ok()).unwrap_or_default();
        Instant::now() + self.backend.settings.placement.saturating_sub(gone)
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

/// The fate of a run whose placement was given up for want of `why`.
fn with_placement(fate: Fate, why: Option<String>) -> Fate {
    match why {
        Some(why) if fate.how == End::NotStarted => {
            let detail = Some(format!("it found no place in time and was taken back: {why}"));
            Fate { detail, reason: Some(Reason::NeverPlaced), ..fate }
        }
        _ => fate,
    }
}
