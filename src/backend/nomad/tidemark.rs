//! Tidemarks: children of no use, by which a launch can be ruled out later.
//!
//! Nomad collects a child some hours after its end, and at once on `system gc`. So that there is no child under a key does not say that there
//! was none. But collection takes all that is old enough: where a child that was over *before* the launch was asked for is still there,
//! every one that came after it would be too. `find`, which is asked before every launch, sees to it that there is such a child, not older than
//! an hour; `mark` says which one it is, and how it stood, and that is journalled with the launch. What is found under a later start of
//! the dispatcher is as good as one of its own.
//!
//! No two clocks are compared for that. What was before what is told by Raft's index: a tidemark that has not changed since it was seen
//! to be over, before the launch, was over before it. Only how old one is takes a clock, the servers' own.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::client::types::JobStub;
use super::client::{ClientError, Dispatch, Since};
use super::launch::NOTHING;
use super::names::{self, META_RUN};
use super::{NomadBackend, persist, question};
use crate::backend::{BackendError, Mark};
use crate::support::clock::{Clock as _, SystemClock};
use crate::support::fault;
use crate::support::retry::RetryPolicy;

/// A tidemark is made anew after this. Nomad collects a child four hours after its end, unless told otherwise: there is always one, and for
/// three hours of absence of the dispatcher too.
const LASTS: Duration = Duration::from_secs(3600);

/// How long a launch waits for its tidemark to be over where there is no older one, eight seconds or so in all: a client takes some of them
/// to end what it has only begun to set up (4 s with docker, and with any driver when it is busy).
const PATIENCE: RetryPolicy =
    RetryPolicy { first: Duration::from_millis(50), cap: Duration::from_millis(500), budget: Some(20) };

/// The server writes to the allocation once more after it is over: for so long a tidemark is looked at again…
const SETTLES: Duration = Duration::from_secs(10);

/// … by launches that come this much after the last look. One in doubt that came in between may have to be given up as lost.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What this process knows of tidemarks.
#[derive(Debug, Default)]
pub(super) struct Tidemark {
    /// One that is over.
    over: Option<Over>,
    /// A newer one that was not yet, when it was last looked at.
    coming: Option<String>,
    /// When the next one is due.
    due: Option<Instant>,
}

/// A tidemark that was seen to be over.
#[derive(Debug)]
struct Over {
    mark: TidemarkAt,
    first_seen: Instant,
    /// By a launch.
    looked: Option<Instant>,
}

/// The content of a [`Mark`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TidemarkAt {
    job: String,
    /// Of the last change to its evaluations and allocations.
    index: u64,
}

impl Over {
    fn seen(job: String, index: u64) -> Self {
        Self { mark: TidemarkAt { job, index }, first_seen: Instant::now(), looked: None }
    }

    fn may_have_changed(&self) -> bool {
        self.looked.is_none_or(|at| at.elapsed() >= LOOK_AGAIN && at.duration_since(self.first_seen) < SETTLES)
    }
}

impl NomadBackend {
    /// Whether the tidemark of a mark is there, and has not changed since.
    pub(super) async fn is_as_it_was(&self, before: Option<&Mark>) -> Result<bool, BackendError> {
        let Some(before) = before.and_then(|mark| TidemarkAt::deserialize(&mark.0).ok()) else { return Ok(false) };
        if question(|| self.client.job(&before.job)).await?.is_none() {
            return Ok(false);
        }
        Ok(question(|| self.over_at(&before.job)).await? == Some(before.index))
    }

    /// The tidemark that is over now, as it stands; none where that is not known.
    pub(super) async fn tidemark_now(&self) -> Option<Mark> {
        let mut known = self.tidemark.lock().await;
        let coming = known.coming.clone();
        if let Some(job) = coming
            && let Ok(Some(index)) = self.over_at(&job).await
        {
            (known.over, known.coming) = (Some(Over::seen(job, index)), None);
        }
        let over = known.over.as_mut()?;
        if over.may_have_changed()
            && let Ok(Some(index)) = self.over_at(&over.mark.job).await
        {
            (over.mark.index, over.looked) = (index, Some(Instant::now()));
        }
        serde_json::to_value(&over.mark).ok().map(Mark)
    }

