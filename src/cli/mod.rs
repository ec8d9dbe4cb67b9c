//! The command line.

mod runner;
mod supervise;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "dispatch", version, about)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs one run, inside its job.
    Runner(runner::RunnerArgs),
    /// Redaction of values minted by a formula.
    #[command(subcommand)]
    Redact(runner::RedactCommand),
    /// Keeps one run of the local backend.
    #[command(hide = true)]
    LocalSupervise(supervise::SuperviseArgs),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    match Command::parse().verb {
        Verb::Runner(arguments) => ExitCode::from(u8::try_from(arguments.run()).unwrap_or(u8::MAX)),
        Verb::Redact(command) => code(command.run()),
        Verb::LocalSupervise(arguments) => code(arguments.run()),
    }
}

fn code(outcome: Result<(), impl Error>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}\n  because: {inner}");
        cause = inner.source();
    }
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}
