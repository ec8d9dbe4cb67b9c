//! `dispatch once --action FILE`: runs a file that nobody approved, where the config allows that, and publishes nothing.

use std::path::Path;
use std::process::ExitCode;

use super::args::OnceArgs;
use super::error::{CliError, Kind};
use super::explain::{in_words, open, read_action_file};
use super::invocation::{Invocation, interruptible};
use super::output::complain;
use super::service::{Signals, runtime, surroundings};
use super::{plan, render};
use crate::action::result::{ActionResult, ResultState};
use crate::admission::{Admitted, Verdict};
use crate::config::Config;
use crate::dispatcher::adhoc::{Adhoc, AdhocError};
use crate::dispatcher::preview::{Place, Preview, Previewed};
use crate::run::log::escape_for_terminal;
use crate::run::record::Run;

/// Runs the file, or with `--dry-run` says what would be run.
///
/// # Errors
/// The config does not allow it, it is not admitted, or it cannot be run to its end.
pub(super) fn run(
    file: &Path,
    arguments: &OnceArgs,
    config: &Config,
    invocation: &mut Invocation,
) -> Result<ExitCode, CliError> {
    if !config.debug.allow_unapproved {
        let words = CliError::new(Kind::Rejected, "nobody approved this file").place(file.display());
        return Err(words
            .hint("file it in the ops repo; on a machine for trying things out, set `debug.allow_unapproved = true`"));
    }
    let config = config_for(config, arguments);
    let file = invocation.path(file);
    if arguments.dry_run {
        let view = interruptible(async {
            let (preview, one) = look(&file, &config, invocation).await?;
            plan::judged(&preview, &config, &one).await
        })?;
        invocation.output.say("plan", &view, |look| render::plan(&view, look))?;
        return Ok(super::explain::exit_code(&view.verdict));
    }
    let admitted = interruptible(admitted(&file, &config, arguments, invocation))?;
    let runtime = runtime()?;
    let run = runtime.block_on(carry_out(&config, admitted, invocation))?;
    finish(&run, invocation)
}

/// With `--backend`, that one is meant, whatever the config says about the formula.
fn config_for(config: &Config, arguments: &OnceArgs) -> Config {
    let mut config = config.clone();
    if arguments.backend.is_some() {
        config.backends.formula.clear();
    }
    config
}

async fn look(file: &Path, config: &Config, invocation: &Invocation) -> Result<(Preview, Previewed), CliError> {
    let (name, bytes) = read_action_file(file)?;
    let preview = open(config, invocation, &Place::Primary).await?;
    let previewed = preview.file(&name, &bytes, preview.rules()).await.map_err(|error| in_words(&error))?;
    Ok((preview, previewed))
}

async fn admitted(
    file: &Path,
    config: &Config,
    arguments: &OnceArgs,
    invocation: &Invocation,
) -> Result<Box<Admitted>, CliError> {
    let (_, one) = look(file, config, invocation).await?;
    let refused = |words: String| {
        let hint = format!("`dispatch explain --file {}` prints every check", file.display());
        CliError::new(Kind::Rejected, words).place(file.display()).hint(hint)
    };
    match one.explanation.verdict {
        Verdict::Admitted(admitted) => match &arguments.backend {
            Some(wanted) if *wanted != admitted.backend => Err(refused(format!(
                "the action itself names the backend `{}`, `--backend` another one",
                admitted.backend
            ))),
            _ => Ok(admitted),
        },
        Verdict::Rejected { message, .. } | Verdict::Waiting { message, .. } | Verdict::SetAside { message, .. } => {
            Err(refused(format!("it is not admitted: {message}")))
        }
    }
}

/// The log goes to stderr as it comes; stdout is for the result.
async fn carry_out(config: &Config, admitted: Box<Admitted>, invocation: &Invocation) -> Result<Run, CliError> {
    // Nobody adopts such a run: whatever ends this command ends it first.
    let interrupt = Signals::new()?.any();
    let adhoc = Adhoc::prepare(config, surroundings(invocation.environment())?, admitted).await;
    let adhoc = adhoc.map_err(|error| failed(&error))?;
    let print = |bytes: &[u8]| complain(&escape_for_terminal(bytes));
    adhoc.drive(interrupt, print).await.map_err(|error| failed(&error))
}

fn failed(error: &AdhocError) -> CliError {
    let kind = match error {
        AdhocError::NotLaunched { .. } => Kind::Unreachable,
        _ => Kind::Failed,
    };
    CliError::from_error(kind, error)
}

fn finish(run: &Run, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let text = run.outcome.as_ref().map(|outcome| outcome.result.as_str()).unwrap_or_default();
    let unreadable =
        |error: serde_json::Error| CliError::new(Kind::Failed, "the result does not read back").caused_by(&error);
    let result: ActionResult = serde_json::from_str(text).map_err(unreadable)?;
    invocation.output.say("once.action", &result, |look| render::result(&result, look))?;
    let kind = match result.state {
        // Nobody else can have asked for that.
        ResultState::Cancelled => Some(Kind::Interrupted),
        state => Kind::of(state),
    };
    Ok(kind.map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind.exit_code())))
}