    /// Sees to it that there is a fresh tidemark. Where that does not succeed, a launch in doubt will be settled as lost: no reason not to
    /// launch.
    pub(super) async fn keep_tidemark(&self) {
        let mut known = self.tidemark.lock().await;
        if known.due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        if let Err(error) = self.renew(&mut known).await {
            tracing::warn!(%error, "no mark for ruling out launches could be made in Nomad");
        }
    }

    /// Takes the newest tidemark that is over, where it is fresh, or makes one. Only where none is over yet is that waited for, since only
    /// then would the launch that comes next have none.
    async fn renew(&self, known: &mut Tidemark) -> Result<(), ClientError> {
        let marks = persist(RetryPolicy::QUESTION, || self.tidemarks()).await?;
        if let Some(newest) = marks.first()
            && let Some(index) = persist(RetryPolicy::QUESTION, || self.over_at(&newest.id)).await?
        {
            known.over = Some(Over::seen(newest.id.clone(), index));
            if let Some(left) = self.age(newest).and_then(|age| LASTS.checked_sub(age)) {
                known.due = Some(Instant::now() + left);
                return Ok(());
            }
        }
        let id = self.make_tidemark().await?;
        (known.coming, known.due) = (Some(id.clone()), Some(Instant::now() + LASTS));
        if known.over.is_some() {
            return Ok(());
        }
        if let Ok(index) = persist(PATIENCE, || self.is_over(&id)).await {
            (known.over, known.coming) = (Some(Over::seen(id, index)), None);
        } else {
            tracing::info!(
                "the first mark for ruling out launches in Nomad is not over yet; a launch that is broken off now is lost"
            );
        }
        Ok(())
    }

    /// How long ago a tidemark was made. One that the servers' clock puts into the future was made now.
    fn age(&self, mark: &JobStub) -> Option<Duration> {
        let made = Timestamp::from_nanosecond(mark.submit_time.into()).ok()?;
        let age = self.client.server_now()?.duration_since(made);
        Some(Duration::try_from(age).unwrap_or_default())
    }

    /// All of them that are done with, the newest one first.
    async fn tidemarks(&self) -> Result<Vec<JobStub>, ClientError> {
        let mut marks = self.client.jobs(&names::tidemarks(&self.settings.job)).await?;
        marks.retain(|mark| mark.status == "dead" && mark.stop);
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.submit_time));
        Ok(marks)
    }

    async fn make_tidemark(&self) -> Result<String, ClientError> {
        let (token, prefix) = (format!("tidemark-{}", SystemClock.now().as_nanosecond()), names::tidemark_prefix());
        let meta = BTreeMap::from([(META_RUN, "tidemark".to_owned())]);
        let parent = self.settings.job.as_str();
        let dispatch = Dispatch { parent, token: &token, prefix: &prefix, meta, payload: NOTHING };
        let point = |name| fault::point(name).map_err(|error| ClientError::withheld("making a tidemark", &error));
        point("nomad.tidemark.before")?;
        let id = self.client.dispatch(&dispatch).await?.job;
        point("nomad.tidemark.made")?;
        self.client.deregister(&id).await?;
        point("nomad.tidemark.after")?;
        Ok(id)
    }

    async fn is_over(&self, job: &str) -> Result<u64, ClientError> {
        self.over_at(job).await?.ok_or_else(ClientError::not_over)
    }

    /// The index at which a job that was deregistered last changed, once nothing of it goes on any more. A job counts as dead before.
    async fn over_at(&self, job: &str) -> Result<Option<u64>, ClientError> {
        let evaluations = self.client.evaluations(job, Since::Whenever).await?;
        let allocations = self.client.allocations(job, Since::Whenever).await?;
        let undecided = evaluations.iter().any(|one| matches!(one.status.as_str(), "pending" | "blocked"));
        let goes_on =
            allocations.iter().any(|one| matches!(one.client_status.as_str(), "pending" | "running" | "unknown"));
        if undecided || goes_on {
            return Ok(None);
        }
        let changes =
            evaluations.iter().map(|one| one.modify_index).chain(allocations.iter().map(|one| one.modify_index));
        Ok(changes.max())
    }
}
