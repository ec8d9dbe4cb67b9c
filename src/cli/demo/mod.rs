//! `dispatch demo`: everything at work in a folder of its own, and proof of what is claimed.
//!
//! - [`tools`]: is there what it needs? [`folder`]: the folder it stays in, removed at the end unless a person named it.
//! - [`scenario`]: what the demo is about: formulas, actions and what each must come to (plain data).
//! - [`world`]: makes the ops repo, the secrets and the configuration from it.
//! - [`story`]: tells each event of the journal as it happens.
//! - [`verify`] with [`search`]: reads back what was committed, and proves or refutes each promise.
//! - [`report`]: what is shown of it at the end.
//!
//! The dispatcher that runs here is the real one, in this process; it starts this binary as supervisor and runner, as always.

mod folder;
mod report;
mod scenario;
mod search;
mod story;
mod tools;
mod verify;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use tokio::sync::watch;

use super::args::DemoArgs;
use super::error::{CliError, Kind};
use super::invocation::{Invocation, interruptible};
use super::service;
use crate::config::{Config, Sources};
use crate::dispatcher::once::Round;
use crate::dispatcher::start::JOURNAL;
use crate::dispatcher::start::Unanswered;
use crate::run::journal::store;
use crate::support::watch::Watcher;
use folder::Folder;
use story::{Story, Told};
use verify::{Committed, Proof};
use world::World;

/// What the demo comes to.
#[derive(Debug, Serialize)]
struct DemoView {
    /// The folder, where it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    /// What happened, in order.
    steps: Vec<Told>,
    /// The results as committed.
    results: Vec<Committed>,
    /// What was promised, and whether it was observed.
    proofs: Vec<Proof>,
}

/// `dispatch demo`
///
/// # Errors
/// Something that it needs is missing, the folder is not empty, or the demo could not be carried through.
pub(super) fn run(arguments: &DemoArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let wanted = arguments.dir.as_deref().map(|dir| invocation.path(dir));
    tools::check()?;
    let folder = Folder::make(wanted, invocation.environment())?;
    let view = interruptible(play(&folder, invocation))?;
    let code = if view.proofs.iter().all(|proof| proof.held) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    invocation.output.say("demo", &view, |look| report::render(&view, look))?;
    Ok(code)
}

async fn play(folder: &Folder, invocation: &mut Invocation) -> Result<DemoView, CliError> {
    let output = &mut invocation.output;
    story::heading(output, "Making an ops repo with its people, secrets and actions")?;
    let world = World::make(folder.path()).await.map_err(|error| world::words(&error))?;
    story::lines(output, &world.made())?;
    story::heading(output, "The dispatcher takes it up")?;
    let steps = dispatch(&world, invocation).await?;
    let (results, proofs) = verify::all(&world, &steps).await?;
    Ok(DemoView { folder: folder.kept(), steps, results, proofs })
}

/// Runs the real loop once over everything that is there, and tells its events as they are recorded.
async fn dispatch(world: &World, invocation: &mut Invocation) -> Result<Vec<Told>, CliError> {
    let config = Config::load(&Sources { config: Some(world.config()), ..Sources::default() })
        .map_err(|error| CliError::from_config(&error, crate::support::diagnostic::Color::Never))?
        .config;
    let dispatcher = service::start(&config, invocation, Unanswered::Stop).await?;
    let connection = store::open_to_read(&config.state_dir.join(JOURNAL)).map_err(|error| stopped(&error))?;
    let mut story = Story::new(connection, &mut invocation.output);
    let watcher = Watcher::new().map_err(|error| stopped(&error))?;
    let mut journal = watcher.watch(&config.state_dir).map_err(|error| stopped(&error))?;
    let never = watch::Sender::new(false);
    let mut round = std::pin::pin!(dispatcher.once(never.subscribe()));
    let mut told = Ok(());
    let ended = loop {
        tokio::select! {
            ended = &mut round => break ended,
            // That nobody listens any more (`| head`) does not stop runs halfway.
            () = journal.changed(), if told.is_ok() => told = story.go_on(),
        }
    };
    told.and_then(|()| story.go_on())?;
    match ended.map_err(|error| stopped(&error))? {
        Round::Done(_) => Ok(story.told()),
        Round::Interrupted | Round::Rewritten | Round::NotLeading(_) => {
            Err(CliError::new(Kind::Failed, "the dispatcher stopped before everything was done"))
        }
    }
}

fn stopped(error: &dyn std::error::Error) -> CliError {
    CliError::new(Kind::Failed, "the demo could not be carried through").caused_by(error)
}
