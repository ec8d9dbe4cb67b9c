//! What a verb says: text for people, one JSON document for tools, progress on a terminal. The only writer of stdout.

use std::fmt::Debug;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use anstyle::Style;
use clap::ValueEnum;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use super::error::CliError;
use crate::support::diagnostic::Color;
use crate::support::text::one_line;

/// The version of the JSON envelope.
pub const ENVELOPE: u32 = 1;

/// Who reads the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// People.
    #[default]
    Text,
    /// Tools: one JSON document.
    Json,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Paint {
    /// No escape sequence at all.
    #[default]
    Plain,
    /// With colours.
    Colored,
}

impl Paint {
    /// For a stream, by the person's wish.
    pub fn of<S: anstream::stream::RawStream>(when: When, stream: &S) -> Self {
        let colored = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never,
        };
        if colored { Self::Colored } else { Self::Plain }
    }

    /// `text` in `style`. The text must be ours or escaped.
    pub fn apply(self, style: Style, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colored => format!("{style}{text}{style:#}"),
        }
    }

    /// The same choice for diagnostics.
    pub fn color(self) -> Color {
        match self {
            Self::Plain => Color::Never,
            Self::Colored => Color::Always,
        }
    }
}

/// How text is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Colours or none.
    pub paint: Paint,
    /// Columns that a table may take: the terminal's. Without one, nothing is wrapped: each row stays one line for `grep`.
    pub width: Option<u16>,
}

impl Look {
    /// As a pipe gets it: without colours, each row on one line.
    pub const PLAIN: Self = Self { paint: Paint::Plain, width: None };

    /// For a block that is indented by two.
    #[must_use]
    pub fn inset(self) -> Self {
        Self { width: self.width.map(|width| width.saturating_sub(2)), ..self }
    }

    /// Of a table, the columns that fit on the terminal: those in `spare`, counted from 0, are left out one after the other, until the
    /// rest fits. A pipe gets all of them.
    pub fn fitting(self, rows: &[Vec<String>], header: &[&str], spare: &[usize]) -> Vec<usize> {
        let width_of = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(String::as_str);
            let cells = cells.chain(header.get(column).copied());
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default() + 2
        };
        let mut kept: Vec<usize> = (0..header.len()).collect();
        let Some(width) = self.width else { return kept };
        for column in spare {
            if kept.iter().map(|column| width_of(*column)).sum::<usize>() <= usize::from(width) + 1 {
                break;
            }
            kept.retain(|one| one != column);
        }
        kept
    }

    /// A table with `header`; cells are escaped, so that no name from a repo drives the terminal. An empty list of rows gives
    /// `nothing` instead.
    pub fn table(self, header: &[&str], rows: Vec<Vec<String>>, nothing: &str) -> String {
        if rows.is_empty() {
            return format!("{nothing}\n");
        }
        let mut table = Table::new();
        // Columns by white space alone: what `grep`, `awk` and a narrow terminal take best.
        table.load_style(presets::NOTHING).force_no_tty();
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table.set_header(header.iter().map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| one_line(cell).into_owned()));
        }
        let first_width = table.column_max_content_widths().first().copied().unwrap_or_default();
        if let Some(first) = table.column_mut(0) {
            first.set_padding((0, 1));
            // What people copy from here is not broken into pieces.
            if self.width.is_some_and(|width| first_width <= width / 2) {
                first.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table.lines().fold(String::new(), |out, line| out + line.trim_end() + "\n")
    }
}

/// Where a verb writes.
pub struct Output {
    format: Format,
    look: Look,
    stdout: Box<dyn Write>,
}

impl Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("format", &self.format).field("look", &self.look).finish_non_exhaustive()
    }
}

impl Output {
    /// To the process's own stdout.
    pub fn stdout(format: Format, when: When) -> Self {
        let stdout = io::stdout();
        let terminal =
            rustix::termios::tcgetwinsize(&stdout).ok().map(|size| size.ws_col).filter(|columns| *columns > 0);
        let look = Look { paint: Paint::of(when, &stdout), width: terminal };
        Self { format, look, stdout: Box::new(io::BufWriter::new(stdout)) }
    }

    /// Who reads.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How text is laid out.
    pub fn look(&self) -> Look {
        self.look
    }

    /// Says the outcome of a verb: `data` in the envelope for tools, or the text that `words` makes for people.
    ///
    /// # Errors
    /// Stdout cannot be written; a reader that has gone is [`super::error::Kind::ReaderGone`].
    pub fn say<T: Serialize>(
        &mut self,
        kind: &str,
        data: &T,
        words: impl FnOnce(Look) -> String,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Json => self.json(&json!({ "dispatch": ENVELOPE, "kind": kind, "data": data })),
            Format::Text => self.raw(words(self.look).as_bytes()),
        }
    }

    /// Says that a verb failed, to tools; people read it on stderr.
    ///
    /// # Errors
    /// As for [`Self::say`].
    pub fn say_error(&mut self, error: &CliError) -> Result<(), CliError> {
        self.json(&json!({ "dispatch": ENVELOPE, "kind": "error", "error": error.to_json() }))
    }

    fn json(&mut self, document: &serde_json::Value) -> Result<(), CliError> {
        self.raw(format!("{document}\n").as_bytes())
    }

    /// Writes bytes as they are: completions, the manual, logs already escaped.
    ///
    /// # Errors
    /// As for [`Self::say`].
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.stdout.write_all(bytes)?;
        Ok(self.stdout.flush()?)
    }

    /// A line about a long wait, redrawn in place: on a terminal, for people; else nothing is shown.
    pub fn progress(&self, message: &str) -> ProgressBar {
        if self.format == Format::Json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_message(one_line(message).into_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

/// Writes to stderr for people. That stderr is closed is no reason to fail.
pub fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gets_each_row_on_one_line_and_a_terminal_rows_that_fit() {
        let rows = || vec![vec!["name".to_owned(), "word ".repeat(60)]];
        assert_eq!(Look::PLAIN.table(&["a", "b"], rows(), "").lines().count(), 2);
        let narrow = Look { width: Some(40), ..Look::PLAIN }.table(&["a", "b"], rows(), "");
        assert!(narrow.lines().count() > 5 && narrow.lines().all(|line| line.len() <= 40), "{narrow}");
    }

    #[test]
    fn on_a_narrow_terminal_the_first_column_is_not_broken() {
        let rows = || vec![vec!["a-name-of-twenty-char".to_owned(), "word ".repeat(60), "more ".repeat(60)]];
        let narrow = Look { width: Some(60), ..Look::PLAIN }.table(&["a", "b", "c"], rows(), "");
        assert!(narrow.contains("\na-name-of-twenty-char "), "{narrow}");
    }

    #[test]
    fn a_cell_with_a_line_break_stays_one_row() {
        let table = Look::PLAIN.table(&["a"], vec![vec!["one\ntwo".to_owned()]], "");
        assert_eq!(table, "A\none\\ntwo\n");
    }
}
