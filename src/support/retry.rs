//! Retry policies as values: exponential with full jitter, a cap and a budget. Which errors are worth a retry is decided by
//! the caller's classification; how long to wait is decided here and nowhere else.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

/// How often and how far apart something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first wait, before jitter.
    pub first: Duration,
    /// No wait is longer.
    pub cap: Duration,
    /// How many further tries there are; `None`: for as long as it takes.
    pub budget: Option<usize>,
}

impl RetryPolicy {
    /// For a push or a fetch of the ops repo: for as long as it takes, at most a minute apart (50: "retried with backoff for as
    /// long as it takes").
    pub const OPS: Self = Self { first: Duration::from_millis(200), cap: Duration::from_secs(60), budget: None };

    /// For a question to a server of whose answer nobody has to wait for long: about three seconds in all.
    pub const QUESTION: Self = Self { first: Duration::from_millis(100), cap: Duration::from_secs(2), budget: Some(4) };

    /// For following something until it ends: for as long as it takes, at most five seconds apart.
    pub const FOLLOW: Self = Self { first: Duration::from_millis(200), cap: Duration::from_secs(5), budget: None };

    /// For one question to the forge: what lasts longer than a moment is for the caller's next look.
    pub const FORGE: Self = Self { first: Duration::from_millis(100), cap: Duration::from_secs(1), budget: Some(2) };

    /// For Vault inside a job: quick at first (a new leader is there within a second), and gentle to a sealed server. How long it is
    /// kept up is bounded by the life of what is waited for.
    pub const VAULT: Self = Self { first: Duration::from_millis(100), cap: Duration::from_secs(5), budget: None };

    /// For a run that looks for what its dispatcher deposits: mostly there within a tenth of a second, and never long after the placement.
    pub const DEPOSIT: Self = Self { first: Duration::from_millis(50), cap: Duration::from_secs(1), budget: None };

    /// The waits, one for each further try.
    pub fn delays(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let builder = ExponentialBuilder::default().with_min_delay(self.first).with_max_delay(self.cap).with_jitter();
        match self.budget {
            Some(times) => builder.with_max_times(times),
            None => builder.without_max_times(),
        }
        .build()
    }
}
