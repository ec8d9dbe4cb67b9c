//! The local backend: runs on this machine, each under a supervisor of its own that outlives the dispatcher.
//!
//! `launch` makes a run directory and starts the supervisor; supervisor and dispatcher then share nothing but that
//! directory (`layout`). `observe` reads what the supervisor writes (`segments`) and waits for its end by pidfd; `find` reads the
//! directory and, where it proves nothing, takes the run's fence, so that nothing can begin any more.

mod handover;
mod launch;
mod layout;
mod mounts;
mod observe;
mod process;
mod remove;
mod segments;
mod spawn;
mod supervise;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use async_trait::async_trait;
use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use self::layout::{Fate, LaunchDir};
use self::process::Life;
use super::{Backend, BackendError, Channel, Cursor, Ended, Found, Handle, Listed, Mark, Observation, Placement};
use crate::config::types::LocalLimits;
use crate::runner::envelope::Envelope;
use crate::runner::environment;
use crate::support::checkup::{Finding, Standing};
use crate::support::clock::{Clock as _, SystemClock};
use crate::support::fault;
use crate::support::ids::{LaunchKey, MountName};
use crate::support::watch::{Watched, Watcher};

pub use self::supervise::{SuperviseError, supervise};

/// Its name in the config and in results.
pub const NAME: &str = "local";
/// What a run needs on disk at the least: its event segments and its work.
const MIN_FREE: u64 = 64 << 20;
/// How the name of a directory begins that is being removed.
const REMOVING: &str = ".removing-";

/// What the local backend is told.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// Where run directories are made: `<state_dir>/runs`.
    pub runs_dir: PathBuf,
    /// The `dispatch` binary.
    pub executable: PathBuf,
    /// What each mount is copied from.
    pub mounts: BTreeMap<MountName, PathBuf>,
    /// What a run may use.
    pub limits: LocalLimits,
}

/// Runs on this machine.
#[derive(Debug)]
pub struct LocalBackend {
    settings: LocalSettings,
    watcher: OnceLock<Watcher>,
}

/// Which launch: the content of a [`Handle`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    key: LaunchKey,
    launch: u32,
}

impl Place {
    fn of(handle: &Handle) -> Result<Self, BackendError> {
        Self::deserialize(&handle.0).map_err(|error| refused(format!("not a handle of this backend: {error}")))
    }

    fn handle(&self) -> Handle {
        Handle(serde_json::json!({ "key": self.key, "launch": self.launch }))
    }

    fn dir(&self, settings: &LocalSettings) -> LaunchDir {
        LaunchDir::new(settings.runs_dir.join(self.key.as_str()).join(self.launch.to_string()))
    }

    fn placement(&self) -> Placement {
        Placement { id: format!("{}/{}", self.key, self.launch), node: process::host(), ..Placement::default() }
    }
}

impl LocalBackend {
    /// A backend on `settings`. Touches nothing yet.
    ///
    /// # Errors
    /// A relative path cannot be made absolute, since the working directory is gone.
    pub fn new(settings: LocalSettings) -> io::Result<Self> {
        let runs_dir = std::path::absolute(&settings.runs_dir)?;
        let executable = std::path::absolute(&settings.executable)?;
        Ok(Self { settings: LocalSettings { runs_dir, executable, ..settings }, watcher: OnceLock::new() })
    }

    /// Made at the first use, because it needs the runtime.
    fn watch(&self, path: &Path) -> io::Result<Watched> {
        if let Some(watcher) = self.watcher.get() {
            return watcher.watch(path);
        }
        let watcher = Watcher::new()?;
        self.watcher.get_or_init(|| watcher).watch(path)
    }

    fn of_key(&self, key: &LaunchKey) -> PathBuf {
        self.settings.runs_dir.join(key.as_str())
    }

    fn places(&self, key: &LaunchKey) -> io::Result<Vec<Place>> {
        let launches = layout::launches(&self.of_key(key))?;
        Ok(launches.into_iter().map(|launch| Place { key: key.clone(), launch }).collect())
    }

