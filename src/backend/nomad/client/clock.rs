//! The servers' clock, as their answers tell it (`Date`): what they have noted a time of is compared with this one, and never with the
//! dispatcher's own, which may be an hour off.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use tokio::time::Instant;

/// What was told last, and when that was.
#[derive(Debug, Default)]
pub(super) struct ServerClock(Mutex<Option<(Timestamp, Instant)>>);

impl ServerClock {
    fn held(&self) -> MutexGuard<'_, Option<(Timestamp, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the header of an answer that has just come. One that cannot be read changes nothing.
    pub(super) fn note(&self, date: &str) {
        if let Ok(told) = DateTimeParser::new().parse_timestamp(date) {
            *self.held() = Some((told, Instant::now()));
        }
    }

    /// The present instant there, to the second; `None` before the first answer.
    pub(super) fn now(&self) -> Option<Timestamp> {
        let (told, at) = (*self.held())?;
        Some(told.saturating_add(at.elapsed()).unwrap_or(told))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_from_what_was_told_last() {
        let clock = ServerClock::default();
        assert_eq!(clock.now(), None);
        clock.note("Sat, 21 Nov 2026 20:19:15 GMT");
        tokio::time::advance(Duration::from_secs(60)).await;
        clock.note("no date");
        assert_eq!(clock.now(), Some("2026-11-21T20:20:15Z".parse().unwrap()));
    }
}
