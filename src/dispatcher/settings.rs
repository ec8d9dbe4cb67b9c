//! The part of the config that may change while the dispatcher runs (SIGHUP), as values.

use std::time::Duration;

use super::queue::Capacity;
use crate::admission::Rules;
use crate::config::Config;

/// What the loop works by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is admitted.
    pub rules: Rules,
    /// How much runs at once.
    pub capacity: Capacity,
    /// Between two polls, before jitter.
    pub poll: Duration,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            rules: Rules::from(config),
            capacity: Capacity {
                slots: limits.max_concurrent,
                formula: limits.formula.clone(),
                backend: limits.backend.clone(),
                ..Capacity::default()
            },
            poll: Duration::try_from_secs_f64(config.ops.poll_seconds).unwrap_or(Duration::from_secs(5)),
        }
    }
}
