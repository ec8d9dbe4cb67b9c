//! `dispatch run` and `dispatch once`: the verbs that are a dispatcher.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::args::{OnceArgs, RunArgs};
use super::endpoint::Endpoint;
use super::error::{CliError, Kind};
use super::invocation::Invocation;
use super::view::ListView;
use super::{adhoc, plan, render};
use crate::config::reload::reload;
use crate::config::{Config, Loaded};
use crate::dispatcher::Dispatcher;
use crate::dispatcher::once::{OnceError, Round};
use crate::dispatcher::report::run_view;
use crate::dispatcher::service::{OnStop, Served};
use crate::dispatcher::settings::Settings;
use crate::dispatcher::start::{StartError, Surroundings, Unanswered};
use crate::run::record::Run;
use crate::support::clock::{Clock as _, SystemClock};

/// Threads that serve runs, the ops repo and the socket. Two keep one slow step from holding up the rest.
const WORKERS: usize = 2;

/// Threads at most for what waits for a disk: run directories, mounts, secrets in files. Each that there ever was keeps a heap of
/// its own (glibc), so that the runtime's usual 512 would leave megabytes behind after a burst of runs.
const DISK_WORKERS: usize = 8;

/// `dispatch run`
///
/// # Errors
/// It cannot start.
pub(super) fn run(arguments: &RunArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let loaded = invocation.load()?;
    let on_stop = if arguments.drain { OnStop::Drain } else { OnStop::Leave };
    let runtime = runtime()?;
    let served = runtime.block_on(serve(invocation, loaded, on_stop));
    // What is still going (a second signal came) is not waited for: the journal is right at every instant.
    runtime.shutdown_background();
    served
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(DISK_WORKERS)
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Kind::Failed, "cannot start the runtime").caused_by(&error))
}

/// What a dispatcher is given beside its config.
pub(super) fn surroundings(environment: &BTreeMap<String, String>) -> Result<Surroundings, CliError> {
    let executable = std::env::current_exe()
        .map_err(|error| CliError::new(Kind::Failed, "the path of this binary cannot be learned").caused_by(&error))?;
    Ok(Surroundings {
        clock: Arc::new(SystemClock),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        executable,
        environment: environment.clone(),
    })
}

/// Opens a dispatcher, with words for people where it cannot be.
pub(super) async fn start(
    config: &Config,
    invocation: &Invocation,
    unanswered: Unanswered,
) -> Result<Arc<Dispatcher>, CliError> {
    let started = Dispatcher::start(config, surroundings(invocation.environment())?, unanswered).await;
    started.map_err(|error| {
        let (kind, hint) = match &error {
            StartError::Dependencies { findings } => return super::doctor::refused(findings, &error, invocation),
            StartError::Lock(_) => (
                Kind::Failed,
                "one dispatcher serves a state directory: ask it with `dispatch status`, or stop it first",
            ),
            StartError::StateDirectory { .. } => {
                (Kind::Failed, "set `state_dir` to a directory of the dispatcher's own user")
            }
            StartError::Journal(_) => {
                (Kind::Failed, "the journal needs a directory that can be written to, and this version or a later one")
            }
            StartError::Forge(_) => (Kind::Usage, "check `[forge]` in the configuration"),
            StartError::Nomad(_) => (
                Kind::Failed,
                "check `[backends.nomad]`; `dispatch config show --origin` says where each value comes from",
            ),
            StartError::Ops(_) => (
                Kind::Unreachable,
                "check `[ops]` in the configuration; `dispatch config show --origin` says what is in force",
            ),
        };
        CliError::new(kind, "the dispatcher cannot start").caused_by(&error).hint(hint)
    })
}

