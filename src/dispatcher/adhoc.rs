//! A run of a file that is not from the ops repo, for trying things out: `dispatch once --action FILE`.
//!
//! It has a state directory of its own, with a journal of its own, and goes through the same [`life`](crate::run::life) as every
//! run. There is no outbox in it: its result is shown and never published. What it leaves behind is removed with it, also after
//! an error, unless something of it may still go on; then [`super::sweep`] removes it later.

use std::fs::DirBuilder;
use std::future::Future;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::watch;

use super::lock::{LockError, StateLock};
use super::start::{self, JOURNAL, StartError, Surroundings};
use crate::admission::Admitted;
use crate::backend::{BackendError, Listed};
use crate::config::Config;
use crate::run::journal::{Journal, JournalError};
use crate::run::life::{Driven, LifeError, Wishes, World, clear_up, drive};
use crate::run::log::{LogError, LogReader, Part};
use crate::run::record::Run;
use crate::run::step::{Request, Step, StopCause};
use crate::support::chain;
use crate::support::ids::{LaunchKey, RunId};
use crate::support::tenure::Tenure;
use crate::support::watch::{Watched, Watcher};

/// Where, in the state directory, these runs have state directories of their own.
pub(super) const FOLDER: &str = "adhoc";

/// Why a file could not be run.
#[derive(Debug, thiserror::Error)]
pub enum AdhocError {
    /// Its state directory.
    #[error("the folder {} cannot be used", .path.display())]
    Folder {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What a run needs.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its state directory is somebody else's.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A step of its life.
    #[error("the run could not be taken to its end")]
    Life(#[source] Box<LifeError>),
    /// Something of it may still go on, after this.
    #[error("the run may still go on; what it has is in {}, and `dispatch gc` removes it after `limits.keep_days`", .kept.display())]
    Left {
        /// Its state directory, which is kept.
        kept: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<AdhocError>,
    },
    /// Its log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The backend, or the secret provider, does not take it now.
    #[error("it could not be launched: {message}")]
    NotLaunched {
        /// Why.
        message: String,
    },
}

/// A run of a file, ready to begin.
#[derive(Debug)]
pub struct Adhoc {
    world: World,
    run: RunId,
    key: Option<LaunchKey>,
    folder: TempDir,
    /// Held as long as this process is there to look after the run.
    _lock: StateLock,
}

impl Adhoc {
    /// Makes its state directory and its journal, and records what was admitted.
    ///
    /// # Errors
    /// [`AdhocError`].
    pub async fn prepare(
        config: &Config,
        surroundings: Surroundings,
        admitted: Box<Admitted>,
    ) -> Result<Self, AdhocError> {
        let path = config.state_dir.join(FOLDER);
        let failed = |source| AdhocError::Folder { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&path).map_err(failed)?;
        let lock =
            StateLock::take(folder.path(), &format!("`dispatch once --action`, process {}", std::process::id()))?;
        DirBuilder::new().mode(0o700).create(folder.path().join("logs")).map_err(failed)?;
        let config = Config { state_dir: folder.path().to_owned(), ..config.clone() };
        let journal = Journal::open(&folder.path().join(JOURNAL), Arc::clone(&surroundings.clock))?;
        let world = start::world(&config, &journal, surroundings, Tenure::unlimited())?;
        let run = RunId::new(admitted.id.clone(), 1);
        let request = Request {
            path: format!("{}/{}.toml", config.ops.actions, admitted.id),
            blob: admitted.blob.clone(),
            mode: "100644".to_owned(),
            head: admitted.head.clone(),
            // The folder's name is random, and others have such folders too.
            occasion: Some(format!("{} {} {}", world.dispatcher.host, world.clock.now(), folder.path().display())),
        };
        let key = journal.step(&run, Step::See { request, asked_by: None }).await?.launch_key();
        journal.step(&run, Step::Admit { admitted }).await?;
        Ok(Self { world, run, key, folder, _lock: lock })
    }

    /// Runs it, and hands what it prints to `print` as it comes. When `interrupt` is over, the run is cancelled and its end is
    /// waited for.
    ///
    /// # Errors
    /// [`AdhocError`].
    pub async fn drive(
        mut self,
        interrupt: impl Future<Output = ()>,
        mut print: impl FnMut(&[u8]),
    ) -> Result<Run, AdhocError> {
        let error = match self.whole(interrupt, &mut print).await {
            Ok(run) => return Ok(run),
            Err(error) => error,
        };
        match self.end().await {
            Ok(()) => Err(error),
            Err(still_there) => {
                tracing::warn!(run = %self.run, "not ended: {}", chain::words(&still_there));
                self.folder.disable_cleanup(true);
                Err(AdhocError::Left { kept: self.folder.path().to_owned(), source: Box::new(error) })
            }
        }
    }

    async fn whole(
        &self,
        interrupt: impl Future<Output = ()>,
        print: &mut impl FnMut(&[u8]),
    ) -> Result<Run, AdhocError> {
        if let Driven::Returned { message, .. } = self.to_its_end(interrupt, print).await? {
            return Err(AdhocError::NotLaunched { message });
        }
        let run = self.row().await?;
        clear_up(&self.world, &run).await.map_err(stuck)?;
        Ok(run)
    }

    /// Removes what the launch made, after an error; a run that is not over is asked to stop, and stays.
    async fn end(&self) -> Result<(), BackendError> {
        // Not by its id: an action of the ops repo may bear the same one.
        let is_this = |found: &Listed| Some(&found.key) == self.key.as_ref();
        for backend in self.world.backends.values() {
            for found in backend.list().await?.into_iter().filter(is_this) {
                backend.cancel(&found.handle).await?;
                backend.remove(&found.handle).await?;
            }
        }
        Ok(())
    }

    async fn to_its_end(
        &self,
        interrupt: impl Future<Output = ()>,
        print: &mut impl FnMut(&[u8]),
    ) -> Result<Driven, AdhocError> {
        let (cancel, detach) = (watch::Sender::new(false), watch::Sender::new(false));
        let mut wishes = Wishes { stop: cancel.subscribe(), detach: detach.subscribe() };
        let mut tail = Tail::new(self)?;
        let mut driving = std::pin::pin!(drive(&self.world, &self.run, 0, None, &mut wishes));
        let mut interrupt = std::pin::pin!(interrupt);
        let driven = loop {
            tokio::select! {
                driven = &mut driving => break driven,
                () = &mut interrupt, if !*cancel.borrow() => {
                    let wish = Step::Stop { cause: StopCause::Operator, by: None };
                    // A run that is over by now is not stopped; either way its row says how to go on.
                    match self.world.journal.step(&self.run, wish).await {
                        Ok(_) | Err(JournalError::Illegal { .. }) => drop(cancel.send_replace(true)),
                        Err(error) => return Err(error.into()),
                    }
                }
                () = tail.changed.changed() => tail.print(Part::WholeLines, print)?,
            }
        };
        tail.print(Part::All, print)?;
        driven.map_err(stuck)
    }

    async fn row(&self) -> Result<Run, AdhocError> {
        let row = self.world.journal.run(&self.run).await?;
        row.ok_or_else(|| JournalError::NoSuchRun(self.run.clone()).into())
    }
}

fn stuck(error: LifeError) -> AdhocError {
    AdhocError::Life(Box::new(error))
}

/// The log of the run while it grows.
struct Tail<'a> {
    adhoc: &'a Adhoc,
    reader: Option<LogReader>,
    changed: Watched,
    _watcher: Watcher,
}

impl<'a> Tail<'a> {
    fn new(adhoc: &'a Adhoc) -> Result<Self, AdhocError> {
        let logs = adhoc.folder.path().join("logs");
        let failed = |source| AdhocError::Folder { path: logs.clone(), source };
        let watcher = Watcher::new().map_err(failed)?;
        let changed = watcher.watch(&logs).map_err(failed)?;
        Ok(Self { adhoc, reader: None, changed, _watcher: watcher })
    }

    fn print(&mut self, part: Part, print: &mut impl FnMut(&[u8])) -> Result<(), AdhocError> {
        let logs = &self.adhoc.world.logs;
        if self.reader.is_none() && logs.path(&self.adhoc.run).exists() {
            self.reader = Some(logs.read(&self.adhoc.run)?);
        }
        let Some(reader) = &mut self.reader else { return Ok(()) };
        loop {
            let bytes = reader.read(part)?;
            if bytes.is_empty() {
                return Ok(());
            }
            print(&bytes);
        }
    }
}
