//! `dispatch gc`: what published runs left behind goes; what a person should look at is named.

use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};

use super::args::GcArgs;
use super::error::{CliError, Kind};
use super::invocation::{Invocation, interruptible};
use super::view::GcView;
use super::{records, render, show};
use crate::backend::local::{LocalBackend, LocalSettings};
use crate::config::Config;
use crate::config::types::LocalLimits;
use crate::dispatcher::lock::StateLock;
use crate::dispatcher::sweep::{Mode, Places, kept, sweep, sweep_adhoc};
use crate::run::journal::read;
use crate::run::log::LogStore;
use crate::run::record::Run;
use crate::run::state::State;
use crate::support::chain;
use crate::support::clock::{Clock as _, SystemClock};

/// `dispatch gc`
///
/// # Errors
/// The journal cannot be read. What could not be removed is in the answer: exit 1.
pub fn run(arguments: &GcArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let mode = if arguments.dry_run { Mode::DryRun } else { Mode::Remove };
    let config = invocation.load()?.config;
    let journal = records::open(&config.state_dir)?;
    let published =
        read::recent(&journal, Some(State::Published), u32::MAX).map_err(|error| records::failed(&error))?;
    let before = SystemClock.now() - SignedDuration::from_hours(24 * i64::from(config.limits.keep_days));
    let view = interruptible(collect(&config, &published, before, mode))?;
    invocation.output.say("gc", &view, |_| render::gc(&view))?;
    Ok(if view.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failed.exit_code()) })
}

async fn collect(config: &Config, published: &[Run], before: Timestamp, mode: Mode) -> Result<GcView, CliError> {
    let runs = config.state_dir.join("runs");
    let logs = LogStore::new(config.state_dir.join("logs"));
    let backend = local(&runs)?;
    let mut swept = sweep(published, before, &Places { logs: &logs, runs, backend: &backend }, mode).await;
    let unreadable = |error: std::io::Error| {
        CliError::new(Kind::Failed, "the state directory cannot be read")
            .caused_by(&error)
            .place(config.state_dir.display())
    };
    sweep_adhoc(&config.state_dir, before, opened, mode, &mut swept).await.map_err(unreadable)?;
    let kept = kept(&config.state_dir).map_err(unreadable)?;
    let texts = |paths: Vec<std::path::PathBuf>| paths.iter().map(|path| path.display().to_string()).collect();
    let mut view = GcView {
        removed: texts(swept.removed),
        bytes: swept.bytes,
        failed: swept.failed,
        kept: texts(kept),
        mirror: None,
        dry_run: mode == Mode::DryRun,
    };
    if mode == Mode::Remove {
        tidy(config, &mut view).await;
    }
    Ok(view)
}

fn local(runs: &std::path::Path) -> Result<LocalBackend, CliError> {
    let failed =
        |error: std::io::Error| CliError::new(Kind::Failed, "the run directories cannot be used").caused_by(&error);
    opened(runs).map_err(|error| failed(error).place(runs.display()))
}

fn opened(runs: &std::path::Path) -> std::io::Result<LocalBackend> {
    let executable = std::env::current_exe()?;
    let limits = LocalLimits::default();
    LocalBackend::new(LocalSettings { runs_dir: runs.to_owned(), executable, mounts: [].into(), limits })
}

/// Packs the mirror, which only one process may write to: never beside a running dispatcher.
async fn tidy(config: &Config, view: &mut GcView) {
    let Ok(_lock) = StateLock::take_now(&config.state_dir, &format!("`dispatch gc`, process {}", std::process::id()))
    else {
        view.mirror = Some("in_use".to_owned());
        return;
    };
    let Some(mirror) = show::mirror(config).await else {
        view.mirror = Some("absent".to_owned());
        return;
    };
    match mirror.tidy().await {
        Ok(()) => view.mirror = Some("packed".to_owned()),
        Err(error) => view.failed.push(format!("the mirror: {}", chain::words(&error))),
    }
}
