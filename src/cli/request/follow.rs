//! Following a request to its result: asks the forge and the ops repo every so often, and says each thing once.

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::forge_words;
use super::stage::{End, Sight, Word};
use crate::cli::error::{CliError, Kind};
use crate::cli::explain::in_words;
use crate::cli::invocation::{Invocation, interruptible};
use crate::cli::output::{Format, Output};
use crate::cli::render;
use crate::cli::view::FiledView;
use crate::dispatcher::preview::{Origin, Preview, PreviewError, StandingNow};
use crate::dispatcher::telling::vouches;
use crate::forge::{Class, Forge, ForgeError, PullNumber, Status, Told, UserId};
use crate::support::chain;
use crate::support::ids::{ActionId, CommitId};

/// Between two looks.
const PACE: Duration = Duration::from_secs(1);

/// For how long a result that stands may be without the dispatcher's word: its journal and its status come after it.
const GRACE: Duration = Duration::from_secs(30);

/// A request that is followed.
pub(super) struct Follow {
    pub(super) forge: Forge,
    pub(super) preview: Preview,
    pub(super) id: ActionId,
    pub(super) number: PullNumber,
    /// The dispatcher's own user on the forge, `telling.user_id`.
    pub(super) teller: Option<UserId>,
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
        let mut seen = None;
        loop {
            match self.look(&mut seen).await {
                Ok(sight) => {
                    for line in sight.lines() {
                        if !view.events.contains(&line) {
                            progress.suspend(|| say(output, &line))?;
                            view.events.push(line);
                        }
                    }
                    if let Some(end) = sight.end() {
                        progress.finish_and_clear();
                        view.state = match &end {
                            End::Result(state) => Some(state.word().to_owned()),
                            End::Unvouched => Some("unvouched".to_owned()),
                            End::GivenUp => None,
                        };
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

    /// `seen`: since when a result has been standing there.
    async fn look(&self, seen: &mut Option<Instant>) -> Result<Sight, LookError> {
        let request = self.forge.request(self.number).await?;
        let reviews = self.forge.reviews(self.number).await?;
        let mut sight = Sight { request, reviews, run: None, result: None, word: Word::Awaited };
        if let Some(merge) = sight.request.merge_commit_sha.clone().filter(|_| sight.request.merged) {
            let status = self.status(&merge).await?;
            if let Some(standing) = self.preview.result_now(&self.id).await? {
                let since = seen.get_or_insert_with(Instant::now).elapsed();
                sight.word = self.word(&standing, status.as_ref(), since);
                sight.result = Some(standing.result);
            }
            sight.run = status.map(|status| status.description);
        }
        Ok(sight)
    }

    /// What the dispatcher's user says of the merge; anybody, where the config does not name that user, and then it proves nothing.
    async fn status(&self, merge: &CommitId) -> Result<Option<Status>, ForgeError> {
        let its = |told: &Told| {
            let by = told.creator.as_ref().map(|user| user.id);
            told.status.context == "dispatch/run" && (self.teller.is_none() || by == self.teller)
        };
        Ok(self.forge.statuses(merge).await?.into_iter().rfind(its).map(|told| told.status))
    }

    /// Whether the dispatcher vouches for a result that has been standing for so long.
    fn word(&self, standing: &StandingNow, status: Option<&Status>, since: Duration) -> Word {
        let told = status.filter(|_| self.teller.is_some());
        let told = told.is_some_and(|status| vouches(status, &self.id, standing.result.state));
        match standing.origin {
            Origin::Ours => Word::Given,
            Origin::NotKnown | Origin::Foreign if told => Word::Given,
            // This machine's dispatcher did not make it, and whose word else to wait for the config does not say.
            Origin::Foreign if self.teller.is_none() => Word::Missing,
            Origin::NotKnown | Origin::Foreign if since >= GRACE => Word::Missing,
            Origin::NotKnown | Origin::Foreign => Word::Awaited,
        }
    }
}

fn say(output: &mut Output, line: &str) -> Result<(), CliError> {
    match output.format() {
        Format::Text => output.raw(format!("{line}\n").as_bytes()),
        Format::Json => Ok(()),
    }
}
