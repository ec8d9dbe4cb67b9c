//! Following a run: the event segments by inotify, the supervisor's end by pidfd. Never by sleeping.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::layout::{ExitFile, LaunchDir};
use super::process::Life;
use super::segments::{self, Chunk, Writer};
use crate::backend::{Cursor, End, Observation};
use crate::support::clock::{Clock as _, SystemClock};
use crate::support::watch::{self, Watched};

/// How often the processes that a dead supervisor left are looked for: each round ends all that it finds, so that only a
/// run that forks faster than it is killed comes this far.
const SWEEPS: u32 = 200;

/// [`Cursor`] of this backend: a position in the run's event stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    at: u64,
}

impl Position {
    fn of(cursor: &Cursor) -> io::Result<Self> {
        if cursor.0.is_null() {
            return Ok(Self::default());
        }
        Ok(Self::deserialize(&cursor.0)?)
    }

    fn cursor(self) -> Cursor {
        Cursor(serde_json::json!({ "at": self.at }))
    }
}

/// Sends everything behind `cursor` and whatever follows, until the supervisor has ended and nothing is left. The watch must
/// have been made before.
pub(super) async fn follow(
    dir: &LaunchDir,
    cursor: &Cursor,
    mut watched: Watched,
    news: &mpsc::Sender<Observation>,
) -> io::Result<()> {
    let mut position = Position::of(cursor)?;
    if let Life::Running(descriptor) = dir.life()? {
        let supervisor = watch::readable(descriptor)?;
        loop {
            send(dir, &mut position, Writer::Alive, news).await?;
            tokio::select! {
                () = watched.changed() => {}
                ended = supervisor.readable() => {
                    drop(ended?);
                    break;
                }
            }
        }
    }
    let end = dir.exit()?.and_then(|exit| exit.stream);
    send(dir, &mut position, Writer::Gone { end }, news).await
}

async fn send(
    dir: &LaunchDir,
    position: &mut Position,
    writer: Writer,
    news: &mpsc::Sender<Observation>,
) -> io::Result<()> {
    loop {
        let (observation, next) = match segments::read(dir.path(), position.at, writer)? {
            Chunk::Lines { bytes, next } => {
                (Observation::Events { bytes, cursor: Position { at: next }.cursor() }, next)
            }
            Chunk::Gap { bytes, next } => (Observation::Dropped { bytes }, next),
            Chunk::Nothing => return Ok(()),
        };
        *position = Position { at: next };
        // Nobody listening any more is no reason to lose sight of the end.
        let _ = news.send(observation).await;
    }
}

/// How the run ended, once its supervisor has. Where that left no word, what it left running is ended first: a run counts
/// as over only when nothing of it can have an effect any more.
pub(super) async fn end(dir: &LaunchDir) -> io::Result<ExitFile> {
    if let Some(exit) = dir.exit()? {
        return Ok(exit);
    }
    let words = match dir.life()? {
        Life::Rebooted => "the machine was started anew while it ran",
        Life::Running(_) | Life::Ended => {
            "its supervisor ended without recording an exit (was it killed, or the machine cut off?)"
        }
    };
    sweep(dir).await?;
    Ok(ExitFile { how: End::Unknown, at: SystemClock.now(), detail: Some(words.to_owned()), stream: None })
}

/// Ends every process of the supervisor's session. Formulas have their own process groups in it.
async fn sweep(dir: &LaunchDir) -> io::Result<()> {
    let Some(supervisor) = dir.supervisor()? else { return Ok(()) };
    for _ in 0..SWEEPS {
        let left = supervisor.session_left()?;
        if left.is_empty() {
            return Ok(());
        }
        for process in &left {
            kill(process)?;
        }
        for process in left {
            let gone = watch::readable(process)?;
            tokio::time::timeout(Duration::from_secs(10), gone.readable()).await??.retain_ready();
        }
    }
    Err(io::Error::other("processes of the run cannot be ended"))
}

fn kill(process: &OwnedFd) -> io::Result<()> {
    match pidfd_send_signal(process, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
