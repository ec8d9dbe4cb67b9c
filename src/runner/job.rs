//! The runner from its first instruction to its exit code: envelope, checks, directory, fence, grant, formula, events.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::emit::Emitter;
use super::envelope::{Envelope, FormulaKind, Handover, Secrets, WrappingToken};
use super::environment::{self, EnvironmentError, PATH, Places};
use super::event::{CANCELLED, Kind, ReservedExit, STARTED, Stream};
use super::events_file::EventsFile;
use super::fence::{self, FenceError};
use super::formula::{EXIT_CANCELLED, Ears, Formula, watch};
use super::grant::{self, NotOpened};
use super::pump::{self, Shared};
use super::redact::{Registry, RegistryError};
use super::wire::EnvelopeError;
use super::workdir::{Workdir, WorkdirError};
use super::{processes, redact_socket};
use crate::support::chain;
use crate::support::clock::SystemClock;
use crate::support::seal::Identities;

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
    /// The age identity that opens the envelope; none: it comes in the clear.
    pub identity: Option<PathBuf>,
    /// The file of this workload's own identity, by which it takes a grant that is not in the envelope.
    pub workload_identity: Option<PathBuf>,
    /// Where the events are kept besides standard output; its folder exists.
    pub events: Option<PathBuf>,
    /// Whether standard output is read by something that loses what was written just before the end.
    pub output: Output,
}

/// What standard output leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A pipe: what was written is there.
    Faithful,
    /// A log of somebody else's that may miss the last lines of a process that ends: a container engine's, Nomad's.
    Lossy,
}

/// The largest identity file that is read.
const MAX_IDENTITY: usize = 64 * 1024;

/// How long a lossy log has for the last lines.
const LINGER: Duration = Duration::from_secs(1);

