//! `dispatch schema KIND`: JSON schemas for editors and checks. Not in the envelope: the output is the schema itself.

use std::process::ExitCode;

use clap::ValueEnum;
use schemars::{Schema, schema_for};

use super::args::SchemaArgs;
use super::error::{CliError, Kind};
use super::invocation::Invocation;
use crate::action::result::ActionResult;
use crate::config::Config;

/// A file format with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// `dispatch.toml`
    Config,
    /// `<id>.result.json`
    Result,
}

impl Document {
    fn schema(self) -> Schema {
        match self {
            Self::Config => schema_for!(Config),
            Self::Result => schema_for!(ActionResult),
        }
    }
}

/// Prints the schema.
///
/// # Errors
/// Stdout cannot be written.
pub fn run(args: &SchemaArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let mut text = serde_json::to_string_pretty(&args.kind.schema())
        .map_err(|error| CliError::new(Kind::Failed, "cannot write the schema").caused_by(&error))?;
    text.push('\n');
    invocation.output.raw(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
