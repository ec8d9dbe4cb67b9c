//! `dispatch completions SHELL`

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::args::{Cli, CompletionsArgs};
use super::error::CliError;
use super::invocation::Invocation;

/// Prints the completion script.
///
/// # Errors
/// Stdout cannot be written.
pub fn run(args: &CompletionsArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dispatch", &mut script);
    invocation.output.raw(&script)?;
    Ok(ExitCode::SUCCESS)
}
