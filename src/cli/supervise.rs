//! `dispatch local-supervise --dir DIR`: hidden; started by the local backend, one for each run.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::backend::local::{self, SuperviseError};

/// The name of the verb.
pub(super) const VERB: &str = "local-supervise";

/// Runs the verb. Its stderr is a file in the launch directory.
pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.skip_while(|argument| argument != "--dir").skip(1);
    let Some(dir) = arguments.next().map(PathBuf::from) else {
        let _ = writeln!(std::io::stderr(), "{VERB} is started by the local backend, as: {VERB} --dir DIR");
        return ExitCode::from(2);
    };
    match local::supervise(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn say(error: &SuperviseError) {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        let _ = writeln!(std::io::stderr(), "{inner}");
        cause = inner.source();
    }
}
