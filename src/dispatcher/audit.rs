//! `dispatch audit verify`: whether the journal is whole, and whether it is the journal that its published results speak of.
//!
//! Three proofs, each for what the one before cannot see: the chain (an edited or missing event), the events taken again (an
//! edited run), and the commits of results, which carry a number and hash of the chain to where nobody here can change them (a
//! journal that was cut short, restored from an older copy, or made anew).

use rusqlite::Connection;

use crate::run::journal::chain::{self, Claim, Tip};
use crate::run::journal::terms::terms;
use crate::run::journal::{JournalError, replay};
use crate::support::ids::CommitId;

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audited {
    /// How many events there are.
    pub events: i64,
    /// The hash of the last one.
    pub tip: String,
    /// How many commits of results were compared.
    pub commits: usize,
    /// How many others there are, which dispatchers made that led at other times: their journals are elsewhere.
    pub others: usize,
    /// What does not hold, in words.
    pub broken: Vec<String>,
}

/// Looks through the whole journal; `trailers` are the commits of results with what they say of it, newest first.
///
/// # Errors
/// Any failure to read; what does not hold is not an error but an answer.
pub fn audit(connection: &Connection, trailers: &[(CommitId, String)]) -> Result<Audited, JournalError> {
    // One snapshot for all three, also while a dispatcher goes on writing.
    let snapshot = connection.unchecked_transaction().map_err(JournalError::statement("begin to be read"))?;
    let chain = chain::verify(&snapshot)?;
    let breaks = chain.breaks.into_iter().chain(replay::compare(&snapshot)?);
    let mut broken: Vec<String> = breaks.map(|found| format!("event {}: {}", found.seq, found.what)).collect();
    let terms = terms(&snapshot)?;
    let is_own = |value: &str| Claim::read(value).is_none_or(|claim| terms.include(&claim));
    let (own, others): (Vec<_>, Vec<_>) = trailers.iter().cloned().partition(|(_, value)| is_own(value));
    broken.extend(unlike(&snapshot, &own)?);
    Ok(Audited { events: chain.events, tip: chain.tip, commits: own.len(), others: others.len(), broken })
}

/// One sentence for all commits that speak of another journal: where one does, many do.
fn unlike(connection: &Connection, trailers: &[(CommitId, String)]) -> Result<Option<String>, JournalError> {
    let mut unlike = Vec::new();
    for (commit, value) in trailers {
        if let Some(why) = difference(connection, value)? {
            unlike.push(format!("{} {why}", commit.short()));
        }
    }
    let Some(newest) = unlike.first() else { return Ok(None) };
    Ok(Some(format!(
        "{} of {} commits of results speak of another journal than this one; the newest: {newest}. This journal was cut \
         short, restored from an older copy or made anew",
        unlike.len(),
        trailers.len()
    )))
}

/// How what a commit says of the journal differs from it.
fn difference(connection: &Connection, value: &str) -> Result<Option<String>, JournalError> {
    let Some(Claim { tip: Tip { seq, hash }, .. }) = Claim::read(value) else {
        return Ok(Some("has a trailer that does not read back".to_owned()));
    };
    Ok(match chain::hash_of(connection, seq)? {
        Some(found) if found == hash => None,
        Some(_) => Some(format!("knows event {seq} with another hash")),
        None => Some(format!("knows event {seq}, which is not here")),
    })
}
