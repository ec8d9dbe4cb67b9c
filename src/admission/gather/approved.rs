//! What was approved together with an action above low: in which commit's tree it stands, and by which pull request it came.

use std::collections::{BTreeMap, BTreeSet};

use super::asked::{Asked, is_above_low};
use super::formulas::{self, Answers};
use super::pull_request::{File, Hit, Look};
use crate::action::formula::FormulaFiles;
use crate::admission::checks::approval::Approval;
use crate::admission::request::Search;
use crate::admission::snapshot::{Earlier, FormulaAnswer};
use crate::support::ids::{ActionId, CommitId, FormulaName};

/// Where what was approved together with an action stands.
#[derive(Debug)]
pub(super) struct Approved {
    /// The commit whose tree counts.
    pub(super) commit: CommitId,
    /// A commit with the same formulas; shared by as many as possible.
    pub(super) formulas_at: CommitId,
    /// The search for the pull request, where approvals are proven by one.
    hit: Option<Result<Hit, String>>,
    /// What was proven by it when it was looked at before.
    proven: Option<Box<Approval>>,
    /// The head of the primary branch in which the action's bytes were seen first.
    seen: Option<CommitId>,
}

/// For each action; `None` for those that are low by everybody's word, and for those of unknown origin.
pub(super) async fn find(
    asked: &[Asked],
    at_head: &Answers,
    earlier: &BTreeMap<ActionId, Earlier>,
    look: Option<&Look<'_>>,
    head: &CommitId,
) -> Vec<Option<Approved>> {
    let mut found = Vec::with_capacity(asked.len());
    for one in asked {
        let origin = one.arrival.as_ref().ok().filter(|_| is_above_low(one, at_head));
        let (Some(origin), look) = (origin, look) else {
            found.push(None);
            continue;
        };
        let earlier = seen(one, earlier);
        let (hit, proven) = match look {
            Some(look) => search(one, &origin.commit, earlier, look, head)
                .await
                .map_or_else(|detail| (Some(Err(detail)), None), |(hit, proven)| (Some(Ok(hit)), proven)),
            None => (None, None),
        };
        let by_request = match &hit {
            Some(Ok(Hit::Request(mapped))) => Some(mapped.merge().clone()),
            _ => proven.as_ref().and_then(|approval| approval.commit.clone()),
        };
        let (commit, formulas_at) = match by_request {
            Some(merge) => (merge.clone(), merge),
            None => (origin.commit.clone(), origin.formulas_at.clone()),
        };
        let seen = earlier.map(|earlier| earlier.head.clone());
        found.push(Some(Approved { commit, formulas_at, hit, proven, seen }));
    }
    found
}

/// Looks for the request that left `origin`: only up to the merge of the one by which it was proven before, where it was. The forge may
/// have lost that one, and the next that is on the line brought something else.
async fn search(
    one: &Asked,
    origin: &CommitId,
    earlier: Option<&Earlier>,
    look: &Look<'_>,
    head: &CommitId,
) -> Result<(Hit, Option<Box<Approval>>), String> {
    let proven = proven(one, origin, earlier, look).await?;
    let to = proven.as_ref().and_then(|approval| approval.commit.as_ref()).unwrap_or(head);
    let hit = look.settled(origin, to, earlier.map(|earlier| earlier.since)).await?;
    Ok((hit, proven))
}

/// What was proven of these bytes when they were looked at before: by a request that left them in `origin`, and whose merge is on the
/// line that stands now. Bytes that were taken away and came back came by another commit.
async fn proven(
    one: &Asked,
    origin: &CommitId,
    earlier: Option<&Earlier>,
    look: &Look<'_>,
) -> Result<Option<Box<Approval>>, String> {
    let covers = |approval: &&Approval| approval.covers(&one.entry.path, &one.entry.blob);
    let approval = earlier.and_then(|earlier| earlier.approved.as_ref()).filter(covers);
    let Some((approval, merge)) = approval.and_then(|approval| Some((approval, approval.commit.as_ref()?))) else {
        return Ok(None);
    };
    Ok(look.leads_on(origin, merge).await?.then(|| Box::new(approval.clone())))
}

/// What the journal knows of these very bytes.
fn seen<'a>(one: &Asked, earlier: &'a BTreeMap<ActionId, Earlier>) -> Option<&'a Earlier> {
    earlier.get(&one.entry.id()?).filter(|earlier| earlier.blob == one.entry.blob)
}

/// The formulas that have to be read, by the commit that has them.
pub(super) fn wanted(asked: &[Asked], found: &[Option<Approved>]) -> BTreeMap<CommitId, BTreeSet<FormulaName>> {
    let mut wanted: BTreeMap<CommitId, BTreeSet<FormulaName>> = BTreeMap::new();
    for (one, approved) in asked.iter().zip(found) {
        let (Some(action), Some(approved)) = (&one.action, approved) else { continue };
        wanted.entry(approved.formulas_at.clone()).or_default().insert(action.formula.clone());
    }
    wanted
}

impl Approved {
    /// What is known of the pull request, for the action and its formula.
    pub(super) async fn request(&self, one: &Asked, look: Option<&Look<'_>>, formula: &FormulaAnswer) -> Search {
        let unknown = |detail: &String| Search::Unknown { detail: detail.clone() };
        let (mapped, look) = match (&self.hit, look) {
            (None, _) | (_, None) => return Search::NotAsked,
            (Some(Err(detail)), _) => return unknown(detail),
            (Some(Ok(Hit::Nothing(nothing))), _) => {
                return match &self.proven {
                    Some(approval) => Search::Forgotten(approval.clone()),
                    None => Search::None(nothing.clone()),
                };
            }
            (Some(Ok(Hit::Request(mapped))), Some(look)) => (mapped, look),
        };
        let Ok(origin) = &one.arrival else { return Search::NotAsked };
        let file = File {
            path: one.entry.path.clone(),
            blob: Some(one.entry.blob.clone()),
            commit: origin.commit.clone(),
            parent: origin.parent.clone(),
            seen: self.seen.clone(),
            beside: beside(one, formula),
            counted: self.proven.as_ref().map(|approval| reviews(approval)).unwrap_or_default(),
        };
        match look.facts(mapped, &file).await {
            Ok(request) => Search::Found(Box::new(request)),
            Err(detail) => unknown(&detail),
        }
    }
}

/// The numbers of the reviews that counted.
fn reviews(approval: &Approval) -> BTreeSet<i64> {
    let given = approval.merged.iter().flat_map(|merged| &merged.given);
    given.filter_map(|given| given.review).collect()
}

/// Every path at which something would change what runs: also those where nothing stands, since a script put there would be
/// taken instead.
fn beside(one: &Asked, formula: &FormulaAnswer) -> Vec<String> {
    let Some(action) = &one.action else { return Vec::new() };
    let files = FormulaFiles::names(&action.formula).into_iter().flatten();
    let mut paths: Vec<String> = files.map(|file| format!("{}/{file}", formulas::FOLDER)).collect();
    if let FormulaAnswer::Found(bundle) = formula {
        paths.extend(bundle.context_files.keys().cloned());
    }
    paths
}
