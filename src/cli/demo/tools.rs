//! The programs that the demo needs, looked for before anything is made.

use std::ffi::OsString;
use std::path::Path;

use super::super::error::{CliError, Kind};
use crate::runner::environment;

/// A program, and the Debian package that brings it.
#[derive(Clone, Copy)]
struct Tool {
    program: &'static str,
    package: &'static str,
}

const GIT: Tool = Tool { program: "git", package: "git" };
const SSH_KEYGEN: Tool = Tool { program: "ssh-keygen", package: "openssh-client" };
const BASH: Tool = Tool { program: "bash", package: "bash" };
const SHA256SUM: Tool = Tool { program: "sha256sum", package: "coreutils" };

/// Whether all of them are there: those that this process asks for in its own `PATH`, those of formulas in theirs.
///
/// # Errors
/// The first that is missing.
pub(super) fn check() -> Result<(), CliError> {
    let own = std::env::var_os("PATH").unwrap_or_else(|| environment::PATH.into());
    let formulas = OsString::from(environment::PATH);
    for (tool, path) in [(GIT, &own), (SSH_KEYGEN, &own), (BASH, &own), (BASH, &formulas), (SHA256SUM, &formulas)] {
        if !std::env::split_paths(path).any(|folder| is_program(&folder.join(tool.program))) {
            return Err(missing(&tool, path));
        }
    }
    Ok(())
}

fn is_program(file: &Path) -> bool {
    rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file()
}

fn missing(tool: &Tool, path: &OsString) -> CliError {
    let words = CliError::new(Kind::Failed, format!("the demo needs `{}`, which is not installed", tool.program));
    let words = words.hint(format!("install it; on Debian: apt-get install {}", tool.package));
    words.place(format!("PATH={}", path.to_string_lossy()))
}
