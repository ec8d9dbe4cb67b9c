//! The verbs that no person types: those that run inside a job, and the supervisor of the local backend. They stand apart from
//! the others, since they read no configuration, start no log and must be up within milliseconds.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{output, runner, supervise};
use crate::support::chain;

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
    /// Watches over one run of the local backend.
    LocalSupervise(supervise::SuperviseArgs),
}

/// Their names.
const VERBS: [&str; 3] = ["runner", "redact", "local-supervise"];

/// Runs the verb if it is one of these.
pub(super) fn run(arguments: &[OsString]) -> Option<ExitCode> {
    let verb = arguments.get(1)?;
    if !VERBS.iter().any(|name| verb == name) {
        return None;
    }
    Some(match Inside::try_parse_from(arguments) {
        Ok(Inside { verb }) => carry_out(verb),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    })
}

fn carry_out(verb: Verb) -> ExitCode {
    match verb {
        Verb::Runner(arguments) => ExitCode::from(u8::try_from(arguments.run()).unwrap_or(u8::MAX)),
        Verb::Redact(command) => done(command.run()),
        Verb::LocalSupervise(arguments) => done(arguments.run()),
    }
}

fn done(outcome: Result<(), impl Error + 'static>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("error: {}", chain::words(&error)));
            ExitCode::FAILURE
        }
    }
}
