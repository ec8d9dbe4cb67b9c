//! One call of `dispatch`: its global flags, its environment, its configuration when asked for, and where it writes.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

use super::args::{Globals, Verb};
use super::error::{CliError, Kind};
use super::logging::{Logging, level};
use super::output::{Output, Paint, complain};
use crate::config::{Config, Loaded, Sources};

/// What every verb is handed.
#[derive(Debug)]
pub struct Invocation {
    /// The global flags.
    pub globals: Globals,
    /// Where it writes.
    pub output: Output,
    environment: BTreeMap<String, String>,
    working_directory: PathBuf,
}

impl Invocation {
    /// Reads what the process was given. Variables that are not UTF-8 name nothing of ours and are left out.
    ///
    /// # Errors
    /// The current folder is gone.
    pub fn new(globals: Globals, output: Output) -> Result<Self, CliError> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let working_directory = std::env::current_dir()
            .map_err(|error| CliError::new(Kind::Failed, "the current folder cannot be used").caused_by(&error))?;
        Ok(Self { globals, output, environment: std::env::vars_os().filter_map(text).collect(), working_directory })
    }

    /// Begins to log, as the flags and `DISPATCH_LOG` say.
    ///
    /// # Errors
    /// `DISPATCH_LOG` is not a filter.
    pub fn start_log(&self, verb: &Verb) -> Result<(), CliError> {
        let quietest = if matches!(verb, Verb::Run(_)) { LevelFilter::INFO } else { LevelFilter::WARN };
        Logging {
            filter: self.environment.get("DISPATCH_LOG").map(String::as_str).filter(|text| !text.is_empty()),
            level: level(self.globals.verbose, quietest),
            format: self.globals.log_format,
            color: self.globals.color,
        }
        .start()
    }

    /// Where configuration is looked for: also for loading it again on SIGHUP.
    pub fn sources(&self) -> Sources {
        Sources {
            config: self.globals.config.clone(),
            environment: self.environment.clone(),
            flags: self.globals.settings(),
            working_directory: self.working_directory.clone(),
        }
    }

    /// The configuration; its warnings go to stderr.
    ///
    /// # Errors
    /// It cannot be read or does not hold.
    pub fn load(&self) -> Result<Loaded, CliError> {
        let loaded = self.load_quietly()?;
        if !loaded.warnings.is_empty() {
            complain(&loaded.warnings.render(Paint::of(self.globals.color, &std::io::stderr()).color()));
        }
        Ok(loaded)
    }

    /// The configuration; its warnings are the caller's to show.
    ///
    /// # Errors
    /// It cannot be read or does not hold.
    pub fn load_quietly(&self) -> Result<Loaded, CliError> {
        let paint = Paint::of(self.globals.color, &std::io::stderr());
        let loaded = Config::load(&self.sources()).map_err(|error| CliError::from_config(&error, paint.color()))?;
        let file = loaded.file.as_deref().map(|path| path.display().to_string());
        tracing::debug!(file = file.as_deref().unwrap_or("none"), "configuration loaded");
        Ok(loaded)
    }

    /// The environment of this process.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// A path as the person meant it: relative to where they are.
    pub fn path(&self, given: &std::path::Path) -> PathBuf {
        self.working_directory.join(given)
    }
}

/// Runs `work` to its end on a runtime of its own; Ctrl-C and SIGTERM end it with [`Kind::Interrupted`], so that what it keeps in
/// temporary folders is removed. For all verbs but `run`, which handles its signals itself.
///
/// # Errors
/// Those of `work`, an interruption, or no runtime.
pub fn interruptible<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Kind::Failed, "cannot start the runtime").caused_by(&error))?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|error| CliError::new(Kind::Failed, "cannot listen for signals").caused_by(&error))?;
        tokio::select! {
            // First, so that the signals are listened for before the work has any effect.
            biased;
            _ = tokio::signal::ctrl_c() => Err(CliError::new(Kind::Interrupted, "interrupted")),
            _ = terminate.recv() => Err(CliError::new(Kind::Interrupted, "interrupted")),
            done = work => done,
        }
    })
}
