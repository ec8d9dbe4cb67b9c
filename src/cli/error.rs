//! Errors become words here and nowhere else: what failed, where, why (each cause once), and the next step.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Value, json};

use super::output::Paint;
use crate::action::result::ResultState;
use crate::config::ConfigError;
use crate::config::error::Entry;
use crate::support::control::{Code, Refusal};
use crate::support::diagnostic::Color;
use crate::support::text::{block, one_line};

/// What kind of failure; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The run failed, or the command could not do what was asked.
    Failed,
    /// Wrong arguments or a wrong configuration.
    Usage,
    /// The action is not admitted.
    Rejected,
    /// The dispatcher, the ops repo or a backend cannot be reached.
    Unreachable,
    /// It took longer than it may.
    TimedOut,
    /// Another dispatcher leads, or may by now.
    NotLeading,
    /// A person interrupted it.
    Interrupted,
    /// The reader of our output has gone, as `head` does. No failure.
    ReaderGone,
}

impl Kind {
    /// The exit code, as documented in `--help` and `docs/cli.md`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Rejected => 3,
            Self::Unreachable => 4,
            Self::TimedOut => 5,
            Self::NotLeading => 6,
            Self::Interrupted => 130,
        }
    }

    /// That of the end of a run; `None`: it succeeded.
    pub fn of(state: ResultState) -> Option<Self> {
        match state {
            ResultState::Succeeded => None,
            ResultState::TimedOut => Some(Self::TimedOut),
            ResultState::Rejected => Some(Self::Rejected),
            ResultState::Failed | ResultState::Cancelled | ResultState::NotStarted | ResultState::Lost => {
                Some(Self::Failed)
            }
        }
    }

    /// The stable word for tools.
    pub fn code(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::NotLeading => "not_leading",
            Self::Interrupted => "interrupted",
            Self::ReaderGone => "reader_gone",
        }
    }
}

/// A failure of a verb, for people.
#[derive(Debug)]
pub struct CliError {
    kind: Kind,
    // Boxed, so that every `Result` of a verb stays small.
    words: Box<Words>,
}

/// What is said about a failure.
#[derive(Debug, Serialize)]
struct Words {
    code: &'static str,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    place: Option<String>,
    #[serde(rename = "details", skip_serializing_if = "Vec::is_empty")]
    entries: Vec<Entry>,
    /// The entries as they are shown to people.
    #[serde(skip)]
    report: String,
}

impl CliError {
    /// A failure with one sentence about it.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let words = Words {
            code: kind.code(),
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            place: None,
            entries: Vec::new(),
            report: String::new(),
        };
        Self { kind, words: Box::new(words) }
    }

    /// A failure that came up from below: the error's own text, and the chain of its sources as causes.
    pub fn from_error(kind: Kind, error: &dyn Error) -> Self {
        Self::new(kind, error.to_string()).caused_by_chain(error.source())
    }

    /// With where it happened: a file, a remote, a socket.
    #[must_use]
    pub fn place(mut self, place: impl Display) -> Self {
        self.words.place = Some(place.to_string());
        self
    }

    /// With the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.words.hint = Some(hint.into());
        self
    }

    /// With `error` and everything behind it as causes.
    #[must_use]
    pub fn caused_by(self, error: &dyn Error) -> Self {
        self.caused_by_chain(Some(error))
    }

    /// A text that an outer error has already quoted is not said again.
    fn caused_by_chain(mut self, first: Option<&dyn Error>) -> Self {
        for error in std::iter::successors(first, |error: &&dyn Error| (*error).source()) {
            let text = error.to_string();
            let said = self.words.causes.last().unwrap_or(&self.words.message);
            if !said.contains(&text) {
                self.words.causes.push(text);
            }
        }
        self
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// For people, ending with a newline.
    pub fn to_text(&self, paint: Paint) -> String {
        let words = &self.words;
        let mut out = if words.report.is_empty() { String::new() } else { format!("{}\n", words.report) };
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let _ = writeln!(out, "{} {}", paint.apply(red, "error:"), block(&words.message));
        let lines = words.place.iter().map(|text| ("place", text));
        let lines = lines.chain(words.causes.iter().map(|text| ("cause", text)));
        for (name, text) in lines.chain(words.hint.iter().map(|text| ("hint", text))) {
            let _ = writeln!(out, "  {} {}", paint.apply(Style::new().bold(), &format!("{name}:")), one_line(text));
        }
        out
    }

    /// For tools: what stands under `error` in the envelope.
    pub fn to_json(&self) -> Value {
        json!(self.words)
    }

    /// With mistakes in files: as people see them, and as entries for tools.
    #[must_use]
    pub fn report(mut self, shown: String, entries: Vec<Entry>) -> Self {
        self.words.report = shown;
        self.words.entries = entries;
        self
    }

    /// A configuration that does not hold; `color` for its marked places.
    pub fn from_config(error: &ConfigError, color: Color) -> Self {
        match error {
            ConfigError::Unreadable { .. } => {
                Self::from_error(Kind::Usage, error).hint("check the path and its permissions")
            }
            ConfigError::Invalid(report) => {
                let words = Self::new(Kind::Usage, error.to_string());
                let words =
                    words.hint("`docs/configuration.md` lists every key; `dispatch schema config` is for editors");
                words.report(report.render(color), report.entries())
            }
        }
    }
}

/// Writing our own output failed.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Kind::ReaderGone, "the reader of the output has gone"),
            _ => Self::new(Kind::Failed, "cannot write the output").caused_by(&error),
        }
    }
}

/// The dispatcher said no.
impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        let words = Self::new(Kind::Failed, refusal.message);
        match refusal.code {
            Code::NotFound => words.hint("`dispatch list` shows what there is"),
            Code::Conflict => words.hint("`dispatch show ID` tells its state"),
            Code::UnsupportedVersion => words.hint("the running dispatcher is of another version: restart it"),
            Code::BadRequest | Code::Internal => words.hint("the dispatcher's own log says more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot fetch")]
    struct Fetch(#[source] io::Error);

    #[test]
    fn each_cause_is_said_once_and_the_next_step_last() {
        let error = Fetch(io::Error::other("no route to host"));
        let words = CliError::from_error(Kind::Unreachable, &error).place("https://forge.example").hint("try again");
        insta::assert_snapshot!(words.to_text(Paint::Plain), @r"
        error: cannot fetch
          place: https://forge.example
          cause: no route to host
          hint: try again
        ");
        let wrapped =
            CliError::new(Kind::Failed, "it: no route to host").caused_by(&io::Error::other("no route to host"));
        assert!(wrapped.words.causes.is_empty(), "what was said is not said again");
    }

    #[test]
    fn an_error_cannot_drive_the_terminal() {
        let words = CliError::new(Kind::Failed, "bad \u{1b}[2J").place("\u{202e}x").to_text(Paint::Plain);
        assert!(!words.contains(['\u{1b}', '\u{202e}']), "{words:?}");
    }

    #[test]
    fn the_exit_codes_are_those_of_the_documentation() {
        let codes = [Kind::Failed, Kind::Usage, Kind::Rejected, Kind::Unreachable, Kind::TimedOut, Kind::NotLeading];
        assert_eq!(codes.map(Kind::exit_code), [1, 2, 3, 4, 5, 6]);
        assert_eq!(Kind::Interrupted.exit_code(), 130);
    }
}
