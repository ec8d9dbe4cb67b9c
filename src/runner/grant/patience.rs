//! Asking Vault again while it cannot serve: how long, how often, and what is said meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::stop::GrantStop;
use crate::runner::emit::Emitter;
use crate::runner::event::{Kind, WAITING};
use crate::support::chain;
use crate::support::retry::RetryPolicy;
use crate::vault::VaultError;

/// A deposit that comes sooner than this is nothing to speak of.
const DEPOSIT_IS_LATE: Duration = Duration::from_secs(2);

/// One wait for Vault, over all the calls that are made during it.
pub(super) struct Patience<'a> {
    emitter: &'a Emitter,
    delays: Box<dyn Iterator<Item = Duration> + Send>,
    looks: Box<dyn Iterator<Item = Duration> + Send>,
    since: Instant,
    bound: Duration,
    said: String,
}

impl<'a> Patience<'a> {
    /// Lasts for `bound` from now.
    pub(super) fn new(bound: Duration, emitter: &'a Emitter) -> Self {
        let delays = Box::new(RetryPolicy::VAULT.delays());
        let looks = Box::new(RetryPolicy::DEPOSIT.delays());
        Self { emitter, delays, looks, since: Instant::now(), bound, said: String::new() }
    }

    /// Repeats a call that changes nothing until it is answered: with its answer, with an error that waiting does not mend, or with
    /// [`GrantStop::Unavailable`].
    pub(super) async fn ask<T, F>(&mut self, call: impl Fn() -> F) -> Result<Result<T, VaultError>, GrantStop>
    where
        F: Future<Output = Result<T, VaultError>>,
    {
        loop {
            match call().await {
                Err(error) if error.why.may_pass() => self.wait(error).await?,
                answered => return Ok(answered),
            }
        }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The bound has been reached.
    pub(super) async fn wait(&mut self, error: VaultError) -> Result<(), GrantStop> {
        let asked_for = error.why.retry_after().unwrap_or_default();
        let delay = self.delays.next().unwrap_or(self.bound).max(asked_for);
        if self.since.elapsed() + delay > self.bound {
            return Err(GrantStop::Unavailable { waited: self.since.elapsed(), source: Box::new(error) });
        }
        self.pass(delay, chain::words(&error)).await;
        Ok(())
    }

    /// Waits before the next look at `place`, where nothing was deposited yet; the last look is at the bound.
    ///
    /// # Errors
    /// The bound has been reached.
    pub(super) async fn wait_for_deposit(&mut self, place: &str) -> Result<(), GrantStop> {
        let left = self.bound.saturating_sub(self.since.elapsed());
        if left.is_zero() {
            return Err(GrantStop::NotDeposited { place: place.to_owned(), waited: self.bound });
        }
        let delay = self.looks.next().unwrap_or(left).min(left);
        if self.since.elapsed() < DEPOSIT_IS_LATE {
            sleep(delay).await;
        } else {
            self.pass(delay, format!("nothing stands at {place} yet")).await;
        }
        Ok(())
    }

    /// Lets `delay` go by and says why, once.
    async fn pass(&mut self, delay: Duration, words: String) {
        if words != self.said {
            self.emitter.emit([Kind::status(WAITING, Some(words.clone()))]);
            self.said = words;
        }
        sleep(delay).await;
    }
}
