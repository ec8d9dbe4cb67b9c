//! Judging: every request that was seen and is neither admitted nor refused is looked at again, in one batch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::action::reason::Reason;
use crate::admission::gather::{GatherError, Gatherer, Scene};
use crate::admission::snapshot::Rewritten;
use crate::admission::{Rules, Verdict, admit};
use crate::ops;
use crate::run::journal::{Journal, JournalError};
use crate::run::life::World;
use crate::run::record::{Held, Run};
use crate::run::state::State;
use crate::run::step::{Request, Step};
use crate::support::chain;
use crate::support::ids::{CommitId, RunId};

use super::pickup::{HEAD, REWRITTEN};
use super::reach::Reach;

/// Requests that are looked at together: bounds the memory that a large backlog takes, some 20 KiB for each.
const BATCH: usize = 200;

/// Between two looks at something that does not announce that it has changed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long a source of formulas is waited for before what it had counts.
const SOURCES_ANSWER: Duration = Duration::from_secs(3);

/// What a pass came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// When to look again without being woken; `None`: not before something changes.
    pub again: Option<Duration>,
}

/// Judges what was seen.
#[derive(Debug)]
pub struct Judge {
    gatherer: Arc<Gatherer>,
    world: Arc<World>,
    reach: Arc<Reach>,
    sources: Mutex<Sources>,
}

/// How far the sources of formulas are fetched.
#[derive(Debug, Default)]
struct Sources {
    /// When all of them were tried last.
    tried: Option<Instant>,
    /// Goes on while one of them does not answer.
    fetching: Option<JoinHandle<()>>,
}

/// How long a source of formulas that does not answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A moment: what it had counts, and a later pass looks again.
    Moment,
    /// Until git gives it up: there is no later pass.
    UntilItAnswers,
}

/// Whether what the sources of formulas have is known as of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fetched {
    All,
    /// One of them has not answered yet; what it had before counts.
    NotYet,
}

impl Judge {
    /// A judge that looks through `gatherer`, and takes the word of `reach` for the backends.
    pub fn new(gatherer: Gatherer, world: Arc<World>, reach: Arc<Reach>) -> Self {
        Self { gatherer: Arc::new(gatherer), world, reach, sources: Mutex::default() }
    }

    fn journal(&self) -> &Journal {
        &self.world.journal
    }

    /// Judges all that was seen. Answers the runs that are admitted or refused now. `patience` is for the sources of formulas.
    ///
    /// # Errors
    /// Any failure to read or write the journal. That the ops repo or the secrets cannot be read is no error: what depends
    /// on them waits.
    pub async fn pass(&self, rules: &Rules, patience: Patience) -> Result<(Judged, Vec<Run>), JournalError> {
        let seen: Vec<Run> = self.journal().in_state(State::Seen).await?;
        let (mut judged, mut moved) = (Judged::default(), Vec::new());
        let Some(scene) = self.scene().await? else { return Ok((judged, moved)) };
        if let Err(why) = self.gatherer.keep_policy(&scene, rules, self.journal()).await {
            tracing::debug!("the policy cannot be looked at now: {why}");
            judged.sooner(LOOK_AGAIN);
        }
        if seen.is_empty() {
            return Ok((judged, moved));
        }
        if self.fetch_sources(patience).await == Fetched::NotYet {
            judged.sooner(LOOK_AGAIN);
        }
        for batch in seen.chunks(BATCH) {
            let steps = match self.batch(&scene, batch, rules).await {
                Ok(steps) => steps,
                Err(error) => {
                    tracing::warn!(error = %chain::words(&error), "requests cannot be judged now; they wait");
                    judged.sooner(LOOK_AGAIN);
                    continue;
                }
            };
            for step in steps.iter().flatten() {
                judged.consider(step, &scene);
            }
            let news = batch.iter().zip(steps).filter_map(|(run, step)| news(run, step?)).collect();
            moved.extend(self.journal().steps("judge", news).await?.into_iter().filter(|run| run.state != State::Seen));
        }
        Ok((judged, moved))
    }

