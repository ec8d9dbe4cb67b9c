//! `dispatch schema KIND`: JSON schemas for editors and checks. Not in the envelope: the output is the schema itself.

use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::args::SchemaArgs;
use super::error::{CliError, Kind};
use super::invocation::Invocation;
use crate::action::schema::{SchemaKind, schema};

impl ValueEnum for SchemaKind {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.file()))
    }
}

/// Prints the schema.
///
/// # Errors
/// Stdout cannot be written.
pub fn run(args: &SchemaArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let mut text = serde_json::to_string_pretty(&schema(args.kind))
        .map_err(|error| CliError::new(Kind::Failed, "cannot write the schema").caused_by(&error))?;
    text.push('\n');
    invocation.output.raw(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
