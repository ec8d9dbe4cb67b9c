//! `dispatch runner` and `dispatch redact add`: the verbs that run inside a job.

use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::runner::redact_client::{AddError, DEFAULT_NAME, SOCKET_VARIABLE, add_from};
use crate::runner::{self, Output, RunnerOptions, Source};

/// Flags of `dispatch runner`.
#[derive(Debug, Args)]
pub(super) struct RunnerArgs {
    /// The payload file; standard input when it is not given.
    #[arg(long, value_name = "FILE")]
    envelope: Option<PathBuf>,
    /// The run's directory: made by the runner, or empty.
    #[arg(long, value_name = "DIR")]
    workdir: PathBuf,
    /// The marker file that only one execution can create.
    #[arg(long, value_name = "FILE")]
    fence: PathBuf,
    /// The age identity to which the envelope is encrypted.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The workload's own identity, for a grant that is handed over to nothing else.
    #[arg(long, value_name = "FILE")]
    workload_identity: Option<PathBuf>,
    /// Keeps the events in this file too; of a long stream the beginning and the end.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Waits up to a second at the end, for a log on standard output that would miss the last lines.
    #[arg(long)]
    linger: bool,
}

impl RunnerArgs {
    /// Runs one run; answers its exit code.
    pub(super) fn run(self) -> i32 {
        runner::main(&RunnerOptions {
            envelope: self.envelope.map_or(Source::Stdin, Source::File),
            workdir: self.workdir,
            fence: self.fence,
            identity: self.identity,
            workload_identity: self.workload_identity,
            events: self.events,
            output: if self.linger { Output::Lossy } else { Output::Faithful },
        })
    }
}

/// `dispatch redact …`.
#[derive(Debug, Subcommand)]
pub(super) enum RedactCommand {
    /// Inside a formula: keep the value on standard input out of the log from now on.
    Add {
        /// Shown in its place, as `[redacted:NAME]`.
        #[arg(long, default_value = DEFAULT_NAME)]
        name: String,
        /// Where the runner listens.
        #[arg(long, env = SOCKET_VARIABLE, hide = true)]
        socket: PathBuf,
    },
}

impl RedactCommand {
    /// Does it.
    ///
    /// # Errors
    /// When the value is not known to be redacted.
    pub(super) fn run(self) -> Result<(), AddError> {
        let Self::Add { name, socket } = self;
        add_from(&socket, &name, io::stdin().lock())
    }
}
