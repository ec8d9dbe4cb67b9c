//! A mechanical formula: `bash <name>.sh <id>`, started in its directory with its environment, watched until it has ended.

use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use super::emit::Emitter;
use super::envelope::{Limits, Secrets};
use super::environment::{PATH, Variables};
use super::event::{CANCELLED, EXIT_TIMED_OUT, Kind, SIGNALLED};
use super::processes;

/// The runner's exit code when it was asked to stop and ended the formula: that of a process ended by SIGTERM, whatever the
/// formula itself made of the signal.
pub const EXIT_CANCELLED: i32 = 128 + 15;

/// How often the runner says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// A grace beyond this is a mistake in a config, and would keep a cancelled run for ever.
const MAX_GRACE: Duration = Duration::from_secs(3600);

/// What is started.
#[derive(Debug)]
pub struct Formula {
    command: Command,
}

impl Formula {
    /// Prepares `bash <script> <id>` in `work`; nothing runs yet. `None` when there is no bash in [`PATH`].
    pub fn new(script: &Path, id: &str, work: &Path, variables: &Variables) -> Option<Self> {
        let mut command = Command::new(find_bash()?);
        command.arg0("bash").arg(script).arg(id).current_dir(work);
        command.env_clear().envs(variables).stdin(Stdio::null()).process_group(0);
        Some(Self { command })
    }

    /// Puts the granted values into its environment, checked by [`super::environment::check_secrets`].
    pub fn give(&mut self, secrets: &Secrets) {
        for (name, value) in secrets {
            self.command.env(name.as_str(), value.expose_secret());
        }
    }

    /// Starts it; its output goes to the two pipes, whose ends in this process are closed.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start(mut self, stdout: PipeWriter, stderr: PipeWriter) -> io::Result<Pid> {
        let child = self.command.stdout(stdout).stderr(stderr).spawn()?;
        // Reaped by `processes`, together with orphans: std would wait for this one alone.
        Ok(Pid::from_child(&child))
    }
}

fn find_bash() -> Option<PathBuf> {
    PATH.split(':').map(|folder| Path::new(folder).join("bash")).find(|path| path.is_file())
}

/// Why a formula is made to stop.
#[derive(Debug, Clone, Copy)]
enum Stop {
    TimedOut,
    Cancelled,
}

impl Stop {
    fn code(self) -> i32 {
        match self {
            Self::TimedOut => EXIT_TIMED_OUT,
            Self::Cancelled => EXIT_CANCELLED,
        }
    }

    fn status(self, limits: Limits) -> Kind {
        let (state, detail) = match self {
            Self::TimedOut => ("timed_out", format!("the time limit of {} s has passed", limits.timeout_seconds)),
            Self::Cancelled => (CANCELLED, "the runner was asked to stop".to_owned()),
        };
        Kind::status(state, Some(detail))
    }
}

/// The signals that a watch listens to. Made before the formula starts, so that none is missed.
#[derive(Debug)]
pub struct Ears {
    child: Signals,
    terminate: Signals,
    interrupt: Signals,
}

impl Ears {
    /// Listens from now on. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for `work` while the runner shows that it lives; `None` when it was asked to stop before that was done.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>, emitter: &Emitter) -> Option<T> {
        let mut work = pin!(work);
        let mut heartbeat = heartbeats();
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                _ = heartbeat.tick() => emitter.emit_if_ready(Kind::Heartbeat {}),
                _ = self.terminate.recv() => return None,
                _ = self.interrupt.recv() => return None,
            }
        }
    }
}

fn heartbeats() -> Interval {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

/// Waits until the formula has ended, by itself or because it is made to: TERM to its group at the time limit or when this
/// process is asked to stop, KILL after the grace. Then kills and reaps whatever it left behind. Answers the runner's exit code.
///
/// # Errors
/// When the formula cannot be waited for.
pub async fn watch(leader: Pid, limits: Limits, emitter: &Emitter, ears: &mut Ears) -> io::Result<i32> {
    let mut limit = pin!(sleep(Duration::from_secs(limits.timeout_seconds)));
    let grace = Duration::from_secs(limits.grace_seconds).min(MAX_GRACE);
    let mut kill = pin!(sleep(Duration::MAX));
    let mut heartbeat = heartbeats();
    let mut stop: Option<Stop> = None;
    let ended = loop {
        if let Some(status) = processes::reap(leader)? {
            break status;
        }
        let reason = tokio::select! {
            _ = ears.child.recv() => None,
            _ = heartbeat.tick() => {
                emitter.emit_if_ready(Kind::Heartbeat {});
                None
            }
            () = &mut limit, if stop.is_none() => Some(Stop::TimedOut),
            _ = ears.terminate.recv(), if stop.is_none() => Some(Stop::Cancelled),
            _ = ears.interrupt.recv(), if stop.is_none() => Some(Stop::Cancelled),
            () = &mut kill, if stop.is_some() => {
                processes::signal_group(leader, Signal::KILL);
                kill.as_mut().reset(Instant::now() + MAX_GRACE);
                None
            }
        };
        if let Some(reason) = reason {
            processes::signal_group(leader, Signal::TERM);
            kill.as_mut().reset(Instant::now() + grace);
            stop = Some(reason);
        }
    };
    let left = processes::sweep(&mut ears.child).await;
    if left > 0 {
        emitter
            .emit_if_ready(Kind::Error { message: format!("{left} of the formula's processes could not be killed") });
    }
    // Said when it is true: only now has the run really stopped.
    let signalled =
        || ended.terminating_signal().map(|signal| Kind::status(SIGNALLED, Some(format!("signal {signal} ended it"))));
    emitter.emit(stop.map(|reason| reason.status(limits)).or_else(signalled));
    Ok(stop.map_or_else(|| processes::exit_code(ended), Stop::code))
}
