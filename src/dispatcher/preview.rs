//! Looking ahead: what admission says of an action, and whether its turn would come, without taking anything up.
//!
//! Works beside a running dispatcher and changes nothing of its state: the journal is opened for reading, and the ops repo is
//! fetched into a throw-away mirror that borrows what the dispatcher's own already has. The checks are those that
//! [`super::judge`] asks, gathered by the same [`Gatherer`].

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use tempfile::TempDir;

use super::crew::claim_of;
use super::pickup::{HEAD, Line, RESULT_LIMIT, REWRITTEN};
use super::queue::{Candidate, Claim, Decision, decide};
use super::settings::Settings;
use super::start::{self, JOURNAL, StartError, Surroundings};
use crate::action::result::ActionResult;
use crate::admission::gather::GatherError;
use crate::admission::snapshot::{Availability, Rewritten, stem_of};
use crate::admission::{Admitted, Explanation, Gatherer, Rules, Scene, Snapshot, admit};
use crate::config::Config;
use crate::config::types::Layout;
use crate::grant::{Presence, SecretProvider};
use crate::ops::{self, Blob, Mirror, OpsError};
use crate::run::journal::{JournalError, Reader, read};
use crate::run::record::Run;
use crate::run::settle::ResultPaths;
use crate::run::state::State;
use crate::support::chain;
use crate::support::ids::{ActionId, BlobId, CommitId, RunId, SecretName};
use crate::support::tenure::Tenure;

/// Which state of the ops repo is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The primary branch.
    Primary,
    /// A branch, a tag or a full commit id, as if it were the primary branch.
    Named(String),
}

