//! Which backends answer: what the last look at each found.
//!
//! Nobody is asked because a request is judged or a run is queued: a backend is looked at when the dispatcher starts, when a call
//! to it has failed, and, while it does not answer, every now and then until it does. Meanwhile nothing is admitted for it or
//! launched on it, and what runs there already is followed on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::admission::snapshot::Availability;
use crate::backend::Backend;
use crate::support::checkup::{Finding, Standing, worst};
use crate::support::retry::RetryPolicy;

/// Between two looks at a backend that does not answer.
const LOOKS: RetryPolicy = RetryPolicy { first: Duration::from_secs(1), cap: Duration::from_secs(30), budget: None };

/// The backends, and what is known of them.
#[derive(Debug)]
pub struct Reach {
    backends: BTreeMap<String, Arc<dyn Backend>>,
    known: Mutex<Known>,
    doubt: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// Those that do not answer, and in which words.
    out: BTreeMap<String, String>,
    /// Those of which a call has failed since they were looked at.
    doubted: BTreeSet<String>,
    /// Those whose runs the journal was not compared with since the start, and why: what runs there may be more than it knows.
    owed: BTreeMap<String, String>,
}

impl Reach {
    /// Everything is taken to answer, until it was looked at or has failed.
    pub fn new(backends: BTreeMap<String, Arc<dyn Backend>>) -> Self {
        Self { backends, known: Mutex::default(), doubt: Notify::new() }
    }

    /// The findings of a look at `backend`.
    pub fn note(&self, backend: &str, findings: &[Finding]) {
        let mut known = self.locked();
        known.doubted.remove(backend);
        if worst(findings) < Standing::Unreachable {
            known.out.remove(backend);
            return;
        }
        let bad = findings.iter().filter(|finding| finding.standing >= Standing::Unreachable);
        let words: Vec<String> = bad.map(|finding| format!("{}: {}", finding.subject, finding.evidence)).collect();
        known.out.insert(backend.to_owned(), words.join("; "));
    }

    /// A call to `backend` has failed: it is looked at, and until then taken as it was. One that is out is looked at anyway.
    pub fn doubt(&self, backend: &str) {
        let mut known = self.locked();
        if !known.out.contains_key(backend) && known.doubted.insert(backend.to_owned()) {
            self.doubt.notify_one();
        }
    }

    /// Those on which nothing may begin: they do not answer, or were not compared with since they do. In which words.
    pub fn out(&self) -> BTreeMap<String, String> {
        let known = self.locked();
        let owed = known.owed.iter().map(|(name, why)| {
            (name.clone(), format!("{name}: the journal was not compared with what runs there: {why}"))
        });
        owed.chain(known.out.clone()).collect()
    }

    /// The journal could not be compared with what runs on `backend`, because of `why`.
    pub fn owe(&self, backend: &str, why: &str) {
        self.locked().owed.insert(backend.to_owned(), why.to_owned());
    }

    /// The journal was compared with what runs on `backend`.
    pub fn settle(&self, backend: &str) {
        self.locked().owed.remove(backend);
    }

    /// Those that answer and were not compared with.
    pub fn owed(&self) -> Vec<String> {
        let known = self.locked();
        known.owed.keys().filter(|name| !known.out.contains_key(*name)).cloned().collect()
    }

    /// Whether the journal was compared with all of them.
    pub fn owes_nothing(&self) -> bool {
        self.locked().owed.is_empty()
    }

    /// All backends as admission sees them.
    pub fn availability(&self) -> BTreeMap<String, Availability> {
        let out = self.out();
        let of = |name: &String| match out.get(name) {
            Some(detail) => Availability::Unreachable { detail: detail.clone() },
            None => Availability::Ready,
        };
        self.backends.keys().map(|name| (name.clone(), of(name))).collect()
    }

    /// Looks at those that are out or doubted, whenever it is time to, and calls `news` after each look that changed something.
    /// Never returns.
    pub async fn keep_looking(&self, news: impl Fn()) {
        let mut delays = LOOKS.delays();
        loop {
            let before = self.out();
            let all_answer = self.locked().out.is_empty();
            if all_answer {
                delays = LOOKS.delays();
                self.doubt.notified().await;
            } else {
                // The end of the pause, or a doubt about another one.
                drop(timeout(delays.next().unwrap_or(LOOKS.cap), self.doubt.notified()).await);
            }
            self.look().await;
            if self.out() != before {
                news();
            }
        }
    }

    async fn look(&self) {
        for name in self.wanted() {
            match self.backends.get(&name) {
                Some(backend) => self.note(&name, &backend.check().await),
                None => drop(self.locked().doubted.remove(&name)),
            }
        }
    }

    fn wanted(&self) -> BTreeSet<String> {
        let known = self.locked();
        known.out.keys().chain(&known.doubted).cloned().collect()
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::backend::fake::FakeBackend;

    fn reach(fake: &FakeBackend) -> Arc<Reach> {
        let backend: Arc<dyn Backend> = Arc::new(fake.clone());
        Arc::new(Reach::new(BTreeMap::from([("fake".to_owned(), backend)])))
    }

    /// Waits until `Reach` has told its news `times` times.
    async fn told(news: &Arc<(AtomicUsize, Notify)>, times: usize) {
        while news.0.load(Ordering::Relaxed) < times {
            news.1.notified().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_call_is_looked_into_and_an_outage_ends_by_itself() {
        let fake = FakeBackend::new();
        let reach = reach(&fake);
        let news = Arc::new((AtomicUsize::new(0), Notify::new()));
        let (looking, told_of) = (Arc::clone(&reach), Arc::clone(&news));
        let task = tokio::spawn(async move {
            let tell = || {
                told_of.0.fetch_add(1, Ordering::Relaxed);
                told_of.1.notify_one();
            };
            looking.keep_looking(tell).await;
        });
        assert_eq!(reach.availability()["fake"], Availability::Ready);
        fake.check_says(Some("connection refused"));
        reach.doubt("fake");
        told(&news, 1).await;
        let Availability::Unreachable { detail } = &reach.availability()["fake"] else { panic!("it is out") };
        assert!(detail.contains("connection refused"), "{detail}");
        fake.check_says(None);
        told(&news, 2).await;
        assert_eq!(reach.availability()["fake"], Availability::Ready);
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_failed_by_chance_puts_nothing_out() {
        let fake = FakeBackend::new();
        let reach = reach(&fake);
        reach.doubt("fake");
        reach.look().await;
        assert!(reach.out().is_empty() && reach.wanted().is_empty());
    }
}