async fn serve(invocation: &Invocation, loaded: Loaded, on_stop: OnStop) -> Result<ExitCode, CliError> {
    let mut signals = Signals::new()?;
    // First of all, so that it can be asked whether the process lives while what it needs is being opened.
    let mut endpoint = Endpoint::open(&loaded.config).await?;
    let dispatcher = tokio::select! {
        started = start(&loaded.config, invocation, Unanswered::WaitFor) => started?,
        () = signals.stop() => {
            tracing::info!("told to stop before it served");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let listener = listen(&loaded.config)?;
    tracing::info!(state_dir = %loaded.config.state_dir.display(), remote = %loaded.config.ops.remote, "serving");
    notify_systemd(&[sd_notify::NotifyState::Ready]);
    let living = tokio::spawn(keep_telling_that_we_live());
    let stop = watch::Sender::new(false);
    let answering = tokio::spawn(Arc::clone(&dispatcher).answer(listener));
    if let Some(endpoint) = &mut endpoint {
        endpoint.attend(&dispatcher);
    }
    let served = tokio::select! {
        served = Arc::clone(&dispatcher).serve(stop.subscribe(), on_stop) => Some(served),
        () = signals.heed(&stop, &dispatcher, invocation, loaded) => {
            tracing::warn!("told to stop a second time: ending at once");
            None
        }
    };
    answering.abort();
    living.abort();
    notify_systemd(&[sd_notify::NotifyState::Stopping]);
    if let Some(endpoint) = endpoint {
        endpoint.close().await;
    }
    match served
        .transpose()
        .map_err(|error| CliError::new(Kind::Failed, "the dispatcher cannot serve").caused_by(&error))?
    {
        None => Err(interrupted()),
        Some(Served::Told) => Ok(ExitCode::SUCCESS),
        Some(Served::Deposed(why)) => {
            Err(CliError::new(Kind::NotLeading, format!("this dispatcher leads no longer: {why}"))
                .hint("what runs goes on; started again, it stands by until the lease is free"))
        }
    }
}

/// Said where something was under way that was not waited for.
fn interrupted() -> CliError {
    CliError::new(Kind::Interrupted, "interrupted; what runs goes on")
        .hint("the next `dispatch once` or `dispatch run` adopts it")
}

fn listen(config: &Config) -> Result<UnixListener, CliError> {
    Dispatcher::listen(&config.state_dir)
        .map_err(|error| CliError::new(Kind::Failed, "the control socket cannot be opened").caused_by(&error))
}

/// Tells systemd's watchdog, where there is one, twice as often as it asks for: by a task of the same runtime that serves, so that
/// a runtime that hangs shows.
async fn keep_telling_that_we_live() {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    loop {
        notify_systemd(&[sd_notify::NotifyState::Watchdog]);
        tokio::time::sleep(within / 2).await;
    }
}

/// Without systemd there is nobody to tell.
fn notify_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// The signals that end a command.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, CliError> {
        let listen = |kind| {
            signal(kind).map_err(|error| CliError::new(Kind::Failed, "cannot listen for signals").caused_by(&error))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the first of them, whichever it is.
    pub(super) async fn any(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// Waits for the next one that says to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Passes the first signal to stop on, and answers at the second; SIGHUP loads the config again.
    async fn heed(
        mut self,
        stop: &watch::Sender<bool>,
        dispatcher: &Dispatcher,
        invocation: &Invocation,
        mut loaded: Loaded,
    ) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
                _ = self.hangup.recv() => {
                    load_again(dispatcher, invocation, &mut loaded);
                    continue;
                }
            }
            if stop.send_replace(true) {
                return;
            }
            tracing::info!("told to stop; what runs goes on");
        }
    }
}

/// A config that does not hold, or that needs a restart, changes nothing, and the log says why.
fn load_again(dispatcher: &Dispatcher, invocation: &Invocation, loaded: &mut Loaded) {
    let new = match Config::load(&invocation.sources()) {
        Ok(new) => new,
        Err(error) => {
            return tracing::error!(error = %crate::support::chain::words(&error), "the old configuration stays");
        }
    };
    match reload(loaded, &new) {
        Ok(config) => {
            dispatcher.reconfigure(Settings::from(&config));
            tracing::info!("the configuration was loaded again");
            *loaded = new;
        }
        Err(keys) => tracing::error!(keys = keys.join(", "), "these need a restart; the old configuration stays"),
    }
}

