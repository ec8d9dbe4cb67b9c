//! The terms for which the dispatcher of this journal led, where there are several: which commits of results are its own.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::chain::Claim;
use super::{Journal, JournalError};

/// Kind of the events that begin a term; their data has its number under `term`.
pub const LEAD: &str = "lead";

/// The terms, from the events that began them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms(BTreeSet<u64>);

impl Terms {
    /// Whether the commit that claims this was made under this journal, or must have been: one without a term was made where there was no
    /// other.
    pub fn include(&self, claim: &Claim) -> bool {
        claim.term.is_none_or(|term| self.0.contains(&term))
    }
}

/// The terms of this journal.
///
/// # Errors
/// Any failure to read.
pub fn terms(connection: &Connection) -> Result<Terms, JournalError> {
    let failed = JournalError::statement;
    let mut statement = connection
        .prepare("SELECT json_extract(data, '$.term') FROM events WHERE kind = ?1")
        .map_err(failed("read its terms"))?;
    let rows = statement.query_map([LEAD], |row| row.get::<_, Option<i64>>(0)).map_err(failed("read its terms"))?;
    let mut terms = BTreeSet::new();
    for row in rows {
        terms.extend(row.map_err(failed("read a term"))?.and_then(|term| u64::try_from(term).ok()));
    }
    Ok(Terms(terms))
}

impl Journal {
    /// The terms of this journal.
    ///
    /// # Errors
    /// Any failure to read.
    pub async fn terms(&self) -> Result<Terms, JournalError> {
        self.call(terms).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::run::journal::chain::Tip;
    use crate::support::clock::SystemClock;

    #[tokio::test]
    async fn commits_of_terms_that_were_led_elsewhere_are_told_from_our_own() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.db"), Arc::new(SystemClock)).unwrap();
        journal.note(LEAD, serde_json::json!({ "term": 17 })).await.unwrap();
        let terms = journal.terms().await.unwrap();
        let claims = [(None, true), (Some(17), true), (Some(18), false)];
        for (term, own) in claims {
            let claim = Claim { tip: Tip { seq: 3, hash: "abc".to_owned() }, term };
            assert_eq!(Claim::read(&claim.to_string()), Some(claim.clone()));
            assert_eq!(terms.include(&claim), own, "{claim}");
        }
        assert_eq!(Claim::read("3 abc term"), None);
    }
}
