//! One thread for each of the formula's streams: pipe → redactor → lines → events.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::emit::Emitter;
use super::event::{Kind, Stream};
use super::lines::Lines;
use super::redact::{Redactor, Registry};

/// An unfinished line is shown when nothing has followed it for so long.
const IDLE: Duration = Duration::from_millis(200);

/// When the run is over and yet somebody holds the pipe open (a process that got away, or was handed the descriptor), what is
/// in it is read for so long.
const DRAIN: Duration = Duration::from_secs(5);

/// Small, since every byte may become an event of its own.
const CHUNK: usize = 16 * 1024;

/// What all pumps of a run share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The values to redact.
    pub registry: Arc<Registry>,
    /// Where events go.
    pub emitter: Arc<Emitter>,
    /// Bytes of output seen.
    pub bytes: Arc<AtomicU64>,
    /// Its other end is closed when the formula and all of its processes have ended.
    pub over: Arc<PipeReader>,
}

/// Starts the thread for one stream.
///
/// # Errors
/// When no thread can be started.
pub fn start(source: PipeReader, stream: Stream, shared: Shared) -> io::Result<JoinHandle<()>> {
    let redactor = Redactor::new(shared.registry.patterns());
    let pump = Pump { source, redactor, lines: Lines::new(stream), shared, until: None, unseen: false };
    Builder::new().name(format!("{stream:?}").to_lowercase()).spawn(move || pump.run())
}

struct Pump {
    source: PipeReader,
    redactor: Redactor,
    lines: Lines,
    shared: Shared,
    /// The run is over; what comes later than this is left.
    until: Option<Instant>,
    /// A part of a line has come and was not shown.
    unseen: bool,
}

enum News {
    /// There is something to read, or the end.
    Output,
    /// Nothing came for [`IDLE`] behind an unfinished line.
    Idle,
    /// The formula and its processes have ended.
    Over,
    /// [`DRAIN`] has passed since.
    Late,
}

impl Pump {
    fn run(mut self) {
        let mut chunk = vec![0; CHUNK];
        loop {
            match self.wait() {
                Ok(News::Output) => match self.source.read(&mut chunk) {
                    Ok(count) if count > 0 => self.take(chunk.get(..count).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => break,
                },
                Ok(News::Idle) => self.show(),
                Ok(News::Over) => self.until = Some(Instant::now() + DRAIN),
                Ok(News::Late) => {
                    let message =
                        "output was left unread: a process outside the run keeps the formula's output open".to_owned();
                    self.shared.emitter.emit([Kind::Error { message }]);
                    break;
                }
                Err(_) => break,
            }
        }
        self.finish();
    }

    fn wait(&self) -> io::Result<News> {
        let late = self.until.map(|end| end.saturating_duration_since(Instant::now()));
        if late.is_some_and(|left| left.is_zero()) {
            return Ok(News::Late);
        }
        let idle = self.unseen.then_some(IDLE);
        let within =
            late.into_iter().chain(idle).min().map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let mut sources = vec![PollFd::from_borrowed_fd(self.source.as_fd(), PollFlags::IN)];
        if self.until.is_none() {
            sources.push(PollFd::from_borrowed_fd(self.shared.over.as_fd(), PollFlags::IN));
        }
        match poll(&mut sources, within.as_ref()) {
            Ok(0) if self.unseen => Ok(News::Idle),
            Ok(0) => Ok(News::Late),
            Ok(_) if sources.first().is_some_and(|source| !source.revents().is_empty()) => Ok(News::Output),
            Ok(_) => Ok(News::Over),
            Err(rustix::io::Errno::INTR) => self.wait(),
            Err(error) => Err(error.into()),
        }
    }

    /// The patterns are asked for after the read: a value whose addition was acknowledged before these bytes were printed is
    /// among them.
    fn take(&mut self, bytes: &[u8]) {
        self.shared.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.redactor.renew(&self.shared.registry.patterns());
        let (mut clean, mut events) = (Vec::new(), Vec::new());
        self.redactor.feed(bytes, &mut clean);
        self.lines.push(&clean, &mut events);
        self.unseen = self.lines.is_pending();
        self.shared.emitter.emit(events);
    }

    fn show(&mut self) {
        let mut events = Vec::new();
        self.lines.flush(&mut events);
        self.unseen = false;
        self.shared.emitter.emit(events);
    }

    fn finish(mut self) {
        let (mut clean, mut events) = (Vec::new(), Vec::new());
        self.redactor.finish(&mut clean);
        self.lines.push(&clean, &mut events);
        self.lines.finish(&mut events);
        self.shared.emitter.emit(events);
    }
}
