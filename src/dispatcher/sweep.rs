//! `dispatch gc`: removes what published runs left on this machine, after a time. It works beside a running dispatcher, since
//! nothing is ever done to a published run but to look at it: another attempt is another run, with a log of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::adhoc;
use super::lock::StateLock;
use crate::backend::Backend;
use crate::backend::local::LocalBackend;
use crate::run::log::LogStore;
use crate::run::record::Run;
use crate::run::state::State;
use crate::support::chain;

/// Whether anything is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only told.
    DryRun,
    /// Removed.
    Remove,
}

/// Where published runs may have left something.
#[derive(Debug)]
pub struct Places<'a> {
    /// The logs.
    pub logs: &'a LogStore,
    /// The folder of run directories.
    pub runs: PathBuf,
    /// The backend that makes them.
    pub backend: &'a dyn Backend,
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct Swept {
    /// What was removed, or would be.
    pub removed: Vec<PathBuf>,
    /// Its size.
    pub bytes: u64,
    /// What could not be removed, and why.
    pub failed: Vec<String>,
}

/// Whether nothing will ever be done for `run` again, and nothing was since `before`.
pub fn is_due(run: &Run, before: Timestamp) -> bool {
    run.state == State::Published && run.grant.is_none() && run.finished_at.unwrap_or(run.seen_at) < before
}

/// Removes what those of `runs` left that are over since before `before`.
pub async fn sweep(runs: &[Run], before: Timestamp, places: &Places<'_>, mode: Mode) -> Swept {
    let mut swept = Swept::default();
    for run in runs.iter().filter(|run| is_due(run, before)) {
        let log = places.logs.path(&run.id);
        if let Some(bytes) = size(&log) {
            let done = if mode == Mode::Remove { places.logs.remove(&run.id) } else { Ok(()) };
            swept.note(log, bytes, done.map_err(|error| chain::words(&error)));
        }
        // Removed at the publication already, but where that did not succeed.
        let directory = run.launch_key().map(|key| places.runs.join(key.to_string()));
        if let (Some(handle), Some(directory)) = (&run.handle, directory)
            && let Some(bytes) = size(&directory)
        {
            let done = if mode == Mode::Remove { places.backend.remove(handle).await } else { Ok(()) };
            swept.note(directory, bytes, done.map_err(|error| chain::words(&error)));
        }
    }
    swept
}

/// Removes the folders of runs of files (`dispatch once --action`) that were cut short before `before`, with what `backend`, which
/// is the one in such a folder, made there. One that goes on keeps its folder.
///
/// # Errors
/// The folder of these folders cannot be read.
pub async fn sweep_adhoc(
    state_dir: &Path,
    before: Timestamp,
    backend: impl Fn(&Path) -> io::Result<LocalBackend>,
    mode: Mode,
    swept: &mut Swept,
) -> io::Result<()> {
    for folder in list(&state_dir.join(adhoc::FOLDER))? {
        let changed = fs::symlink_metadata(&folder)?.modified()?;
        if Timestamp::try_from(changed).is_ok_and(|changed| changed >= before) {
            continue;
        }
        // Whoever holds it looks after the run.
        let Ok(_lock) = StateLock::take_now(&folder, &format!("`dispatch gc`, process {}", std::process::id())) else {
            continue;
        };
        let bytes = size(&folder).unwrap_or(0);
        let done = match mode {
            Mode::DryRun => Ok(()),
            Mode::Remove => match backend(&folder.join("runs")) {
                Ok(backend) => remove_adhoc(&folder, &backend).await,
                Err(error) => Err(error.to_string()),
            },
        };
        swept.note(folder, bytes, done);
    }
    Ok(())
}

async fn remove_adhoc(folder: &Path, backend: &LocalBackend) -> Result<(), String> {
    for found in backend.list().await.map_err(|error| chain::words(&error))? {
        backend.remove(&found.handle).await.map_err(|error| chain::words(&error))?;
    }
    fs::remove_dir_all(folder).map_err(|error| error.to_string())
}

impl Swept {
    fn note(&mut self, path: PathBuf, bytes: u64, done: Result<(), String>) {
        match done {
            Ok(()) => {
                self.bytes += bytes;
                self.removed.push(path);
            }
            Err(error) => self.failed.push(format!("{}: {error}", path.display())),
        }
    }
}

/// The bytes of what stands at `path`, links not followed; `None` where nothing does. What cannot be looked into counts
/// as empty: it is removed all the same.
fn size(path: &Path) -> Option<u64> {
    let own = fs::symlink_metadata(path).ok()?;
    if !own.is_dir() {
        return Some(own.len());
    }
    let inner = |entry: io::Result<fs::DirEntry>| size(&entry.ok()?.path());
    Some(fs::read_dir(path).map_or(0, |entries| entries.filter_map(inner).sum()))
}

/// What stands in a folder; nothing where there is none.
fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// What stands in the state directory for a person to look at; never removed here.
///
/// # Errors
/// The directory cannot be read.
pub fn kept(state_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let is_damaged =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("journal.db.damaged-"));
    let mut kept: Vec<PathBuf> = list(state_dir)?.into_iter().filter(is_damaged).collect();
    kept.extend(list(&state_dir.join("kept-aside"))?);
    kept.sort();
    Ok(kept)
}
