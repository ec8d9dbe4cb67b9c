//! A run whose grant was too old before its runner could open it: its runner says that it began nothing (exit 66), so another
//! attempt is asked for without a person. It is a run of its own, is admitted anew, and its result takes the place of the first.
//!
//! Bounded: a grant that expires each time is trouble that a person must look at. Only what the runner itself told counts, and only
//! where all that it told was heard and there was a wrapping to expire: a formula may exit with the same code. Where another
//! execution of the same launch was seen, the outcome is `lost` and nothing comes here.

use super::Dispatcher;
use crate::action::reason::Reason;
use crate::action::result::ActionResult;
use crate::grant::Delivery;
use crate::run::journal::JournalError;
use crate::run::record::Run;
use crate::run::state::State;
use crate::run::step::{Finish, Step};
use crate::support::chain;
use crate::support::ids::RunId;

/// How many attempts in a row may end this way.
const ATTEMPTS: u32 = 3;

/// Who asks, as the journal has it.
const ASKED_BY: &str = "dispatch, since the grant had expired";

impl Dispatcher {
    /// Asks for another attempt at those of `published` whose grant had expired.
    pub(super) async fn try_expired_again(&self, published: &[RunId]) {
        for id in published {
            match self.try_one_again(id).await {
                Ok(None) => {}
                Ok(Some(next)) => {
                    tracing::info!(run = %next, "another attempt: the grant of {id} had expired unopened");
                }
                Err(words) => {
                    tracing::warn!(run = %id, error = words, "no other attempt is made; `dispatch retry` asks for one");
                }
            }
        }
    }

    async fn try_one_again(&self, id: &RunId) -> Result<Option<RunId>, String> {
        let words = |error: JournalError| chain::words(&error);
        let journal = self.journal();
        if self.crew.world().secrets.delivery() != Delivery::Wrapped {
            return Ok(None);
        }
        let Some(run) = journal.run(id).await.map_err(words)?.filter(grant_had_expired) else { return Ok(None) };
        for attempt in (1..id.attempt()).rev().take(ATTEMPTS as usize - 1) {
            let earlier = journal.run(&RunId::new(id.action().clone(), attempt)).await.map_err(words)?;
            match earlier {
                Some(earlier) if grant_had_expired(&earlier) => {}
                _ => break,
            }
            if id.attempt() - attempt + 1 >= ATTEMPTS {
                return Err(format!("the grants of {ATTEMPTS} attempts in a row had expired before they were opened"));
            }
        }
        let request = self.standing_request(&run).await.map_err(|refusal| refusal.message)?;
        let next = RunId::new(id.action().clone(), id.attempt() + 1);
        let step = Step::See { request, asked_by: Some(ASKED_BY.to_owned()) };
        let asked = journal.step(&next, step).await.map_err(words);
        self.wakes.judge.notify_one();
        asked.map(|_| Some(next))
    }
}

/// Whether its runner said so, before anything began, in a stream of which nothing is missing, and nobody saw it begin elsewhere.
fn grant_had_expired(run: &Run) -> bool {
    let result = run.result();
    let began_elsewhere = matches!(&run.finish, Some(Finish::Ended(ended)) if ended.restarted);
    run.state == State::Published
        && run.kept_aside.is_none()
        && run.stop.is_none()
        && !began_elsewhere
        && run.grant.as_ref().is_none_or(|grant| grant.wrapping.is_some())
        && result.is_some_and(|result| result.reason == Reason::GrantExpired && was_heard_whole(&result))
}

/// Whether nothing of what its runner said is missing.
fn was_heard_whole(result: &ActionResult) -> bool {
    result.log.as_ref().is_some_and(|log| !log.truncated && !log.incomplete)
}
