//! What is done for runs that are over: grants are taken back, and what launches made is removed; again and again until it
//! succeeds, and holding nothing else up.

use std::sync::Arc;

use tokio::time::sleep;

use super::{Crew, STEP};
use crate::run::life::{clear_up, take_back};
use crate::run::state::State;
use crate::support::chain;
use crate::support::ids::RunId;

/// What is done for a run that is over, until it succeeds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Upkeep {
    /// Its grant is taken back.
    TakeBack,
    /// The same, and what its launch made is removed.
    ClearUp,
}

impl Crew {
    /// Takes back grants and removes what launches made, for runs whose result is in the ops repo. Holds nothing else up.
    pub fn clear_up(self: &Arc<Self>, runs: Vec<RunId>) {
        self.news.send_replace(());
        let crew = Arc::clone(self);
        self.tasks.spawn(async move {
            for id in runs {
                crew.until_done(&id, Upkeep::ClearUp).await;
            }
        });
    }

    /// Takes back the grant of a run that is settled, where that was not done before a restart.
    pub fn take_back(self: &Arc<Self>, run: RunId) {
        let crew = Arc::clone(self);
        self.tasks.spawn(async move { crew.until_done(&run, Upkeep::TakeBack).await });
    }

    async fn upkeep(&self, id: &RunId, what: Upkeep) -> Result<(), String> {
        let row = self.world.journal.run(id).await.map_err(|error| chain::words(&error))?;
        let Some(run) = row else { return Ok(()) };
        let done = match what {
            Upkeep::ClearUp => clear_up(&self.world, &run).await,
            Upkeep::TakeBack if matches!(run.state, State::Settled | State::Published) => {
                take_back(&self.world, &run).await
            }
            Upkeep::TakeBack => Ok(()),
        };
        done.map_err(|error| chain::words(&error))
    }

    pub(super) async fn until_done(&self, id: &RunId, what: Upkeep) {
        let mut detach = self.detach.subscribe();
        for pause in STEP.delays() {
            match self.upkeep(id, what).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(run = %id, error, "not cleared up yet"),
            }
            tokio::select! {
                () = sleep(pause) => {}
                _ = detach.wait_for(|wanted| *wanted) => return,
            }
        }
    }
}
