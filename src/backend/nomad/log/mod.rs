//! A run's log: what its runner printed, read through the server while the run goes on, and to its end when it is over.
//!
//! `frames` is how it comes, `position` where one stands in it, `events_file` where the rest is looked for when Docker has lost it.
//!
//! Logs of many runs are read over few connections: a run follows its log for as long as nobody else wants to, and in turns of
//! a second or so otherwise.

mod events_file;
mod frames;
mod position;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::Instant;

use self::events_file::{EventsFile, Part};
use self::frames::Frames;
use self::position::{Lines, Piece, Position};
use super::client::{Client, ClientError, Prospect, Reading};
use super::persist;
use crate::backend::{Cursor, Observation};
use crate::support::chain;
use crate::support::retry::RetryPolicy;

/// Logs followed at once. The rest of the client's connections is for the stream and for requests that end.
const FOLLOWED: usize = 2;

/// How long a log is followed while others wait for their turn, at the least.
const TURN: Duration = Duration::from_secs(1);

/// Who may follow a log now. First come, first served.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<(Semaphore, AtomicUsize)>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new((Semaphore::new(FOLLOWED), AtomicUsize::new(0))))
    }
}

/// Counts one who waits, also when it stops waiting.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    async fn take(&self) -> Option<SemaphorePermit<'_>> {
        let (room, waiting) = self.0.as_ref();
        waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(waiting);
        room.acquire().await.ok()
    }

    fn somebody_waits(&self) -> bool {
        self.0.1.load(Ordering::Relaxed) > 0
    }
}

/// The log of one run.
#[derive(Debug)]
pub(super) struct Log<'a> {
    client: &'a Client,
    turns: &'a Turns,
    news: &'a mpsc::Sender<Observation>,
    position: Position,
}

/// Why the rest of a log cannot be read from the runner's own file.
#[derive(Debug, thiserror::Error)]
enum RestError {
    /// It cannot be read.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Where the log broke off is not in it.
    #[error("the runner's own file no longer has the line after which the log broke off")]
    NotThere,
}

/// What one request for the log came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// Something was passed on.
    Some,
    /// Nothing.
    Nothing,
    /// The position is not where it was.
    Moved,
}

impl<'a> Log<'a> {
    /// From `cursor`, which this has made; from the beginning where it is not one.
    pub(super) fn new(
        client: &'a Client,
        turns: &'a Turns,
        cursor: &Cursor,
        news: &'a mpsc::Sender<Observation>,
    ) -> Self {
        let position = serde::Deserialize::deserialize(&cursor.0).unwrap_or_default();
        Self { client, turns, news, position }
    }

    /// Another allocation is another log.
    fn at(&mut self, allocation: &str) {
        if self.position.allocation != allocation {
            self.position = Position::start(allocation);
        }
    }

    /// Passes on what the task prints, in turns with others. Never returns; what it has not passed on when it is dropped is read again.
    pub(super) async fn follow(&mut self, allocation: &str, task: &str) {
        self.at(allocation);
        let mut delays = RetryPolicy::FOLLOW.delays();
        while self.position.in_events_file.is_none() {
            let turns = self.turns;
            let Some(turn) = turns.take().await else { break };
            let since = Instant::now();
            let outcome = match self.read(task, Reading::Following, Lines::from(&self.position)).await {
                Ok(Read::Moved) => self.read_anew(task).await,
                other => other,
            };
            drop(turn);
            match outcome {
                Ok(Read::Some) => delays = RetryPolicy::FOLLOW.delays(),
                Ok(_) if since.elapsed() >= TURN => {}
                // What ends at once would be asked for again without a pause.
                other => {
                    tracing::debug!(?other, allocation, "the log cannot be followed now");
                    tokio::time::sleep(delays.next().unwrap_or(RetryPolicy::FOLLOW.cap)).await;
                }
            }
        }
        std::future::pending::<()>().await;
    }

