//! The command line.

mod runner;

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
}

/// Runs the command line.
pub fn main() -> ExitCode {
    match Command::parse().verb {
        Verb::Runner(arguments) => ExitCode::from(u8::try_from(arguments.run()).unwrap_or(u8::MAX)),
        Verb::Redact(command) => match command.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}
