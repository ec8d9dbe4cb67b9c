//! Until when this process may act, where one of several may at a time. The lease extends it; whoever is about to act asks it.
//!
//! It is over by itself: nobody has to be awake, or to reach anything, to end it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time since this machine started, the time that it slept included: a machine that wakes must not take up where it was.
pub fn uptime() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// Until when one may act. Clones share it.
#[derive(Debug, Clone)]
pub struct Tenure(Option<Arc<AtomicU64>>);

impl Tenure {
    /// Of one who has to ask nobody: it is never over.
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// One that has not begun.
    pub fn not_begun() -> Self {
        Self(Some(Arc::default()))
    }

    /// It lasts until `until`, in [`uptime`], and not less long than before.
    pub fn extend_to(&self, until: Duration) {
        if let Some(end) = &self.0 {
            end.fetch_max(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }

    /// It is over now.
    pub fn end(&self) {
        if let Some(end) = &self.0 {
            end.store(0, Ordering::SeqCst);
        }
    }

    /// How long it still lasts; zero when it is over.
    pub fn left(&self) -> Duration {
        match &self.0 {
            Some(end) => Duration::from_millis(end.load(Ordering::SeqCst)).saturating_sub(uptime()),
            None => Duration::MAX,
        }
    }

    /// Whether one may act.
    pub fn holds(&self) -> bool {
        !self.left().is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenure_lasts_as_long_as_it_was_extended_to_and_its_clones_end_with_it() {
        let tenure = Tenure::not_begun();
        let clone = tenure.clone();
        assert!(!clone.holds());
        tenure.extend_to(uptime() + Duration::from_secs(60));
        tenure.extend_to(uptime());
        assert!(clone.holds() && clone.left() <= Duration::from_secs(60), "an older answer shortens nothing");
        clone.end();
        assert!(!tenure.holds());
        tenure.extend_to(uptime().saturating_sub(Duration::from_secs(1)));
        assert!(!tenure.holds(), "an answer to a question of long ago extends nothing");
    }

    #[test]
    fn one_who_is_alone_may_always_act() {
        let tenure = Tenure::unlimited();
        tenure.end();
        assert!(tenure.holds());
    }
}