    /// Passes on the rest, once the run is over: until a read brings nothing new. Where the runner's last event is not among it, the
    /// rest is in its own file; where that may not be read either, says that the log is not complete.
    pub(super) async fn rest(&mut self, allocation: &str, task: &str) {
        self.at(allocation);
        let mut trouble = None;
        while self.position.in_events_file.is_none() && trouble.is_none() {
            match self.read_now(task).await {
                Ok(Read::Some) => {}
                Ok(Read::Nothing) => break,
                Ok(Read::Moved) => match self.read_anew(task).await {
                    Ok(Read::Some) => {}
                    Ok(_) => break,
                    Err(error) => trouble = Some(chain::words(&error)),
                },
                Err(error) => trouble = Some(chain::words(&error)),
            }
        }
        if self.position.ended {
            return;
        }
        if let Err(error) = self.rest_of_events_file().await {
            let log = trouble.map(|words| format!("{words}; nor ")).unwrap_or_default();
            let file = chain::words(&error);
            let why = format!("the runner's last event is not in its log, and the rest cannot be read: {log}{file}");
            self.tell(Observation::Incomplete { why }).await;
        }
    }

    /// Once, with patience: the client that has the log may be coming back.
    async fn read_now(&mut self, task: &str) -> Result<Read, ClientError> {
        let mut delays = RetryPolicy::QUESTION.delays();
        loop {
            match (self.read(task, Reading::UpToNow, Lines::from(&self.position)).await, delays.next()) {
                (Err(error), Some(delay)) if error.prospect() != Prospect::Never => tokio::time::sleep(delay).await,
                (answer, _) => return answer,
            }
        }
    }

    /// From the first byte that there is, passing over what was had.
    async fn read_anew(&mut self, task: &str) -> Result<Read, ClientError> {
        let lines = Lines::anew(&self.position);
        self.read(task, Reading::UpToNow, lines).await
    }

    async fn read(&mut self, task: &str, reading: Reading, mut lines: Lines) -> Result<Read, ClientError> {
        let since = Instant::now();
        let allocation = self.position.allocation.clone();
        let mut chunks = self.client.log(&allocation, task, lines.wanted(), reading).await?;
        let (mut frames, mut outcome) = (Frames::default(), Read::Nothing);
        while let Some(bytes) = chunks.next().await? {
            // What is no frame is the end of them.
            let Ok(frames) = frames.take(&bytes) else { return Ok(outcome) };
            for frame in frames {
                if matches!(frame, frames::Frame::Idle) && lines.is_unchecked() {
                    return Ok(Read::Moved);
                }
                let Ok(pieces) = lines.take(frame) else { return Ok(Read::Moved) };
                for piece in pieces {
                    self.pass_on(piece).await;
                    outcome = Read::Some;
                }
            }
            if reading == Reading::Following && self.turns.somebody_waits() && since.elapsed() >= TURN {
                return Ok(outcome);
            }
        }
        Ok(if lines.is_unchecked() { Read::Moved } else { outcome })
    }

    async fn pass_on(&mut self, piece: Piece) {
        match piece {
            Piece::Lines(bytes, position) => {
                let cursor = Cursor(serde_json::to_value(&position).unwrap_or_default());
                self.tell(Observation::Events { bytes, cursor }).await;
                // Only now: a reader that is dropped while it waits reads these lines again.
                self.position = position;
            }
            Piece::Dropped(bytes) => self.tell(Observation::Dropped { bytes }).await,
        }
    }

    /// Nobody listening any more is no reason to lose sight of the end.
    async fn tell(&self, observation: Observation) {
        let _ = self.news.send(observation).await;
    }

    async fn rest_of_events_file(&mut self) -> Result<(), RestError> {
        let allocation = self.position.allocation.clone();
        let client = self.client;
        let file = persist(RetryPolicy::QUESTION, || EventsFile::open(client, &allocation)).await?;
        let mut at = self.place_in(file).await?;
        while let Some((part, next)) = persist(RetryPolicy::QUESTION, || file.part(at)).await? {
            at = next;
            match part {
                Part::Lines(lines) => {
                    let mut position = Position { in_events_file: Some(at), ..self.position.clone() };
                    position.note(&lines);
                    self.pass_on(Piece::Lines(lines, position)).await;
                }
                Part::Gap { bytes } => {
                    self.pass_on(Piece::Dropped(bytes)).await;
                    self.position.in_events_file = Some(at);
                }
            }
        }
        Ok(())
    }

    /// Where reading goes on in the runner's own file. A line that was read and is not there was given back with the middle of it, and so
    /// may be what came next.
    async fn place_in(&self, file: EventsFile<'_>) -> Result<u64, RestError> {
        if let Some(at) = self.position.in_events_file {
            return Ok(at);
        }
        if self.position.last.is_empty() {
            return Ok(0);
        }
        persist(RetryPolicy::QUESTION, || file.behind(&self.position.last)).await?.ok_or(RestError::NotThere)
    }
}
