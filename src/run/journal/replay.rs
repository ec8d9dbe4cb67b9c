//! The events taken again from the beginning: what they come to must be what the table of runs says. The chain proves the
//! events; this proves that the rows, by which the dispatcher acts, are made of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::Connection;

use super::chain::{Break, Event, row_to_event};
use super::{JournalError, read};
use crate::run::record::Run;
use crate::run::step::Step;
use crate::support::ids::RunId;

/// What the table of runs says that its events do not, and events that are no legal steps.
///
/// # Errors
/// Any failure to read; a row that does not fit is not an error but an answer.
pub fn compare(connection: &Connection) -> Result<Vec<Break>, JournalError> {
    let mut replay = Replay::default();
    let failed = || JournalError::statement("read its events");
    let mut statement = connection
        .prepare("SELECT seq, at, run, kind, data, prev, hash FROM events WHERE run != '' ORDER BY seq")
        .map_err(failed())?;
    for event in statement.query_map([], row_to_event).map_err(failed())? {
        let event = event.map_err(failed())?;
        if let Err(what) = replay.take(&event) {
            replay.breaks.push(Break { seq: event.seq, what: format!("{}: {what}", event.run) });
        }
    }
    let Replay { mut runs, mut breaks } = replay;
    let mut row = |id: String, row: Result<(String, Run), JournalError>| {
        let (seq, replayed) = runs.remove(&id).map_or((0, None), |(seq, run)| (seq, Some(run)));
        breaks.extend(differs(row, replayed).map(|what| Break { seq, what: format!("{id}: {what}") }));
    };
    read::each_row(connection, &mut row)?;
    breaks.extend(runs.into_iter().map(|(id, (seq, _))| Break { seq, what: format!("{id}: its row is gone") }));
    Ok(breaks)
}

/// Runs as their events make them, each with the number of its last event.
#[derive(Default)]
struct Replay {
    runs: BTreeMap<String, (i64, Run)>,
    breaks: Vec<Break>,
}

impl Replay {
    fn take(&mut self, event: &Event) -> Result<(), String> {
        let step: Step =
            serde_json::from_str(&event.data).map_err(|error| format!("it does not read back: {error}"))?;
        if step.kind().word() != event.kind {
            return Err(format!("it calls itself `{}` and holds `{}`", event.kind, step.kind().word()));
        }
        let at: Timestamp = event.at.parse().map_err(|error| format!("its time is none: {error}"))?;
        let after = if let Some((_, run)) = self.runs.get(&event.run) {
            run.after(&step, at).map_err(|illegal| illegal.to_string())?
        } else {
            let id: RunId = event.run.parse().map_err(|_| "it is of no run".to_owned())?;
            let order = i64::try_from(self.runs.len()).unwrap_or(i64::MAX).saturating_add(1);
            Some(Run::begin(id, order, &step, at).map_err(|illegal| illegal.to_string())?)
        };
        if let Some(run) = after {
            self.runs.insert(event.run.clone(), (event.seq, run));
        }
        Ok(())
    }
}

/// What a row says that its events do not.
fn differs(row: Result<(String, Run), JournalError>, replayed: Option<Run>) -> Option<String> {
    let Ok((state, mut row)) = row else { return Some("its row does not read back".to_owned()) };
    let Some(mut replayed) = replayed else { return Some("a row without events".to_owned()) };
    if state != row.state.word() || row.state != replayed.state {
        return Some(format!("its row says `{state}`, its events say `{}`", replayed.state));
    }
    // Events keep the digests of what ran, not its bytes.
    for run in [&mut row, &mut replayed] {
        if let Some(admitted) = &mut run.admitted {
            admitted.drop_bytes();
        }
    }
    (row != replayed).then(|| "its row is not what its events made of it".to_owned())
}
