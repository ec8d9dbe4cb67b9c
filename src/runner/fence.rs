//! The fence: a marker file that exactly one execution of a launch can create. The runner takes it once everything is prepared;
//! the local backend's recovery seals it, and learns from the outcome whether the formula can have begun.
//!
//! # Marker, wrapping, formula
//! Where the envelope carries a wrapping in Vault, that is a second fence. The order is
//!
//! ```text
//! marker ─► wrapping looked up ─► opened (spent) ─► `grant_opened` ─► secrets read ─► `started` ─► formula
//! ```
//!
//! and a runner that dies between two of these leaves:
//!
//! - before the marker: nothing. Another execution of the same launch may begin; the wrapping still opens, until its time is over.
//! - behind the marker: a launch whose marker is taken is never executed again **in the same directory**, and `seal` says that a
//!   run began. That is more than is known (the formula may not have begun), and errs to the side on which nothing is repeated.
//! - behind the unwrap, before `grant_opened`: the wrapping is spent, and nobody said so. The dispatcher has to take that for an
//!   interception; it is the price of noticing each real one.
//!
//! The marker comes first so that of two executions that share a directory (a supervisor or a container started anew) the later
//! one stops without touching the wrapping, and is not mistaken for a thief. Which of the two fences counts where:
//!
//! - `local`: the marker is decisive; all executions of a launch share its directory, and recovery asks it. Values may travel
//!   without a wrapping.
//! - `docker`: the marker is in the run's container, which is started once more with the same files; the wrapping guards against a
//!   second container.
//! - `nomad`: the marker stops a restart in place, and a second allocation to which the first one's data was carried over. One on
//!   another client, while the first client is gone, is stopped by the wrapping: it finds it opened before its time (exit 67), and the
//!   dispatcher tells by the first one's end or its `grant_opened` that this was a second copy and no thief.
//! - `ssh`: as `local`, by the directory on that host.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::support::{durable, fault};

/// What a seal writes; no run does.
const SEAL: &str = "sealed";

/// Why the fence was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// Somebody was first: another execution of this launch, or a recovery that sealed it.
    #[error("the fence {} is taken already, by: {by}", path.display())]
    Lost {
        /// The marker file.
        path: PathBuf,
        /// What it says.
        by: String,
    },
    /// The marker file could not be made.
    #[error("the fence {} cannot be taken", path.display())]
    Create {
        /// The marker file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a seal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sealed {
    /// No formula has begun under this fence, and none can any more.
    NothingRan,
    /// A runner has been here first.
    RunBegan {
        /// What it left.
        by: String,
    },
}

/// Takes the fence for `who`, a line for people. Durable when it returns.
///
/// # Errors
/// [`FenceError::Lost`] for everyone but the first.
pub fn take(path: &Path, who: &str) -> Result<(), FenceError> {
    create(path, who).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => FenceError::Lost { path: path.to_owned(), by: holder(path) },
        _ => FenceError::Create { path: path.to_owned(), source },
    })
}

/// Whether an earlier execution has been here: for one that comes later in the same place, and finds that one's directory too.
/// Only [`take`] decides.
///
/// # Errors
/// [`FenceError::Lost`] where the marker is there.
pub fn look(path: &Path) -> Result<(), FenceError> {
    if path.exists() { Err(FenceError::Lost { path: path.to_owned(), by: holder(path) }) } else { Ok(()) }
}

/// Closes the fence for good, unless a run has taken it. May be called again: it answers the same.
///
/// A marker whose content cannot be read or is empty (its maker was stopped between making and writing it) counts as a run's,
/// since that is the answer after which nothing is repeated. A seal is never empty: it is a hard link to a file that is whole.
///
/// # Errors
/// Any file error; nothing is known then.
pub fn seal(path: &Path) -> io::Result<Sealed> {
    match link_whole(path, SEAL) {
        Ok(()) => Ok(Sealed::NothingRan),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(match holder(path) {
            by if by == SEAL => Sealed::NothingRan,
            by => Sealed::RunBegan { by },
        }),
        Err(error) => Err(error),
    }
}

/// Whether the fence was sealed, without touching it.
///
/// # Errors
/// Any file error but its absence.
pub fn is_sealed(path: &Path) -> io::Result<bool> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes == SEAL.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn link_whole(path: &Path, content: &str) -> io::Result<()> {
    let whole = path.with_extension("seal");
    durable::replace(&whole, content.as_bytes())?;
    fault::point("runner.seal.before")?;
    fs::hard_link(&whole, path)?;
    durable::sync_folder(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
    fault::point("runner.seal.after")
}

fn create(path: &Path, content: &str) -> io::Result<()> {
    fault::point("runner.fence.before")?;
    durable::create_exclusive(path, content.as_bytes())?;
    fault::point("runner.fence.after")
}

fn holder(path: &Path) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().chars().take(400).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_that_reach_for_it_one_gets_the_fence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fence");
        let won = std::thread::scope(|scope| {
            let attempts: Vec<_> = (0..16)
                .map(|n| {
                    scope.spawn({
                        let path = &path;
                        move || take(path, &format!("run {n}")).is_ok()
                    })
                })
                .collect();
            attempts.into_iter().map(|t| t.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
        assert!(take(&path, "late").unwrap_err().to_string().contains("is taken already, by: run "));
    }

    #[test]
    fn a_sealed_fence_stays_sealed_and_stops_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fence");
        assert_eq!(seal(&path).unwrap(), Sealed::NothingRan);
        assert_eq!(seal(&path).unwrap(), Sealed::NothingRan);
        assert!(matches!(take(&path, "run"), Err(FenceError::Lost { by, .. }) if by == "sealed"));
    }

    #[test]
    fn a_seal_that_was_cut_short_before_it_took_hold_is_none_and_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fence");
        fs::write(folder.path().join("fence.seal"), "sea").unwrap();
        assert!(!is_sealed(&path).unwrap());
        assert_eq!(seal(&path).unwrap(), Sealed::NothingRan);
        assert!(is_sealed(&path).unwrap());
    }

    #[test]
    fn a_seal_that_comes_late_or_finds_an_unfinished_marker_says_that_the_run_began() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fence");
        take(&path, "run a@1").unwrap();
        assert_eq!(seal(&path).unwrap(), Sealed::RunBegan { by: "run a@1".to_owned() });
        let unfinished = folder.path().join("unfinished");
        fs::write(&unfinished, "").unwrap();
        assert_eq!(seal(&unfinished).unwrap(), Sealed::RunBegan { by: String::new() });
        assert!(seal(&folder.path().join("absent/fence")).is_err());
    }
}
