//! Depositing the wrapping token of a grant for the run that was placed, beside following it: where the envelope does not carry it.

use std::collections::BTreeSet;
use std::pin::Pin;

use super::{LifeError, World};
use crate::grant::{Deposited, GrantRecord};
use crate::run::record::Run;
use crate::run::state::State;
use crate::run::step::Step;
use crate::support::retry::RetryPolicy;

/// What is deposited for one run, or was.
pub(super) struct Depositing<'a> {
    world: &'a World,
    run: &'a Run,
    /// Placements for which the journal says that there may be a deposit.
    recorded: BTreeSet<String>,
    /// The one that is under way. A later placement takes its place: the earlier one is over.
    under_way: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
}

impl<'a> Depositing<'a> {
    pub(super) fn new(world: &'a World, run: &'a Run) -> Self {
        let deposit = run.grant.as_ref().and_then(|record| record.deposit.as_ref());
        let recorded = deposit.map(|deposit| deposit.allocations.clone()).unwrap_or_default();
        Self { world, run, recorded, under_way: None }
    }

    /// The run was placed: that is recorded, so that the deposit is removed whatever happens, and then deposited for.
    ///
    /// # Errors
    /// The journal does not take it.
    pub(super) async fn placed(&mut self, allocation: String) -> Result<(), LifeError> {
        let Some(record) = self.run.grant.as_ref().filter(|record| record.deposit.is_some()) else { return Ok(()) };
        if self.run.state == State::Cancelling {
            return Ok(());
        }
        let is_new = self.recorded.insert(allocation.clone());
        if is_new {
            self.world.step(self.run, Step::Deposit { allocation: allocation.clone() }).await?;
        }
        self.under_way = Some(Box::pin(deposit(self.world, self.run, record, allocation, is_new)));
        Ok(())
    }

    /// Returns when the deposit that is under way has come to an end; never where there is none.
    pub(super) async fn done(&mut self) {
        match &mut self.under_way {
            Some(under_way) => under_way.await,
            None => std::future::pending().await,
        }
        self.under_way = None;
    }
}

/// Tries until it succeeds; dropped when the run is over.
async fn deposit(world: &World, run: &Run, record: &GrantRecord, allocation: String, is_new: bool) {
    let mut delays = RetryPolicy::FOLLOW.delays();
    loop {
        match world.secrets.deposit(record, &allocation).await {
            Ok(Deposited::Forgotten) if is_new => {
                tracing::warn!(
                    run = %run.id,
                    "the dispatcher that made its grant was ended before the run was placed, and its wrapping token with it: the run ends \
                     before its formula, and is attempted again"
                );
                return;
            }
            // Of one that is not new: a dispatcher before this one has deposited it.
            Ok(Deposited::There | Deposited::Forgotten) => return,
            Err(error) => {
                tracing::warn!(run = %run.id, %error, "its wrapping token is not deposited yet; trying again");
            }
        }
        let Some(delay) = delays.next() else { return };
        tokio::time::sleep(delay).await;
    }
}