/// Why the runner stopped before the formula began.
#[derive(Debug, thiserror::Error)]
enum NotBegun {
    #[error("the envelope {} cannot be opened", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the age identity {} cannot be read", path.display())]
    Identity {
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
    #[error("the events file {} cannot be opened", path.display())]
    Events {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Grant(#[from] NotOpened),
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
            Self::Open { .. }
            | Self::Identity { .. }
            | Self::Envelope(_)
            | Self::Environment(EnvironmentError::Variable { .. }) => ReservedExit::BadEnvelope,
            Self::Environment(_) | Self::Secret(_) | Self::Grant(NotOpened::Unfit(_)) => ReservedExit::SecretMissing,
            Self::Grant(NotOpened::Grant(stop)) => stop.exit(),
            Self::Fence(FenceError::Lost { .. }) => ReservedExit::FenceLost,
            Self::Agent { .. }
            | Self::Events { .. }
            | Self::NoBash
            | Self::Workdir(_)
            | Self::System { .. }
            | Self::Fence(_) => ReservedExit::FormulaNotRunnable,
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
    let begun = keep_events(options, &emitter).and_then(|()| run(options, &emitter, &bytes));
    let code = begun.unwrap_or_else(|stop| {
        emitter.emit([Kind::Error { message: chain::words(&stop) }]);
        stop.exit() as i32
    });
    emitter.emit([Kind::Exit { code, bytes: bytes.load(Ordering::Relaxed) }]);
    if options.output == Output::Lossy {
        emitter.linger(LINGER);
    }
    code
}

fn keep_events(options: &RunnerOptions, emitter: &Emitter) -> Result<(), NotBegun> {
    let Some(path) = &options.events else { return Ok(()) };
    let opened = EventsFile::open(path).map_err(|source| NotBegun::Events { path: path.clone(), source })?;
    emitter.keep_in(opened);
    Ok(())
}

fn run(options: &RunnerOptions, emitter: &Arc<Emitter>, bytes: &Arc<AtomicU64>) -> Result<i32, NotBegun> {
    processes::take_charge().map_err(system("taking charge of the run's processes"))?;
    let mut envelope = read(options)?;
    if envelope.kind == FormulaKind::Agent {
        return Err(NotBegun::Agent { name: envelope.formula.to_string() });
    }
    let fence = std::path::absolute(&options.fence).map_err(system("finding the current directory"))?;
    fence::look(&fence)?;
    environment::check(&envelope)?;
    // Taken out, so that what opens a grant does not lie in memory for as long as the formula runs.
    let handover = std::mem::replace(&mut envelope.handover, Handover::Values(Secrets::new()));
    if let Handover::Values(values) = &handover {
        environment::check_secrets(values)?;
    }
    let registry = Arc::new(Registry::new(to_redact(&handover)).map_err(NotBegun::Secret)?);
    let workdir = Workdir::prepare(&options.workdir, &envelope).map_err(NotBegun::Workdir)?;
    let formula = formula(&envelope, &workdir).ok_or(NotBegun::NoBash)?;
    let (shared, alive) = shared(registry, emitter, bytes)?;
    let plumbing = Plumbing::lay(&workdir, &shared, alive)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let opened = opened(handover, options.workload_identity.as_deref(), &shared);
    let begin = begin(&envelope, opened, &fence, &shared, formula, plumbing);
    runtime.map_err(system("preparing to watch the formula"))?.block_on(begin)
}

fn read(options: &RunnerOptions) -> Result<Envelope, NotBegun> {
    let source: Box<dyn Read> = match &options.envelope {
        Source::Stdin => Box::new(io::stdin().lock()),
        Source::File(path) => {
            Box::new(File::open(path).map_err(|source| NotBegun::Open { path: path.clone(), source })?)
        }
    };
    match &options.identity {
        None => Ok(Envelope::read_handover(source)?),
        Some(path) => Ok(Envelope::read_sealed_handover(source, &identities(path)?)?),
    }
}

fn identities(path: &Path) -> Result<Identities, NotBegun> {
    let failed = |source| NotBegun::Identity { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::with_capacity(MAX_IDENTITY));
    File::open(path).and_then(|file| file.take(MAX_IDENTITY as u64).read_to_string(&mut text)).map_err(failed)?;
    let no_key = |line| failed(io::Error::other(format!("line {line} is no age key (0: there is none at all)")));
    Identities::parse(&text).map_err(no_key)
}

/// What must not be printed from the first moment on.
fn to_redact(handover: &Handover) -> Vec<(String, SecretString)> {
    match handover {
        Handover::Values(values) => named(values),
        Handover::Wrapped(wrapped) => match &wrapped.token {
            WrappingToken::Carried(token) => vec![(grant::TOKEN.to_owned(), token.clone())],
            WrappingToken::Deposited(_) => Vec::new(),
        },
    }
}

fn named(secrets: &Secrets) -> Vec<(String, SecretString)> {
    secrets.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
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

/// The order here is what `fence` explains.
async fn begin(
    envelope: &Envelope,
    opened: impl Future<Output = Result<Secrets, NotBegun>>,
    fence: &Path,
    shared: &Shared,
    mut formula: Formula,
    plumbing: Plumbing,
) -> Result<i32, NotBegun> {
    let emitter = &shared.emitter;
    let mut ears = Ears::open().map_err(system("listening to signals"))?;
    fence::take(fence, &format!("run {} key {} pid {}", envelope.run, envelope.key, std::process::id()))?;
    let Some(secrets) = ears.during(opened, emitter).await else {
        emitter
            .emit([Kind::status(CANCELLED, Some("the runner was asked to stop before the formula began".to_owned()))]);
        return Ok(EXIT_CANCELLED);
    };
    formula.give(&secrets?);
    emitter.emit([Kind::status(STARTED, None)]);
    let leader = formula.start(plumbing.stdout, plumbing.stderr).map_err(system("starting bash"))?;
    let code = watch(leader, envelope.limits, emitter, &mut ears).await.map_err(system("waiting for the formula"))?;
    drop(plumbing.alive);
    for thread in plumbing.threads {
        // A thread that panicked has lost output, not the run's outcome.
        let _ = thread.join();
    }
    Ok(code)
}

/// The values that the formula is to have, each fit and known to the redactor.
async fn opened(handover: Handover, identity: Option<&Path>, shared: &Shared) -> Result<Secrets, NotBegun> {
    match handover {
        Handover::Values(values) => Ok(values),
        Handover::Wrapped(wrapped) => {
            let secrets = grant::open(&wrapped, identity, &shared.registry, &shared.emitter).await?;
            environment::check_secrets(&secrets)?;
            shared.registry.add_all(named(&secrets)).map_err(NotBegun::Secret)?;
            Ok(secrets)
        }
    }
}
