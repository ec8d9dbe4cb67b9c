//! `dispatch plan` and `dispatch once --dry-run`: what would be granted, mounted and launched. Nothing is.

use std::process::ExitCode;

use super::args::ActionArg;
use super::error::{CliError, Kind};
use super::explain::{exit_code, in_words, open, words};
use super::invocation::{Invocation, interruptible};
use super::render;
use super::view::{GrantedView, LaunchView, PlanView, RoundView};
use crate::admission::{Admitted, Verdict};
use crate::config::Config;
use crate::dispatcher::preview::{Pending, Place, Preview, Previewed};
use crate::grant::{GrantRecord, Presence};
use crate::support::ids::{ActionId, MountName};

/// Prints the plan of one action.
///
/// # Errors
/// There is no such action, or what it is judged by cannot be read.
pub fn run(args: &ActionArg, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let loaded = invocation.load()?;
    let view = interruptible(one(&args.id, &loaded.config, invocation))?;
    invocation.output.say("plan", &view, |look| render::plan(&view, look))?;
    Ok(exit_code(&view.verdict))
}

/// `dispatch once --dry-run`: the plan of everything that a round would take up.
///
/// # Errors
/// What is judged by cannot be read.
pub(super) fn round(config: &Config, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let view = interruptible(everything(config, invocation))?;
    invocation.output.say("once.plan", &view, |look| render::round(&view, look))?;
    Ok(ExitCode::SUCCESS)
}

async fn one(id: &ActionId, config: &Config, invocation: &Invocation) -> Result<PlanView, CliError> {
    let preview = open(config, invocation, &Place::Primary).await?;
    let previewed = preview.action(id).await.map_err(|error| in_words(&error))?;
    let Some(previewed) = previewed else {
        let words = CliError::new(Kind::Failed, format!("the ops repo has no action `{id}`"));
        return Err(words.hint(format!("`dispatch explain {id} --ref BRANCH` looks at one that is not merged yet")));
    };
    judged(&preview, config, &previewed).await
}

async fn everything(config: &Config, invocation: &Invocation) -> Result<RoundView, CliError> {
    let preview = open(config, invocation, &Place::Primary).await?;
    let mut view = RoundView::default();
    for pending in preview.pending().await.map_err(|error| in_words(&error))? {
        view.plans.push(match &pending {
            Pending::Queued(admitted) => admitted_plan(&preview, config, admitted).await?,
            Pending::New(previewed) => judged(&preview, config, previewed).await?,
        });
    }
    Ok(view)
}

/// The plan of an action that was just judged.
pub(super) async fn judged(preview: &Preview, config: &Config, one: &Previewed) -> Result<PlanView, CliError> {
    if let Verdict::Admitted(admitted) = &one.explanation.verdict {
        return admitted_plan(preview, config, admitted).await;
    }
    let (verdict, reason, message) = words(&one.explanation.verdict);
    let action = one.explanation.id.as_ref().map_or_else(|| one.explanation.path.clone(), ToString::to_string);
    let (verdict, reason) = (verdict.to_owned(), reason.map(|reason| reason.to_string()));
    Ok(PlanView { action, verdict, reason, message, launch: None })
}

async fn admitted_plan(preview: &Preview, config: &Config, admitted: &Admitted) -> Result<PlanView, CliError> {
    let policies = GrantRecord::of(&admitted.secrets).policies;
    let mut secrets = Vec::new();
    for (secret, by) in admitted.secrets.iter().zip(policies) {
        let evidence = presence_words(&preview.presence(secret).await);
        secrets.push(GrantedView { name: secret.to_string(), by, evidence });
    }
    let launch = LaunchView {
        tier: admitted.tier.to_string(),
        formula: admitted.formula.name.to_string(),
        source: admitted.formula.source.clone(),
        hash: admitted.formula.script.sha256.clone(),
        backend: admitted.backend.clone(),
        timeout_minutes: admitted.timeout_minutes,
        secrets,
        mounts: admitted.mounts.iter().map(|mount| mount_view(mount, config)).collect(),
        params: admitted.params.clone(),
        working_directory: admitted.working_directory.clone(),
        formula_limit: admitted.formula.max_concurrent,
        concurrency_key: admitted.concurrency_key.clone(),
        waits: preview.queues(admitted).map_err(|error| in_words(&error))?,
    };
    let (action, verdict) = (admitted.id.to_string(), "admitted".to_owned());
    Ok(PlanView { action, verdict, reason: None, message: None, launch: Some(launch) })
}

fn presence_words(presence: &Presence) -> String {
    match presence {
        Presence::Present { evidence } => format!("present: {evidence}"),
        Presence::Absent { evidence } => format!("absent: {evidence}"),
        Presence::Unknown { evidence } => format!("unknown: {evidence}"),
    }
}

fn mount_view(mount: &MountName, config: &Config) -> GrantedView {
    let place = config.mounts.get(mount).and_then(|mount| mount.local.clone());
    let evidence = match &place {
        Some(place) if place.exists() => format!("present: {}", place.display()),
        Some(place) => format!("absent: {}", place.display()),
        None => "not on this machine".to_owned(),
    };
    GrantedView { name: mount.to_string(), by: format!("mounts.{mount}"), evidence }
}
