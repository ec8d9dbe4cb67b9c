//! Where everything random comes from, so that a seed is a history; and the notes of what happened.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dispatch::support::clock::Clock;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

/// Chance, time, and what is told of both. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Chance(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rng: Mutex<fastrand::Rng>,
    /// Nothing fails any more.
    calm: AtomicBool,
    /// When the history began, on the clock of the present runtime.
    begun: Mutex<Option<Instant>>,
    told: Mutex<Vec<String>>,
    wrong: Mutex<Vec<String>>,
}

impl Chance {
    pub(crate) fn of(seed: u64) -> Self {
        // The pauses between tries are jittered from this thread's own.
        fastrand::seed(seed);
        Self(Arc::new(Shared {
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            calm: AtomicBool::new(false),
            begun: Mutex::default(),
            told: Mutex::default(),
            wrong: Mutex::default(),
        }))
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.0.rng.lock().unwrap().u64(0..end)
    }

    /// Whole milliseconds below `end`.
    pub(crate) fn millis(&self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }

    /// True in so many cases of a hundred.
    pub(crate) fn percent(&self, share: u64) -> bool {
        self.below(100) < share
    }

    /// The same, while things may fail at all.
    pub(crate) fn trouble(&self, share: u64) -> bool {
        !self.0.calm.load(Ordering::Relaxed) && self.percent(share)
    }

    /// From now on nothing fails.
    pub(crate) fn calm_down(&self) {
        self.0.calm.store(true, Ordering::Relaxed);
        self.tell("from here on nothing fails");
    }

    /// A call takes its time.
    pub(crate) async fn pause(&self) {
        sleep(self.millis(40)).await;
    }

    /// Virtual time since the history began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.begun.lock().unwrap().map_or(Duration::ZERO, |begun| begun.elapsed())
    }

    /// The history goes on by the clock of a new runtime; answers by how much that is later than the one before.
    pub(crate) fn goes_on(&self, begun: Instant) -> Duration {
        let before = self.0.begun.lock().unwrap().replace(begun);
        before.map_or(Duration::ZERO, |before| begun.duration_since(before))
    }

    /// Notes what happened.
    pub(crate) fn tell(&self, words: impl AsRef<str>) {
        let line = format!("{:>9.3} s  {}", self.elapsed().as_secs_f64(), words.as_ref());
        self.0.told.lock().unwrap().push(line);
    }

    /// Notes that a promise is broken.
    pub(crate) fn wrong(&self, words: String) {
        self.tell(format!("WRONG: {words}"));
        let mut wrong = self.0.wrong.lock().unwrap();
        if !wrong.contains(&words) {
            wrong.push(words);
        }
    }

    /// What happened, and what should not have.
    pub(crate) fn notes(&self) -> (Vec<String>, Vec<String>) {
        (self.0.told.lock().unwrap().clone(), self.0.wrong.lock().unwrap().clone())
    }
}

/// The date goes with the virtual time.
impl Clock for Chance {
    fn now(&self) -> Timestamp {
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        begin + self.elapsed()
    }
}
