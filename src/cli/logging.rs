//! What the process says about itself, on stderr: lines for people, JSON for collectors.
//!
//! `DISPATCH_LOG` filters as `tracing` does (`info`, `dispatch::ops=debug,warn`); `-v` raises the level where it is not set.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::error::{CliError, Kind};
use super::output::{Paint, When};

/// Libraries that say nothing unless a filter names one of their modules: what they log of a request is said better by ours, and
/// their errors may carry whole answers.
const QUIET: [&str; 2] = ["rustify=off", "vaultrs=off"];

/// The form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What decides how much is logged.
#[derive(Debug, Clone, Copy)]
pub struct Logging<'a> {
    /// `DISPATCH_LOG`.
    pub filter: Option<&'a str>,
    /// The level where there is no filter.
    pub level: LevelFilter,
    /// The form.
    pub format: LogFormat,
    /// Colours, for people.
    pub color: When,
}

impl Logging<'_> {
    /// Begins to log. Called once, before anything else runs.
    ///
    /// # Errors
    /// `DISPATCH_LOG` is not a filter.
    pub fn start(self) -> Result<(), CliError> {
        let filter = match self.filter {
            Some(text) => EnvFilter::try_new(text).map_err(|error| {
                let words = CliError::new(Kind::Usage, "DISPATCH_LOG is not a filter").caused_by(&error);
                words.place("environment DISPATCH_LOG").hint("write `debug`, or `dispatch::ops=debug,warn`")
            })?,
            None => EnvFilter::default().add_directive(self.level.into()),
        };
        let filter = QUIET.iter().filter_map(|directive| directive.parse().ok()).fold(filter, EnvFilter::add_directive);
        let base = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_span_events(FmtSpan::NONE);
        // A second start (tests in one process) keeps the first.
        let _ = match self.format {
            LogFormat::Json => base.json().flatten_event(true).try_init(),
            LogFormat::Text => base.with_ansi(Paint::of(self.color, &std::io::stderr()) == Paint::Colored).try_init(),
        };
        Ok(())
    }
}

/// The level that goes with so many `-v`, from the verb's own.
pub fn level(verbosity: u8, quietest: LevelFilter) -> LevelFilter {
    match verbosity {
        0 => quietest,
        1 => LevelFilter::DEBUG.max(quietest),
        _ => LevelFilter::TRACE,
    }
}
