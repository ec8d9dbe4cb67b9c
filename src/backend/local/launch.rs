//! Launching: from the run directory to the supervisor's word that it holds the handover. Each step leaves behind what
//! `find` needs to tell the truth, should the dispatcher die right after it; and so does a future that is dropped.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::layout::{self, Fate, LaunchDir, LaunchFile};
use super::mounts::MountError;
use super::{LocalSettings, NAME, Place, handover, io_error, mounts, refused, remove, spawn};
use crate::backend::BackendError;
use crate::runner::envelope::Envelope;
use crate::support::ids::LaunchKey;
use crate::support::{chain, durable, fault};

/// How long the supervisor may take to say that it holds the handover.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(10);

/// What the first part of a launch found or made.
#[derive(Debug)]
pub(super) enum Prepared {
    /// An earlier launch under this key happened.
    Already(Place),
    /// A new launch directory, and the envelope with its mounts filled in.
    Fresh(Place, Box<Envelope>),
}

/// Finds the earlier launch or makes the directory of a new one. Starts nothing.
pub(super) fn prepare(
    settings: &LocalSettings,
    key: &LaunchKey,
    envelope: &Envelope,
) -> Result<Prepared, BackendError> {
    let of_key = settings.runs_dir.join(key.as_str());
    let last = layout::launches(&of_key).map_err(io_error(format!("reading {}", of_key.display())))?.pop();
    if let Some(number) = last {
        let place = Place { key: key.clone(), launch: number };
        let fate = place.dir(settings).decide().map_err(io_error("deciding what became of the launch before"))?;
        if fate == Fate::Launched {
            return Ok(Prepared::Already(place));
        }
    }
    let place = Place { key: key.clone(), launch: last.unwrap_or(0) + 1 };
    let dir = place.dir(settings);
    make(&of_key, &dir).map_err(io_error(format!("making the run directory {}", dir.path().display())))?;
    let mut envelope = Box::new(envelope.clone());
    envelope.mounts = mounts::copy(envelope.mounts.keys(), &settings.mounts, &dir.mounts())
        .map_err(|error| not_mounted(error, &dir))?;
    let launch = LaunchFile {
        key: key.clone(),
        run: envelope.run.clone(),
        executable: settings.executable.clone(),
        grace_seconds: envelope.limits.grace_seconds,
        limits: settings.limits.clone(),
    };
    describe(&of_key, &dir, &launch).map_err(io_error("writing launch.json"))?;
    Ok(Prepared::Fresh(place, envelope))
}

/// What was copied by then is of no run, and may be keys: it goes at once.
fn not_mounted(error: MountError, dir: &LaunchDir) -> BackendError {
    if let Err(error) = remove::tree(&dir.mounts()) {
        tracing::warn!(%error, "the copies of mounts that no run will have stay in {}", dir.mounts().display());
    }
    match error {
        MountError::Copy { .. } => io_error("copying the mounts")(io::Error::other(error)),
        MountError::Unknown(_) | MountError::Link { .. } | MountError::TooLarge(_) => refused(chain::words(&error)),
    }
}

fn make(of_key: &Path, dir: &LaunchDir) -> io::Result<()> {
    fault::point("local.mkdir.before")?;
    DirBuilder::new().recursive(true).mode(0o700).create(of_key)?;
    // Not recursive: of two that launch at once, one fails here.
    DirBuilder::new().mode(0o700).create(dir.path())?;
    fault::point("local.mkdir.after")
}

/// Writes the launch file and makes everything durable from it up to the folder of all runs: a launch that a power cut took
/// back, after its formula had begun, would be made again. All at once and last, since the first sync pays for the others.
fn describe(of_key: &Path, dir: &LaunchDir, launch: &LaunchFile) -> io::Result<()> {
    fault::point("local.launchfile.before")?;
    layout::write_in_passing(&dir.launch_file(), launch)?;
    File::open(dir.launch_file())?.sync_all()?;
    for folder in [dir.path(), of_key].into_iter().chain(of_key.parent()) {
        durable::sync_folder(folder)?;
    }
    fault::point("local.launchfile.after")
}

/// Starts the supervisor, hands over, and waits for its word.
pub(super) async fn start(settings: &LocalSettings, dir: &LaunchDir, envelope: &Envelope) -> Result<(), BackendError> {
    let framed = handover::frame(envelope).map_err(|error| refused(chain::words(&error)))?;
    let (stdin, stdout) = spawn(&settings.executable, dir).map_err(io_error("starting the supervisor"))?;
    let exchange = async {
        deliver(stdin, &framed).await?;
        acknowledged(stdout).await
    };
    let detail = match tokio::time::timeout(ACKNOWLEDGE_WITHIN, exchange).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it said nothing for {} s", ACKNOWLEDGE_WITHIN.as_secs()),
    };
    let said = fs::read_to_string(dir.supervisor_stderr()).unwrap_or_default();
    let detail = format!("the supervisor did not take the handover: {detail} {}", said.trim());
    Err(BackendError::Ambiguous { backend: NAME, detail: detail.trim_end().to_owned() })
}

fn spawn(executable: &Path, dir: &LaunchDir) -> io::Result<(ChildStdin, ChildStdout)> {
    fault::point("local.spawn.before")?;
    let mut command = Command::new(executable);
    command.arg("local-supervise").arg("--dir").arg(dir.path()).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(dir.supervisor_stderr())?);
    spawn::with_clean_environment(&mut command);
    let mut child = tokio::process::Command::from(command).spawn()?;
    let pipes = child.stdin.take().zip(child.stdout.take()).ok_or(io::ErrorKind::BrokenPipe)?;
    tokio::spawn(reap(child));
    fault::point("local.spawn.after")?;
    Ok(pipes)
}

/// The supervisor is a child of this process while this process lives; somebody has to take note of its end.
async fn reap(mut child: Child) {
    let _ = child.wait().await;
}

async fn deliver(mut stdin: ChildStdin, framed: &[u8]) -> io::Result<()> {
    fault::point("local.handover.before")?;
    stdin.write_all(framed).await?;
    stdin.shutdown().await?;
    drop(stdin);
    fault::point("local.handover.after")
}

async fn acknowledged(mut stdout: ChildStdout) -> io::Result<()> {
    fault::point("local.ack.before")?;
    let mut word = [0; handover::READY.len()];
    stdout.read_exact(&mut word).await?;
    if word != handover::READY {
        return Err(io::Error::other("it said something unexpected"));
    }
    fault::point("local.ack.after")
}