    fn list_one(&self, key: &LaunchKey) -> io::Result<Option<Listed>> {
        let Some(place) = self.places(key)?.pop() else { return Ok(None) };
        let dir = place.dir(&self.settings);
        if dir.is_sealed()? {
            return Ok(None);
        }
        // Without a launch file the supervisor was never started.
        Ok(dir.launch()?.map(|launch| Listed { key: key.clone(), run: launch.run, handle: place.handle() }))
    }

    fn ask_to_stop(&self, handle: &Handle) -> Result<(), BackendError> {
        let life = Place::of(handle)?.dir(&self.settings).life().map_err(io_error("looking for the supervisor"))?;
        let Life::Running(supervisor) = life else { return Ok(()) };
        match pidfd_send_signal(supervisor, Signal::TERM) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(io_error("asking the supervisor to stop")(errno.into())),
        }
    }

    /// The folder of runs: writable, with room, and rid of removals that were cut short.
    fn check_runs(&self) -> Finding {
        let (subject, runs) = ("local: run directories", self.settings.runs_dir.display());
        let wrong = |what: String, fix: &str| Finding::bad(Standing::Wrong, subject, format!("{runs}: {what}"), fix);
        if let Err(error) = self.try_out() {
            return wrong(format!("it cannot be written to: {error}"), "give it to the dispatcher's user");
        }
        if let Err(error) = self.finish_removals() {
            return wrong(format!("removals that were cut short cannot be finished: {error}"), "remove them by hand");
        }
        match statvfs(&self.settings.runs_dir) {
            Err(errno) => wrong(format!("its free space cannot be learned: {errno}"), "look at its file system"),
            Ok(disk) => match disk.f_bavail.saturating_mul(disk.f_frsize) {
                free if free < MIN_FREE => {
                    wrong(format!("only {} MiB are free, a run needs 64", free >> 20), "make room")
                }
                free => Finding::good(subject, format!("{runs}, {} MiB free", free >> 20)),
            },
        }
    }

    fn check_executable(&self) -> Finding {
        let (subject, executable) = ("local: runner", self.settings.executable.display());
        if access(&self.settings.executable, Access::EXEC_OK).is_ok() {
            return Finding::good(subject, executable.to_string());
        }
        Finding::bad(Standing::Wrong, subject, format!("{executable}: not there or not executable"), "reinstall it")
    }

    fn try_out(&self) -> io::Result<()> {
        let runs = &self.settings.runs_dir;
        DirBuilder::new().recursive(true).mode(0o700).create(runs)?;
        let probe = runs.join(".probe");
        fs::write(&probe, b"probe")?;
        fs::remove_file(&probe)
    }

    /// A removal that was cut short has left a directory that no run is found under any more.
    fn finish_removals(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.settings.runs_dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(REMOVING) {
                remove::tree(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn check_bash() -> Finding {
    let subject = "local: bash";
    let found = std::env::split_paths(environment::PATH)
        .map(|folder| folder.join("bash"))
        .find(|bash| access(bash, Access::EXEC_OK).is_ok());
    found.map_or_else(
        || {
            let evidence = format!("no `bash` in {}, where formulas look for it", environment::PATH);
            Finding::bad(Standing::Wrong, subject, evidence, "install it")
        },
        |bash| Finding::good(subject, bash.display().to_string()),
    )
}

#[async_trait]
impl Backend for LocalBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Vec<Finding> {
        vec![self.check_runs(), self.check_executable(), check_bash()]
    }

    fn channel(&self) -> Channel {
        Channel::Private
    }

    async fn launch(&self, key: &LaunchKey, envelope: &Envelope) -> Result<Handle, BackendError> {
        if envelope.handover.needs_identity() {
            let words = "a run on this machine has no identity by which it could take its grant: \
                         [secrets.vault.workload_identity] is for runs in Nomad";
            return Err(refused(words.to_owned()));
        }
        let (settings, own_key, own_envelope) = (self.settings.clone(), key.clone(), envelope.clone());
        // Copying mounts and waiting for the disk must not hold up other runs.
        let prepared = tokio::task::spawn_blocking(move || launch::prepare(&settings, &own_key, &own_envelope)).await;
        match prepared.map_err(|error| io_error("preparing the launch")(io::Error::other(error)))?? {
            launch::Prepared::Already(place) => Ok(place.handle()),
            launch::Prepared::Fresh(place, envelope) => {
                launch::start(&self.settings, &place.dir(&self.settings), &envelope).await?;
                Ok(place.handle())
            }
        }
    }

    async fn find(&self, key: &LaunchKey) -> Result<Found, BackendError> {
        let step = || io_error(format!("looking for the launch {key}"));
        let Some(place) = self.places(key).map_err(step())?.pop() else { return Ok(Found::NotLaunched) };
        Ok(match place.dir(&self.settings).decide().map_err(step())? {
            Fate::Launched => Found::Launched(place.handle()),
            Fate::Sealed => Found::NotLaunched,
        })
    }

    /// Whatever `find` says holds for good: it takes the fence.
    async fn rule_out(&self, key: &LaunchKey, _before: Option<&Mark>) -> Result<Found, BackendError> {
        self.find(key).await
    }

    async fn observe(
        &self,
        handle: &Handle,
        cursor: &Cursor,
        news: mpsc::Sender<Observation>,
    ) -> Result<Ended, BackendError> {
        let place = Place::of(handle)?;
        let dir = place.dir(&self.settings);
        let step = || io_error(format!("following the run in {}", dir.path().display()));
        let watched = match self.watch(dir.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Ended::forgotten(SystemClock.now(), place.placement()));
            }
            other => other.map_err(step())?,
        };
        // Nobody listening any more is no reason to lose sight of the end.
        let _ = news.send(Observation::Started { placement: place.placement(), lasted: None }).await;
        observe::follow(&dir, cursor, watched, &news).await.map_err(step())?;
        let exit = observe::end(&dir).await.map_err(step())?;
        Ok(Ended {
            how: exit.how,
            at: exit.at,
            placement: place.placement(),
            detail: exit.detail,
            reason: None,
            restarted: false,
        })
    }

    async fn cancel(&self, handle: &Handle) -> Result<(), BackendError> {
        if fault::twice("backend.cancel") {
            self.ask_to_stop(handle)?;
        }
        self.ask_to_stop(handle)
    }

    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        let key = Place::of(handle)?.key;
        for place in self.places(&key).map_err(io_error("reading the run directory"))? {
            let life = place.dir(&self.settings).life().map_err(io_error("looking for the supervisor"))?;
            if matches!(life, Life::Running(_)) {
                return Err(refused(format!("the run {} is not over: cancel it first", place.placement().id)));
            }
        }
        // Renamed first: a directory that is half removed would let `find` answer for launches that it no longer shows.
        let aside = self.settings.runs_dir.join(format!("{REMOVING}{key}"));
        fault::point("local.remove.before").map_err(io_error("setting the run directory aside"))?;
        match fs::rename(self.of_key(&key), &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("setting the run directory aside")(error));
            }
            _ => {}
        }
        fault::point("local.remove.after").map_err(io_error("removing the run directory"))?;
        let removal = tokio::task::spawn_blocking(move || remove::tree(&aside)).await;
        removal.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(io_error("removing the run directory"))
    }

    async fn list(&self) -> Result<Vec<Listed>, BackendError> {
        let step = || io_error(format!("listing {}", self.settings.runs_dir.display()));
        let entries = match fs::read_dir(&self.settings.runs_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(step())?,
        };
        let mut listed = Vec::new();
        for entry in entries {
            let name = entry.map_err(step())?.file_name();
            let Some(key) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            listed.extend(self.list_one(&key).map_err(step())?);
        }
        Ok(listed)
    }
}

fn refused(detail: String) -> BackendError {
    BackendError::Refused { backend: NAME, detail }
}

fn io_error(step: impl Into<String>) -> impl FnOnce(io::Error) -> BackendError {
    let step = step.into();
    move |source| BackendError::Io { backend: NAME, step, source }
}
