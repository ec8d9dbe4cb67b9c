//! What the journal tells admission about an id, and keeps for it of the policy.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::reader::Reader;
use super::{Journal, JournalError, StandingResult, read};
use crate::admission::Approval;
use crate::admission::gather::{ApprovedPolicy, Ledger, LedgerError, Sight};
use crate::admission::snapshot::{Earlier, Stage};
use crate::run::record::Run;
use crate::run::state::State;
use crate::run::step::Request;
use crate::support::ids::{ActionId, CommitId, RunId};

/// The kind of event that keeps an approval of the policy.
const POLICY_APPROVED: &str = "policy_approved";
/// The kind of event that keeps when changes of the policy were first seen.
const POLICY_SEEN: &str = "policy_seen";

/// Changes of the policy that were seen for the first time.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    changes: Vec<CommitId>,
    #[serde(flatten)]
    sight: Sight,
}

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

    async fn policy_seen(&self, changes: &[CommitId], now: &Sight) -> Result<BTreeMap<CommitId, Sight>, LedgerError> {
        let mut sights = self.call(policy_sights).await.map_err(failed)?;
        let new: Vec<CommitId> = changes.iter().filter(|change| !sights.contains_key(*change)).cloned().collect();
        if !new.is_empty() {
            sights.extend(new.iter().map(|change| (change.clone(), now.clone())));
            let seen = Seen { changes: new, sight: now.clone() };
            let data = serde_json::to_value(seen).map_err(|error| LedgerError(Box::new(error)))?;
            self.note(POLICY_SEEN, data).await.map_err(failed)?;
        }
        Ok(sights)
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

    async fn policy_seen(&self, _: &[CommitId], _: &Sight) -> Result<BTreeMap<CommitId, Sight>, LedgerError> {
        Ok(self.ask(policy_sights).map_err(failed)?.unwrap_or_default())
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
        let approved = approved(connection, &run)?;
        known.extend(earlier(&run, standing, approved).map(|earlier| (id.clone(), earlier)));
    }
    Ok(known)
}

/// The latest that was kept of it.
fn approved_policy(connection: &Connection, commit: &CommitId) -> Result<Option<ApprovedPolicy>, JournalError> {
    let kept = read::notes(connection, POLICY_APPROVED)?;
    let mut kept = kept.iter().filter_map(|data| serde_json::from_str::<ApprovedPolicy>(data).ok());
    Ok(kept.rfind(|approved| approved.commit == *commit))
}

/// The first sight of each change.
fn policy_sights(connection: &Connection) -> Result<BTreeMap<CommitId, Sight>, JournalError> {
    let kept = read::notes(connection, POLICY_SEEN)?;
    let mut sights = BTreeMap::new();
    for seen in kept.iter().filter_map(|data| serde_json::from_str::<Seen>(data).ok()) {
        for change in seen.changes {
            sights.entry(change).or_insert_with(|| seen.sight.clone());
        }
    }
    Ok(sights)
}

fn earlier(run: &Run, standing: Option<StandingResult>, approved: Option<Approval>) -> Option<Earlier> {
    let request = run.request.as_ref()?;
    // A result of ours stands only where some attempt was published and not kept aside.
    let ours = run.id.attempt() > 1 || (run.published.is_some() && run.kept_aside.is_none());
    Some(Earlier {
        blob: request.blob.clone(),
        since: run.seen_at,
        head: request.head.clone(),
        stage: stage(run),
        result: standing.filter(|_| ours).map(|result| result.blob),
        approved,
    })
}

/// What was proven of the approval of the bytes that `run` asks for: while it waited, or of an attempt before it.
fn approved(connection: &Connection, run: &Run) -> Result<Option<Approval>, JournalError> {
    let Some(request) = run.request.as_ref().filter(|_| run.state == State::Seen) else { return Ok(None) };
    let mut proven = proof_in(run, request);
    for attempt in (1..run.id.attempt()).rev() {
        if proven.is_some() {
            break;
        }
        let before = read::run(connection, &RunId::new(run.id.action().clone(), attempt))?;
        proven = before.and_then(|before| proof_in(&before, request));
    }
    Ok(proven)
}

/// What was proven for `run`, where it speaks of the bytes that are asked for: a verdict on others may have been recorded late.
fn proof_in(run: &Run, request: &Request) -> Option<Approval> {
    let waiting = run.approved.as_deref();
    let admitted = run.admitted.as_ref().map(|admitted| &admitted.approval);
    waiting.into_iter().chain(admitted).find(|approval| approval.covers(&request.path, &request.blob)).cloned()
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
