//! One call of the binary as a child process, with a bound on how long it may take.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Nothing that is waited for here takes a tenth of it.
pub(crate) const BOUND: Duration = Duration::from_secs(90);

/// A running call; ended with the test, should that fail.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it printed, on either stream.
    pub(crate) said: String,
}

impl Running {
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended by itself a moment ago.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        if let Ok(descriptor) = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()) {
            let mut wait = [rustix::event::PollFd::new(&descriptor, rustix::event::PollFlags::IN)];
            let bound = rustix::event::Timespec { tv_sec: BOUND.as_secs().try_into().unwrap(), tv_nsec: 0 };
            let ready = rustix::event::poll(&mut wait, Some(&bound)).unwrap();
            assert!(ready > 0, "still going after {BOUND:?}:\n{}", self.said());
        }
        let status = self.child.wait().unwrap();
        Ended { status, said: self.said() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until `there` answers something. The look costs a file or two, and nothing announces what is looked for.
pub(crate) fn until<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(Instant::now() < end, "waited {BOUND:?} in vain for: {what}");
        sleep(Duration::from_millis(20));
    }
}
