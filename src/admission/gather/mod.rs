//! The rim of admission: asks git, the journal and the secret provider, and makes [`Snapshot`]s. Everything behind it is pure.
//!
//! A batch is gathered at once: the number of processes depends on the number of commits that changed something that counts, and
//! not on the number of actions. Only a signature costs one for each signed commit.
//!
//! What concerns one action alone and cannot be found out stands in its snapshot and makes it wait; what concerns all of them
//! is a [`GatherError`], and the whole batch waits.

mod approved;
mod arrivals;
mod asked;
mod dependencies;
mod entries;
mod error;
mod formulas;
mod ledger;
mod power;
mod pull_request;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use self::approved::Approved;
use self::arrivals::{Arrivals, Origin};
use self::asked::{Asked, names, presence};
use self::dependencies::World;
use self::entries::{local_entry, read_entries};
pub use self::error::GatherError;
use self::formulas::Answers;
pub use self::formulas::{FormulaSource, Tree};
pub use self::ledger::{ApprovedPolicy, Ledger, LedgerError, Sight};
pub use self::power::Chain;
use self::power::{Power, Powers};
use self::pull_request::Look;
pub use self::pull_request::Requests;
use super::reading::{bare_tier, read_action};
use super::request::Search;
use super::rules::Rules;
use super::snapshot::{
    Arrival, Arrived, Availability, Dependency, Earlier, Entry, FormulaAnswer, ResultEntry, Rewritten, Snapshot,
};
use crate::action::Tier;
use crate::grant::{Presence, SecretProvider};
use crate::ops::{self, Mirror};
use crate::support::chain;
use crate::support::ids::{ActionId, CommitId, FormulaName, SecretName};

/// What is the same for all actions of a batch.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The commit whose tree is looked at.
    pub head: CommitId,
    /// Set where the primary branch did not move forward and nobody has acknowledged it.
    pub rewritten: Option<Rewritten>,
    /// The backends that this dispatcher has.
    pub backends: BTreeMap<String, Availability>,
    /// The present.
    pub now: Timestamp,
}

/// Gathers snapshots. Keeps what does not change between two heads; one for each ops repo and process.
#[derive(Debug)]
pub struct Gatherer {
    mirror: Mirror,
    folder: String,
    sources: RwLock<Vec<FormulaSource>>,
    arrivals: Arrivals,
    powers: Powers,
    requests: Option<Requests>,
}

impl Gatherer {
    /// `folder` is `ops.actions`; `sources` are asked in this order, after the ops repo.
    pub fn new(mirror: Mirror, folder: &str, chain: Chain, sources: Vec<FormulaSource>) -> Self {
        Self {
            arrivals: Arrivals::new(mirror.clone(), folder, formulas::FOLDER),
            powers: Powers::new(mirror.clone(), chain),
            folder: folder.to_owned(),
            mirror,
            sources: RwLock::new(sources),
            requests: None,
        }
    }

    /// With approvals proven by pull requests.
    #[must_use]
    pub fn with_requests(self, requests: Requests) -> Self {
        Self { requests: Some(requests), ..self }
    }

    /// Fetches the git repositories among the sources of formulas again; worth doing at each new head. One that cannot be
    /// fetched stays where it was.
    ///
    /// # Errors
    /// That of the last source that failed; all of them were tried.
    pub async fn refresh_sources(&self) -> Result<(), GatherError> {
        // Beside what is there, which others read meanwhile, and each beside the others: a server may not answer for minutes.
        let mut fetching = JoinSet::new();
        for (place, mut source) in self.sources.read().await.iter().cloned().enumerate() {
            fetching.spawn(async move { source.refresh().await.map(|()| (place, source)) });
        }
        let mut outcome = Ok(());
        while let Some(fetched) = fetching.join_next().await {
            match fetched {
                Ok(Ok((place, source))) => {
                    self.sources.write().await.get_mut(place).into_iter().for_each(|old| old.clone_from(&source));
                }
                Ok(Err(error)) => outcome = Err(error.into()),
                // Nothing in it panics, and nobody aborts it.
                Err(_) => {}
            }
        }
        outcome
    }

