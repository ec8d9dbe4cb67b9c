//! `dispatch show`: everything that the journal and the mirror know of one run.

use std::path::Path;
use std::process::ExitCode;

use rusqlite::Connection;
use serde_json::Value;

use super::args::TargetArg;
use super::error::CliError;
use super::invocation::{Invocation, interruptible};
use super::view::{AdmittedView, EventView, HistoryView, RequestView, ShowView, StandingView, Whose};
use super::{records, render};
use crate::action::result::{ActionResult, JobRef};
use crate::admission::Admitted;
use crate::config::Config;
use crate::dispatcher::report::run_view;
use crate::ops::{Blob, Mirror};
use crate::run::journal::{StandingResult, chain, read};
use crate::run::log::LogStore;
use crate::run::record::Run;
use crate::run::state::{Next, State, next};
use crate::run::step::{Request, Step};
use crate::run::story;
use crate::support::clock::{Clock as _, SystemClock};
use crate::support::control::Target;
use crate::support::ids::RunId;

/// Bytes of a standing result that are read to compare it; those of a dispatcher are far smaller.
const COMPARE_LIMIT: u64 = 1 << 20;

/// `dispatch show`
///
/// # Errors
/// There is no such run and no such result, or the journal cannot be read.
pub fn run(target: &TargetArg, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let config = invocation.load()?.config;
    let journal = records::open(&config.state_dir)?;
    let standing = read::standing(&journal, target.id.action().as_str()).map_err(|error| records::failed(&error))?;
    match (records::find(&journal, &target.id)?, standing) {
        (Some(run), standing) => {
            let view = view(&journal, &config, &run, standing)?;
            let now = SystemClock.now();
            invocation.output.say("show", &view, |look| render::show(&view, now, look))?;
        }
        // Of an attempt that never was, the result of the action says nothing.
        (None, Some(standing)) if matches!(target.id, Target::Action(_)) => {
            let action = target.id.action().to_string();
            let view = HistoryView { action, standing: standing_view(&standing, Whose::Foreign) };
            invocation.output.say("show", &view, |look| render::history(&view, look))?;
        }
        (None, _) => return Err(records::unknown(&target.id)),
    }
    Ok(ExitCode::SUCCESS)
}

fn view(
    journal: &Connection,
    config: &Config,
    run: &Run,
    standing: Option<StandingResult>,
) -> Result<ShowView, CliError> {
    let events = read::events(journal, &run.id).map_err(|error| records::failed(&error))?;
    let log = LogStore::new(config.state_dir.join("logs")).path(&run.id);
    let standing = match standing {
        Some(standing) => Some(standing_view(&standing, whose(journal, config, run, &standing)?)),
        None => None,
    };
    let result = run.outcome.as_ref().map(|outcome| outcome.result.as_str());
    let under_way = || {
        let job = run.handle.as_ref()?.job()?.to_owned();
        Some(JobRef { id: job, ..JobRef::default() })
    };
    Ok(ShowView {
        run: run_view(run, None),
        request: run.request.as_ref().map(request_view),
        admitted: run.admitted.as_deref().map(admitted_view),
        events: event_views(&events),
        policies: run.policies.clone(),
        job: result
            .and_then(|text| serde_json::from_str::<ActionResult>(text).ok())
            .map_or_else(under_way, |result| result.job),
        log: log.exists().then(|| log.display().to_string()),
        standing,
        kept_aside: run.kept_aside.clone(),
        result: result.and_then(|text| serde_json::from_str::<Value>(text).ok()),
    })
}

fn standing_view(standing: &StandingResult, whose: Whose) -> StandingView {
    StandingView { path: standing.path.clone(), blob: standing.blob.to_string(), whose }
}

fn request_view(request: &Request) -> RequestView {
    RequestView { path: request.path.clone(), blob: request.blob.to_string(), head: request.head.to_string() }
}

