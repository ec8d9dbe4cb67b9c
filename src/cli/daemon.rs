//! The verbs that the running dispatcher carries out: `status`, `cancel`, `retry`, `drain`, `ops accept-rewrite`.

use std::process::ExitCode;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::args::TargetArg;
use super::control::ask;
use super::error::{CliError, Kind};
use super::invocation::{Invocation, interruptible};
use super::view::StatusView;
use super::{records, render};
use crate::dispatcher::report::offline;
use crate::dispatcher::start::JOURNAL;
use crate::support::clock::{Clock as _, SystemClock};
use crate::support::control::Command;
use crate::support::ids::CommitId;
use crate::support::text::one_line;

/// `dispatch status`: where no dispatcher is running, what the journal says.
///
/// # Errors
/// The dispatcher does not answer, or none is running and there is no journal either.
pub fn status(invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let config = invocation.load()?.config;
    let status: StatusView = match interruptible(ask(&config.state_dir, &Command::Status)) {
        Ok(answer) => understood(answer)?,
        Err(error) if error.kind() == Kind::Unreachable && config.state_dir.join(JOURNAL).exists() => {
            offline(&records::open(&config.state_dir)?, &config).map_err(|error| records::failed(&error))?
        }
        Err(error) => return Err(error),
    };
    let now: Timestamp = SystemClock.now();
    invocation.output.say("status", &status, |look| render::status(&status, now, look))?;
    Ok(ExitCode::SUCCESS)
}

/// `dispatch cancel`
///
/// # Errors
/// No dispatcher is running, or it refuses.
pub fn cancel(target: &TargetArg, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let words = format!("{} is being cancelled; `dispatch show {0}` tells when it has stopped", target.id);
    done("cancel", &Command::Cancel { id: target.id.clone() }, &words, invocation)
}

/// `dispatch retry`
///
/// # Errors
/// No dispatcher is running, or it refuses.
pub fn retry(target: &TargetArg, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let words = format!("{} is queued again; `dispatch logs -f {0}` follows it", target.id);
    done("retry", &Command::Retry { id: target.id.clone() }, &words, invocation)
}

/// `dispatch drain`
///
/// # Errors
/// No dispatcher is running, or it refuses.
pub fn drain(invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    done("drain", &Command::Drain, "nothing new is taken up; the dispatcher ends when what runs has ended", invocation)
}

/// `dispatch ops accept-rewrite`
///
/// # Errors
/// No dispatcher is running, or it refuses.
pub fn accept_rewrite(commit: &CommitId, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let words = format!("the rewritten branch is accepted at {}", commit.short());
    done("ops.accept_rewrite", &Command::AcceptRewrite { commit: commit.clone() }, &words, invocation)
}

/// Has `what` done and says so.
fn done(kind: &str, what: &Command, words: &str, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let value = command(invocation, what)?;
    invocation.output.say(kind, &value, |_| format!("{}\n", one_line(words)))?;
    Ok(ExitCode::SUCCESS)
}

fn command(invocation: &Invocation, command: &Command) -> Result<Value, CliError> {
    let loaded = invocation.load()?;
    interruptible(ask(&loaded.config.state_dir, command))
}

fn understood<T: DeserializeOwned>(value: Value) -> Result<T, CliError> {
    serde_json::from_value(value).map_err(|error| {
        let words = CliError::new(Kind::Failed, "the dispatcher's answer is not understood").caused_by(&error);
        words.hint("it may be of another version: restart it")
    })
}