    /// The snapshots of `entries`, which stand in the tree of the scene's head, in the same order.
    pub async fn gather(
        &self,
        scene: &Scene,
        entries: &[ops::Entry],
        rules: &Rules,
        ledger: &dyn Ledger,
        secrets: &dyn SecretProvider,
    ) -> Result<Vec<Snapshot>, GatherError> {
        let mut entries = read_entries(&self.mirror, &self.folder, entries).await?;
        let earlier = self.history(&mut entries, &scene.head, ledger).await?;
        let look = self.look(scene, ledger).await;
        let asked = self.ask(entries, scene, look.as_ref(), rules).await?;
        let answers = Gathered {
            earlier,
            results: self.results(&asked, scene).await?,
            at_head: self.formulas_at(&scene.head, names(&asked)).await?,
            presence: presence(&asked, rules, secrets).await,
            dependencies: Arc::new(self.dependencies(&asked, &scene.head, ledger).await?),
        };
        let look = look.as_ref().and_then(|look| look.as_ref().ok());
        let approved = approved::find(&asked, &answers.at_head, &answers.earlier, look, &scene.head).await;
        let mut with_them: BTreeMap<CommitId, Answers> = BTreeMap::new();
        for (commit, names) in approved::wanted(&asked, &approved) {
            let found = self.formulas_at(&commit, names).await?;
            with_them.insert(commit, found);
        }
        let mut snapshots = Vec::with_capacity(asked.len());
        for (one, approved) in asked.into_iter().zip(approved) {
            let formula = formula_of(&one, approved.as_ref(), &with_them);
            let arrival = self.arrival(&one, approved.as_ref(), look, &formula).await;
            snapshots.push(assemble(one, scene, &answers, arrival, formula));
        }
        Ok(snapshots)
    }

    /// The snapshot of a file of this machine, for `dispatch once --action`: policy and formula are those of the head.
    pub async fn gather_file(
        &self,
        scene: &Scene,
        name: &str,
        bytes: &[u8],
        rules: &Rules,
        ledger: &dyn Ledger,
        secrets: &dyn SecretProvider,
    ) -> Result<Snapshot, GatherError> {
        let look = self.look(scene, ledger).await;
        let power = self.power(look.as_ref(), [Some(&scene.head); 2], rules).await;
        let power = power.map_err(|detail| GatherError::Forge { detail })?;
        let entry = local_entry(&self.folder, name, bytes);
        let action = read_action(&entry).ok();
        let asked = [Asked { entry, action, arrival: Err(String::new()), power, tier: Tier::High }];
        let at_head = self.formulas_at(&scene.head, names(&asked)).await?;
        let presence = presence(&asked, rules, secrets).await;
        let [Asked { entry, action, power, .. }] = asked;
        let formula = action.as_ref().and_then(|action| at_head.get(&action.formula));
        let formula = formula.cloned().unwrap_or(FormulaAnswer::NotAsked);
        Ok(Snapshot {
            entry,
            head: scene.head.clone(),
            rewritten: scene.rewritten.clone(),
            arrival: Arrival::LocalFile,
            policy: power.policy.clone(),
            formula_at_head: formula,
            formula_at_arrival: FormulaAnswer::NotAsked,
            secrets: presence,
            backends: scene.backends.clone(),
            earlier: None,
            result: None,
            dependencies: Arc::default(),
            now: scene.now,
        })
    }

    /// What the journal knows of each id; and which names are taken but for the case of their letters.
    async fn history(
        &self,
        entries: &mut [Entry],
        head: &CommitId,
        ledger: &dyn Ledger,
    ) -> Result<BTreeMap<ActionId, Earlier>, GatherError> {
        let folded = |entry: &Entry| entry.stem().and_then(|stem| stem.to_lowercase().parse::<ActionId>().ok());
        let earlier = ledger.earlier(&entries.iter().filter_map(folded).collect()).await?;
        let strange: Vec<&mut Entry> =
            entries.iter_mut().filter(|entry| !entry.is_well_named() && folded(entry).is_some()).collect();
        let paths: Vec<String> =
            strange.iter().filter_map(|entry| Some(format!("{}/{}.toml", self.folder, folded(entry)?))).collect();
        let beside = self.mirror.lookup(head, &paths).await?;
        for (entry, beside) in strange.into_iter().zip(beside) {
            let taken = folded(entry).filter(|id| beside.is_some() || earlier.contains_key(id));
            entry.alike.extend(taken.map(String::from));
        }
        Ok(earlier)
    }

