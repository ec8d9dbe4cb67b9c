//! The verbs that no person types: those that run inside a job, and the supervisor of the local backend. They stand apart from
//! the others, since they read no configuration, start no log and must be up within milliseconds.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{output, runner, supervise};

#[derive(Debug, Parser)]
#[command(name = "dispatch", version)]
struct Inside {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs one run, inside its job.
    Runner(runner::RunnerArgs),
    /// Redaction of values that a formula has just made.
    #[command(subcommand)]
    Redact(runner::RedactCommand),
}

/// Runs the verb if it is one of these.
pub(super) fn run(arguments: &[OsString]) -> Option<ExitCode> {
    let verb = arguments.get(1)?;
    if verb == supervise::VERB {
        return Some(supervise::run(arguments.iter().skip(2).cloned()));
    }
    if verb != "runner" && verb != "redact" {
        return None;
    }
    Some(match Inside::try_parse_from(arguments) {
        Ok(Inside { verb: Verb::Runner(arguments) }) => {
            ExitCode::from(u8::try_from(arguments.run()).unwrap_or(u8::MAX))
        }
        Ok(Inside { verb: Verb::Redact(command) }) => match command.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                output::complain(&format!("error: {error}"));
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    })
}
