//! The events of the journal as a hash chain: each carries the hash of the one before it, so that an edited, added or missing
//! event shows. The last hash is also written into the commits that publish results, so that a chain that was cut short or made
//! anew shows too.

use std::fmt::Write as _;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::JournalError;
use crate::support::ids::sha256_hex;

/// An event, as stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Event {
    /// Its number, from 1, without gaps.
    pub seq: i64,
    /// When: RFC 3339, UTC.
    pub at: String,
    /// The run's id; empty for what belongs to no run.
    pub run: String,
    /// The kind of step.
    pub kind: String,
    /// The step's data, JSON.
    pub data: String,
    /// The hash of the event before.
    #[serde(skip)]
    pub prev: String,
    /// Its own hash.
    pub hash: String,
}

impl Event {
    fn expected_hash(&self) -> String {
        // Length before content, so that no two different events can be written the same.
        let mut text = format!("{}\n{}\n", self.prev, self.seq);
        for part in [&self.at, &self.run, &self.kind, &self.data] {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{}:{part}", part.len());
        }
        sha256_hex(text.as_bytes())
    }
}

/// The number and hash of the last event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Its number; 0 for an empty chain.
    pub seq: i64,
    /// Its hash; empty for an empty chain.
    pub hash: String,
}

/// `<number> <hash>`
impl std::fmt::Display for Tip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.seq, self.hash)
    }
}

/// What a commit of results says of the journal under which it was made: `<number> <hash>`, and `term <term>` behind it where one of
/// several dispatchers led under that journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The end of the chain.
    pub tip: Tip,
    /// The leadership.
    pub term: Option<u64>,
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.tip.fmt(f)?;
        self.term.map_or(Ok(()), |term| write!(f, " term {term}"))
    }
}

impl Claim {
    /// Reads what [`Display`](std::fmt::Display) writes.
    pub fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (seq, hash, term) = match words.as_slice() {
            [seq, hash] => (seq, hash, None),
            [seq, hash, "term", term] => (seq, hash, Some(term.parse().ok()?)),
            _ => return None,
        };
        Some(Self { tip: Tip { seq: seq.parse().ok()?, hash: (*hash).to_owned() }, term })
    }
}

/// The end of the chain.
///
/// # Errors
/// Any failure to read.
pub fn tip(connection: &Connection) -> Result<Tip, JournalError> {
    connection
        .prepare_cached("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
        .and_then(|mut statement| {
            statement.query_row([], |row| Ok(Tip { seq: row.get(0)?, hash: row.get(1)? })).optional()
        })
        .map(|tip| tip.unwrap_or(Tip { seq: 0, hash: String::new() }))
        .map_err(JournalError::statement("read its last event"))
}

/// The hash of the event with that number.
///
/// # Errors
/// Any failure to read.
pub fn hash_of(connection: &Connection, seq: i64) -> Result<Option<String>, JournalError> {
    connection
        .prepare_cached("SELECT hash FROM events WHERE seq = ?1")
        .and_then(|mut statement| statement.query_row([seq], |row| row.get(0)).optional())
        .map_err(JournalError::statement("read an event"))
}

pub(super) fn append(
    connection: &Connection,
    at: Timestamp,
    run: &str,
    kind: &str,
    data: &str,
) -> Result<(), JournalError> {
    let before = tip(connection)?;
    let mut event = Event {
        seq: before.seq + 1,
        at: at.to_string(),
        run: run.to_owned(),
        kind: kind.to_owned(),
        data: data.to_owned(),
        prev: before.hash,
        hash: String::new(),
    };
    event.hash = event.expected_hash();
    connection
        .prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
        .and_then(|mut statement| {
            statement.execute(params![event.seq, event.at, event.run, event.kind, event.data, event.prev, event.hash])
        })
        .map(drop)
        .map_err(JournalError::statement("append an event"))
}

/// Where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Break {
    /// The number at which it shows.
    pub seq: i64,
    /// What is wrong, in words.
    pub what: String,
}

/// What a look at the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// How many events there are.
    pub events: i64,
    /// The last hash.
    pub tip: String,
    /// Where it does not hold; empty when it does.
    pub breaks: Vec<Break>,
}

/// Reads the whole chain and checks every link.
///
/// # Errors
/// Any failure to read; a broken link is not an error but an answer.
pub fn verify(connection: &Connection) -> Result<Verified, JournalError> {
    let mut statement = connection
        .prepare("SELECT seq, at, run, kind, data, prev, hash FROM events ORDER BY seq")
        .map_err(JournalError::statement("read its events"))?;
    let rows = statement.query_map([], row_to_event).map_err(JournalError::statement("read its events"))?;
    let mut verified = Verified { events: 0, tip: String::new(), breaks: Vec::new() };
    let mut last = 0;
    for row in rows {
        let event = row.map_err(JournalError::statement("read an event"))?;
        verified.breaks.extend(problem(&event, last, &verified.tip).map(|what| Break { seq: event.seq, what }));
        last = event.seq;
        verified.events += 1;
        verified.tip = event.hash;
    }
    Ok(verified)
}

fn problem(event: &Event, last: i64, tip: &str) -> Option<String> {
    if event.seq != last + 1 {
        return Some(format!("events {} to {} are missing", last + 1, event.seq - 1));
    }
    if event.prev != tip {
        return Some("it does not follow the event before it".to_owned());
    }
    (event.hash != event.expected_hash()).then(|| "its content is not what was recorded".to_owned())
}

pub(super) fn row_to_event(row: &rusqlite::Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: row.get(0)?,
        at: row.get(1)?,
        run: row.get(2)?,
        kind: row.get(3)?,
        data: row.get(4)?,
        prev: row.get(5)?,
        hash: row.get(6)?,
    })
}
