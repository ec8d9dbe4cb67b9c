//! `dispatch local-supervise --dir DIR`: hidden; started by the local backend, one for each run.

use std::path::PathBuf;

use clap::Args;

use crate::backend::local::{self, SuperviseError};

/// Flags of `dispatch local-supervise`.
#[derive(Debug, Args)]
pub(super) struct SuperviseArgs {
    /// The launch directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

impl SuperviseArgs {
    /// Supervises one run to its end.
    ///
    /// # Errors
    /// See [`SuperviseError`].
    pub(super) fn run(self) -> Result<(), SuperviseError> {
        local::supervise(&self.dir)
    }
}
