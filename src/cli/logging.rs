//! What the process says about itself, on stderr: lines for people, JSON for collectors.
//!
//! `DISPATCH_LOG` filters as `tracing` does (`info`, `dispatch::ops=debug,warn`); `-v` raises the level where it is not set.

use std::fmt;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FmtSpan, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::error::{CliError, Kind};
use super::output::{Paint, When};
use crate::support::clock::{Clock as _, SystemClock};

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
            LogFormat::Text => base
                .with_ansi(Paint::of(self.color, &std::io::stderr()) == Paint::Colored)
                .event_format(Lines)
                .try_init(),
        };
        Ok(())
    }
}

/// One line for each event: when, how grave, of which run or part, what.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let level = *event.metadata().level();
        let style = Style::new().fg_color(Some(match level {
            Level::ERROR => AnsiColor::Red.into(),
            Level::WARN => AnsiColor::Yellow.into(),
            Level::INFO => AnsiColor::Green.into(),
            _ => AnsiColor::Blue.into(),
        }));
        let paint = if out.has_ansi_escapes() { Paint::Colored } else { Paint::Plain };
        let time = SystemClock.now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let (time, level) = (paint.apply(Style::new().dimmed(), &time), paint.apply(style, &format!("{level:>5}")));
        let subject = said.subject.map(|subject| paint.apply(Style::new().bold(), &subject) + ": ").unwrap_or_default();
        writeln!(out, "{time} {level} {subject}{}{}", said.message, said.rest)
    }
}

/// The fields of an event, each on one line.
#[derive(Default)]
struct Said {
    subject: Option<String>,
    message: String,
    rest: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        // What git and others say may have several lines, of which some are empty.
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let text = lines.join("; ");
        match field.name() {
            "message" => self.message = text,
            "run" | "part" => self.subject = Some(text),
            name => self.rest.extend([" ", name, "=", &text]),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
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
