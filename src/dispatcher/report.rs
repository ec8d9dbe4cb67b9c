//! Runs and the dispatcher as they are shown: from journal rows to the views of `support::status`.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::action::result::ActionResult;
use crate::config::Config;
use crate::run::journal::{JournalError, alarms, read};
use crate::run::record::{Held, Run};
use crate::run::state::State;
use crate::support::status::{OpsView, OutboxView, RunView, StatusView};

use super::Dispatcher;
use super::pickup::HEAD;

/// How many waiting runs `dispatch status` names; `dispatch list` names all.
const WAITING_SHOWN: usize = 50;

/// A run as it is shown. `held` is why it waits for its turn or stands still, as the dispatcher knows it.
pub fn run_view(run: &Run, held: Option<&Held>) -> RunView {
    let result = run.result();
    let admitted = run.admitted.as_deref();
    let why = result.as_ref().map(|result| (result.reason, result.message.clone()));
    let why = why.or_else(|| {
        held.or(run.held.as_ref()).or(run.refusal.as_ref()).map(|held| (held.reason, held.message.clone()))
    });
    RunView {
        run: run.id.to_string(),
        action: run.id.action().to_string(),
        attempt: run.id.attempt(),
        state: if held.is_some() && run.state.holds_slot() { "held" } else { word(run, result.as_ref()) }.to_owned(),
        reason: why.as_ref().map(|(reason, _)| reason.to_string()),
        message: why.map(|(_, message)| message),
        tier: admitted.map(|admitted| admitted.tier.to_string()),
        formula: admitted.map(|admitted| admitted.formula.name.to_string()),
        backend: run.backend.clone().or_else(|| admitted.map(|admitted| admitted.backend.clone())),
        slot: run.slot.filter(|_| run.state.holds_slot()),
        exit: result.as_ref().and_then(|result| result.exit),
        queued_at: Some(run.seen_at),
        started_at: run.started_at,
        finished_at: run.finished_at,
        result_commit: run.published.as_ref().map(ToString::to_string),
    }
}

/// The word that people know: what became of it once that is known, otherwise where it stands.
fn word<'r>(run: &'r Run, result: Option<&ActionResult>) -> &'r str {
    match (run.state, result) {
        (State::Settled | State::Published, Some(result)) => result.state.word(),
        (State::Seen | State::Admitted, _) => "waiting",
        (State::Granted | State::Launching | State::Running, _) => "running",
        (state, _) => state.word(),
    }
}

fn by_state(counts: Vec<(String, i64)>) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(state, count)| (state, u64::try_from(count).unwrap_or(0))).collect()
}

/// What the journal says by itself, where no dispatcher is running on it.
///
/// # Errors
/// Any failure to read the journal.
pub fn offline(journal: &Connection, config: &Config) -> Result<StatusView, JournalError> {
    let unfinished = read::unfinished(journal)?;
    let views = |wanted: &dyn Fn(State) -> bool| -> Vec<RunView> {
        unfinished.iter().filter(|run| wanted(run.state)).map(|run| run_view(run, None)).collect()
    };
    let pending = unfinished.iter().filter(|run| run.state == State::Settled).count();
    Ok(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        running: false,
        slots: config.limits.max_concurrent,
        ops: OpsView {
            remote: config.ops.remote.clone(),
            branch: config.ops.branch.clone(),
            head: read::value(journal, HEAD)?,
            ..OpsView::default()
        },
        counts: by_state(read::counts(journal)?),
        active: views(&State::holds_slot),
        waiting: views(&|state| matches!(state, State::Seen | State::Admitted)),
        outbox: OutboxView { pending: u64::try_from(pending).unwrap_or(0), error: None },
        alarms: alarms(journal)?,
        ..StatusView::default()
    })
}

impl Dispatcher {
    /// What `dispatch status` shows.
    ///
    /// # Errors
    /// Any failure to read the journal.
    pub async fn status(&self) -> Result<StatusView, JournalError> {
        let journal = &self.crew.world().journal;
        let (unfinished, parked) = (self.unfinished().await?, self.crew.parked());
        let mut waits = self.crew.waits();
        waits.extend(parked.clone());
        let mut troubles = self.troubles.all();
        let view = |run: &Run| run_view(run, waits.get(&run.id));
        let waiting = unfinished.iter().filter(|run| matches!(run.state, State::Seen | State::Admitted));
        let pending = unfinished.iter().filter(|run| run.state == State::Settled).count();
        let (counts, head, alarms) = (journal.counts().await?, journal.get(HEAD).await?, journal.alarms().await?);
        Ok(StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            running: true,
            since: Some(self.since),
            draining: *self.draining.borrow(),
            lease: self.lease.as_ref().map(|lease| lease.view()),
            slots: self.settings.borrow().capacity.slots,
            ops: OpsView {
                remote: self.remote.clone(),
                branch: self.branch.clone(),
                head,
                looked_at: *self.looked_at.borrow(),
                error: troubles.remove("ops"),
            },
            counts: by_state(counts),
            active: unfinished.iter().filter(|run| run.state.holds_slot()).map(view).collect(),
            waiting: waiting.take(WAITING_SHOWN).map(view).collect(),
            outbox: OutboxView { pending: u64::try_from(pending).unwrap_or(0), error: troubles.remove("outbox") },
            alarms,
            problems: troubles
                .into_iter()
                .map(|(part, words)| format!("{part}: {words}"))
                .chain(parked.into_values().map(|held| held.message))
                .chain(self.crew.world().hindered.all())
                .chain(self.crew.world().secrets.troubles().into_iter().map(|words| format!("secrets: {words}")))
                .collect(),
        })
    }
}
