//! Events that a person must know of, each with its count: recorded together, so that the count is of what stands in the chain.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::Value;

use super::{JournalError, chain, read, store};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Somebody else opened the grant of a run.
    GrantIntercepted,
    /// A grant was asked for and the answer was lost, or nobody came to record it: there may be a token that nobody holds, until it
    /// ends by itself.
    GrantUnanswered,
}

impl Alarm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::GrantIntercepted, Self::GrantUnanswered];

    /// The word for it: the kind of its events.
    pub fn word(self) -> &'static str {
        match self {
            Self::GrantIntercepted => "grant_intercepted",
            Self::GrantUnanswered => "grant_unanswered",
        }
    }

    fn counter(self) -> String {
        format!("alarms.{}", self.word())
    }

    /// Appends the event, and counts it.
    pub(super) fn record(self, connection: &Connection, at: Timestamp, data: &Value) -> Result<(), JournalError> {
        let count = self.count(connection)? + 1;
        store::set(connection, &self.counter(), Some(&count.to_string()))?;
        chain::append(connection, at, "", self.word(), &data.to_string())
    }

    fn count(self, connection: &Connection) -> Result<u64, JournalError> {
        Ok(read::value(connection, &self.counter())?.and_then(|count| count.parse().ok()).unwrap_or(0))
    }
}

/// The alarms that there were, by their word, with how often.
///
/// # Errors
/// Any failure to read.
pub fn alarms(connection: &Connection) -> Result<BTreeMap<String, u64>, JournalError> {
    let mut all = BTreeMap::new();
    for alarm in Alarm::ALL {
        let count = alarm.count(connection)?;
        if count > 0 {
            all.insert(alarm.word().to_owned(), count);
        }
    }
    Ok(all)
}
