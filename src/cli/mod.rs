//! The command line.

use std::process::ExitCode;

pub mod supervise;

/// Runs the command line.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(verb) if verb == supervise::VERB => supervise::run(arguments),
        _ => ExitCode::SUCCESS,
    }
}
