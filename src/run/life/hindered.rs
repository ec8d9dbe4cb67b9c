//! What a person should know of a run that cannot be ended as it should, and can do something about: shown while it lasts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::support::ids::RunId;

/// Why runs do not stop, in words, by run.
#[derive(Debug, Default)]
pub struct Hindered(Mutex<BTreeMap<RunId, String>>);

impl Hindered {
    fn held(&self) -> MutexGuard<'_, BTreeMap<RunId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, run: &RunId, words: String) {
        self.held().insert(run.clone(), words);
    }

    pub(super) fn clear(&self, run: &RunId) {
        self.held().remove(run);
    }

    /// A sentence for each.
    pub fn all(&self) -> Vec<String> {
        self.held().iter().map(|(run, words)| format!("{run} does not stop: {words}")).collect()
    }
}
