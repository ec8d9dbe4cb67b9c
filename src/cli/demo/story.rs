//! Tells the events of the journal as they are recorded, a line for each, with the evidence below it.

use anstyle::{AnsiColor, Style};
use rusqlite::Connection;
use serde::Serialize;

use super::super::error::CliError;
use super::super::output::{Format, Look, Output};
use super::stopped;
use crate::run::journal::chain::Event;
use crate::run::journal::read;
use crate::run::step::Step;
use crate::run::story::words;
use crate::support::text::one_line;

/// One event, told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    /// Its number in the journal.
    number: i64,
    /// When.
    at: String,
    /// The run.
    run: String,
    /// The kind of step, as in the journal.
    step: String,
    /// What happened, in words.
    words: String,
    /// The evidence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<String>,
}

impl Told {
    /// Whether it is a step of this kind in a run of this action.
    pub(super) fn is(&self, action: &str, kind: &str) -> bool {
        self.step == kind && self.run.split_once('@').is_some_and(|(of, _)| of == action)
    }
}

/// Follows the journal and tells what it says.
pub(super) struct Story<'a> {
    journal: Connection,
    output: &'a mut Output,
    seen: i64,
    told: Vec<Told>,
}

impl<'a> Story<'a> {
    /// Of a journal opened for reading.
    pub(super) fn new(journal: Connection, output: &'a mut Output) -> Self {
        Self { journal, output, seen: 0, told: Vec::new() }
    }

    /// Tells what was recorded since the last time.
    ///
    /// # Errors
    /// The journal cannot be read, or stdout cannot be written.
    pub(super) fn go_on(&mut self) -> Result<(), CliError> {
        for event in read::events_since(&self.journal, self.seen).map_err(|error| stopped(&error))? {
            self.seen = event.seq;
            let Some(told) = tell(&event) else { continue };
            let look = self.output.look();
            text(self.output, &shown(&told, look))?;
            self.told.push(told);
        }
        Ok(())
    }

    /// Everything that was told.
    pub(super) fn told(self) -> Vec<Told> {
        self.told
    }
}

/// An event in words; `None` for one that belongs to no run.
fn tell(event: &Event) -> Option<Told> {
    let step: Step = serde_json::from_str(&event.data).ok()?;
    let evidence = match &step {
        Step::Admit { admitted } => admitted.evidence.clone(),
        _ => Vec::new(),
    };
    let Event { seq: number, at, run, kind, .. } = event;
    Some(Told { number: *number, at: at.clone(), run: run.clone(), step: kind.clone(), words: words(&step), evidence })
}

fn shown(told: &Told, look: Look) -> String {
    let color = match told.step.as_str() {
        "admit" | "publish" => AnsiColor::Green,
        "reject" => AnsiColor::Red,
        "hold" => AnsiColor::Yellow,
        _ => AnsiColor::Cyan,
    };
    let run = look.paint.apply(Style::new().fg_color(Some(color.into())), &format!("{:<18}", one_line(&told.run)));
    let line = format!("  {run} {}\n", one_line(&told.words));
    let dim = |text: &str| look.paint.apply(Style::new().dimmed(), &one_line(text));
    told.evidence.iter().fold(line, |out, text| out + &format!("{:21}- {}\n", "", dim(text)))
}

/// A heading of the story. Tools get one document at the end, so for them nothing is told.
///
/// # Errors
/// Stdout cannot be written.
pub(super) fn heading(output: &mut Output, words: &str) -> Result<(), CliError> {
    let bold = output.look().paint.apply(Style::new().bold(), words);
    text(output, &format!("\n{bold}\n"))
}

/// Lines of the story.
///
/// # Errors
/// Stdout cannot be written.
pub(super) fn lines(output: &mut Output, lines: &[String]) -> Result<(), CliError> {
    let all = lines.iter().fold(String::new(), |out, line| out + &format!("  {}\n", one_line(line)));
    text(output, &all)
}

fn text(output: &mut Output, text: &str) -> Result<(), CliError> {
    match output.format() {
        Format::Json => Ok(()),
        Format::Text => output.raw(text.as_bytes()),
    }
}
