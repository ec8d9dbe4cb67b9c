//! What the journal tells admission about an id.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::{Journal, StandingResult};
use crate::action::result::ActionResult;
use crate::admission::gather::{Ledger, LedgerError};
use crate::admission::snapshot::{Earlier, Stage};
use crate::run::record::Run;
use crate::run::state::State;
use crate::support::ids::ActionId;

#[async_trait]
impl Ledger for Journal {
    async fn earlier(&self, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Earlier>, LedgerError> {
        let failed = |error: super::JournalError| LedgerError(Box::new(error));
        let ids: Vec<ActionId> = ids.iter().cloned().collect();
        let latest = self.latest(ids.clone()).await.map_err(failed)?;
        let standing = self.standing(ids.iter().map(ToString::to_string).collect()).await.map_err(failed)?;
        let known = ids.into_iter().zip(latest.into_iter().zip(standing));
        Ok(known.filter_map(|(id, (run, standing))| Some((id, earlier(&run?, standing)?))).collect())
    }
}

fn earlier(run: &Run, standing: Option<StandingResult>) -> Option<Earlier> {
    let request = run.request.as_ref()?;
    // A result of ours stands only where some attempt was published and not kept aside.
    let ours = run.id.attempt() > 1 || (run.published.is_some() && run.kept_aside.is_none());
    Some(Earlier {
        blob: request.blob.clone(),
        stage: stage(run),
        result: standing.filter(|_| ours).map(|result| result.blob),
    })
}

fn stage(run: &Run) -> Stage {
    match run.state {
        State::Seen if run.id.attempt() > 1 => Stage::RetryAsked { by: "a person".to_owned() },
        State::Seen => Stage::Seen,
        State::Settled | State::Published => settled(run),
        _ => Stage::UnderWay,
    }
}

fn settled(run: &Run) -> Stage {
    let result = run.outcome.as_ref().and_then(|outcome| serde_json::from_str::<ActionResult>(&outcome.result).ok());
    result.map_or(Stage::UnderWay, |result| Stage::Settled { state: result.state, reason: result.reason })
}
