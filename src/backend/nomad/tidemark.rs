//! Tidemarks: children of no use, by which a launch can be ruled out later.
//!
//! Nomad collects a child some hours after its end, and at once on `system gc`. So that there is no child under a key does not say that there
//! was none. But collection takes all that is old enough: where a child that was over *before* the launch was asked for is still there,
//! every one that came after it would be too. `find`, which is asked before every launch, sees to it that there is such a child, not older than
//! an hour; what is found under a later start of the dispatcher is as good as one of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::client::types::JobStub;
use super::client::{ClientError, Dispatch, Since};
use super::launch::NOTHING;
use super::names::{self, META_RUN};
use super::{NomadBackend, persist, question};
use crate::backend::BackendError;
use crate::support::clock::{Clock as _, SystemClock};
use crate::support::retry::RetryPolicy;

/// A tidemark is made anew after this. Nomad collects a child four hours after its end, unless told otherwise: there is always one, and for
/// three hours of absence of the dispatcher too.
const LASTS: SignedDuration = SignedDuration::from_hours(1);

/// How long a launch waits for its tidemark to be over where there is no older one, eight seconds or so in all: a client takes some of them
/// to end what it has only begun to set up (4 s with docker, and with any driver when it is busy).
const PATIENCE: RetryPolicy =
    RetryPolicy { first: Duration::from_millis(50), cap: Duration::from_millis(500), budget: Some(20) };

/// Tidemarks that are looked at, the newest ones: one of an hour is enough, and several starts make several.
const LOOKED_AT: usize = 5;

/// When the tidemark was made that this process knows of, if it does.
#[derive(Debug, Default)]
pub(super) struct Tidemark(Option<Timestamp>);

impl NomadBackend {
    /// Whether there is a child that was over at `asked`.
    pub(super) async fn tidemark_before(&self, asked: Timestamp) -> Result<bool, BackendError> {
        for mark in question(|| self.tidemarks()).await?.iter().filter(|mark| made(mark) < asked).take(LOOKED_AT) {
            if question(|| self.over_since(&mark.id)).await?.is_some_and(|since| since < asked) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sees to it that there is a fresh tidemark. Where that does not succeed, a launch in doubt will be settled as lost: no reason not to
    /// launch.
    pub(super) async fn keep_tidemark(&self) {
        let mut known = self.tidemark.lock().await;
        let fresh = |at: Timestamp| SystemClock.now().duration_since(at) < LASTS;
        if known.0.is_some_and(fresh) {
            return;
        }
        match self.fresh_tidemark(fresh).await {
            Ok(made) => known.0 = Some(made),
            Err(error) => tracing::warn!(%error, "no mark for ruling out launches could be made in Nomad"),
        }
    }

    /// When the newest tidemark was made: one that is there and fresh, or a new one. Only where none is over yet is that waited for, since
    /// only then would the launch that comes next have none.
    async fn fresh_tidemark(&self, fresh: impl Fn(Timestamp) -> bool) -> Result<Timestamp, ClientError> {
        let marks = persist(RetryPolicy::QUESTION, || self.tidemarks()).await?;
        let newest = match marks.first() {
            Some(newest) => persist(RetryPolicy::QUESTION, || self.over_since(&newest.id)).await?.map(|_| made(newest)),
            None => None,
        };
        if let Some(newest) = newest.filter(|newest| fresh(*newest)) {
            return Ok(newest);
        }
        let now = SystemClock.now();
        let id = self.make_tidemark(now).await?;
        if newest.is_none() && persist(PATIENCE, || self.is_over(&id)).await.is_err() {
            tracing::info!(
                "the first mark for ruling out launches in Nomad is not over yet; a launch that is broken off now is lost"
            );
        }
        Ok(now)
    }

    /// All of them that are done with, the newest one first.
    async fn tidemarks(&self) -> Result<Vec<JobStub>, ClientError> {
        let mut marks = self.client.jobs(&names::tidemarks(&self.settings.job)).await?;
        marks.retain(|mark| mark.status == "dead" && mark.stop);
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.submit_time));
        Ok(marks)
    }

    async fn make_tidemark(&self, now: Timestamp) -> Result<String, ClientError> {
        let (token, prefix) = (format!("tidemark-{}", now.as_nanosecond()), names::tidemark_prefix());
        let meta = BTreeMap::from([(META_RUN, "tidemark".to_owned())]);
        let parent = self.settings.job.as_str();
        let dispatch = Dispatch { parent, token: &token, prefix: &prefix, meta, payload: NOTHING };
        let id = self.client.dispatch(&dispatch).await?.job;
        self.client.deregister(&id).await?;
        Ok(id)
    }

    async fn is_over(&self, job: &str) -> Result<(), ClientError> {
        self.over_since(job).await?.map(drop).ok_or_else(ClientError::not_over)
    }

    /// Since when nothing of a job that was deregistered goes on any more; `None` as long as something does. A job counts as dead before.
    async fn over_since(&self, job: &str) -> Result<Option<Timestamp>, ClientError> {
        let evaluations = self.client.evaluations(job, Since::Whenever).await?;
        let allocations = self.client.allocations(job, Since::Whenever).await?;
        let undecided = evaluations.iter().any(|one| matches!(one.status.as_str(), "pending" | "blocked"));
        let goes_on =
            allocations.iter().any(|one| matches!(one.client_status.as_str(), "pending" | "running" | "unknown"));
        if undecided || goes_on {
            return Ok(None);
        }
        let times = evaluations.iter().map(|one| one.modify_time).chain(allocations.iter().map(|one| one.modify_time));
        Ok(times.max().and_then(|last| Timestamp::from_nanosecond(i128::from(last)).ok()))
    }
}

fn made(mark: &JobStub) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(mark.submit_time)).unwrap_or(Timestamp::MAX)
}
