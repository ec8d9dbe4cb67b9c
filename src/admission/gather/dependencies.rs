//! What is known of the actions that others depend on, level by level: one question to the journal and one to git for each.

use std::collections::{BTreeMap, BTreeSet};

use super::GatherError;
use super::entries::read_entries;
use super::ledger::Ledger;
use crate::action::result::ResultState;
use crate::admission::reading::read_action;
use crate::admission::snapshot::{Dependency, Earlier, Entry, Stage};
use crate::ops::Mirror;
use crate::support::ids::{ActionId, CommitId};

/// The most actions that are looked at behind one batch. Beyond them nothing is known, so that whoever depends on one waits.
const MOST: usize = 10_000;

/// Where actions and their history are.
pub(super) struct World<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) ledger: &'a dyn Ledger,
    pub(super) folder: &'a str,
    pub(super) head: &'a CommitId,
}

impl World<'_> {
    /// All that `ids` lead to. What has ended leads no further.
    pub(super) async fn dependencies(
        &self,
        ids: BTreeSet<ActionId>,
    ) -> Result<BTreeMap<ActionId, Dependency>, GatherError> {
        let mut known = BTreeMap::new();
        let mut open = ids;
        while !open.is_empty() && known.len() < MOST {
            let level = self.level(&open).await?;
            known.extend(level);
            open = known.values().flat_map(behind).filter(|id| !known.contains_key(*id)).cloned().collect();
        }
        Ok(known)
    }

    async fn level(&self, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Dependency>, GatherError> {
        let earlier = self.ledger.earlier(ids).await?;
        let mut known = BTreeMap::new();
        let mut unsettled = Vec::new();
        for id in ids {
            match earlier.get(id).and_then(settled) {
                Some(end) => _ = known.insert(id.clone(), end),
                None => unsettled.push(id.clone()),
            }
        }
        let paths: Vec<String> = unsettled.iter().map(|id| format!("{}/{id}.toml", self.folder)).collect();
        let found = self.mirror.lookup(self.head, &paths).await?;
        let present: Vec<_> = found.iter().flatten().cloned().collect();
        let entries = read_entries(self.mirror, self.folder, &present).await?;
        let entries: BTreeMap<_, _> = entries.iter().filter_map(|entry| Some((entry.id()?, entry))).collect();
        for id in unsettled {
            let pending = entries
                .get(&id)
                .map(|entry| waits_for(entry))
                .or_else(|| earlier.contains_key(&id).then(BTreeSet::new));
            known.insert(id, pending.map_or(Dependency::Unknown, |on| Dependency::Pending { on }));
        }
        Ok(known)
    }
}

fn behind(dependency: &Dependency) -> impl Iterator<Item = &ActionId> {
    match dependency {
        Dependency::Pending { on } => Some(on),
        Dependency::Succeeded | Dependency::Failed { .. } | Dependency::Unknown => None,
    }
    .into_iter()
    .flatten()
}

fn settled(earlier: &Earlier) -> Option<Dependency> {
    match &earlier.stage {
        Stage::Settled { state: ResultState::Succeeded, .. } => Some(Dependency::Succeeded),
        Stage::Settled { state, .. } => Some(Dependency::Failed { state: *state }),
        Stage::Seen | Stage::UnderWay | Stage::RetryAsked { .. } => None,
    }
}

fn waits_for(entry: &Entry) -> BTreeSet<ActionId> {
    read_action(entry).map(|action| action.depends_on).unwrap_or_default()
}
