//! What the forge was told last, in a bounded memory, and for what is not in it the forge itself: nothing is said twice in a row,
//! also not after a restart.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use super::{TellError, Teller};
use crate::forge::{PullNumber, Status, Told};
use crate::support::ids::CommitId;

/// How many commits and requests are remembered each.
const REMEMBERED: usize = 512;

/// How often a commit is tried of which the forge cannot say why it does not take its status.
const TRIES: u32 = 10;

/// A map that forgets what was added first.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    values: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { values: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        if self.values.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.values.remove(&oldest);
            }
        }
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.values.remove(key);
        self.order.retain(|known| known != key);
    }
}

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// By commit and context.
    pub(super) statuses: Recent<(CommitId, String), Status>,
    /// The comment of a request, and what it says.
    pub(super) comments: Recent<PullNumber, (i64, String)>,
    /// The head of an open request, and the head of the primary branch, that were checked last.
    pub(super) checked: Recent<PullNumber, (CommitId, Option<String>)>,
    tries: Recent<CommitId, u32>,
}

impl Said {
    /// Notes that telling about `commit` failed in a way that may pass; whether that was once too often.
    pub(super) fn failed(&mut self, commit: &CommitId) -> bool {
        let tries = self.tries.get(commit).copied().unwrap_or(0) + 1;
        self.tries.put(commit.clone(), tries);
        tries >= TRIES
    }
}

impl Teller {
    /// Tells `status` of `commit`, unless that is what was told last.
    pub(super) async fn say(&self, commit: &CommitId, status: Status) -> Result<(), TellError> {
        let key = (commit.clone(), status.context.clone());
        let known = self.said.lock().await.statuses.get(&key).cloned();
        let known = match known {
            Some(known) => Some(known),
            None => self.last(commit, &status.context).await?,
        };
        if known.as_ref() != Some(&status) {
            self.forge.tell_status(commit, &status).await?;
            tracing::debug!(commit = commit.short(), context = status.context, "{}", status.description);
        }
        self.said.lock().await.statuses.put(key, status);
        Ok(())
    }

    /// What we told last of `commit`. Any writer may tell under our context, which is not what we said; where the token does not
    /// say who we are, it cannot be told apart.
    async fn last(&self, commit: &CommitId, context: &str) -> Result<Option<Status>, TellError> {
        let me = self.me().await.ok();
        let ours = |told: &Told| me.is_none_or(|me| told.creator.as_ref().is_some_and(|user| user.id == me));
        let told = self.forge.statuses(commit).await?;
        Ok(told.into_iter().rfind(|told| told.status.context == context && ours(told)).map(|told| told.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_much_is_remembered_and_the_oldest_is_forgotten() {
        let mut recent = Recent::default();
        for number in 0..=REMEMBERED {
            recent.put(number, number);
            recent.put(number, number + 1);
        }
        assert_eq!(recent.get(&0), None);
        assert_eq!(recent.get(&REMEMBERED), Some(&(REMEMBERED + 1)));
        recent.forget(&REMEMBERED);
        assert_eq!(
            (recent.get(&REMEMBERED), recent.values.len(), recent.order.len()),
            (None, REMEMBERED - 1, REMEMBERED - 1)
        );
    }

    #[test]
    fn a_commit_that_is_never_taken_is_given_up_in_the_end() {
        let (mut said, commit) = (Said::default(), "0".repeat(40).parse().unwrap());
        let failures = (0..TRIES).filter(|_| said.failed(&commit)).count();
        assert_eq!(failures, 1);
    }
}
