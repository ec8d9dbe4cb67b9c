//! What is wrong with the configuration, together with the texts in which it is wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::Serialize;

use super::remote::mask;
use crate::support::diagnostic::{Color, Diagnostic, Severity, position, render};

/// Why there is no configuration to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config file {path}, named by {named_by}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// `--config`, `DISPATCH_CONFIG`, or the search.
        named_by: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in it is wrong; the report says all of it.
    #[error("the configuration does not hold: {0}")]
    Invalid(Report),
}

/// One text with what is wrong in it: the file, an environment variable, a flag.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    /// The file's path, `environment`, or `command line`.
    pub(super) name: String,
    /// The text, credentials in URLs overwritten.
    text: String,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Page {
    pub(super) fn new(name: impl Into<String>, text: &str) -> Self {
        Self { name: name.into(), text: mask(text), diagnostics: Vec::new() }
    }

    /// Overwrites a part that must not be shown.
    pub(super) fn hide(&mut self, span: std::ops::Range<usize>) {
        let stars: String = self
            .text
            .get(span.clone())
            .unwrap_or_default()
            .bytes()
            .map(|b| if b == b'\n' { '\n' } else { '*' })
            .collect();
        if stars.len() == span.len() {
            self.text.replace_range(span, &stars);
        }
    }
}

/// All that is wrong, by the texts in which it is.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub(super) pages: Vec<Page>,
}

/// One entry of a report, for tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The file's path, `environment`, or `command line`.
    pub place: String,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The character in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Report {
    /// For people: each with its place, text, cause and fix.
    pub fn render(&self, color: Color) -> String {
        let pages: Vec<String> = self
            .pages
            .iter()
            .filter(|page| !page.diagnostics.is_empty())
            .map(|page| {
                let mut sorted: Vec<&Diagnostic> = page.diagnostics.iter().collect();
                sorted.sort_by_key(|diagnostic| diagnostic.span.as_ref().map(|span| span.start));
                render(&page.name, &page.text, sorted, color)
            })
            .collect();
        pages.join("\n")
    }

    /// For tools.
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |page: &Page, diagnostic: &Diagnostic| {
            let at = diagnostic.span.as_ref().map(|span| position(&page.text, span.start));
            Entry {
                place: page.name.clone(),
                line: at.map(|at| at.line),
                column: at.map(|at| at.column),
                message: diagnostic.message.clone(),
                help: diagnostic.help.clone(),
            }
        };
        self.pages.iter().flat_map(|page| page.diagnostics.iter().map(move |d| entry(page, d))).collect()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.pages.iter().all(|page| page.diagnostics.is_empty())
    }

    pub(super) fn has_errors(&self) -> bool {
        self.pages.iter().flat_map(|page| &page.diagnostics).any(|d| d.severity == Severity::Error)
    }

    /// Only its errors, or only its warnings.
    pub(super) fn only(mut self, severity: Severity) -> Self {
        for page in &mut self.pages {
            page.diagnostics.retain(|diagnostic| diagnostic.severity == severity);
        }
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pages.iter().map(|page| page.diagnostics.len()).sum() {
            1 => f.write_str("1 mistake"),
            count => write!(f, "{count} mistakes"),
        }
    }
}
