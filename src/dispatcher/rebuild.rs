//! Rebuilding: a journal that is new, or older than what was done under it, is compared with what the backends and the ops
//! repo still know. What has a result is done, what runs is adopted, and nothing is run again.
//!
//! A backend that does not answer may have runs that the journal does not know of: nothing begins on it before it was compared. The
//! others do not wait for it. (One action never waits for another's backend: its own is asked for its launch key before each launch.)
//!
//! That a journal is older (somebody restored a copy) shows in the ops repo: each commit of results names the end of the chain
//! that it was written under, and a journal that does not have that event has lost its latest ones. Where another dispatcher led since
//! this one last did, the lease says so, and the journal is compared in the same way.

use super::Dispatcher;
use super::outbox::TRAILER;
use super::pickup::PickupError;
use crate::backend::{Backend, Listed};
use crate::run::journal::JournalError;
use crate::run::journal::chain::{Claim, Tip};
use crate::run::journal::terms::Terms;
use crate::run::state::State;
use crate::run::step::Step;
use crate::support::chain;
use crate::support::ids::CommitId;

/// Key of the journal's named value that is set while the journal has not been compared with the backends.
pub(super) const REBUILDING: &str = "rebuilding";

/// Key of the journal's named value: the end of a chain that is not this journal's, and with whose work it was compared.
const COMPARED: &str = "compared";

/// Commits of results that are looked at: one whose trailer does not read back (anybody who may push can write one) hides none
/// before it.
const COMMITS: u32 = 20;

/// The end of the chain under which the newest results of this journal's own were written; `trailers` are newest first.
fn claimed(trailers: &[(CommitId, String)], own: &Terms) -> Option<Tip> {
    let claims = trailers.iter().filter_map(|(_, value)| Claim::read(value));
    claims.filter(|claim| own.include(claim)).map(|claim| claim.tip).next()
}

impl Dispatcher {
    /// Compares the journal with what the backends still know, and more closely where it is new or older than its own results.
    pub(super) async fn rebuild(&self) -> Result<(), PickupError> {
        self.notice_age().await?;
        let silent = self.reach.out();
        for name in self.crew.world().backends.keys() {
            if silent.contains_key(name) {
                self.reach.owe(name, "it has not answered since the start");
            } else {
                self.compare_backend(name).await?;
            }
        }
        self.note_compared().await
    }

    /// The same with those that did not answer then and do now.
    pub(super) async fn compare_rest(&self) -> Result<(), PickupError> {
        let names = self.reach.owed();
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            self.compare_backend(&name).await?;
        }
        self.note_compared().await
    }

    async fn compare_backend(&self, name: &str) -> Result<(), PickupError> {
        let Some(backend) = self.crew.world().backends.get(name) else { return Ok(()) };
        let rebuilding = self.crew.world().journal.get(REBUILDING).await?.is_some();
        match backend.list().await {
            Ok(listed) => {
                for found in listed {
                    self.compare(backend.as_ref(), found, rebuilding).await?;
                }
                self.reach.settle(name);
            }
            Err(error) => {
                self.reach.owe(name, &chain::words(&error));
                self.reach.doubt(name);
            }
        }
        Ok(())
    }

    /// Once nothing is left to compare the journal with, it is whole; what waited for a backend is looked at again either way.
    async fn note_compared(&self) -> Result<(), PickupError> {
        let journal = &self.crew.world().journal;
        if self.reach.owes_nothing() && journal.get(REBUILDING).await?.is_some() {
            journal.set(COMPARED, self.notice_age().await?).await?;
            journal.set(REBUILDING, None).await?;
        }
        self.note_reach();
        self.wakes.judge.notify_one();
        self.wakes.queue.notify_one();
        Ok(())
    }

    /// Answers the end of the chain that the ops repo names and this journal does not have. Where that is news, the journal is
    /// to be compared.
    async fn notice_age(&self) -> Result<Option<String>, PickupError> {
        let journal = &self.crew.world().journal;
        let (trailers, own) = (self.pickup.mirror.trailers(TRAILER, COMMITS).await?, journal.terms().await?);
        let Some(claimed) = claimed(&trailers, &own) else { return Ok(None) };
        if journal.hash_of(claimed.seq).await?.as_ref() == Some(&claimed.hash) {
            return Ok(None);
        }
        let foreign = claimed.to_string();
        let compared = journal.get(COMPARED).await?.as_ref() == Some(&foreign);
        if !compared && journal.get(REBUILDING).await?.is_none() {
            let here = journal.tip().await?.seq;
            tracing::error!(published = claimed.seq, here, "the journal is older than the results written under it");
            let data = serde_json::json!({ "published": claimed.seq, "hash": claimed.hash, "here": here });
            journal.note("journal_older", data).await?;
            journal.set(REBUILDING, Some("older".to_owned())).await?;
        }
        Ok(Some(foreign))
    }

    /// One run that a backend knows: one that is done is cleared away, one that the journal should know is adopted.
    async fn compare(&self, backend: &dyn Backend, found: Listed, rebuilding: bool) -> Result<(), PickupError> {
        if found.key.is_of_file() {
            // Of `dispatch once --action`, which looks after it: no action of the ops repo, whatever it calls itself.
            return Ok(());
        }
        match self.crew.world().journal.run(&found.run).await? {
            Some(run) if run.state == State::Published => self.crew.clear_up(vec![run.id]),
            Some(run) if run.state == State::Seen && rebuilding => self.adopt(backend.name(), found).await?,
            Some(_) => {}
            None if self.has_result(&found).await? => {
                if let Err(error) = backend.remove(&found.handle).await {
                    tracing::warn!(run = %found.run, %error, "a run with a result is not cleared away");
                }
            }
            None => self.adopt(backend.name(), found).await?,
        }
        Ok(())
    }

    /// Whether a result of this attempt, or of a later one, stands in the ops repo.
    async fn has_result(&self, found: &Listed) -> Result<bool, PickupError> {
        let standing = self.crew.world().journal.standing(vec![found.run.action().to_string()]).await?;
        match standing.into_iter().flatten().next() {
            Some(result) => Ok(self.pickup.attempt_of(&result).await? >= found.run.attempt()),
            None => Ok(false),
        }
    }

    async fn adopt(&self, backend: &str, found: Listed) -> Result<(), JournalError> {
        tracing::warn!(run = %found.run, backend, "adopting a run that the lost journal knew");
        let step = Step::Recover { handle: found.handle, backend: backend.to_owned() };
        let run = self.crew.world().journal.step(&found.run, step).await?;
        self.crew.take_up(&run);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_results_tell_how_old_the_journal_is_at_least() {
        let commit: CommitId = "a".repeat(40).parse().unwrap();
        let trailers = ["not a claim", "17 abc", "40 def"].map(|value| (commit.clone(), value.to_owned()));
        let own = Terms::default();
        assert_eq!(claimed(&trailers, &own), Some(Tip { seq: 17, hash: "abc".to_owned() }));
        assert_eq!(claimed(&trailers[..1], &own), None);
        let others = [(commit, "99 fff term 7".to_owned()), trailers[2].clone()];
        assert_eq!(
            claimed(&others, &own),
            Some(Tip { seq: 40, hash: "def".to_owned() }),
            "another's chain says nothing"
        );
    }
}
