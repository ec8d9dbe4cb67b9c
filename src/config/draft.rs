//! The configuration while it is being put together: the values so far, where each came from, and what is wrong.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::{Page, Report};
use super::leaf::Wrong;
use super::load::Origin;
use crate::support::diagnostic::{Diagnostic, Severity};

/// Where a key was set.
#[derive(Debug, Clone)]
pub(super) struct Place {
    page: usize,
    span: Range<usize>,
    pub(super) origin: Origin,
}

/// What relative paths and `credential:NAME` are relative to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bases<'a> {
    pub(super) folder: &'a Path,
    pub(super) credentials: Option<&'a Path>,
}

/// Values, places and mistakes so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) tree: Map<String, Value>,
    pub(super) places: BTreeMap<String, Place>,
    pages: Vec<Page>,
}

impl Draft {
    /// Adds a text in which things can be wrong.
    pub(super) fn add_page(&mut self, page: Page) -> usize {
        self.pages.push(page);
        self.pages.len() - 1
    }

    pub(super) fn page(&mut self, page: usize) -> Option<&mut Page> {
        self.pages.get_mut(page)
    }

    pub(super) fn note(&mut self, page: usize, diagnostic: Diagnostic) {
        if let Some(page) = self.pages.get_mut(page) {
            page.diagnostics.push(diagnostic);
        }
    }

    /// Remembers where `key` was set.
    pub(super) fn place(&mut self, key: &str, page: usize, span: Range<usize>, origin: Origin) {
        self.places.insert(key.to_owned(), Place { page, span, origin });
    }

    /// Notes that the value of `key` is wrong, where it was set, or at the nearest table around it.
    pub(super) fn complain(&mut self, key: &str, severity: Severity, wrong: Wrong) {
        let place = ancestors(key).find_map(|key| self.places.get(key)).cloned();
        let (page, span) = match place {
            Some(place) => (place.page, Some(place.span)),
            None if self.pages.is_empty() => (self.add_page(Page::new("no config file was found", "")), None),
            None => (0, None),
        };
        self.note(page, diagnostic(span, severity, wrong));
    }

    /// The value of `key`, if anybody set it.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.tree.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// Sets `key`, making the tables around it.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        let (tables, last) = key.rsplit_once('.').map_or(("", key), |(tables, last)| (tables, last));
        let mut table = &mut self.tree;
        for part in tables.split('.').filter(|part| !part.is_empty()) {
            let slot = table.entry(part).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            match slot {
                Value::Object(inner) => table = inner,
                _ => return,
            }
        }
        table.insert(last.to_owned(), value);
    }

    pub(super) fn into_report(self) -> Report {
        Report { pages: self.pages }
    }

    pub(super) fn report(&self) -> Report {
        Report { pages: self.pages.clone() }
    }
}

/// `a.b.c`, `a.b`, `a`.
fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(key), |key| key.rsplit_once(['.', '[']).map(|(parent, _)| parent))
}

pub(super) fn diagnostic(span: Option<Range<usize>>, severity: Severity, wrong: Wrong) -> Diagnostic {
    Diagnostic { severity, message: wrong.message, span, help: wrong.help, ..Diagnostic::default() }
}
