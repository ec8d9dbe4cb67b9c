//! The outbox: brings settled results to the ops repo, whatever is ready as one commit, for as long as it takes.
//!
//! A result that stands there already is recognised (a push that timed out may have been accepted); a different one is never
//! overwritten, but for that of an earlier attempt at the same action: ours is then kept aside and reported.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::action::reason::Reason;
use crate::action::result::ActionResult;
use crate::ops::{Blob, Mirror, NewFile, OpsError, PublishError};
use crate::run::journal::chain::Claim;
use crate::run::journal::{Journal, JournalError, Sighting, StandingResult};
use crate::run::record::{Outcome, Run};
use crate::run::state::State;
use crate::run::step::{Finish, Step};
use crate::support::ids::{BlobId, CommitId, RunId};
use crate::support::{durable, fault};

use super::pickup::HEAD;

/// Bytes of a standing result that are read to compare it; ours are far smaller.
const COMPARE_LIMIT: u64 = 1 << 20;

/// The trailer of a commit of results: the number and hash of the last event of the journal that made them, and the term of its
/// dispatcher where there are several ([`Claim`]).
pub const TRAILER: &str = "Dispatch-Journal";

/// How one try went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing was waiting.
    Nothing,
    /// These results are in the ops repo now, or were kept aside.
    Published(Vec<RunId>),
    /// Somebody else was faster, or it is not known whether the push was accepted: look again and try again.
    TryAgain(String),
    /// The ops repo refuses the push until a person acts.
    Refused(String),
}

