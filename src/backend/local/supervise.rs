//! The supervisor: a small process between dispatcher and runner that outlives the dispatcher. `dispatch local-supervise`.
//!
//! It receives the handover on stdin, puts itself on record, starts `dispatch runner`, writes the runner's stdout into event
//! segments, passes on a request to stop, and records how the runner ended. It looks at nothing that the handover says.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, getpid, getrlimit, kill_process,
    pidfd_open, pidfd_send_signal, prlimit, set_child_subreaper, set_dumpable_behavior, setrlimit, setsid, wait,
};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use zeroize::Zeroizing;

use super::layout::{self, ExitFile, LaunchDir, LaunchFile};
use super::process::{self, Identity};
use super::segments::SegmentWriter;
use super::{handover, remove, spawn};
use crate::backend::End;
use crate::config::types::LocalLimits;
use crate::support::clock::{Clock as _, SystemClock};
use crate::support::fault;
use crate::support::retry::RetryPolicy;
use crate::support::watch;

/// The runner ends the formula within the grace and then itself; where it has not after this much more, it is killed.
const BEYOND_GRACE: Duration = Duration::from_secs(10);
/// The runner says little on stderr; of a broken one the beginning tells enough.
const MAX_STDERR: u64 = 1 << 20;
/// A full disk may have room again in a moment, and without its exit the run would count as lost.
const RECORD_EXIT: RetryPolicy =
    RetryPolicy { first: Duration::from_millis(50), cap: Duration::from_secs(5), budget: Some(12) };