/// Why it is not possible to look ahead.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// No place for the throw-away mirror.
    #[error("no temporary folder can be made")]
    Scratch(#[source] io::Error),
    /// The journal is there and cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ops repo cannot be read, and what was read of it earlier is not known.
    #[error("the ops repo cannot be read")]
    Ops(#[from] OpsError),
    /// What admission looks at cannot be read.
    #[error("what admission looks at cannot be read")]
    Gather(#[from] GatherError),
    /// A backend cannot be set up.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// An action with what admission says of it.
#[derive(Debug)]
pub struct Previewed {
    /// What was looked at.
    pub snapshot: Snapshot,
    /// What follows.
    pub explanation: Explanation,
}

/// An action that a round would take up.
#[derive(Debug)]
pub enum Pending {
    /// It was admitted already and waits for its turn.
    Queued(Box<Admitted>),
    /// It would be judged first.
    New(Box<Previewed>),
}

/// The journal and the ops repo, opened for looking.
#[derive(Debug)]
pub struct Preview {
    mirror: Mirror,
    gatherer: Gatherer,
    journal: Reader,
    secrets: Arc<dyn SecretProvider>,
    settings: Settings,
    paths: ResultPaths,
    scene: Scene,
    stale: Option<String>,
    _scratch: TempDir,
}

/// A result that stands on the primary branch.
#[derive(Debug, Clone)]
pub struct StandingNow {
    /// What it says.
    pub result: ActionResult,
    /// Whose it is.
    pub origin: Origin,
}

/// Whose a result is, by the journal of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A run of the journal made these bytes.
    Ours,
    /// The journal knows that it stands there, and no run of it made it.
    Foreign,
    /// There is no journal here, or it knows nothing of it yet.
    NotKnown,
}

impl Preview {
    /// Opens what is needed, and fetches. Where the remote does not answer, the head that the dispatcher saw last is looked at,
    /// and [`Self::stale`] says so.
    ///
    /// # Errors
    /// [`PreviewError`].
    pub async fn open(config: &Config, surroundings: &Surroundings, place: &Place) -> Result<Self, PreviewError> {
        let scratch = tempfile::Builder::new().prefix("dispatch-").tempdir().map_err(PreviewError::Scratch)?;
        let journal = Reader::open(&config.state_dir.join(JOURNAL))?;
        let mirror = Mirror::open_beside(&config.ops, &config.state_dir, scratch.path()).await?;
        let known = named(&journal, HEAD)?;
        let (head, stale) = find_head(&mirror, known.as_ref(), place).await?;
        let gatherer = start::gatherer(config, &mirror, scratch.path()).await?;
        if let Err(error) = gatherer.refresh_sources().await {
            tracing::warn!(error = %chain::words(&error), "a source of formulas cannot be fetched");
        }
        let backends = start::backends(config, &surroundings.executable, &Tenure::unlimited())?;
        let rewritten = match place {
            Place::Primary => rewritten(&mirror, &journal, known, &head, Line::of(config)).await?,
            Place::Named(_) => None,
        };
        Ok(Self {
            gatherer,
            journal,
            secrets: super::secrets::secrets(config)?,
            settings: Settings::from(config),
            paths: ResultPaths { actions: config.ops.actions.clone(), layout: config.results.layout },
            scene: Scene {
                head,
                rewritten,
                backends: backends.into_keys().map(|name| (name, Availability::Ready)).collect(),
                now: surroundings.clock.now(),
            },
            mirror,
            stale,
            _scratch: scratch,
        })
    }

    /// Why the remote was not asked, where an older head is looked at.
    pub fn stale(&self) -> Option<&str> {
        self.stale.as_deref()
    }

    /// The commit that is looked at.
    pub fn head(&self) -> &CommitId {
        &self.scene.head
    }

    /// The rules of the config.
    pub fn rules(&self) -> &Rules {
        &self.settings.rules
    }

    /// The journal.
    pub fn journal(&self) -> &Reader {
        &self.journal
    }

    /// The action of that id, as it stands in the tree; `None`: it does not.
    ///
    /// # Errors
    /// Git, the journal.
    pub async fn action(&self, id: &ActionId) -> Result<Option<Previewed>, PreviewError> {
        let path = format!("{}/{id}.toml", self.paths.actions);
        let entries: Vec<ops::Entry> =
            self.mirror.lookup(&self.scene.head, &[path]).await?.into_iter().flatten().collect();
        Ok(self.judge(&entries).await?.pop())
    }

    /// Whether the tree has an action of that id, or a result of one.
    ///
    /// # Errors
    /// Git.
    pub async fn is_taken(&self, id: &ActionId) -> Result<bool, PreviewError> {
        let action = format!("{}/{id}.toml", self.paths.actions);
        let there = self.mirror.lookup(&self.scene.head, &[action]).await?;
        Ok(there.iter().any(Option::is_some) || self.result_at(&self.scene.head, id).await?.is_some())
    }

    /// The result of an action as it stands on the primary branch now; `None`: it has none yet, or what stands there is none.
    ///
    /// # Errors
    /// Git, also where the remote does not answer; the journal.
    pub async fn result_now(&self, id: &ActionId) -> Result<Option<StandingNow>, PreviewError> {
        let head = self.mirror.fetch().await?;
        let Some(entry) = self.result_at(&head, id).await? else { return Ok(None) };
        let blobs = self.mirror.blobs(std::slice::from_ref(&entry.object), RESULT_LIMIT).await?;
        let Some(Blob::Whole(bytes)) = blobs.get(&entry.object) else { return Ok(None) };
        let Ok(result) = serde_json::from_slice(bytes) else { return Ok(None) };
        Ok(Some(StandingNow { result, origin: self.origin(id, &entry.object, bytes)? }))
    }

    /// Whose bytes the journal of this machine says that a result is.
    fn origin(&self, id: &ActionId, blob: &BlobId, bytes: &[u8]) -> Result<Origin, PreviewError> {
        let latest = self.journal.ask(|journal| read::latest(journal, id.as_str()))?.flatten();
        for attempt in 1..=latest.map_or(0, |latest| latest.id.attempt()) {
            let run = self.journal.ask(|journal| read::run(journal, &RunId::new(id.clone(), attempt)))?.flatten();
            let made = run.and_then(|run| run.outcome).is_some_and(|outcome| outcome.result.as_bytes() == bytes);
            if made {
                return Ok(Origin::Ours);
            }
        }
        let standing = self.journal.ask(|journal| read::standing(journal, id.as_str()))?.flatten();
        Ok(if standing.is_some_and(|standing| standing.blob == *blob) { Origin::Foreign } else { Origin::NotKnown })
    }

    async fn result_at(&self, head: &CommitId, id: &ActionId) -> Result<Option<ops::Entry>, PreviewError> {
        let path = format!("{}/{id}.result.json", self.paths.actions);
        let flat = self.mirror.lookup(head, &[path]).await?.into_iter().flatten().next();
        if flat.is_some() || self.paths.layout == Layout::Flat {
            return Ok(flat);
        }
        let dated = self.mirror.entries(head, ResultPaths::DATED_FOLDER).await?;
        let of =
            |entry: &ops::Entry| entry.path.as_str().and_then(|path| self.paths.action_of(path)) == Some(id.as_str());
        Ok(dated.into_iter().find(of))
    }

    /// A file of this machine, as if it stood in the tree under `name`.
    ///
    /// # Errors
    /// Git.
    pub async fn file(&self, name: &str, bytes: &[u8], rules: &Rules) -> Result<Previewed, PreviewError> {
        let (journal, secrets) = (&self.journal, self.secrets.as_ref());
        let snapshot = self.gatherer.gather_file(&self.scene, name, bytes, rules, journal, secrets).await?;
        let explanation = admit(&snapshot, rules);
        Ok(Previewed { snapshot, explanation })
    }

    /// Everything that a round would take up now, first what is queued already.
    ///
    /// # Errors
    /// Git, the journal.
    pub async fn pending(&self) -> Result<Vec<Pending>, PreviewError> {
        let queued = self.journal.ask(|journal| read::in_state(journal, State::Admitted))?.unwrap_or_default();
        let queued = queued.into_iter().filter_map(|run| Some(Pending::Queued(run.admitted?)));
        let new = self.judge(&self.undecided().await?).await?;
        Ok(queued.chain(new.into_iter().map(|one| Pending::New(Box::new(one)))).collect())
    }

    /// Whether the provider has a secret.
    pub async fn presence(&self, secret: &SecretName) -> Presence {
        self.secrets.presence(secret).await
    }

    /// Why the action would wait in the queue now; `None`: it would begin at once.
    ///
    /// # Errors
    /// The journal.
    pub fn queues(&self, admitted: &Admitted) -> Result<Option<String>, PreviewError> {
        let unfinished = self.journal.ask(read::unfinished)?.unwrap_or_default();
        let holding = |run: &Run| run.state.holds_slot().then(|| (run.slot.or(Some(0)), claim_of(run)));
        let active: Vec<(Option<u32>, Claim)> = unfinished.iter().filter_map(holding).collect();
        let candidate = Candidate { claim: claim(admitted), priority: admitted.priority, order: i64::MAX };
        let decisions = decide(vec![candidate], &active, &self.settings.capacity);
        Ok(decisions.into_iter().find_map(|decision| match decision {
            Decision::Begin { .. } => None,
            Decision::Wait { message, .. } => Some(message),
        }))
    }

    async fn judge(&self, entries: &[ops::Entry]) -> Result<Vec<Previewed>, PreviewError> {
        let rules = &self.settings.rules;
        let snapshots = self.gatherer.gather(&self.scene, entries, rules, &self.journal, self.secrets.as_ref()).await?;
        let judged = snapshots.into_iter().map(|snapshot| {
            let explanation = admit(&snapshot, rules);
            Previewed { snapshot, explanation }
        });
        Ok(judged.collect())
    }

    /// The entries of the tree that no result closes and that the journal has not decided about.
    async fn undecided(&self) -> Result<Vec<ops::Entry>, PreviewError> {
        let mut entries = self.mirror.entries(&self.scene.head, &self.paths.actions).await?;
        let dated = self.mirror.entries(&self.scene.head, ResultPaths::DATED_FOLDER).await?;
        let paths = entries.iter().chain(&dated).filter_map(|entry| entry.path.as_str());
        let done: BTreeSet<String> = paths.filter_map(|path| self.paths.action_of(path)).map(str::to_owned).collect();
        entries.retain(|entry| {
            let stem = entry.path.as_str().and_then(|path| stem_of(path, &self.paths.actions));
            stem.is_some_and(|stem| !done.contains(stem))
        });
        let mut open = Vec::new();
        for entry in entries {
            let stem = entry.path.as_str().and_then(|path| stem_of(path, &self.paths.actions)).unwrap_or_default();
            let latest = self.journal.ask(|journal| read::latest(journal, stem))?.flatten();
            if latest.is_none_or(|run| run.state == State::Seen) {
                open.push(entry);
            }
        }
        Ok(open)
    }
}

fn named(journal: &Reader, key: &str) -> Result<Option<CommitId>, JournalError> {
    let value = journal.ask(|journal| read::value(journal, key))?.flatten();
    Ok(value.and_then(|text| text.parse().ok()))
}

async fn find_head(
    mirror: &Mirror,
    known: Option<&CommitId>,
    place: &Place,
) -> Result<(CommitId, Option<String>), PreviewError> {
    let fetched = match place {
        Place::Named(name) => return Ok((mirror.fetch_named(name).await?, None)),
        Place::Primary => mirror.fetch().await,
    };
    match (fetched, known) {
        (Ok(head), _) => Ok((head, None)),
        (Err(error), Some(known)) if mirror.has(known).await? => Ok((known.clone(), Some(chain::words(&error)))),
        (Err(error), _) => Err(error.into()),
    }
}

/// Whether the dispatcher has seen, or would see, that the branch did not move forward.
async fn rewritten(
    mirror: &Mirror,
    journal: &Reader,
    known: Option<CommitId>,
    head: &CommitId,
    line: Line,
) -> Result<Option<Rewritten>, PreviewError> {
    let Some(last_seen) = known else { return Ok(None) };
    let noticed = named(journal, REWRITTEN)?.is_some_and(|other| other == *head);
    let forward = !noticed && line.leads(mirror, &last_seen, head).await?;
    Ok((!forward).then_some(Rewritten { last_seen }))
}

/// What a first run of the action would claim.
fn claim(admitted: &Admitted) -> Claim {
    Claim {
        run: RunId::new(admitted.id.clone(), 1),
        formula: Some(admitted.formula.name.clone()),
        formula_limit: admitted.formula.max_concurrent,
        backend: admitted.backend.clone(),
        concurrency_key: admitted.concurrency_key.clone(),
        working_directory: admitted.working_directory.clone(),
    }
}