/// Why a try failed; the results stay in the journal.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The ops repo.
    #[error("the ops repo could not be reached")]
    Ops(#[from] OpsError),
    /// The journal.
    #[error("the journal could not be read or written")]
    Journal(#[from] JournalError),
    /// A result that is kept aside could not be written.
    #[error("cannot keep a result aside in {}", .path.display())]
    Aside {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What is needed to publish.
#[derive(Debug)]
pub struct Outbox {
    /// The ops repo.
    pub mirror: Mirror,
    /// The journal.
    pub journal: Journal,
    /// Where results are kept that must not be pushed.
    pub aside: PathBuf,
    /// The term under which this dispatcher leads, where there are several.
    pub term: Option<u64>,
    /// What was pushed last.
    pushed: Option<Pushed>,
}

/// A commit that was pushed, and how far the looks at the ops repo had got by then: while they have not got further, it is the
/// latest head that is known.
#[derive(Debug)]
struct Pushed {
    commit: CommitId,
    looked: Option<CommitId>,
}

/// What is to become of one waiting result.
enum Fate {
    /// There: where the result of the attempt before stands, if there is one.
    Write {
        path: String,
    },
    Stands,
    KeepAside,
}

/// Whether the attempt did not begin since a result stood there that its journal does not know of.
fn gave_way(attempt: &Run) -> bool {
    matches!(attempt.finish, Some(Finish::NotStarted { reason: Reason::ForeignResult, .. }))
}

/// Whether the result is of the same action, by its own word, and of an attempt before `run`.
fn says_earlier_attempt(run: &RunId, result: &[u8]) -> bool {
    let result: Option<ActionResult> = serde_json::from_slice(result).ok();
    result.is_some_and(|result| result.id == run.action().as_str() && result.attempt < run.attempt())
}

impl Outbox {
    /// An outbox that has pushed nothing yet.
    pub fn new(mirror: Mirror, journal: Journal, aside: PathBuf) -> Self {
        Self { mirror, journal, aside, term: None, pushed: None }
    }

    /// Brings whatever is settled to the ops repo, once.
    ///
    /// # Errors
    /// [`OutboxError`]: nothing is lost; the caller waits and calls again.
    pub async fn flush(&mut self) -> Result<Flushed, OutboxError> {
        let waiting: Vec<(Run, Outcome)> = self
            .journal
            .in_state(State::Settled)
            .await?
            .into_iter()
            .filter_map(|mut run| run.outcome.take().map(|outcome| (run, outcome)))
            .collect();
        if waiting.is_empty() {
            return Ok(Flushed::Nothing);
        }
        if let Some(base) = self.believed().await? {
            match self.attempt(base, &waiting).await {
                // Somebody else was faster, or the mirror does not have it: that costs a fetch, but no pause.
                Ok(Flushed::TryAgain(_)) | Err(OutboxError::Ops(_)) => {}
                ended => return ended,
            }
        }
        let base = self.mirror.fetch().await?;
        self.attempt(base, &waiting).await
    }

    /// A head that is most likely the remote's; none before the first look, and after a push that did not succeed.
    async fn believed(&mut self) -> Result<Option<CommitId>, JournalError> {
        let looked = self.looked().await?;
        Ok(match self.pushed.take() {
            Some(pushed) if pushed.looked == looked => Some(pushed.commit),
            _ => looked,
        })
    }

    async fn looked(&self) -> Result<Option<CommitId>, JournalError> {
        Ok(self.journal.get(HEAD).await?.and_then(|head| head.parse().ok()))
    }

    async fn attempt(&mut self, base: CommitId, waiting: &[(Run, Outcome)]) -> Result<Flushed, OutboxError> {
        let fates = self.fates(&base, waiting).await?;
        let files: Vec<NewFile> = waiting
            .iter()
            .zip(&fates)
            .filter_map(|((_, outcome), fate)| {
                let Fate::Write { path } = fate else { return None };
                Some(NewFile { path: path.clone(), bytes: outcome.result.clone().into_bytes() })
            })
            .collect();
        let commit = match self.push(&base, &files, waiting).await? {
            Ok(commit) => commit,
            Err(flushed) => return Ok(flushed),
        };
        self.record(&base, commit, waiting, &fates).await
    }

    async fn push(
        &self,
        base: &CommitId,
        files: &[NewFile],
        waiting: &[(Run, Outcome)],
    ) -> Result<Result<CommitId, Flushed>, OutboxError> {
        if files.is_empty() {
            return Ok(Ok(base.clone()));
        }
        let message = self.message(waiting).await?;
        match self.mirror.publish(base, files, &message).await {
            Ok(commit) => Ok(Ok(commit)),
            Err(PublishError::Moved) => Ok(Err(Flushed::TryAgain("the primary branch has moved".to_owned()))),
            Err(error @ PublishError::Unknown { .. }) => Ok(Err(Flushed::TryAgain(error.to_string()))),
            Err(PublishError::Refused { detail }) => Ok(Err(Flushed::Refused(detail))),
            Err(PublishError::Git(error)) => Err(error.into()),
        }
    }

    /// The commit carries the tip of the journal's chain, so that a chain that was cut or made anew shows.
    async fn message(&self, waiting: &[(Run, Outcome)]) -> Result<String, OutboxError> {
        let tip = self.journal.tip().await?;
        let subject = match waiting {
            [(run, _)] => format!("dispatch: result of {}", run.id.action()),
            many => format!("dispatch: {} results", many.len()),
        };
        let names: Vec<String> = waiting.iter().map(|(run, _)| run.id.to_string()).collect();
        Ok(format!("{subject}\n\n{}\n\n{TRAILER}: {}\n", names.join("\n"), Claim { tip, term: self.term }))
    }

    async fn fates(&self, base: &CommitId, waiting: &[(Run, Outcome)]) -> Result<Vec<Fate>, OutboxError> {
        let places = self.places(base, waiting).await?;
        let standing: Vec<BlobId> = places.iter().filter_map(|(_, blob)| blob.clone()).collect();
        let contents = match standing.as_slice() {
            [] => BTreeMap::new(),
            some => self.mirror.blobs(some, COMPARE_LIMIT).await?,
        };
        let mut fates = Vec::with_capacity(waiting.len());
        for ((run, outcome), (path, blob)) in waiting.iter().zip(places) {
            fates.push(match blob.map(|blob| contents.get(&blob)) {
                None => Fate::Write { path },
                Some(Some(Blob::Whole(bytes))) if bytes == outcome.result.as_bytes() => Fate::Stands,
                Some(Some(Blob::Whole(bytes))) if self.is_earlier_attempt(run, bytes).await? => Fate::Write { path },
                Some(_) => Fate::KeepAside,
            });
        }
        Ok(fates)
    }

    /// Where each waiting result belongs, and what stands there: its own place, or another one where a result of its action was seen.
    async fn places(
        &self,
        base: &CommitId,
        waiting: &[(Run, Outcome)],
    ) -> Result<Vec<(String, Option<BlobId>)>, OutboxError> {
        let own: Vec<String> = waiting.iter().map(|(_, outcome)| outcome.path.clone()).collect();
        let actions = waiting.iter().map(|(run, _)| run.id.action().to_string()).collect();
        let seen = self.journal.standing(actions).await?;
        let other: Vec<String> =
            seen.into_iter().zip(&own).map(|(seen, own)| seen.map_or_else(|| own.clone(), |seen| seen.path)).collect();
        let (at_own, at_other) = (self.mirror.lookup(base, &own).await?, self.mirror.lookup(base, &other).await?);
        let places = own.into_iter().zip(at_own).zip(other.into_iter().zip(at_other));
        Ok(places
            .map(|((own, at_own), (other, at_other))| match (at_own, at_other) {
                (None, Some(entry)) => (other, Some(entry.object)),
                (entry, _) => (own, entry.map(|entry| entry.object)),
            })
            .collect())
    }

    /// Whether what stands is the result of the attempt before, which ours is there to replace. That the journal has it proves
    /// it. Where the journal was lost or is older than that, what stands must say so itself, and somebody must have let this
    /// attempt in over it: the journal of before, under which the run was launched that was found running; or a person, who was
    /// told that it stands there (the attempt before did not begin for that reason) and asked for another one.
    async fn is_earlier_attempt(&self, run: &Run, standing: &[u8]) -> Result<bool, OutboxError> {
        let Some(earlier) = run.id.attempt().checked_sub(1).filter(|attempt| *attempt > 0) else { return Ok(false) };
        let before = self.journal.run(&RunId::new(run.id.action().clone(), earlier)).await?;
        let is_ours = |before: &&Run| before.published.is_some() && before.kept_aside.is_none();
        if let Some(outcome) = before.as_ref().filter(is_ours).and_then(|before| before.outcome.as_ref()) {
            return Ok(outcome.result.as_bytes() == standing);
        }
        let let_in = run.was_found_running() || before.as_ref().is_some_and(gave_way);
        Ok(let_in && says_earlier_attempt(&run.id, standing))
    }

    async fn record(
        &mut self,
        base: &CommitId,
        commit: CommitId,
        waiting: &[(Run, Outcome)],
        fates: &[Fate],
    ) -> Result<Flushed, OutboxError> {
        let mut steps = Vec::with_capacity(waiting.len());
        for ((run, outcome), fate) in waiting.iter().zip(fates) {
            let kept_aside = match fate {
                Fate::Write { .. } | Fate::Stands => None,
                Fate::KeepAside => Some(self.keep_aside(run, outcome)?),
            };
            steps.push((run.id.clone(), Step::Publish { commit: commit.clone(), kept_aside }));
        }
        let published = steps.iter().map(|(id, _)| id.clone()).collect();
        self.journal.steps("publish", steps).await?;
        // The results that we have just pushed are no news: dealt with here, they cost the next look nothing.
        if self.looked().await?.as_ref() == Some(base) && commit != *base {
            self.journal.sight(self.own(&commit, waiting, fates).await?).await?;
        }
        self.pushed = Some(Pushed { looked: self.looked().await?, commit });
        Ok(Flushed::Published(published))
    }

    async fn own(
        &self,
        commit: &CommitId,
        waiting: &[(Run, Outcome)],
        fates: &[Fate],
    ) -> Result<Sighting, OutboxError> {
        let (runs, paths): (Vec<&Run>, Vec<String>) = waiting
            .iter()
            .zip(fates)
            .filter_map(|((run, _), fate)| match fate {
                Fate::Write { path } => Some((run, path.clone())),
                Fate::Stands | Fate::KeepAside => None,
            })
            .unzip();
        let entries = self.mirror.lookup(commit, &paths).await?;
        let results = runs
            .into_iter()
            .zip(paths)
            .zip(entries)
            .filter_map(|((run, path), entry)| {
                let action = run.id.action().to_string();
                Some(StandingResult { action, path, blob: entry?.object, attempt: run.id.attempt() })
            })
            .collect();
        Ok(Sighting { head: Some(commit.clone()), results, ..Sighting::default() })
    }

    fn keep_aside(&self, run: &Run, outcome: &Outcome) -> Result<String, OutboxError> {
        let path = self.aside.join(format!("{}.result.json", run.id));
        let written = fault::point("outbox.aside.before")
            .and_then(|()| std::fs::create_dir_all(&self.aside))
            .and_then(|()| durable::replace(&path, outcome.result.as_bytes()))
            .and_then(|()| fault::point("outbox.aside.after"));
        written.map_err(|source| OutboxError::Aside { path: path.clone(), source })?;
        tracing::warn!(run = %run.id, kept = %path.display(), "another result stands in the ops repo; ours is kept aside");
        Ok(path.display().to_string())
    }
}
