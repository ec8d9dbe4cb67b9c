//! `dispatch jobs plan|apply|validate`: the shipped jobs, as the config wants them, in Nomad.
//!
//! With an operator's token: the one of a running dispatcher may register nothing, and needs none of this.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::args::JobsVerb;
use super::error::{CliError, Kind};
use super::invocation::{Invocation, interruptible};
use super::render;
use super::view::{JobView, JobsView};
use crate::backend::nomad::changes::Planned;
use crate::backend::nomad::client::types::Plan;
use crate::backend::nomad::client::{Client, ClientError, Prospect, Registration, TokenSource};
use crate::backend::nomad::shipped::Shipped;
use crate::config::Config;
use crate::config::types::Nomad;
use crate::dispatcher::nomad::{self, NomadError};

/// The token of whoever calls this, as for `nomad` itself.
const TOKEN: &str = "NOMAD_TOKEN";

/// `dispatch jobs …`
///
/// # Errors
/// Nomad is not configured, does not answer, or refuses. That something differs is in the answer: exit 1.
pub(super) fn run(verb: &JobsVerb, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let config = invocation.load()?.config;
    let (client, jobs) = wanted(&config, invocation.environment())?;
    let progress = invocation.output.progress("asking Nomad");
    let done = interruptible(each(verb, &client, &jobs));
    progress.finish_and_clear();
    let view = JobsView { jobs: done? };
    let kind = match verb {
        JobsVerb::Plan => "jobs.plan",
        JobsVerb::Apply => "jobs.apply",
        JobsVerb::Validate => "jobs.validate",
    };
    invocation.output.say(kind, &view, |look| render::jobs(&view, look))?;
    let fine = |job: &JobView| matches!(job.state.as_str(), "unchanged" | "created" | "updated" | "valid");
    Ok(if view.jobs.iter().all(fine) { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failed.exit_code()) })
}

/// The token of whoever calls this goes before the one that the config names, which is the dispatcher's.
fn wanted(config: &Config, environment: &BTreeMap<String, String>) -> Result<(Client, Vec<Shipped>), CliError> {
    let own = environment.get(TOKEN).filter(|token| !token.is_empty());
    let token = |configured: &Nomad| match own {
        Some(_) => TokenSource::Environment(TOKEN.to_owned()),
        None => nomad::token(configured),
    };
    nomad::jobs(config, token).map_err(|error| {
        let words = CliError::from_error(Kind::Usage, &error);
        match error {
            NomadError::NotConfigured => words.hint("add [backends.nomad]; docs/nomad.md has all of it"),
            _ => words.hint("`dispatch config show --origin` says what is in force"),
        }
    })
}

async fn each(verb: &JobsVerb, client: &Client, jobs: &[Shipped]) -> Result<Vec<JobView>, CliError> {
    let mut done = Vec::new();
    for job in jobs {
        let one = match verb {
            JobsVerb::Plan => planned(client, job).await,
            JobsVerb::Apply => applied(client, job).await,
            JobsVerb::Validate => validated(client, job).await,
        };
        done.push(one.map_err(|error| failed(&error, job, &done))?);
    }
    Ok(done)
}

async fn planned(client: &Client, job: &Shipped) -> Result<JobView, ClientError> {
    let spec = client.parse(job.hcl, &job.variables).await?;
    let plan = client.plan(&job.id, &spec).await?;
    let (state, changes) = match Planned::of(plan.diff.as_ref()) {
        Planned::New => ("new", Vec::new()),
        Planned::Same => ("unchanged", Vec::new()),
        Planned::Differs(changes) => ("differs", changes),
    };
    Ok(view(job, state, JobView { changes, ..notes(&plan.warnings) }))
}

/// Registers what differs, against the state that was planned for: whoever changes the job in between is not overwritten.
async fn applied(client: &Client, job: &Shipped) -> Result<JobView, ClientError> {
    let spec = client.parse(job.hcl, &job.variables).await?;
    let Plan { diff, job_modify_index, warnings, .. } = client.plan(&job.id, &spec).await?;
    let (state, changes, how) = match Planned::of(diff.as_ref()) {
        Planned::Same => return Ok(view(job, "unchanged", notes(&warnings))),
        Planned::New => ("created", Vec::new(), Registration::New),
        Planned::Differs(changes) => ("updated", changes, Registration::Replacing(job_modify_index)),
    };
    client.register(&spec, how).await?;
    Ok(view(job, state, JobView { changes, ..notes(&warnings) }))
}

async fn validated(client: &Client, job: &Shipped) -> Result<JobView, ClientError> {
    let spec = client.parse(job.hcl, &job.variables).await?;
    let validation = client.validate(&spec).await?;
    let mut mistakes = validation.validation_errors.unwrap_or_default();
    if mistakes.is_empty() && !validation.error.is_empty() {
        mistakes.push(validation.error);
    }
    let state = if mistakes.is_empty() { "valid" } else { "invalid" };
    Ok(view(job, state, JobView { mistakes, ..notes(&validation.warnings) }))
}

fn view(job: &Shipped, state: &str, rest: JobView) -> JobView {
    JobView { id: job.id.clone(), state: state.to_owned(), marker: job.marker.clone(), ..rest }
}

fn notes(warnings: &str) -> JobView {
    JobView { warnings: Some(warnings.trim().to_owned()).filter(|words| !words.is_empty()), ..JobView::default() }
}

/// Says which job failed, what was done before it, and what an operator can do.
fn failed(error: &ClientError, job: &Shipped, done: &[JobView]) -> CliError {
    let kind = if error.prospect() == Prospect::Never { Kind::Failed } else { Kind::Unreachable };
    let changed = done.iter().filter(|job| matches!(job.state.as_str(), "created" | "updated"));
    let changed: Vec<&str> = changed.map(|job| job.id.as_str()).collect();
    let message = match changed.as_slice() {
        [] => format!("the job `{}` is as it was", job.id),
        before => format!("the job `{}` is as it was; registered before it: {}", job.id, before.join(", ")),
    };
    let words = CliError::new(kind, message).caused_by(error);
    match error {
        ClientError::Denied { .. } => words.hint(
            "this needs an operator's token, not the dispatcher's: call it with NOMAD_TOKEN set to one with \
             policies/nomad-operator.hcl, whose host_volume rules cover the volumes that the job mounts",
        ),
        ClientError::Refused { said, .. } if said.contains("modify index") => {
            words.hint("somebody changed the job in between: look with `dispatch jobs plan`, then apply again")
        }
        ClientError::NotSent { .. } => {
            words.hint("check `backends.nomad.address`; `dispatch doctor` looks at all of it")
        }
        _ => words.hint("`dispatch doctor` looks at everything that Nomad needs"),
    }
}