    /// Has the sources of formulas fetched, but not at each of many passes in a row. With [`Patience::Moment`], one that does not answer
    /// is waited for once: most actions want nothing of it.
    async fn fetch_sources(&self, patience: Patience) -> Fetched {
        let mut sources = self.sources.lock().await;
        let mut fetching = match sources.fetching.take() {
            Some(fetching) if patience == Patience::Moment && !fetching.is_finished() => {
                sources.fetching = Some(fetching);
                return Fetched::NotYet;
            }
            Some(fetching) => fetching,
            None if sources.tried.is_some_and(|at| at.elapsed() < LOOK_AGAIN) => return Fetched::All,
            None => self.fetching(),
        };
        let within = match patience {
            Patience::Moment => SOURCES_ANSWER,
            Patience::UntilItAnswers => Duration::MAX,
        };
        if tokio::time::timeout(within, &mut fetching).await.is_err() {
            sources.fetching = Some(fetching);
            return Fetched::NotYet;
        }
        sources.tried = Some(Instant::now());
        Fetched::All
    }

    fn fetching(&self) -> JoinHandle<()> {
        let gatherer = Arc::clone(&self.gatherer);
        tokio::spawn(async move {
            if let Err(error) = gatherer.refresh_sources().await {
                let error = chain::words(&error);
                tracing::warn!(error, "a source of formulas cannot be fetched; it stays where it was");
            }
        })
    }

    /// What is the same for all requests; `None` before the ops repo was looked at.
    async fn scene(&self) -> Result<Option<Scene>, JournalError> {
        let head: Option<CommitId> = self.journal().get(HEAD).await?.and_then(|head| head.parse().ok());
        let Some(head) = head else { return Ok(None) };
        let rewritten = self.journal().get(REWRITTEN).await?.map(|_| Rewritten { last_seen: head.clone() });
        let now = self.world.clock.now();
        Ok(Some(Scene { head, rewritten, backends: self.reach.availability(), now }))
    }

    /// One step for each run; none for one whose request the journal does not know.
    async fn batch(&self, scene: &Scene, runs: &[Run], rules: &Rules) -> Result<Vec<Option<Step>>, GatherError> {
        let entries: Vec<ops::Entry> = runs.iter().filter_map(|run| run.request.as_ref()).map(entry).collect();
        let secrets = self.world.secrets.as_ref();
        let snapshots = self.gatherer.gather(scene, &entries, rules, self.journal(), secrets).await?;
        let mut verdicts = snapshots.iter().map(|snapshot| admit(snapshot, rules).verdict);
        let steps = runs.iter().map(|run| {
            let request = run.request.as_ref()?;
            Some(step_of(request, verdicts.next()?))
        });
        Ok(steps.collect())
    }
}

/// The tree entry that a request was found as.
pub(super) fn entry(request: &Request) -> ops::Entry {
    ops::Entry {
        path: request.path.as_str().into(),
        mode: ops::Mode::from_octal(request.mode.as_bytes()),
        object: request.blob.clone(),
    }
}

fn step_of(request: &Request, verdict: Verdict) -> Step {
    match verdict {
        Verdict::Admitted(admitted) => Step::Admit { admitted },
        Verdict::Rejected { reason, message, .. } => Step::Reject { blob: request.blob.clone(), reason, message },
        Verdict::Waiting { reason, message, until, approved } => {
            Step::Hold { blob: Some(request.blob.clone()), reason, message, until, approved }
        }
        Verdict::SetAside { reason, message } => {
            Step::Hold { blob: Some(request.blob.clone()), reason, message, until: None, approved: None }
        }
    }
}

/// A request that still waits for the same is no news, unless more is proven of its approval.
fn news(run: &Run, step: Step) -> Option<(RunId, Step)> {
    if let Step::Hold { reason, message, until, approved, .. } = &step {
        let held = Held { reason: *reason, message: message.clone(), until: *until };
        if run.held.as_ref() == Some(&held) && (approved.is_none() || *approved == run.approved) {
            return None;
        }
    }
    Some((run.id.clone(), step))
}

impl Judged {
    fn sooner(&mut self, than: Duration) {
        self.again = Some(self.again.map_or(than, |again| again.min(than)));
    }

    fn consider(&mut self, step: &Step, scene: &Scene) {
        let Step::Hold { reason, until, .. } = step else { return };
        if let Some(until) = until {
            self.sooner(Duration::try_from(until.duration_since(scene.now)).unwrap_or_default());
        }
        if [Reason::SecretsUnavailable, Reason::EvidenceUnavailable].contains(reason) {
            self.sooner(LOOK_AGAIN);
        }
    }
}
