//! What the journal tells admission about an id, and keeps for it of the policy.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use rusqlite::Connection;

use super::reader::Reader;
use super::{Journal, JournalError, StandingResult, read};
use crate::admission::gather::{ApprovedPolicy, Ledger, LedgerError};
use crate::admission::snapshot::{Earlier, Stage};
use crate::run::record::Run;
use crate::run::state::State;
use crate::support::ids::{ActionId, CommitId};

/// The kind of event that keeps an approval of the policy.
const POLICY_APPROVED: &str = "policy_approved";

#[async_trait]
impl Ledger for Journal {
    async fn earlier(&self, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Earlier>, LedgerError> {
        let ids = ids.clone();
        self.call(move |connection| known(connection, &ids)).await.map_err(failed)
    }

    async fn approved_policy(&self, commit: &CommitId) -> Result<Option<ApprovedPolicy>, LedgerError> {
        let commit = commit.clone();
        self.call(move |connection| approved_policy(connection, &commit)).await.map_err(failed)
    }

    async fn keep_policy(&self, approved: &ApprovedPolicy) -> Result<(), LedgerError> {
        let data = serde_json::to_value(approved).map_err(|error| LedgerError(Box::new(error)))?;
        self.note(POLICY_APPROVED, data).await.map_err(failed)
    }
}

#[async_trait]
impl Ledger for Reader {
    async fn earlier(&self, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Earlier>, LedgerError> {
        Ok(self.ask(|connection| known(connection, ids)).map_err(failed)?.unwrap_or_default())
    }

    async fn approved_policy(&self, commit: &CommitId) -> Result<Option<ApprovedPolicy>, LedgerError> {
        Ok(self.ask(|connection| approved_policy(connection, commit)).map_err(failed)?.flatten())
    }

    async fn keep_policy(&self, _: &ApprovedPolicy) -> Result<(), LedgerError> {
        Ok(())
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

/// The latest that was kept of it.
fn approved_policy(connection: &Connection, commit: &CommitId) -> Result<Option<ApprovedPolicy>, JournalError> {
    let kept = read::notes(connection, POLICY_APPROVED)?;
    let mut kept = kept.iter().filter_map(|data| serde_json::from_str::<ApprovedPolicy>(data).ok());
    Ok(kept.rfind(|approved| approved.commit == *commit))
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
    let result = run.result();
    result.map_or(Stage::UnderWay, |result| Stage::Settled { state: result.state, reason: result.reason })
}
