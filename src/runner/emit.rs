//! Writes events as NDJSON, one line each, whole or not at all. Whoever reads may go away: that never disturbs the formula.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::event::{Event, Kind};
use super::events_file::EventsFile;
use crate::support::clock::Clock;

/// The event stream; shared by all threads of the runner.
#[derive(Debug)]
pub struct Emitter {
    sinks: Mutex<Sinks>,
    clock: Box<dyn Clock>,
}

#[derive(Debug)]
struct Sinks {
    /// `None` once the reader has gone.
    out: Option<File>,
    /// Before standard output, which may be slow.
    kept: Option<EventsFile>,
}

impl Sinks {
    fn keep(&mut self, bytes: &[u8]) {
        if let Some(kept) = &mut self.kept {
            kept.append(bytes);
        }
    }

    fn put_out(&mut self, bytes: &[u8]) {
        if let Some(file) = self.out.as_mut()
            && write_all(file, bytes).is_err()
        {
            self.out = None;
        }
    }
}

impl Emitter {
    /// Writes to `out`.
    pub fn new(out: File, clock: Box<dyn Clock>) -> Self {
        Self { sinks: Mutex::new(Sinks { out: Some(out), kept: None }), clock }
    }

    /// Writes to this process's standard output.
    ///
    /// # Errors
    /// When there is no standard output.
    pub fn stdout(clock: Box<dyn Clock>) -> io::Result<Self> {
        Ok(Self::new(File::from(io::stdout().as_fd().try_clone_to_owned()?), clock))
    }

    /// Writes to this file as well, from now on; `None`: to none.
    pub fn keep_in(&self, file: Option<EventsFile>) {
        self.sinks().kept = file;
    }

    /// Writes events in order. Waits while the reader is slow: that is the back-pressure that keeps memory bounded.
    pub fn emit(&self, events: impl IntoIterator<Item = Kind>) {
        let bytes = self.encode(events);
        let mut sinks = self.sinks();
        sinks.keep(&bytes);
        sinks.put_out(&bytes);
    }

    /// Writes a small event if that can be done without waiting: for the thread that enforces the time limit.
    pub fn emit_if_ready(&self, event: Kind) {
        let bytes = self.encode([event]);
        let Ok(mut sinks) = self.sinks.try_lock() else { return };
        sinks.keep(&bytes);
        if sinks.out.as_ref().is_some_and(|file| ready(file.as_fd(), Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))) {
            sinks.put_out(&bytes);
        }
    }

    /// Waits for `within`, or until the reader has gone.
    pub fn linger(&self, within: Duration) {
        let Ok(within) = Timespec::try_from(within) else { return };
        if let Some(file) = &self.sinks().out {
            // No event is asked for: what is left is that the other end was closed.
            let _ = poll(&mut [PollFd::new(file, PollFlags::empty())], Some(&within));
        }
    }

    fn sinks(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn encode(&self, events: impl IntoIterator<Item = Kind>) -> Vec<u8> {
        let t = self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        let mut bytes = Vec::new();
        for kind in events {
            let before = bytes.len();
            match serde_json::to_writer(&mut bytes, &Event { t: t.clone(), kind }) {
                Ok(()) => bytes.push(b'\n'),
                Err(_) => bytes.truncate(before),
            }
        }
        bytes
    }
}

/// Also where the other end made the descriptor non-blocking.
fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready(file.as_fd(), None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn ready(fd: BorrowedFd<'_>, within: Option<&Timespec>) -> bool {
    poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], within).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::support::clock::FixedClock;

    fn emitter() -> (io::PipeReader, Emitter) {
        let (reader, writer) = io::pipe().unwrap();
        let clock = FixedClock::new("2026-11-21T10:00:00.1239Z".parse().unwrap());
        (reader, Emitter::new(File::from(OwnedFd::from(writer)), Box::new(clock)))
    }

    #[test]
    fn an_event_is_one_line_with_its_time_in_milliseconds() {
        let (mut reader, emitter) = emitter();
        emitter.emit([Kind::Heartbeat {}, Kind::Exit { code: 3, bytes: 7 }]);
        drop(emitter);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(
            text,
            "{\"t\":\"2026-11-21T10:00:00.123Z\",\"kind\":\"heartbeat\"}\n\
             {\"t\":\"2026-11-21T10:00:00.123Z\",\"kind\":\"exit\",\"code\":3,\"bytes\":7}\n"
        );
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let (reader, emitter) = emitter();
        drop(reader);
        emitter.emit([Kind::Heartbeat {}]);
        emitter.emit([Kind::Heartbeat {}]);
    }

    #[test]
    fn an_event_that_would_have_to_wait_is_left_out() {
        let (_reader, emitter) = emitter();
        // A pipe holds 64 KiB; were one of these to wait, the test would never end.
        for _ in 0..2000 {
            emitter.emit_if_ready(Kind::Heartbeat {});
        }
    }
}
