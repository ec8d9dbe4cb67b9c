//! The README's first command, after the build.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Effort;
use crate::table::{Goal, Row};

/// Seconds for the whole demo: it makes its repo and keys, runs its five actions and looks for each promise.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let samples = (0..effort.of(1, 5)).map(|_| once()).collect();
    vec![Row::new("`dispatch demo`, after the build", "s", Goal::AtMost(5.0), samples)]
}

fn once() -> f64 {
    let begun = Instant::now();
    let ended = Command::new(env!("CARGO_BIN_EXE_dispatch")).arg("demo").stdin(Stdio::null()).output().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    seconds
}
