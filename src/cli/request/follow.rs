//! Following a request to its result: asks the forge and the ops repo every so often, and says each thing once.

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::forge_words;
use super::stage::{End, Sight};
use crate::cli::error::{CliError, Kind};
use crate::cli::explain::in_words;
use crate::cli::invocation::{Invocation, interruptible};
use crate::cli::output::{Format, Output};
use crate::cli::render;
use crate::cli::view::FiledView;
use crate::dispatcher::preview::{Preview, PreviewError};
use crate::forge::{Class, Forge, ForgeError, PullNumber};
use crate::support::chain;
use crate::support::ids::ActionId;

/// Between two looks.
const PACE: Duration = Duration::from_secs(1);

/// A request that is followed.
pub(super) struct Follow {
    pub(super) forge: Forge,
    pub(super) preview: Preview,
    pub(super) id: ActionId,
    pub(super) number: PullNumber,
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Preview(#[from] PreviewError),
}

impl Follow {
    /// Waits for the end and says what happens on the way; the exit code is that of the end.
    pub(super) fn to_the_end(
        &self,
        mut view: FiledView,
        within: Option<Duration>,
        invocation: &mut Invocation,
    ) -> Result<ExitCode, CliError> {
        if invocation.output.format() == Format::Text {
            let words = render::filed(&view, invocation.output.look());
            invocation.output.raw(words.as_bytes())?;
        }
        let number = self.number;
        let output = &mut invocation.output;
        let waited = interruptible(async {
            match within {
                None => self.watch(&mut view, output).await,
                Some(within) => timeout(within, self.watch(&mut view, output)).await.unwrap_or_else(|_| {
                    Err(CliError::new(Kind::TimedOut, format!("nothing has come of request {number} in time")))
                }),
            }
        });
        let end = waited.map_err(|error| match error.kind() {
            Kind::Interrupted | Kind::TimedOut => {
                error.hint(format!("request {number} stays open; `dispatch show {}` tells how it goes on", self.id))
            }
            _ => error,
        })?;
        if invocation.output.format() == Format::Json {
            invocation.output.say("request", &view, |_| String::new())?;
        }
        Ok(end.failure().map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind.exit_code())))
    }

    async fn watch(&self, view: &mut FiledView, output: &mut Output) -> Result<End, CliError> {
        let progress = output.progress("waiting for approval, merge and result");
        loop {
            match self.look().await {
                Ok(sight) => {
                    for line in sight.lines() {
                        if !view.events.contains(&line) {
                            progress.suspend(|| say(output, &line))?;
                            view.events.push(line);
                        }
                    }
                    if let Some(end) = sight.end() {
                        progress.finish_and_clear();
                        view.state = sight.result.map(|result| result.state.word().to_owned());
                        return Ok(end);
                    }
                }
                Err(LookError::Forge(error)) if error.class() == Class::Permanent => return Err(forge_words(&error)),
                Err(LookError::Preview(error @ PreviewError::Journal(_))) => return Err(in_words(&error)),
                // A server that does not answer now may in a moment; the wait has its own limit.
                Err(error) => progress.set_message(format!("waiting: {}", chain::words(&error))),
            }
            sleep(PACE).await;
        }
    }

    async fn look(&self) -> Result<Sight, LookError> {
        let request = self.forge.request(self.number).await?;
        let reviews = self.forge.reviews(self.number).await?;
        let mut sight = Sight { request, reviews, run: None, result: None };
        if let Some(merge) = sight.request.merge_commit_sha.clone().filter(|_| sight.request.merged) {
            let statuses = self.forge.statuses(&merge).await?;
            let run = statuses.into_iter().rfind(|status| status.context == "dispatch/run");
            sight.run = run.map(|status| status.description);
            sight.result = self.preview.result_now(&self.id).await?;
        }
        Ok(sight)
    }
}

fn say(output: &mut Output, line: &str) -> Result<(), CliError> {
    match output.format() {
        Format::Text => output.raw(format!("{line}\n").as_bytes()),
        Format::Json => Ok(()),
    }
}
