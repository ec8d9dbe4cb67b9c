//! Picking up: did the primary branch move, and what does that mean for the journal?
//!
//! [`Pickup::look`] asks the remote (one cheap request when nothing is new), fetches, compares trees, and records what it saw
//! together with how far it looked, in one piece: a crash leaves either both or neither. What a change means is decided by
//! [`requests`], which is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::action::result::ActionResult;
use crate::config::Config;
use crate::ops::{Blob, Change, Mirror, Mode, OpsError};
use crate::run::journal::{Journal, JournalError, Sighting, StandingResult};
use crate::run::record::Run;
use crate::run::settle::ResultPaths;
use crate::run::step::{Request, Step, StopCause};
use crate::support::ids::{ActionId, BlobId, CommitId, RunId};

/// Key of the journal's named value: the head of the primary branch that is dealt with.
pub const HEAD: &str = "head";

/// Key of the journal's named value: a head that does not continue [`HEAD`], until a person accepts it or it is undone.
pub const REWRITTEN: &str = "rewritten";

/// What a look at the ops repo brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// The head is the one that was dealt with before.
    Same,
    /// The head moved forward and what it brought is in the journal.
    Moved {
        /// The new head.
        head: CommitId,
        /// How many requests are new.
        requests: usize,
    },
    /// The head does not continue what was dealt with: nothing new is admitted.
    Rewritten {
        /// What was dealt with.
        last: CommitId,
        /// What is there now.
        head: CommitId,
    },
    /// There is no such branch yet.
    Empty,
}

/// Why a look failed; the next one tries again.
#[derive(Debug, thiserror::Error)]
pub enum PickupError {
    /// The ops repo.
    #[error("the ops repo could not be looked at")]
    Ops(#[from] OpsError),
    /// The journal.
    #[error("what was seen could not be recorded")]
    Journal(#[from] JournalError),
}

/// What is needed to look.
#[derive(Debug, Clone)]
pub struct Pickup {
    /// The ops repo.
    pub mirror: Mirror,
    /// The journal.
    pub journal: Journal,
    /// Where actions and results are.
    pub paths: ResultPaths,
    /// What "only forward" means.
    pub line: Line,
    /// Held while what stands in the ops repo is recorded, and while another attempt is asked for: which attempt the standing
    /// result is of must be known of every attempt that may begin.
    pub recording: Arc<Mutex<()>>,
}

/// When a head goes on from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// When that is reachable from it.
    Reachable,
    /// When that is on its line of first parents: signed changes are followed along that line, and a merge the other way round
    /// would put another line in its place.
    FirstParents,
}

impl Line {
    /// What the config's way of approving needs.
    pub fn of(config: &Config) -> Self {
        if config.approval.mode.is_some() { Self::FirstParents } else { Self::Reachable }
    }

    /// Whether `head` goes on from `last`.
    ///
    /// # Errors
    /// git does not answer.
    pub async fn leads(self, mirror: &Mirror, last: &CommitId, head: &CommitId) -> Result<bool, OpsError> {
        match self {
            Self::Reachable => mirror.is_ancestor(last, head).await,
            Self::FirstParents => mirror.continues(last, head).await,
        }
    }
}

impl Pickup {
    /// Looks once.
    ///
    /// # Errors
    /// [`PickupError`]: nothing was recorded.
    pub async fn look(&self) -> Result<Look, PickupError> {
        let last = self.head(HEAD).await?;
        let rewritten = self.head(REWRITTEN).await?;
        let Some(remote) = self.mirror.remote_head().await? else { return Ok(Look::Empty) };
        if last.as_ref() == Some(&remote) && rewritten.is_none() {
            return Ok(Look::Same);
        }
        if let (Some(last), Some(known)) = (&last, &rewritten)
            && *known == remote
        {
            return Ok(Look::Rewritten { last: last.clone(), head: remote });
        }
        let head = self.mirror.fetch().await?;
        if let Some(last) = last.clone()
            && !self.line.leads(&self.mirror, &last, &head).await?
        {
            self.journal.set(REWRITTEN, Some(head.to_string())).await?;
            return Ok(Look::Rewritten { last, head });
        }
        self.take_in(last.as_ref(), head).await
    }

    /// Goes on from a rewritten head, which a person has acknowledged.
    ///
    /// # Errors
    /// [`PickupError`]: nothing was recorded.
    pub async fn accept_rewrite(&self, head: &CommitId) -> Result<Look, PickupError> {
        let last = self.head(HEAD).await?;
        let data = serde_json::json!({ "from": last.as_ref().map(CommitId::as_str), "to": head.as_str() });
        self.journal.note("accept_rewrite", data).await?;
        self.take_in(last.as_ref(), head.clone()).await
    }

