//! The environment of what the local backend starts: nothing of the dispatcher's own but where programs are found.

use std::process::Command;

/// Where programs are looked for when the dispatcher's own environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The search path that runs get.
pub(super) fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_else(|| PATH.into())
}

/// Clears the command's environment but for `PATH`.
pub(super) fn with_clean_environment(command: &mut Command) -> &mut Command {
    command.env_clear().env("PATH", path());
    // A test that stops the supervisor or the runner at a point reaches it through here.
    #[cfg(feature = "fault-points")]
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DISPATCH_FAULT")));
    command
}
