//! `dispatch audit verify`.

use std::process::ExitCode;

use super::args::AuditVerb;
use super::error::{CliError, Kind};
use super::invocation::{Invocation, interruptible};
use super::view::AuditView;
use super::{records, render, show};
use crate::config::Config;
use crate::dispatcher::audit::audit;
use crate::dispatcher::outbox::TRAILER;
use crate::support::ids::CommitId;

/// Commits of results that are compared with the chain, from the newest.
const COMMITS: u32 = 1_000;

/// `dispatch audit …`
///
/// # Errors
/// The journal or the mirror cannot be read. That something does not hold is an answer: exit 1.
pub fn run(verb: &AuditVerb, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let AuditVerb::Verify = verb;
    let config = invocation.load()?.config;
    let journal = records::open(&config.state_dir)?;
    // Before the journal is read: a commit that comes meanwhile speaks of events that are not seen.
    let trailers = interruptible(trailers(&config))?;
    let audited = audit(&journal, &trailers).map_err(|error| records::failed(&error))?;
    let view = AuditView {
        events: u64::try_from(audited.events).unwrap_or_default(),
        commits: u64::try_from(audited.commits).unwrap_or(u64::MAX),
        others: u64::try_from(audited.others).unwrap_or(u64::MAX),
        broken: audited.broken,
        head: audited.tip,
    };
    invocation.output.say("audit.verify", &view, |look| render::audit(&view, look))?;
    Ok(if view.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failed.exit_code()) })
}

async fn trailers(config: &Config) -> Result<Vec<(CommitId, String)>, CliError> {
    let Some(mirror) = show::mirror(config).await else { return Ok(Vec::new()) };
    mirror.trailers(TRAILER, COMMITS).await.map_err(|error| {
        let words = CliError::new(Kind::Failed, "the commits of results cannot be read from the mirror");
        words.caused_by(&error).place(config.state_dir.join("mirror.git").display())
    })
}