    async fn head(&self, key: &'static str) -> Result<Option<CommitId>, PickupError> {
        Ok(self.journal.get(key).await?.and_then(|text| text.parse().ok()))
    }

    /// Takes the changes up to `head` in, a portion at a time: a first look at an old ops repo has very many, and few matter. The
    /// results come first, each portion by itself, since that they stand there is true whatever follows; what is new, and how far
    /// was looked, is one record.
    async fn take_in(&self, last: Option<&CommitId>, head: CommitId) -> Result<Look, PickupError> {
        let _turn = self.recording.lock().await;
        let folders = [self.paths.actions.as_str(), ResultPaths::DATED_FOLDER];
        let changes = self.mirror.printed_changes(last, &head, &folders).await?;
        for portion in changes.portions(PORTION) {
            let mut sighting = Entries::of(portion?, &self.paths).results();
            self.note_attempts(&mut sighting.results).await?;
            if !sighting.results.is_empty() || !sighting.results_gone.is_empty() {
                self.journal.sight(sighting).await?;
            }
        }
        let (mut steps, mut notes) = (Vec::new(), Vec::new());
        for portion in changes.portions(PORTION) {
            let entries = Entries::of(portion?, &self.paths);
            let known = self.known(&entries, last).await?;
            requests(&head, entries, &known, &mut steps, &mut notes);
        }
        let requests = steps.iter().filter(|(_, step)| matches!(step, Step::See { .. } | Step::Amend { .. })).count();
        self.journal.sight(Sighting { head: Some(head.clone()), steps, ..Sighting::default() }).await?;
        for note in notes {
            tracing::warn!(path = %note.path, "{}", note.what);
            let data = serde_json::json!({ "path": note.path, "what": note.what, "head": head.as_str() });
            self.journal.note("set_aside", data).await?;
        }
        Ok(Look::Moved { head, requests })
    }

    /// What the journal knows of the actions among `entries`. At a first look those that have a result are done, and not asked
    /// about further.
    async fn known(&self, entries: &Entries, last: Option<&CommitId>) -> Result<Known, PickupError> {
        let all: Vec<ActionId> = entries.actions.keys().cloned().collect();
        let standing = self.journal.standing(all.iter().map(ToString::to_string).collect()).await?;
        let open = all.into_iter().zip(standing).filter(|(_, standing)| last.is_some() || standing.is_none());
        let (open, standing): (Vec<ActionId>, Vec<Option<StandingResult>>) = open.unzip();
        let latest = self.journal.latest(open.clone()).await?;
        Ok(open.into_iter().zip(latest.into_iter().zip(standing)).collect())
    }
}

/// Changes that are looked at together.
const PORTION: usize = 2_000;

/// Bytes of a result that are read to learn its attempt; ours are far smaller.
pub(super) const RESULT_LIMIT: u64 = 1 << 20;

impl Pickup {
    /// Notes of which attempt the results are, for actions that are tried once more: a retry whose own result stands already, as
    /// after the journal was restored from an older copy, must not begin. The others are not read: there may be 100,000.
    async fn note_attempts(&self, results: &mut [StandingResult]) -> Result<(), PickupError> {
        if results.is_empty() {
            return Ok(());
        }
        let retries: BTreeSet<String> = self.journal.retries().await?.into_iter().collect();
        for result in results.iter_mut().filter(|result| retries.contains(&result.action)) {
            result.attempt = self.attempt_of(result).await?;
        }
        Ok(())
    }

    /// Notes of which attempt the result of `action` is, where one stands: another attempt is about to be asked for.
    ///
    /// # Errors
    /// [`PickupError`]: nothing was recorded.
    pub async fn note_attempt(&self, action: &ActionId) -> Result<(), PickupError> {
        let standing = self.journal.standing(vec![action.to_string()]).await?.into_iter().flatten().next();
        let Some(mut result) = standing.filter(|result| result.attempt == 0) else { return Ok(()) };
        result.attempt = self.attempt_of(&result).await?;
        Ok(self.journal.sight(Sighting { results: vec![result], ..Sighting::default() }).await?)
    }

