//! The runner from its first instruction to its exit code: envelope, checks, directory, fence, formula, events.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use secrecy::ExposeSecret as _;

use super::emit::Emitter;
use super::envelope::{Envelope, FormulaKind, Handover};
use super::environment::{self, EnvironmentError, PATH, Places};
use super::event::{Kind, ReservedExit, Stream};
use super::fence::{self, FenceError};
use super::formula::{Ears, Formula, watch};
use super::pump::{self, Shared};
use super::redact::{Registry, RegistryError};
use super::wire::EnvelopeError;
use super::workdir::{Workdir, WorkdirError};
use super::{processes, redact_socket};
use crate::support::chain;
use crate::support::clock::SystemClock;

/// Where the envelope comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input, read to its end.
    Stdin,
    /// A payload file.
    File(PathBuf),
}

/// What the command line says.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// Where the envelope comes from.
    pub envelope: Source,
    /// The run's directory: made here, or empty.
    pub workdir: PathBuf,
    /// The marker file of the fence; its folder exists.
    pub fence: PathBuf,
}

/// Why the runner stopped before the formula began.
#[derive(Debug, thiserror::Error)]
enum NotBegun {
    #[error("the envelope {} cannot be opened", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("a secret cannot be kept out of the log")]
    Secret(#[source] RegistryError),
    #[error("`{name}` is an agent formula; this runner runs mechanical formulas only")]
    Agent { name: String },
    #[error("there is no bash in {PATH}; install it where the run runs, or use an image that has it")]
    NoBash,
    #[error("the run's directory cannot be prepared")]
    Workdir(#[source] WorkdirError),
    #[error("{step} failed")]
    System {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Fence(#[from] FenceError),
}

impl NotBegun {
    fn exit(&self) -> ReservedExit {
        match self {
            Self::Open { .. } | Self::Envelope(_) | Self::Environment(EnvironmentError::Variable { .. }) => {
                ReservedExit::BadEnvelope
            }
            Self::Environment(_) | Self::Secret(_) => ReservedExit::SecretMissing,
            Self::Fence(FenceError::Lost { .. }) => ReservedExit::FenceLost,
            Self::Agent { .. } | Self::NoBash | Self::Workdir(_) | Self::System { .. } | Self::Fence(_) => {
                ReservedExit::FormulaNotRunnable
            }
        }
    }
}

fn system(step: &'static str) -> impl Fn(io::Error) -> NotBegun {
    move |source| NotBegun::System { step, source }
}

/// Runs one run and answers the process's exit code: the formula's own, 128 + n when signal n ended it, 124 at the time limit, 143
/// when this process was asked to stop by SIGTERM or SIGINT, or a [`ReservedExit`] when the formula did not begin.
///
/// For a process of its own: it kills every child that this process is left with.
pub fn main(options: &RunnerOptions) -> i32 {
    let emitter = match Emitter::stdout(Box::new(SystemClock)) {
        Ok(emitter) => Arc::new(emitter),
        Err(_) => return ReservedExit::FormulaNotRunnable as i32,
    };
    let bytes = Arc::new(AtomicU64::new(0));
    let code = run(options, &emitter, &bytes).unwrap_or_else(|stop| {
        emitter.emit([Kind::Error { message: chain::words(&stop) }]);
        stop.exit() as i32
    });
    emitter.emit([Kind::Exit { code, bytes: bytes.load(Ordering::Relaxed) }]);
    code
}

fn run(options: &RunnerOptions, emitter: &Arc<Emitter>, bytes: &Arc<AtomicU64>) -> Result<i32, NotBegun> {
    processes::take_charge().map_err(system("taking charge of the run's processes"))?;
    let envelope = read(&options.envelope)?;
    if envelope.kind == FormulaKind::Agent {
        return Err(NotBegun::Agent { name: envelope.formula.to_string() });
    }
    let fence = std::path::absolute(&options.fence).map_err(system("finding the current directory"))?;
    environment::check(&envelope)?;
    let registry = Arc::new(Registry::new(values(&envelope)).map_err(NotBegun::Secret)?);
    let workdir = Workdir::prepare(&options.workdir, &envelope).map_err(NotBegun::Workdir)?;
    let formula = formula(&envelope, &workdir).ok_or(NotBegun::NoBash)?;
    let (shared, alive) = shared(registry, emitter, bytes)?;
    let plumbing = Plumbing::lay(&workdir, &shared, alive)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let begin = begin(&envelope, &fence, emitter, formula, plumbing);
    runtime.map_err(system("preparing to watch the formula"))?.block_on(begin)
}

fn read(source: &Source) -> Result<Envelope, NotBegun> {
    match source {
        Source::Stdin => Ok(Envelope::read_handover(io::stdin().lock())?),
        Source::File(path) => {
            let file = File::open(path).map_err(|source| NotBegun::Open { path: path.clone(), source })?;
            Ok(Envelope::read_handover(file)?)
        }
    }
}

fn values(envelope: &Envelope) -> Vec<(String, secrecy::SecretString)> {
    let Handover::Values(values) = &envelope.handover;
    values.iter().map(|(name, value)| (name.to_string(), value.expose_secret().into())).collect()
}

fn formula(envelope: &Envelope, workdir: &Workdir) -> Option<Formula> {
    let places = Places {
        home: &workdir.home,
        action: &workdir.action,
        context: &workdir.context,
        redact_socket: &workdir.redact_socket,
    };
    let variables = environment::variables(envelope, &places);
    Formula::new(&workdir.script, envelope.action_id().as_str(), &workdir.work, &variables)
}

fn shared(
    registry: Arc<Registry>,
    emitter: &Arc<Emitter>,
    bytes: &Arc<AtomicU64>,
) -> Result<(Shared, PipeWriter), NotBegun> {
    let (over, alive) = io::pipe().map_err(system("making a pipe"))?;
    let (emitter, bytes) = (Arc::clone(emitter), Arc::clone(bytes));
    Ok((Shared { registry, emitter, bytes, over: Arc::new(over) }, alive))
}

/// Everything that must stand before the formula starts, so that nothing but the start itself can fail behind the fence.
struct Plumbing {
    stdout: PipeWriter,
    stderr: PipeWriter,
    /// Dropped when the run is over: that is how the threads learn it.
    alive: PipeWriter,
    threads: Vec<JoinHandle<()>>,
}

impl Plumbing {
    fn lay(workdir: &Workdir, shared: &Shared, alive: PipeWriter) -> Result<Self, NotBegun> {
        let pipe = || -> Result<(PipeReader, PipeWriter), NotBegun> { io::pipe().map_err(system("making a pipe")) };
        let ((from_stdout, stdout), (from_stderr, stderr)) = (pipe()?, pipe()?);
        let thread = system("starting a thread");
        let threads = vec![
            pump::start(from_stdout, Stream::Stdout, shared.clone()).map_err(&thread)?,
            pump::start(from_stderr, Stream::Stderr, shared.clone()).map_err(&thread)?,
            redact_socket::start(&workdir.redact_socket, Arc::clone(&shared.registry), Arc::clone(&shared.over))
                .map_err(system("opening the socket for `dispatch redact add`"))?,
        ];
        Ok(Self { stdout, stderr, alive, threads })
    }
}

async fn begin(
    envelope: &Envelope,
    fence: &Path,
    emitter: &Emitter,
    formula: Formula,
    plumbing: Plumbing,
) -> Result<i32, NotBegun> {
    let mut ears = Ears::open().map_err(system("listening to signals"))?;
    fence::take(fence, &format!("run {} key {} pid {}", envelope.run, envelope.key, std::process::id()))?;
    emitter.emit([Kind::Status { state: "started".to_owned(), detail: None }]);
    let leader = formula.start(plumbing.stdout, plumbing.stderr).map_err(system("starting bash"))?;
    let code = watch(leader, envelope.limits, emitter, &mut ears).await.map_err(system("waiting for the formula"))?;
    drop(plumbing.alive);
    for thread in plumbing.threads {
        // A thread that panicked has lost output, not the run's outcome.
        let _ = thread.join();
    }
    Ok(code)
}
