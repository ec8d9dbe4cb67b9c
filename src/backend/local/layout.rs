//! What lies in the directories of the local backend, and what it proves.
//!
//! `runs/<key>/<n>/` is the n-th launch under a key. In it: `launch.json` (the dispatcher's, before the spawn),
//! `supervisor.json` (the supervisor's, once it holds the whole handover), `fence` (whoever makes it decides whether the
//! formula may begin), `exit.json` (the supervisor's, at the end), the event segments and the work directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::process::{Identity, Life};
use crate::backend::End;
use crate::config::types::LocalLimits;
use crate::runner::fence::{self, Sealed};
use crate::support::durable;
use crate::support::ids::{LaunchKey, RunId};

/// `launch.json`: what the supervisor needs besides the handover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LaunchFile {
    pub(super) key: LaunchKey,
    pub(super) run: RunId,
    /// The program whose verb `runner` is started.
    pub(super) executable: PathBuf,
    /// Seconds between the polite signal and the kill.
    pub(super) grace_seconds: u64,
    #[serde(default)]
    pub(super) limits: LocalLimits,
}

/// `exit.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExitFile {
    pub(super) how: End,
    pub(super) at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    /// How long the event stream was, what could not be written of it included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<u64>,
}

/// `runs/<key>/<n>/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaunchDir(PathBuf);

/// What became of one launch directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// A run began in it, or is about to.
    Launched,
    /// Nothing ran in it and nothing can any more.
    Sealed,
}

impl LaunchDir {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn launch_file(&self) -> PathBuf {
        self.0.join("launch.json")
    }

    pub(super) fn supervisor_file(&self) -> PathBuf {
        self.0.join("supervisor.json")
    }

    pub(super) fn exit_file(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    pub(super) fn fence(&self) -> PathBuf {
        self.0.join("fence")
    }

    pub(super) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    pub(super) fn mounts(&self) -> PathBuf {
        self.0.join("mounts")
    }

    pub(super) fn runner_stderr(&self) -> PathBuf {
        self.0.join("runner.stderr")
    }

    pub(super) fn supervisor_stderr(&self) -> PathBuf {
        self.0.join("supervisor.stderr")
    }

    pub(super) fn launch(&self) -> io::Result<Option<LaunchFile>> {
        read(&self.launch_file())
    }

    /// A record that a power cut has spoilt is none: the supervisor was cut off as well.
    pub(super) fn supervisor(&self) -> io::Result<Option<Identity>> {
        read(&self.supervisor_file())
            .or_else(|error| if error.kind() == io::ErrorKind::InvalidData { Ok(None) } else { Err(error) })
    }

    pub(super) fn exit(&self) -> io::Result<Option<ExitFile>> {
        read(&self.exit_file())
    }

    /// Whether the supervisor still lives.
    pub(super) fn life(&self) -> io::Result<Life> {
        self.supervisor()?.map_or(Ok(Life::Ended), |identity| identity.look())
    }

    pub(super) fn is_sealed(&self) -> io::Result<bool> {
        fence::is_sealed(&self.fence())
    }

    /// Decides, for good, whether this launch happened. Where nothing speaks for it, takes the fence, so that a supervisor
    /// that comes late finds it taken.
    pub(super) fn decide(&self) -> io::Result<Fate> {
        if self.is_sealed()? {
            return Ok(Fate::Sealed);
        }
        if self.exit_file().exists() || matches!(self.life()?, Life::Running(_)) {
            return Ok(Fate::Launched);
        }
        Ok(match fence::seal(&self.fence())? {
            Sealed::NothingRan => Fate::Sealed,
            Sealed::RunBegan { .. } => Fate::Launched,
        })
    }
}

/// The launches under a key, the newest last.
pub(super) fn launches(of_key: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(of_key) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Writes a document durably.
pub(super) fn write(path: &Path, document: &impl Serialize) -> io::Result<()> {
    durable::replace(path, &serde_json::to_vec(document)?)
}

/// Writes a document so that a reader sees it whole or not at all, but leaves it to others to make it survive a power cut.
pub(super) fn write_in_passing(path: &Path, document: &impl Serialize) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, serde_json::to_vec(document)?)?;
    fs::rename(temporary, path)
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(|error| invalid(path, &error))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn invalid(path: &Path, error: &serde_json::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch_dir() -> (tempfile::TempDir, LaunchDir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = LaunchDir::new(folder.path().to_owned());
        (folder, dir)
    }

    #[test]
    fn a_launch_that_nothing_speaks_for_is_sealed_once_and_stays_so() {
        let (_folder, dir) = launch_dir();
        assert_eq!(dir.decide().unwrap(), Fate::Sealed);
        let taken = durable::create_exclusive(&dir.fence(), b"run").unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        // The runner that lost the fence leaves an exit behind; that is no launch either.
        let exit = ExitFile { how: End::Exited(65), at: Timestamp::UNIX_EPOCH, detail: None, stream: None };
        write(&dir.exit_file(), &exit).unwrap();
        assert_eq!(dir.decide().unwrap(), Fate::Sealed);
    }

    #[test]
    fn a_fence_of_a_run_even_an_empty_one_is_never_taken_for_a_seal() {
        let (_folder, dir) = launch_dir();
        durable::create_exclusive(&dir.fence(), b"").unwrap();
        assert_eq!(dir.decide().unwrap(), Fate::Launched);
    }

    #[test]
    fn a_living_supervisor_is_a_launch() {
        let (_folder, dir) = launch_dir();
        write(&dir.supervisor_file(), &Identity::own().unwrap()).unwrap();
        assert_eq!(dir.decide().unwrap(), Fate::Launched);
        assert!(!dir.fence().exists());
    }

    #[test]
    fn a_spoilt_record_of_the_supervisor_counts_as_none() {
        let (_folder, dir) = launch_dir();
        fs::write(dir.supervisor_file(), "").unwrap();
        assert_eq!(dir.decide().unwrap(), Fate::Sealed);
    }

    #[test]
    fn launches_are_ordered_as_numbers_and_other_names_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["10", "9", "x"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(launches(folder.path()).unwrap(), [9, 10]);
        assert!(launches(&folder.path().join("none")).unwrap().is_empty());
    }
}