/// Why the supervisor could not do its work. It is written to `supervisor.stderr` in the launch directory.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The process could not be set apart.
    #[error("the supervisor could not become a process of its own")]
    Detach(#[source] io::Error),
    /// `launch.json` is absent or does not parse.
    #[error("the launch directory has no readable launch.json")]
    Settings(#[source] io::Error),
    /// The handover broke off: nothing was started.
    #[error("the handover did not arrive whole; nothing was started")]
    Handover(#[source] io::Error),
    /// The launch was given up in the meantime: nothing was started.
    #[error("the launch was sealed before the supervisor came; nothing was started")]
    Sealed,
    /// `supervisor.json` could not be written: nothing was started.
    #[error("the supervisor could not put itself on record; nothing was started")]
    Record(#[source] io::Error),
    /// The runner could not be followed to its end.
    #[error("the runner could not be waited for")]
    Wait(#[source] io::Error),
    /// `exit.json` could not be written.
    #[error("the run's end could not be recorded")]
    Exit(#[source] io::Error),
}

/// Supervises the launch in the directory `dir`, from the handover on stdin to the end of the run.
///
/// # Errors
/// See [`SuperviseError`]: each says whether anything was started.
pub fn supervise(dir: &Path) -> Result<(), SuperviseError> {
    detach().map_err(SuperviseError::Detach)?;
    let dir = LaunchDir::new(dir.to_owned());
    let launch = dir.launch().and_then(|file| file.ok_or_else(|| io::ErrorKind::NotFound.into()));
    let launch = launch.map_err(SuperviseError::Settings)?;
    let document = handover::receive(io::stdin().lock()).map_err(SuperviseError::Handover)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(SuperviseError::Wait)?.block_on(follow(&dir, &launch, document))
}

/// Own session, so that no terminal's signal arrives; adopts what the run leaves behind; and its memory, which holds the
/// handover for a moment, is neither dumped nor readable by others of the same user.
fn detach() -> io::Result<()> {
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

async fn follow(dir: &LaunchDir, launch: &LaunchFile, document: Zeroizing<Vec<u8>>) -> Result<(), SuperviseError> {
    // Before anyone can know of this process: a request to stop must find a listener.
    let mut stop = signal(SignalKind::terminate()).map_err(SuperviseError::Wait)?;
    if dir.is_sealed().map_err(SuperviseError::Record)? {
        return Err(SuperviseError::Sealed);
    }
    let own = Identity::own().map_err(SuperviseError::Record)?;
    // Not synced: after a power cut there is no supervisor to look for, and whether the run began is the fence's to tell.
    fault::point("local.record.before")
        .and_then(|()| layout::write_in_passing(&dir.supervisor_file(), &own))
        .and_then(|()| fault::point("local.record.after"))
        .map_err(SuperviseError::Record)?;
    // The dispatcher may be gone by now; the run goes on without it.
    let _ = io::stdout().write_all(handover::READY).and_then(|()| io::stdout().flush());

    let exit = match Runner::start(dir, launch, document) {
        Ok(runner) => runner.run_to_end(&mut stop, Duration::from_secs(launch.grace_seconds)).await?,
        Err(error) => {
            let words = format!("{} could not be started: {error}", launch.executable.display());
            exit_of((End::NotStarted, Some(words)), None)
        }
    };
    // Copies of keys are of no use any more, and need not lie there until the directory is removed.
    let _ = remove::tree(&dir.mounts());
    record(dir, &exit)
}

/// The end of now.
fn exit_of((how, detail): (End, Option<String>), stream: Option<u64>) -> ExitFile {
    ExitFile { how, at: SystemClock.now(), detail, stream }
}

fn record(dir: &LaunchDir, exit: &ExitFile) -> Result<(), SuperviseError> {
    let write = || {
        fault::point("local.exit.before")?;
        layout::write(&dir.exit_file(), exit)?;
        fault::point("local.exit.after")
    };
    let mut last = write();
    for delay in RECORD_EXIT.delays() {
        if last.is_ok() {
            break;
        }
        thread::sleep(delay);
        last = write();
    }
    last.map_err(SuperviseError::Exit)
}

/// The runner's process and the threads at its pipes.
struct Runner {
    child: Child,
    life: AsyncFd<OwnedFd>,
    pipes: Vec<JoinHandle<()>>,
    /// Answers how long the event stream was.
    events: Option<JoinHandle<u64>>,
    oom_kills: Option<u64>,
}

/// What this process did towards the end of the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pressure {
    None,
    Asked,
    Killed,
}

impl Runner {
    fn start(dir: &LaunchDir, launch: &LaunchFile, document: Zeroizing<Vec<u8>>) -> io::Result<Self> {
        let oom_kills = process::oom_kills();
        let mut stderr = File::create(dir.runner_stderr())?;
        let mut events = SegmentWriter::new(dir.path());
        let mut command = Command::new(&launch.executable);
        command.arg("runner").arg("--workdir").arg(dir.work()).arg("--fence").arg(dir.fence()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn::with_clean_environment(&mut command).spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        let life = watch::readable(pidfd_open(pid, PidfdFlags::NONBLOCK)?)?;
        // Before it is handed over what it is to do; what it starts then has the same limits. Where they cannot be set it reads nothing.
        limit(pid, &launch.limits)?;

        let mut pipes = Vec::new();
        if let Some(mut stdin) = child.stdin.take() {
            // In a thread, as the pipe may hold less than the document. A runner that reads none of it says so by its exit.
            pipes.push(thread::spawn(move || drop(stdin.write_all(&document))));
        }
        let events = child.stdout.take().map(|stdout| {
            thread::spawn(move || {
                pump(stdout, |bytes| events.write(bytes));
                events.end()
            })
        });
        if let Some(errors) = child.stderr.take() {
            pipes.push(thread::spawn(move || keep_the_beginning(errors, &mut stderr)));
        }
        Ok(Self { child, life, pipes, events, oom_kills })
    }

    /// Waits until the runner and everything below it has ended, and says how the runner did.
    async fn run_to_end(mut self, stop: &mut SignalStream, grace: Duration) -> Result<ExitFile, SuperviseError> {
        let pressure = self.wait(stop, grace + BEYOND_GRACE).await.map_err(SuperviseError::Wait)?;
        let status = self.child.wait().map_err(SuperviseError::Wait)?;
        end_what_is_left().map_err(SuperviseError::Wait)?;
        for pipe in self.pipes {
            // A thread that panicked has lost output, not the exit.
            let _ = pipe.join();
        }
        let stream = self.events.and_then(|events| events.join().ok());
        let before_and_after = self.oom_kills.zip(process::oom_kills());
        let short = before_and_after.is_some_and(|(before, after)| after > before);
        Ok(exit_of(judge(status, pressure, if short { Memory::Short } else { Memory::Enough }), stream))
    }

    async fn wait(&self, stop: &mut SignalStream, patience: Duration) -> io::Result<Pressure> {
        tokio::select! {
            ended = self.life.readable() => return ended.map(|_| Pressure::None),
            _ = stop.recv() => self.send(Signal::TERM)?,
        }
        if let Ok(ended) = tokio::time::timeout(patience, self.life.readable()).await {
            return ended.map(|_| Pressure::Asked);
        }
        self.send(Signal::KILL)?;
        self.life.readable().await.map(|_| Pressure::Killed)
    }

    /// To the process that the descriptor stands for; not there any more is fine.
    fn send(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.life.as_fd(), signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Limits a process, and those that it will start. What is lower already stays.
fn limit(process: Pid, limits: &LocalLimits) -> io::Result<()> {
    let mib = |number: u64| number << 20;
    let all = [
        (Resource::Nofile, limits.open_files),
        (Resource::Nproc, limits.processes),
        (Resource::As, limits.memory_mib.map(mib)),
        (Resource::Fsize, limits.file_mib.map(mib)),
    ];
    for (resource, wanted) in all {
        let Some(wanted) = wanted else { continue };
        let most = Some(getrlimit(resource).maximum.map_or(wanted, |most| most.min(wanted)));
        prlimit(Some(process), resource, Rlimit { current: most, maximum: most })?;
    }
    Ok(())
}

/// Whether the kernel ended something of this control group for want of memory while the runner ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Enough,
    Short,
}

fn judge(status: ExitStatus, pressure: Pressure, memory: Memory) -> (End, Option<String>) {
    let killed = status.signal() == Some(9) || status.code() == Some(128 + 9);
    let detail = match pressure {
        Pressure::Killed => Some("the runner did not stop when asked to and was killed".to_owned()),
        _ if killed && memory == Memory::Short => {
            return (End::OutOfMemory, Some("killed while the kernel ended processes for want of memory".to_owned()));
        }
        _ if status.signal() == Some(9) => Some("killed by somebody else (or by the kernel, for memory)".to_owned()),
        _ => None,
    };
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, Some(signal)) => End::Signalled(signal),
        (None, None) => End::Unknown,
    };
    (how, detail)
}

/// Ends every process that the run has left behind. Only direct children are signalled: their numbers cannot have been given
/// away, since nobody but this process reaps them; and when one ends, its own children become direct ones.
fn end_what_is_left() -> io::Result<()> {
    loop {
        for child in process::children(getpid())? {
            let _ = kill_process(child, Signal::KILL);
        }
        // Not rustix's `waitpid(None, …)`: that is wait4(0), which sees this process's own group only.
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn pump(mut from: impl Read, mut to: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => to(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Reads to the end in any case: a full pipe would stop the runner.
fn keep_the_beginning(from: impl Read, file: &mut File) {
    let mut room = MAX_STDERR;
    pump(from, |bytes| {
        let kept = bytes.get(..bytes.len().min(usize::try_from(room).unwrap_or(0))).unwrap_or_default();
        room -= kept.len() as u64;
        let _ = file.write_all(kept);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(raw: i32, pressure: Pressure, memory: Memory) -> End {
        judge(ExitStatus::from_raw(raw), pressure, memory).0
    }

    #[test]
    fn an_exit_a_signal_and_want_of_memory_are_told_apart() {
        assert_eq!(end(7 << 8, Pressure::None, Memory::Short), End::Exited(7));
        assert_eq!(end(15, Pressure::Asked, Memory::Enough), End::Signalled(15));
        assert_eq!(end(9, Pressure::None, Memory::Enough), End::Signalled(9));
        assert_eq!(end(9, Pressure::None, Memory::Short), End::OutOfMemory);
        assert_eq!(end(137 << 8, Pressure::None, Memory::Short), End::OutOfMemory);
    }

    #[test]
    fn a_kill_of_our_own_is_never_taken_for_want_of_memory() {
        assert_eq!(end(9, Pressure::Killed, Memory::Short), End::Signalled(9));
    }
}