fn admitted_view(admitted: &Admitted) -> AdmittedView {
    AdmittedView {
        context: admitted.context.clone(),
        source: admitted.formula.source.clone(),
        hash: admitted.formula.script.sha256.clone(),
        approval: (&admitted.approval).into(),
        arrived: admitted.arrived.as_ref().map(ToString::to_string),
        secrets: admitted.secrets.iter().map(ToString::to_string).collect(),
        mounts: admitted.mounts.iter().map(ToString::to_string).collect(),
        params: admitted.params.clone(),
        timeout_minutes: admitted.timeout_minutes,
        priority: admitted.priority,
        concurrency_key: admitted.concurrency_key.clone(),
        working_directory: admitted.working_directory.clone(),
        not_after: admitted.not_after,
        depends_on: admitted.depends_on.iter().map(ToString::to_string).collect(),
        evidence: admitted.evidence.clone(),
    }
}

/// Each event with the state that it led to. One that does not read back is shown as it is: `audit verify` judges it.
fn event_views(events: &[chain::Event]) -> Vec<EventView> {
    let mut state: Option<State> = None;
    let mut views = Vec::with_capacity(events.len());
    for event in events {
        let step: Option<Step> = serde_json::from_str(&event.data).ok();
        if let Some(Ok(Next::Move(to))) = step.as_ref().map(|step| next(state, step.kind())) {
            state = Some(to);
        }
        views.push(EventView {
            number: u64::try_from(event.seq).unwrap_or_default(),
            at: event.at.parse().unwrap_or_default(),
            state: state.map_or_else(|| event.kind.clone(), |state| state.word().to_owned()),
            detail: Some(step.as_ref().map_or_else(|| event.data.clone(), story::words)),
        });
    }
    views
}

/// Whose the standing result is: told by its bytes, since an id alone says nothing of who wrote it.
fn whose(journal: &Connection, config: &Config, run: &Run, standing: &StandingResult) -> Result<Whose, CliError> {
    if run.kept_aside.is_some() {
        return Ok(Whose::KeptAside);
    }
    let Some(bytes) = interruptible(bytes(config, standing))? else { return Ok(Whose::NotCompared) };
    let is_of = |run: &Run| run.outcome.as_ref().is_some_and(|outcome| outcome.result.as_bytes() == bytes);
    if is_of(run) {
        return Ok(Whose::Ours);
    }
    let latest = read::latest(journal, run.id.action().as_str()).map_err(|error| records::failed(&error))?;
    for attempt in 1..=latest.map_or(0, |latest| latest.id.attempt()) {
        let other = read::run(journal, &RunId::new(run.id.action().clone(), attempt));
        if other.map_err(|error| records::failed(&error))?.is_some_and(|other| is_of(&other)) {
            return Ok(Whose::OtherAttempt);
        }
    }
    Ok(Whose::Foreign)
}

/// The standing result as the mirror has it; that there is no mirror, or that it does not hold it, is no failure.
async fn bytes(config: &Config, standing: &StandingResult) -> Result<Option<Vec<u8>>, CliError> {
    let Some(mirror) = mirror(config).await else { return Ok(None) };
    let blobs = mirror.blobs(std::slice::from_ref(&standing.blob), COMPARE_LIMIT).await.unwrap_or_default();
    Ok(match blobs.get(&standing.blob) {
        Some(Blob::Whole(bytes)) => Some(bytes.clone()),
        _ => None,
    })
}

/// The mirror where there is one. It is opened without asking the remote, and not made.
pub(super) async fn mirror(config: &Config) -> Option<Mirror> {
    if !has_mirror(&config.state_dir) {
        return None;
    }
    match Mirror::open(&config.ops, &config.state_dir).await {
        Ok(mirror) => Some(mirror),
        Err(error) => {
            tracing::warn!(error = %crate::support::chain::words(&error), "the mirror cannot be opened");
            None
        }
    }
}

fn has_mirror(state_dir: &Path) -> bool {
    state_dir.join("mirror.git").join("HEAD").exists()
}
