//! `dispatch explain`: every admission check of an action with its evidence, as it comes out now and as it was recorded.
//!
//! Nothing is changed: see [`crate::dispatcher::preview`].

use std::path::Path;
use std::process::ExitCode;

use super::args::ExplainArgs;
use super::error::{CliError, Kind};
use super::invocation::{Invocation, interruptible};
use super::render;
use super::service::surroundings;
use super::view::{CheckVerdict, CheckView, DecisionView, ExplainView};
use crate::action::reason::Reason;
use crate::admission::snapshot::Arrival;
use crate::admission::{Check, Judgement, Verdict};
use crate::config::Config;
use crate::config::types::ApprovalMode;
use crate::dispatcher::preview::{Place, Preview, PreviewError, Previewed};
use crate::run::journal::chain::Event;
use crate::run::journal::{JournalError, read};
use crate::run::step::Step;
use crate::support::ids::{ActionId, RunId};

/// The rule that a file of this machine cannot fulfil: its approval.
const APPROVAL: u8 = 5;

/// Prints the explanation.
///
/// # Errors
/// There is no such action, or what it is judged by cannot be read.
pub fn run(args: &ExplainArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let loaded = invocation.load()?;
    let place = args.reference.clone().map_or(Place::Primary, Place::Named);
    let view = match (&args.id, &args.file) {
        (Some(id), _) => interruptible(by_id(id, &loaded.config, invocation, &place))?,
        (None, Some(file)) => interruptible(by_file(&invocation.path(file), &loaded.config, invocation))?,
        (None, None) => return Err(CliError::new(Kind::Usage, "say which action, or which file")),
    };
    invocation.output.say("explain", &view, |look| render::explain(&view, look))?;
    Ok(exit_code(&view.verdict))
}

/// What can still come about is no failure: `waiting` is 0.
pub(super) fn exit_code(verdict: &str) -> ExitCode {
    match verdict {
        "admitted" | "waiting" => ExitCode::SUCCESS,
        _ => ExitCode::from(Kind::Rejected.exit_code()),
    }
}

/// Opens the journal and the ops repo for looking, with words for people where that cannot be.
pub(super) async fn open(config: &Config, invocation: &Invocation, place: &Place) -> Result<Preview, CliError> {
    let surroundings = surroundings(invocation.environment())?;
    Preview::open(config, &surroundings, place).await.map_err(|error| in_words(&error))
}

/// The failure of a look, in words.
pub(super) fn in_words(error: &PreviewError) -> CliError {
    let (kind, hint) = match error {
        PreviewError::Ops(_) => (Kind::Unreachable, "check `[ops]` in the configuration, and that the remote answers"),
        PreviewError::Gather(_) => (Kind::Unreachable, "try again; the log of the dispatcher may say more"),
        PreviewError::Journal(_) => (Kind::Failed, "call this as the user that the dispatcher runs as"),
        PreviewError::Scratch(_) => (Kind::Failed, "set TMPDIR to a folder that can be written to"),
        PreviewError::Start(_) => (Kind::Failed, "check `state_dir` in the configuration"),
    };
    CliError::from_error(kind, error).hint(hint)
}

async fn by_id(
    id: &ActionId,
    config: &Config,
    invocation: &Invocation,
    place: &Place,
) -> Result<ExplainView, CliError> {
    let preview = open(config, invocation, place).await?;
    let decisions = decisions(&preview, id).map_err(|error| in_words(&error.into()))?;
    let previewed = preview.action(id).await.map_err(|error| in_words(&error))?;
    let view = match previewed {
        Some(previewed) => before_the_merge(present(&previewed, id.to_string()), place, config),
        None if decisions.is_empty() => return Err(unknown(id)),
        None => ExplainView { action: id.to_string(), ..ExplainView::default() },
    };
    Ok(with_the_past(ExplainView { head: preview.head().to_string(), note: note(&preview), ..view }, decisions))
}

fn unknown(id: &ActionId) -> CliError {
    let words = CliError::new(Kind::Failed, format!("neither the ops repo nor the journal has an action `{id}`"));
    words.hint(format!(
        "for one that is not merged yet, say `--ref BRANCH` (`dispatch request` makes `dispatch/{id}`) or `--file FILE`"
    ))
}

fn note(preview: &Preview) -> Option<String> {
    preview.stale().map(|why| format!("the remote does not answer, this is what was seen last: {why}"))
}

async fn by_file(file: &Path, config: &Config, invocation: &Invocation) -> Result<ExplainView, CliError> {
    let (name, bytes) = read_action_file(file)?;
    let preview = open(config, invocation, &Place::Primary).await?;
    let previewed = preview.file(&name, &bytes, preview.rules()).await.map_err(|error| in_words(&error))?;
    let view = present(&previewed, name.trim_end_matches(".toml").to_owned());
    let view = ExplainView { head: preview.head().to_string(), note: note(&preview), ..view };
    Ok(without_approval(view))
}

/// A file's name and bytes.
pub(super) fn read_action_file(file: &Path) -> Result<(String, Vec<u8>), CliError> {
    let cannot = |words: &str| CliError::new(Kind::Usage, words).place(file.display());
    let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(|| cannot("this is no file of an action"))?;
    let bytes = std::fs::read(file).map_err(|error| cannot("the file cannot be read").caused_by(&error))?;
    Ok((name.to_owned(), bytes))
}

