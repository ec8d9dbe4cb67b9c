//! Rebuilding: a journal that is new, or older than what was done under it, is compared with what the backends and the ops
//! repo still know. What has a result is done, what runs is adopted, and nothing is run again.
//!
//! That a journal is older (somebody restored a copy) shows in the ops repo: each commit of results names the end of the chain
//! that it was written under, and a journal that does not have that event has lost its latest ones.

use super::Dispatcher;
use super::outbox::TRAILER;
use super::pickup::PickupError;
use crate::backend::{Backend, Listed};
use crate::run::journal::JournalError;
use crate::run::journal::chain::Tip;
use crate::run::state::State;
use crate::run::step::Step;
use crate::support::ids::CommitId;

/// Key of the journal's named value that is set while the journal has not been compared with the backends.
pub(super) const REBUILDING: &str = "rebuilding";

/// Key of the journal's named value: the end of a chain that is not this journal's, and with whose work it was compared.
const COMPARED: &str = "compared";

/// Commits of results that are looked at: one whose trailer does not read back (anybody who may push can write one) hides none
/// before it.
const COMMITS: u32 = 20;

/// The end of the chain under which the newest results were written; `trailers` are newest first.
fn claimed(trailers: &[(CommitId, String)]) -> Option<Tip> {
    trailers.iter().find_map(|(_, value)| Tip::read(value))
}

impl Dispatcher {
    /// Compares the journal with what the backends still know, and more closely where it is new or older than its own results.
    pub(super) async fn rebuild(&self) -> Result<(), PickupError> {
        let foreign = self.notice_age().await?;
        let journal = &self.crew.world().journal;
        let rebuilding = journal.get(REBUILDING).await?.is_some();
        for (name, backend) in &self.crew.world().backends {
            let listed = match backend.list().await {
                Ok(listed) => listed,
                Err(error) if rebuilding => return Err(error.into()),
                Err(error) => {
                    self.troubles.set("backend", format!("{name} cannot list its runs: {error}"));
                    continue;
                }
            };
            for found in listed {
                self.compare(backend.as_ref(), found, rebuilding).await?;
            }
        }
        if rebuilding {
            journal.set(COMPARED, foreign).await?;
            journal.set(REBUILDING, None).await?;
        }
        Ok(())
    }

    /// Answers the end of the chain that the ops repo names and this journal does not have. Where that is news, the journal is
    /// to be compared.
    async fn notice_age(&self) -> Result<Option<String>, PickupError> {
        let journal = &self.crew.world().journal;
        let Some(claimed) = claimed(&self.pickup.mirror.trailers(TRAILER, COMMITS).await?) else { return Ok(None) };
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
        assert_eq!(claimed(&trailers), Some(Tip { seq: 17, hash: "abc".to_owned() }));
        assert_eq!(claimed(&trailers[..1]), None);
    }
}
