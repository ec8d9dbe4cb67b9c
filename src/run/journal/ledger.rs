//! What the journal tells admission about an id.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use rusqlite::Connection;

use super::reader::Reader;
use super::{Journal, JournalError, StandingResult, read};
use crate::action::result::ActionResult;
use crate::admission::gather::{Ledger, LedgerError};
use crate::admission::snapshot::{Earlier, Stage};
use crate::run::record::Run;
use crate::run::state::State;
use crate::support::ids::ActionId;

#[async_trait]
impl Ledger for Journal {
    async fn earlier(&self, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Earlier>, LedgerError> {
        let ids = ids.clone();
        self.call(move |connection| known(connection, &ids)).await.map_err(failed)
    }
}

#[async_trait]
impl Ledger for Reader {
    async fn earlier(&self, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Earlier>, LedgerError> {
        Ok(self.ask(|connection| known(connection, ids)).map_err(failed)?.unwrap_or_default())
    }
}

fn failed(error: JournalError) -> LedgerError {
    LedgerError(Box::new(error))
}

fn known(connection: &Connection, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Earlier>, JournalError> {
    let mut known = BTreeMap::new();
    for id in ids {
        let Some(run) = read::latest(connection, id.as_str())? else { continue };
        let standing = read::standing(connection, id.as_str())?;
        known.extend(earlier(&run, standing).map(|earlier| (id.clone(), earlier)));
    }
    Ok(known)
}

fn earlier(run: &Run, standing: Option<StandingResult>) -> Option<Earlier> {
    let request = run.request.as_ref()?;
    // A result of ours stands only where some attempt was published and not kept aside.
    let ours = run.id.attempt() > 1 || (run.published.is_some() && run.kept_aside.is_none());
    Some(Earlier {
        blob: request.blob.clone(),
        since: run.seen_at,
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