    /// The attempt that a standing result is of. One that is no result of ours stands for all of them.
    ///
    /// # Errors
    /// The mirror cannot be read.
    pub async fn attempt_of(&self, standing: &StandingResult) -> Result<u32, OpsError> {
        let blobs = self.mirror.blobs(std::slice::from_ref(&standing.blob), RESULT_LIMIT).await?;
        let attempt = match blobs.get(&standing.blob) {
            Some(Blob::Whole(bytes)) => serde_json::from_slice::<ActionResult>(bytes).ok().map(|result| result.attempt),
            _ => None,
        };
        Ok(attempt.unwrap_or(u32::MAX))
    }
}

/// Something in the ops repo that leads to nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub path: String,
    /// Why, in words.
    pub what: String,
}

/// The changes, sorted by what they are.
#[derive(Debug, Default)]
struct Entries {
    actions: BTreeMap<ActionId, Option<(String, Mode, BlobId)>>,
    results: BTreeMap<String, (String, BlobId)>,
    results_gone: BTreeSet<String>,
    notes: Vec<Note>,
}

impl Entries {
    fn of(changes: Vec<Change>, paths: &ResultPaths) -> Self {
        let mut entries = Self::default();
        for change in changes {
            match change.path.as_str() {
                Some(path) => entries.add(path.to_owned(), change, paths),
                None => entries.note(change.path.to_string(), "its name is not UTF-8"),
            }
        }
        entries
    }

    fn add(&mut self, path: String, change: Change, paths: &ResultPaths) {
        if let Some(action) = paths.action_of(&path).map(str::to_owned) {
            match change.new {
                Some((_, blob)) => drop(self.results.insert(action, (path, blob))),
                None => drop(self.results_gone.insert(action)),
            }
            return;
        }
        let inner = path.strip_prefix(&paths.actions).and_then(|rest| rest.strip_prefix('/'));
        let Some(stem) = inner.and_then(|inner| inner.strip_suffix(".toml")) else { return };
        match ActionId::of_refused(stem) {
            Some(id) => drop(self.actions.insert(id, change.new.map(|(mode, blob)| (path, mode, blob)))),
            None if change.new.is_none() => {}
            None => {
                let nested = stem.contains('/');
                let what = if nested { "it stands deeper than one level" } else { "its name is no name of an action" };
                self.note(path, what);
            }
        }
    }

    fn note(&mut self, path: String, what: &str) {
        self.notes.push(Note { path, what: what.to_owned() });
    }

    /// The results among them.
    fn results(self) -> Sighting {
        // One that was moved is gone from one place and stands at another.
        let gone = self.results_gone.into_iter().filter(|action| !self.results.contains_key(action)).collect();
        let result = |(action, (path, blob))| StandingResult { action, path, blob, attempt: 0 };
        Sighting { results: self.results.into_iter().map(result).collect(), results_gone: gone, ..Sighting::default() }
    }
}

type Known = BTreeMap<ActionId, (Option<Run>, Option<StandingResult>)>;

/// What the changes up to `head` mean for the requests in them, given what the journal knows of those.
fn requests(head: &CommitId, entries: Entries, known: &Known, steps: &mut Vec<(RunId, Step)>, notes: &mut Vec<Note>) {
    notes.extend(entries.notes);
    for (id, entry) in entries.actions {
        let Some((run, standing)) = known.get(&id) else { continue };
        let request = entry.map(|(path, mode, blob)| Request {
            path,
            blob,
            mode: octal(mode).to_owned(),
            head: head.clone(),
            occasion: None,
        });
        match (request, run) {
            (Some(request), None) if standing.is_none() => {
                steps.push((RunId::new(id, 1), Step::See { request, asked_by: None }));
            }
            (Some(request), Some(run)) => changed(request, run, steps, notes),
            (None, Some(run)) if run.state.is_before_launch() => {
                steps.push((run.id.clone(), Step::Stop { cause: StopCause::Removed, by: None }));
            }
            (Some(_) | None, None) | (None, Some(_)) => {}
        }
    }
}

fn changed(request: Request, run: &Run, steps: &mut Vec<(RunId, Step)>, notes: &mut Vec<Note>) {
    if run.request.as_ref().is_some_and(|known| known.blob == request.blob) {
        return;
    }
    if run.state.is_before_launch() {
        steps.push((run.id.clone(), Step::Amend { request }));
        return;
    }
    let what =
        format!("an action of this id was taken up before ({}); a change of its bytes needs a new id", run.state);
    notes.push(Note { path: request.path, what });
}

/// The mode as git writes it.
fn octal(mode: Mode) -> &'static str {
    match mode {
        Mode::File => "100644",
        Mode::Executable => "100755",
        Mode::Symlink => "120000",
        Mode::Submodule => "160000",
        Mode::Folder => "040000",
        Mode::Other => "000000",
    }
}