/// `dispatch once`
///
/// # Errors
/// It cannot start, or a round cannot be finished.
pub(super) fn once(arguments: &OnceArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let mut loaded = invocation.load()?;
    if let Some(backend) = &arguments.backend {
        let shared = loaded.config.lease.is_none() || backend != crate::backend::local::NAME;
        if !shared && arguments.action.is_none() {
            let words = "another dispatcher would run again what runs on this machine";
            return Err(CliError::new(Kind::Usage, words).hint("with [lease], leave `--backend local` out"));
        }
        loaded.config.backends.default.clone_from(backend);
    }
    match (&arguments.action, arguments.dry_run) {
        (None, false) => round(&loaded, invocation),
        (None, true) => plan::round(&loaded.config, invocation),
        (Some(file), _) => adhoc::run(file, arguments, &loaded.config, invocation),
    }
}

fn round(loaded: &Loaded, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let runtime = runtime()?;
    let progress = invocation.output.progress("taking up what is there, and waiting for its end");
    let done = runtime.block_on(one_round(invocation, loaded));
    // As in `run`: what a second signal left behind is not waited for.
    runtime.shutdown_background();
    progress.finish_and_clear();
    let (round, runs) = done?;
    match round {
        Round::Interrupted => return Err(interrupted()),
        Round::Rewritten => {
            let words = CliError::new(Kind::Failed, "the primary branch was rewritten; nothing new was admitted");
            return Err(words.hint("look at what happened, then say `dispatch ops accept-rewrite COMMIT`"));
        }
        Round::NotLeading(why) => {
            let words = CliError::new(Kind::NotLeading, format!("this dispatcher does not lead: {why}"));
            return Err(words.hint("what runs goes on; the one that leads takes up what is there"));
        }
        Round::Done(_) => {}
    }
    let view = ListView { runs: runs.iter().map(|run| run_view(run, None)).collect() };
    let now = SystemClock.now();
    invocation.output.say("once", &view, |look| render::list(&view, now, look))?;
    Ok(worst(&runs))
}

/// The exit code of a round: that of the worst of its runs.
fn worst(runs: &[Run]) -> ExitCode {
    let results = runs.iter().filter_map(Run::result);
    let kinds: Vec<Kind> = results.filter_map(|result| Kind::of(result.state)).collect();
    let order = [Kind::Failed, Kind::TimedOut, Kind::Rejected];
    let worst = order.into_iter().find(|kind| kinds.contains(kind));
    worst.map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind.exit_code()))
}

async fn one_round(invocation: &Invocation, loaded: &Loaded) -> Result<(Round, Vec<Run>), CliError> {
    let mut signals = Signals::new()?;
    let dispatcher = tokio::select! {
        started = start(&loaded.config, invocation, Unanswered::Stop) => started?,
        () = signals.stop() => return Ok((Round::Interrupted, Vec::new())),
    };
    let interrupt = watch::Sender::new(false);
    let before = dispatcher.journal().tip().await.map_err(|error| failed(&OnceError::from(error)))?;
    let wish = interrupt.subscribe();
    let told_twice = async {
        signals.stop().await;
        interrupt.send_replace(true);
        signals.stop().await;
    };
    let round = tokio::select! {
        round = dispatcher.once(wish) => round.map_err(|error| failed(&error))?,
        // At once: the journal is right at every instant, and is not asked any more.
        () = told_twice => return Ok((Round::Interrupted, Vec::new())),
    };
    let runs = dispatcher.journal().touched_since(before.seq).await.map_err(|error| failed(&OnceError::from(error)))?;
    Ok((round, runs))
}

fn failed(error: &OnceError) -> CliError {
    let kind = match error {
        OnceError::Pickup(_) | OnceError::Outbox(_) | OnceError::Refused(_) => Kind::Unreachable,
        OnceError::Journal(_) => Kind::Failed,
    };
    CliError::new(kind, "the round could not be finished")
        .caused_by(error)
        .hint("what was recorded is taken up by the next one")
}
