//! What the verbs that read have in common: the journal, opened beside the dispatcher or without one, and the run that a person
//! named.

use std::path::Path;

use rusqlite::Connection;

use super::control::ask;
use super::error::{CliError, Kind};
use super::invocation::interruptible;
use super::view::StatusView;
use crate::dispatcher::start::JOURNAL;
use crate::run::journal::{JournalError, read, store};
use crate::run::record::Run;
use crate::support::control::{Command, Target};

/// Opens the journal of `state_dir` for reading.
///
/// # Errors
/// It is missing, empty, damaged, of a later format or somebody else's.
pub(super) fn open(state_dir: &Path) -> Result<Connection, CliError> {
    let path = state_dir.join(JOURNAL);
    if matches!(path.try_exists(), Ok(false)) {
        let words = CliError::new(Kind::Failed, "there is no journal in this state directory").place(path.display());
        return Err(
            words.hint("nothing has run here yet, or `state_dir` names another directory: `dispatch config show`")
        );
    }
    store::open_to_read(&path).map_err(|error| failed(&error).place(path.display()))
}

/// A journal that cannot be read, in words.
pub(super) fn failed(error: &JournalError) -> CliError {
    let words = CliError::from_error(Kind::Failed, error);
    match error {
        JournalError::Newer { .. } => words.hint("call the version of dispatch that serves this state directory"),
        JournalError::Unmade { .. } => words.hint("the next `dispatch run` or `dispatch once` sets it up"),
        JournalError::Open { .. } => words.hint("call this as the user that the dispatcher runs as"),
        _ => words
            .hint("`dispatch audit verify` looks through all of it; a dispatcher that starts sets a damaged one aside"),
    }
}

/// The run that `target` names; `None` where the journal has none.
///
/// # Errors
/// The journal cannot be read.
pub(super) fn find(journal: &Connection, target: &Target) -> Result<Option<Run>, CliError> {
    let found = match target {
        Target::Action(action) => read::latest(journal, action.as_str()),
        Target::Run(run) => read::run(journal, run),
    };
    found.map_err(|error| failed(&error))
}

/// That there is no run of that name.
pub(super) fn unknown(target: &Target) -> CliError {
    let words = CliError::new(Kind::Failed, format!("the journal knows no run `{target}`"));
    words.hint("`dispatch list` shows what there is; a file that was just merged is there after the next poll")
}

/// What the running dispatcher says of itself; `None` where none is running, or it says nothing of use.
///
/// # Errors
/// Only an interruption: the journal alone tells enough.
pub(super) fn status(state_dir: &Path) -> Result<Option<StatusView>, CliError> {
    match interruptible(ask(state_dir, &Command::Status)) {
        Ok(answer) => Ok(serde_json::from_value(answer).ok()),
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        Err(_) => Ok(None),
    }
}
