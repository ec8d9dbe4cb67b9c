//! The ops repo: results by path. A push may be refused, and its answer may be lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::chance::Chance;

/// What stands on the primary branch. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    chance: Chance,
    files: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Remote {
    pub(crate) fn new(chance: Chance) -> Self {
        Self { chance, files: Arc::default() }
    }

    /// The file at `path`.
    pub(crate) fn file(&self, path: &str) -> Option<String> {
        self.files.lock().unwrap().get(path).cloned()
    }

    /// Writes `files` as one commit; an error says nothing of whether that happened.
    pub(crate) async fn push(&self, files: BTreeMap<String, String>) -> Result<(), &'static str> {
        self.chance.pause().await;
        if self.chance.trouble(15) {
            return Err("the push was refused");
        }
        self.files.lock().unwrap().extend(files);
        self.chance.pause().await;
        if self.chance.trouble(15) { Err("the answer to the push is lost") } else { Ok(()) }
    }
}