/// A file has no approval yet. Where that is all that is missing, it waits for one.
fn without_approval(view: ExplainView) -> ExplainView {
    let open = |check: &&CheckView| check.verdict != CheckVerdict::Passed;
    if view.verdict != "set_aside" || view.checks.iter().filter(open).any(|check| check.number != APPROVAL) {
        return view;
    }
    let message = "everything else holds; its approval is judged by the commit that brings it".to_owned();
    ExplainView { verdict: "waiting".to_owned(), message: Some(message), ..view }
}

/// On a branch nothing has been merged yet: that no pull request brought it there is no finding. Where that is all, it waits for one.
fn before_the_merge(view: ExplainView, place: &Place, config: &Config) -> ExplainView {
    let nothing = [Reason::NoPullRequest.code(), Reason::EvidenceUnavailable.code()];
    let looks_for_one = config.approval.mode == Some(ApprovalMode::PullRequest) && matches!(place, Place::Named(_));
    let open = |check: &&CheckView| check.verdict != CheckVerdict::Passed;
    let others = view.checks.iter().filter(open).any(|check| check.number != APPROVAL);
    let is_that = view.reason.as_deref().is_some_and(|reason| nothing.contains(&reason));
    if !looks_for_one || others || !is_that {
        return view;
    }
    let branch = &config.ops.branch;
    let message = format!("everything else holds; its approval is judged when a pull request brings it to {branch}");
    ExplainView { verdict: "waiting".to_owned(), message: Some(message), ..view }
}

/// What the checks say now.
fn present(previewed: &Previewed, action: String) -> ExplainView {
    let (snapshot, explanation) = (&previewed.snapshot, &previewed.explanation);
    let (verdict, reason, message) = words(&explanation.verdict);
    ExplainView {
        action,
        blob: Some(snapshot.entry.blob.to_string()),
        commit: match &snapshot.arrival {
            Arrival::Commit(arrived) => Some(arrived.commit.to_string()),
            Arrival::LocalFile | Arrival::Unknown { .. } => None,
        },
        verdict: verdict.to_owned(),
        reason: reason.map(|reason| reason.to_string()),
        message,
        checks: explanation.checks.iter().map(check_view).collect(),
        ..ExplainView::default()
    }
}

/// A verdict in the words of the views.
pub(super) fn words(verdict: &Verdict) -> (&'static str, Option<Reason>, Option<String>) {
    match verdict {
        Verdict::Admitted(_) => ("admitted", None, None),
        Verdict::Rejected { reason, message, .. } => ("rejected", Some(*reason), Some(message.clone())),
        Verdict::Waiting { reason, message, .. } => ("waiting", Some(*reason), Some(message.clone())),
        Verdict::SetAside { reason, message } => ("set_aside", Some(*reason), Some(message.clone())),
    }
}

fn check_view(check: &Check) -> CheckView {
    let (verdict, reason) = match check.judgement {
        Judgement::Pass => (CheckVerdict::Passed, None),
        Judgement::Fail { reason } | Judgement::SetAside { reason } => (CheckVerdict::Failed, Some(reason)),
        Judgement::Wait { reason, .. } => (CheckVerdict::Waiting, Some(reason)),
        Judgement::NotReached => (CheckVerdict::Skipped, None),
    };
    let help = check.help.iter().map(|help| format!("help: {help}"));
    CheckView {
        number: check.number,
        name: check.name.to_owned(),
        verdict,
        reason: reason.map(|reason| reason.to_string()),
        message: Some(check.message.clone()),
        evidence: check.evidence.iter().cloned().chain(help).collect(),
    }
}

/// Once something was decided for good, that is the verdict: the checks of today would only say that the id is used.
fn with_the_past(view: ExplainView, decisions: Vec<DecisionView>) -> ExplainView {
    let final_word = decisions.last().filter(|last| last.verdict != "waiting").cloned();
    let view = ExplainView { decisions, ..view };
    match final_word {
        Some(last) if view.checks.is_empty() || view.reason.as_deref() == Some(Reason::IdAlreadyUsed.code()) => {
            let became = || format!("`dispatch show {}` tells what became of it", last.run);
            let message = last.message.or_else(|| (last.verdict == "admitted").then(became));
            ExplainView { verdict: last.verdict, reason: last.reason, message, ..view }
        }
        None if view.checks.is_empty() => ExplainView {
            verdict: "set_aside".to_owned(),
            message: Some("the action was removed from the ops repo before anything was decided".to_owned()),
            ..view
        },
        _ => view,
    }
}

/// What the journal has recorded as decided about an action, over all its runs.
fn decisions(preview: &Preview, id: &ActionId) -> Result<Vec<DecisionView>, JournalError> {
    let events = preview.journal().ask(|journal| {
        let attempts = read::latest(journal, id.as_str())?.map_or(0, |run| run.id.attempt());
        let runs = (1..=attempts).map(|attempt| read::events(journal, &RunId::new(id.clone(), attempt)));
        runs.collect::<Result<Vec<_>, _>>()
    })?;
    Ok(events.into_iter().flatten().flatten().filter_map(decision).collect())
}

fn decision(event: Event) -> Option<DecisionView> {
    let (verdict, reason, message, evidence) = match serde_json::from_str(&event.data).ok()? {
        Step::Admit { admitted } => ("admitted", None, None, admitted.evidence),
        Step::Reject { reason, message, .. } => ("rejected", Some(reason), Some(message), Vec::new()),
        Step::Hold { reason, message, .. } => ("waiting", Some(reason), Some(message), Vec::new()),
        _ => return None,
    };
    let reason = reason.map(|reason| reason.to_string());
    Some(DecisionView { run: event.run, at: event.at, verdict: verdict.to_owned(), reason, message, evidence })
}
