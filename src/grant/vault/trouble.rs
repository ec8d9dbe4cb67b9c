//! Since when what grants need has not worked: waiting has a bound, after which a person is called, for a request that
//! is itself wrong fails the same way however long one waits.
//!
//! Each deed is counted by itself. That a secret's metadata can be read, or that a run without secrets gets its fence, says nothing
//! about a mint that has failed for ten minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::grant::GrantError;
use crate::support::fault;
use crate::support::ids::SecretName;

/// A restart or an unsealing by hand takes less, in minutes.
const PATIENCE_MINUTES: u64 = 10;

/// What is wanted is tried again sooner: what is not, its run was cancelled perhaps, is nobody's trouble any more.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// What is tried again until it works, and with what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    /// Telling whether this secret is there.
    Look(SecretName),
    /// Making a grant of these; of none: the fence of a run without secrets.
    Make(BTreeSet<SecretName>),
    /// Putting the wrapping with this accessor down for its run.
    PutDown(String),
    /// Telling what has become of the wrapping with this accessor.
    Tell(String),
    /// Taking the grant back whose first accessor this is.
    TakeBack(String),
}

impl Deed {
    fn not_done(&self) -> String {
        let listed =
            |secrets: &BTreeSet<SecretName>| secrets.iter().map(SecretName::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Look(secret) => format!("whether the secret {secret} is there could not be told"),
            Self::Make(secrets) if secrets.is_empty() => "no fence for a run without secrets could be made".to_owned(),
            Self::Make(secrets) => format!("no grant of {} could be made", listed(secrets)),
            Self::PutDown(_) => "a wrapping token could not be put down for its run".to_owned(),
            Self::Tell(_) => "what has become of a grant could not be told".to_owned(),
            Self::TakeBack(_) => "a grant could not be taken back".to_owned(),
        }
    }
}

/// A deed that does not work.
#[derive(Debug)]
struct Lasting {
    since: Instant,
    last: Instant,
    words: String,
}

/// The trouble there is, if there is any.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<BTreeMap<Deed, Lasting>>);

impl Trouble {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Deed, Lasting>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, lasting| lasting.last.elapsed() < FORGOTTEN);
        all
    }

    /// How `deed` went this time. That a secret cannot be granted is an answer, about the secret.
    pub(super) fn came<T>(&self, deed: Deed, done: Result<T, GrantError>) -> Result<T, GrantError> {
        match &done {
            Ok(_) => self.worked(&deed),
            Err(GrantError::Unusable { .. }) => {}
            Err(error) => self.failed(deed, error.to_string()),
        }
        done
    }

    pub(super) fn failed(&self, deed: Deed, words: String) {
        let last = Instant::now();
        let mut all = self.all();
        let since = all.get(&deed).map_or(last, |lasting| lasting.since);
        all.insert(deed, Lasting { since, last, words });
    }

    pub(super) fn worked(&self, deed: &Deed) {
        self.all().remove(deed);
    }

    /// What has lasted too long: of each kind of deed the one that has lasted longest.
    pub(super) fn lasting(&self) -> Vec<String> {
        let all = self.all();
        let mut longest: Vec<(&Deed, &Lasting)> = Vec::new();
        for (deed, lasting) in all.iter().filter(|(_, lasting)| lasting.since.elapsed() >= patience()) {
            // They are sorted by kind.
            match longest.last_mut() {
                Some((other, before)) if std::mem::discriminant(*other) == std::mem::discriminant(deed) => {
                    if lasting.since < before.since {
                        (*other, *before) = (deed, lasting);
                    }
                }
                _ => longest.push((deed, lasting)),
            }
        }
        longest.into_iter().map(|(deed, lasting)| words(deed, lasting)).collect()
    }
}

fn patience() -> Duration {
    Duration::from_secs(PATIENCE_MINUTES * fault::seconds_per_minute())
}

fn words(deed: &Deed, lasting: &Lasting) -> String {
    let minutes = lasting.since.elapsed().as_secs() / fault::seconds_per_minute().max(1);
    let (what, why) = (deed.not_done(), &lasting.words);
    format!("{what} for {minutes} minutes: {why}; `dispatch doctor` looks at each part")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(names: &[&str]) -> Deed {
        Deed::Make(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    fn unavailable(detail: &str) -> Result<(), GrantError> {
        Err(GrantError::Unavailable { detail: detail.to_owned() })
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    /// Fails every minute for so many.
    async fn fails(trouble: &Trouble, deed: &Deed, minutes: u64) {
        for _ in 0..minutes {
            let _ = trouble.came(deed.clone(), unavailable("it is sealed"));
            pass(60).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_is_called_when_it_has_lasted_and_not_before() {
        let trouble = Trouble::default();
        fails(&trouble, &make(&["A"]), 9).await;
        let _ = trouble.came(make(&["A"]), unavailable("it is sealed"));
        pass(59).await;
        assert!(trouble.lasting().is_empty());
        pass(1).await;
        let words = trouble.lasting().join("\n");
        assert!(words.contains("no grant of A could be made for 10 minutes") && words.contains("sealed"), "{words}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_works_besides_does_not_hide_what_does_not() {
        let trouble = Trouble::default();
        let back = Deed::TakeBack("a1".to_owned());
        for _ in 0..10 {
            for deed in [make(&["A"]), back.clone()] {
                let _ = trouble.came(deed, unavailable("refused with status 403"));
            }
            for deed in [Deed::Look("A".parse().unwrap()), make(&[]), make(&["B"]), Deed::TakeBack("b1".to_owned())] {
                let _ = trouble.came(deed, Ok(()));
            }
            pass(60).await;
        }
        assert_eq!(trouble.lasting().len(), 2, "{:?}", trouble.lasting());
        let _ = trouble.came(make(&["A"]), Ok(()));
        let words = trouble.lasting().join("\n");
        assert!(words.starts_with("a grant could not be taken back for 10 minutes"), "{words}");
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_that_do_not_work_the_one_that_has_lasted_longest_is_told() {
        let trouble = Trouble::default();
        for minute in 0..15 {
            for (deed, from) in [(make(&["A"]), 2), (make(&["B"]), 0), (make(&["C"]), 1)] {
                if minute >= from {
                    let _ = trouble.came(deed, unavailable("it is sealed"));
                }
            }
            pass(60).await;
        }
        let words = trouble.lasting();
        assert!(words.len() == 1 && words[0].contains("grant of B") && words[0].contains("15 minutes"), "{words:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_about_a_secret_is_no_trouble_and_ends_none() {
        let trouble = Trouble::default();
        for _ in 0..10 {
            let _ = trouble.came(make(&["A"]), unavailable("it is sealed"));
            for deed in [make(&["A"]), make(&["B"])] {
                let unusable = GrantError::Unusable { secret: "B".parse().unwrap(), detail: "it is empty".to_owned() };
                let _: Result<(), _> = trouble.came(deed, Err(unusable));
            }
            pass(60).await;
        }
        let words = trouble.lasting();
        assert!(words.len() == 1 && words[0].contains("grant of A"), "{words:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_tries_any_more_is_forgotten() {
        let trouble = Trouble::default();
        fails(&trouble, &make(&["A"]), 12).await;
        assert_eq!(trouble.lasting().len(), 1);
        pass(599).await;
        assert!(trouble.lasting().is_empty());
    }
}