    /// Begins a look at the forge, where approvals are proven there.
    async fn look<'a>(&'a self, scene: &Scene, ledger: &'a dyn Ledger) -> Option<Result<Look<'a>, String>> {
        match &self.requests {
            Some(requests) => Some(requests.look(scene, ledger).await),
            None => None,
        }
    }

    /// Looks at the policy as soon as it changes, where approvals are proven by requests: they are kept when they are seen, and a
    /// review can be deleted before an action comes. Says why where it cannot look now.
    pub async fn keep_policy(&self, scene: &Scene, rules: &Rules, ledger: &dyn Ledger) -> Result<(), String> {
        match &self.requests {
            Some(requests) => requests.keep_policy(scene, rules, ledger).await,
            None => Ok(()),
        }
    }

    /// What counts before a commit: for the signed chain at any commit with the same files, for requests at its very parent,
    /// since what came before it may belong to its own request.
    async fn power(
        &self,
        look: Option<&Result<Look<'_>, String>>,
        [shared, parent]: [Option<&CommitId>; 2],
        rules: &Rules,
    ) -> Result<Arc<Power>, String> {
        match look {
            None => self.powers.at(shared).await.map_err(|error| chain::words(&error)),
            Some(Ok(look)) => {
                let policy = look.policy(parent, rules).await?;
                Ok(Arc::new(Power { policy, ..Power::default() }))
            }
            Some(Err(detail)) => Err(detail.clone()),
        }
    }

    /// Parses the actions, finds the commits that brought them and what counted before those.
    async fn ask(
        &self,
        entries: Vec<Entry>,
        scene: &Scene,
        look: Option<&Result<Look<'_>, String>>,
        rules: &Rules,
    ) -> Result<Vec<Asked>, GatherError> {
        let wanted: Vec<_> = entries.iter().map(|entry| (entry.path.clone(), entry.blob.clone())).collect();
        let origins = self.arrivals.find(&scene.head, &wanted).await?;
        let mut asked = Vec::with_capacity(entries.len());
        for (entry, arrival) in entries.into_iter().zip(origins) {
            let action = read_action(&entry).ok();
            let (arrival, power) = match arrival {
                Ok(origin) => {
                    let before = [origin.power_at.as_ref(), origin.parent.as_ref()];
                    match self.power(look, before, rules).await {
                        Ok(power) => (Ok(origin), power),
                        Err(detail) => (Err(detail), Arc::default()),
                    }
                }
                Err(detail) => (Err(detail), Arc::default()),
            };
            let tier = bare_tier(action.as_ref(), &power.policy);
            asked.push(Asked { entry, action, arrival, power, tier });
        }
        Ok(asked)
    }

    /// The result files that stand in the tree: beside the action, and in the folders of the months in which it could be.
    async fn results(&self, asked: &[Asked], scene: &Scene) -> Result<BTreeMap<ActionId, ResultEntry>, GatherError> {
        let mut places: Vec<(ActionId, String)> = Vec::new();
        for one in asked {
            let Some(id) = one.entry.id() else { continue };
            let arrived = one.arrival.as_ref().ok().map(|origin| origin.committed);
            let months: BTreeSet<String> =
                arrived.into_iter().chain([scene.now]).map(|at| at.strftime("%Y/%m").to_string()).collect();
            places.push((id.clone(), format!("{}/{id}.result.json", self.folder)));
            places.extend(months.iter().map(|month| (id.clone(), format!("vault/results/{month}/{id}.result.json"))));
        }
        let paths: Vec<String> = places.iter().map(|(_, path)| path.clone()).collect();
        let found = self.mirror.lookup(&scene.head, &paths).await?;
        let found = places
            .into_iter()
            .zip(found)
            .filter_map(|((id, path), entry)| Some((id, ResultEntry { path, blob: entry?.object })));
        Ok(found.collect())
    }

