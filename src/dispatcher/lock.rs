//! One dispatcher per state directory: a lock on a file in it, held as long as the process lives and gone with it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use crate::support::retry::RetryPolicy;

/// Why the state directory could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another dispatcher has it.
    #[error("{} is in use by {holder}", .directory.display())]
    Held {
        /// The state directory.
        directory: PathBuf,
        /// Who has it, by its own words.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", .directory.display())]
    File {
        /// The state directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A dispatcher that is killed in the instant in which it starts a program leaves the lock to it until that program has begun.
const LEFT_BEHIND: RetryPolicy =
    RetryPolicy { first: Duration::from_millis(50), cap: Duration::from_millis(200), budget: Some(6) };

/// The state directory is ours while this lives.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// As [`Self::take_now`], and asks a few times more where it is held: for half a second or so.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it still.
    pub fn take(directory: &Path, holder: &str) -> Result<Self, LockError> {
        let mut delays = LEFT_BEHIND.delays();
        loop {
            match (Self::take_now(directory, holder), delays.next()) {
                (Err(LockError::Held { .. }), Some(delay)) => std::thread::sleep(delay),
                (taken, _) => return taken,
            }
        }
    }

    /// Takes `directory`, writing `holder` (process id, host, since when) into the lock file for others to read.
    ///
    /// # Errors
    /// [`LockError::Held`] at once when another process has it.
    pub fn take_now(directory: &Path, holder: &str) -> Result<Self, LockError> {
        let failed = |source| LockError::File { directory: directory.to_owned(), source };
        let path = directory.join("lock");
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut other = String::new();
            file.read_to_string(&mut other).map_err(failed)?;
            let holder = if other.is_empty() { "another dispatcher".to_owned() } else { other.trim().to_owned() };
            return Err(LockError::Held { directory: directory.to_owned(), holder });
        }
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{holder}")).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Who has `directory`, by its own words, without taking it; `None`: nobody, or it cannot be told.
pub fn holder(directory: &Path) -> Option<String> {
    let mut file = File::open(directory.join("lock")).ok()?;
    // A shared lock keeps a dispatcher that starts in this instant out; it is let go at once.
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let mut words = String::new();
    file.read_to_string(&mut words).ok()?;
    Some(words.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_has_it_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateLock::take(directory.path(), "process 17 on host-a").unwrap();
        let refused = StateLock::take_now(directory.path(), "process 18").unwrap_err();
        assert!(refused.to_string().contains("process 17 on host-a"), "{refused}");
        drop(first);
        assert!(StateLock::take(directory.path(), "process 18").is_ok());
    }

    #[test]
    fn a_lock_that_a_killed_dispatcher_left_to_a_program_it_was_starting_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("lock")).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        let mut starting = std::process::Command::new("sleep").arg("0.1").stdin(file).spawn().unwrap();
        assert!(StateLock::take(directory.path(), "process 18").is_ok());
        assert!(starting.wait().unwrap().success());
    }
}
