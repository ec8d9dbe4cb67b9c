//! Since when grants have not worked: waiting has a bound, after which a person is called (30-grants), for a request that is
//! itself wrong fails the same way however long one waits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Failure;
use crate::support::chain;
use crate::vault::Why;

/// A restart or an unsealing by hand takes less.
const PATIENCE: Duration = Duration::from_secs(600);

/// The trouble there is, if there is any.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Option<(Instant, String)>>);

impl Trouble {
    fn held(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something failed. Answers about one token or one path are none of the server's trouble.
    pub(super) fn note(&self, failure: &Failure) {
        let is_answer = matches!(failure, Failure::Call(error)
            if matches!(error.why, Why::NoSuchAccessor | Why::NotFound { .. } | Why::WrappingGone));
        if is_answer {
            return self.clear();
        }
        let words = chain::words(failure);
        let mut held = self.held();
        let since = held.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        *held = Some((since, words));
    }

    /// Something worked.
    pub(super) fn clear(&self) {
        *self.held() = None;
    }

    /// The trouble, once it has lasted.
    pub(super) fn lasting(&self) -> Option<String> {
        let held = self.held();
        let (since, words) = held.as_ref().filter(|(since, _)| since.elapsed() >= PATIENCE)?;
        let minutes = since.elapsed().as_secs() / 60;
        Some(format!(
            "no grant could be made or taken back for {minutes} minutes: {words}; `dispatch doctor` looks at each part"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::VaultError;

    fn failure(why: Why) -> Failure {
        VaultError { address: "http://v".to_owned(), call: "GET x".to_owned(), why }.into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_is_called_when_it_has_lasted_and_not_before() {
        let trouble = Trouble::default();
        trouble.note(&failure(Why::Slow));
        tokio::time::advance(Duration::from_secs(599)).await;
        trouble.note(&failure(Why::Sealed));
        assert_eq!(trouble.lasting(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        let words = trouble.lasting().unwrap();
        assert!(words.contains("10 minutes") && words.contains("sealed"), "{words}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_about_one_token_is_no_trouble() {
        let trouble = Trouble::default();
        trouble.note(&failure(Why::Slow));
        trouble.note(&failure(Why::NoSuchAccessor));
        tokio::time::advance(PATIENCE).await;
        assert_eq!(trouble.lasting(), None);
    }
}
