//! `dispatch man`: the manual, made from the same definitions as `--help`.

use std::fs;
use std::process::ExitCode;

use clap::CommandFactory as _;

use super::args::{Cli, ManArgs};
use super::error::{CliError, Kind};
use super::invocation::Invocation;

/// Prints the page of `dispatch`, or writes one for each verb.
///
/// # Errors
/// The folder or stdout cannot be written.
pub fn run(args: &ManArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let command = Cli::command();
    let Some(folder) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        invocation.output.raw(&page)?;
        return Ok(ExitCode::SUCCESS);
    };
    let folder = invocation.path(folder);
    fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(command, &folder)).map_err(|error| {
        CliError::new(Kind::Failed, "cannot write the manual").caused_by(&error).place(folder.display())
    })?;
    Ok(ExitCode::SUCCESS)
}