    /// The formulas as the ops repo at `commit` and then the other sources have them; every name gets an answer.
    async fn formulas_at(&self, commit: &CommitId, names: BTreeSet<FormulaName>) -> Result<Answers, GatherError> {
        let mut found = formulas::in_ops(&self.mirror, commit, &names).await?;
        let missing: BTreeSet<FormulaName> = names.iter().filter(|name| !found.contains_key(*name)).cloned().collect();
        let sources = self.sources.read().await;
        found.extend(formulas::in_sources(&sources, &missing).await?);
        let looked_in = formulas::looked_in(&sources);
        for name in missing {
            found.entry(name).or_insert_with(|| FormulaAnswer::NotFound { looked_in: looked_in.clone() });
        }
        Ok(found)
    }

    async fn dependencies(
        &self,
        asked: &[Asked],
        head: &CommitId,
        ledger: &dyn Ledger,
    ) -> Result<BTreeMap<ActionId, Dependency>, GatherError> {
        let world = World { mirror: &self.mirror, ledger, folder: &self.folder, head };
        let actions = asked.iter().filter_map(|one| one.action.as_ref());
        world.dependencies(actions.flat_map(|action| action.depends_on.clone()).collect()).await
    }

    async fn arrival(
        &self,
        asked: &Asked,
        approved: Option<&Approved>,
        look: Option<&Look<'_>>,
        formula: &FormulaAnswer,
    ) -> Arrival {
        let origin = match &asked.arrival {
            Ok(origin) => origin,
            Err(detail) => return Arrival::Unknown { detail: detail.clone() },
        };
        let signature = match approved {
            Some(_) if look.is_none() => match self.powers.signature(&origin.commit, &asked.power.signers).await {
                Ok(signature) => Some(signature),
                Err(error) => return Arrival::Unknown { detail: chain::words(&error) },
            },
            _ => None,
        };
        let request = match approved {
            Some(approved) => approved.request(asked, look, formula).await,
            None => Search::NotAsked,
        };
        let Origin { commit, parent, author, committed, .. } = Origin::clone(origin);
        let signers = asked.power.signers.clone();
        Arrival::Commit(Box::new(Arrived { commit, parent, author, committed, signers, signature, request }))
    }
}

/// The formula as it was approved together with the action.
fn formula_of(one: &Asked, approved: Option<&Approved>, with_them: &BTreeMap<CommitId, Answers>) -> FormulaAnswer {
    let found = approved.and_then(|approved| {
        let answer = with_them.get(&approved.formulas_at)?.get(&one.action.as_ref()?.formula)?;
        Some(formulas::as_of(answer, &approved.commit))
    });
    found.unwrap_or(FormulaAnswer::NotAsked)
}

fn assemble(
    asked: Asked,
    scene: &Scene,
    answers: &Gathered,
    arrival: Arrival,
    formula_at_arrival: FormulaAnswer,
) -> Snapshot {
    let at_head = asked.action.as_ref().and_then(|action| answers.at_head.get(&action.formula)).cloned();
    let id = asked.entry.id();
    Snapshot {
        head: scene.head.clone(),
        rewritten: scene.rewritten.clone(),
        policy: asked.power.policy.clone(),
        arrival,
        formula_at_head: at_head.unwrap_or(FormulaAnswer::NotAsked),
        formula_at_arrival,
        secrets: answers.presence.clone(),
        backends: scene.backends.clone(),
        earlier: id.as_ref().and_then(|id| answers.earlier.get(id)).cloned(),
        result: id.as_ref().and_then(|id| answers.results.get(id)).cloned(),
        dependencies: Arc::clone(&answers.dependencies),
        now: scene.now,
        entry: asked.entry,
    }
}

/// The answers that the actions of one batch share.
struct Gathered {
    earlier: BTreeMap<ActionId, Earlier>,
    results: BTreeMap<ActionId, ResultEntry>,
    at_head: Answers,
    presence: BTreeMap<SecretName, Presence>,
    dependencies: Arc<BTreeMap<ActionId, Dependency>>,
}
