//! The result of a run, made from what the journal knows of it and from its log. Pure.

use jiff::Timestamp;

use super::log::{LogSummary, Progress};
use super::outcome::{Meaning, Told, meaning, stopped_before};
use super::record::Run;
use super::step::Finish;
use crate::action::reason::Reason;
use crate::action::result::{ActionResult, DispatcherRef, JobRef, LogRef, ResultState, SCHEMA};
use crate::backend::{End, Ended};
use crate::config::types::Layout;
use crate::runner::event::SIGNALLED;
use crate::support::clock::rfc3339_seconds;
use crate::support::ids::ActionId;

/// Where results go in the ops repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultPaths {
    /// The folder of actions.
    pub actions: String,
    /// Beside the action, or by month.
    pub layout: Layout,
}

impl ResultPaths {
    /// The folder of the dated layout.
    pub const DATED_FOLDER: &'static str = "vault/results";

    /// The path of a result made `at`.
    pub fn path(&self, action: &ActionId, at: Timestamp) -> String {
        match self.layout {
            Layout::Flat => format!("{}/{action}.result.json", self.actions),
            Layout::Dated => format!("{}/{}/{action}.result.json", Self::DATED_FOLDER, at.strftime("%Y/%m")),
        }
    }

    /// The action whose result stands at `path`; `None` for a path where no result of ours would stand.
    pub fn action_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (folder, name) = path.rsplit_once('/')?;
        let dated = || folder.strip_prefix(Self::DATED_FOLDER).is_some_and(|rest| rest.starts_with('/'));
        if folder == self.actions || dated() { name.strip_suffix(".result.json") } else { None }
    }
}

/// What became of a run that is [`super::state::State::Finished`] or [`super::state::State::Rejected`].
pub fn meaning_of(run: &Run, told: &Told) -> Meaning {
    if let Some(refusal) = &run.refusal {
        return Meaning {
            state: ResultState::Rejected,
            reason: refusal.reason,
            message: refusal.message.clone(),
            exit: None,
        };
    }
    let cause = run.stop.as_ref().map(|stop| stop.cause);
    match (&run.finish, cause) {
        (Some(finish), cause) => meaning(finish, cause, told),
        (None, Some(cause)) => stopped_before(cause),
        // The transitions allow no such run; were there one, it must not look like a success.
        (None, None) => Meaning {
            state: ResultState::Lost,
            reason: Reason::ExitUnknown,
            message: "the journal does not say how it ended".to_owned(),
            exit: None,
        },
    }
}

fn told(run: &Run, progress: &Progress) -> Told {
    Told {
        opened: progress.opened,
        wrapping: run.wrapping,
        starts: progress.started,
        gap: has_gap(progress),
        last_word: progress.exit.is_some(),
        timed_out: progress.stopped.as_deref() == Some("timed_out"),
        signalled: progress.stopped.as_deref() == Some(SIGNALLED) || fell_silent(progress),
        turned_away: progress.turned_away,
        complaint: progress.error.clone(),
    }
}

/// The runner began the formula and never said how it ended, although nothing of what it said is missing: it was ended itself. A
/// container's exit code does not tell that from a formula's own.
fn fell_silent(progress: &Progress) -> bool {
    progress.started > 0 && progress.exit.is_none() && !has_gap(progress)
}

/// Whether the backend could not give all that the runner said.
fn has_gap(progress: &Progress) -> bool {
    progress.incomplete || progress.dropped > 0
}

/// When the formula began, by the runner's clock; where it did not say, when the launch was known. A run whose process never was has not
/// begun, however long it waited for a place.
fn began(run: &Run, log: Option<&LogSummary>) -> Option<Timestamp> {
    let told = log.and_then(|log| log.progress.started_at.as_deref()?.parse().ok());
    let never = matches!(&run.finish, Some(Finish::Ended(Ended { how: End::NotStarted, .. })));
    told.or(run.started_at.filter(|_| !never))
}

/// The result of `run`, made `at`; `log` is that of a run that was launched.
pub fn result_of(run: &Run, log: Option<&LogSummary>, dispatcher: &DispatcherRef, at: Timestamp) -> ActionResult {
    let meaning = meaning_of(run, &log.map(|log| told(run, &log.progress)).unwrap_or_default());
    let admitted = run.admitted.as_deref();
    ActionResult {
        id: run.id.action().to_string(),
        exit_code: meaning.exit_code(),
        timestamp: rfc3339_seconds(at),
        logs: log.map(|log| log.tail.clone()).unwrap_or_default(),
        schema: SCHEMA,
        state: meaning.state,
        reason: meaning.reason,
        message: meaning.message,
        exit: meaning.exit,
        action_blob: run.request.as_ref().map(|request| request.blob.to_string()).unwrap_or_default(),
        formula: admitted.map(|admitted| (&admitted.formula).into()),
        approval: admitted.map(|admitted| (&admitted.approval).into()),
        tier: admitted.map(|admitted| admitted.tier),
        backend: run.backend.clone(),
        job: job_of(run),
        policies: run.policies.clone(),
        attempt: run.id.attempt(),
        queued_at: Some(rfc3339_seconds(run.seen_at)),
        started_at: began(run, log).map(rfc3339_seconds),
        finished_at: run.finished_at.map(rfc3339_seconds),
        log: log.map(log_of),
        usage: std::collections::BTreeMap::new(),
        dispatcher: dispatcher.clone(),
    }
}

fn log_of(log: &LogSummary) -> LogRef {
    let LogSummary { bytes, truncated, incomplete, .. } = *log;
    LogRef { bytes, sha256: log.sha256.clone(), truncated, incomplete }
}

fn job_of(run: &Run) -> Option<JobRef> {
    let Some(Finish::Ended(ended)) = &run.finish else { return None };
    Some(ended.placement.clone())
}
