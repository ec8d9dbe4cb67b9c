//! The binary: parses arguments, maps an outcome to an exit code, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    dispatch::cli::main()
}
