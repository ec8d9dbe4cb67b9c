//! The beginning of a run: grant, launch, and what to do where it is not known whether the launch happened.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::{Driven, LifeError, Stride, World, raise, revoke};
use crate::action::reason::Reason;
use crate::backend::{Backend, BackendError, Channel, Found};
use crate::grant::{Ask, Delivery, Grant, GrantError, GrantRecord};
use crate::run::journal::{Alarm, JournalError, StandingResult};
use crate::run::record::Run;
use crate::run::state::State;
use crate::run::step::{Finish, Step};
use crate::runner::envelope::{Envelope, Handover, Limits, PROTOCOL, Sealed};
use crate::support::fault;
use crate::support::ids::LaunchKey;

/// Further looks at a launch whose outcome is not certain, and the wait between them.
const LOOKS: u32 = 5;
/// What a wrapping adds to an envelope, in bytes: token, address, paths and times, without a CA of the server's own.
const WRAPPING: usize = 1024;
/// What a wrapping adds for each secret: its name, path and field.
const PER_SECRET: usize = 256;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Takes the slot, makes the grant, and launches.
pub(super) async fn begin(world: &World, run: &Run, slot: u32) -> Result<Stride, LifeError> {
    let Some(key) = run.launch_key() else {
        let message = "the journal does not say what was asked for".to_owned();
        return finish(world, run, Finish::Lost { reason: Reason::JournalLost, message }).await;
    };
    if let Some(message) = standing_result(world, run).await? {
        return finish(world, run, Finish::NotStarted { reason: Reason::ForeignResult, message }).await;
    }
    revoke(world, run).await?;
    let backend = Arc::clone(world.backend(run)?);
    // Also before the first launch: after a lost journal the run may be there already.
    if let Found::Launched(_) = backend.find(&key).await.map_err(LifeError::backend(run))? {
        let Some(run) = take_slot(world, run, slot, &GrantRecord::default()).await? else { return Ok(Stride::Again) };
        let run = intend(world, &run, backend.as_ref()).await?;
        return resolve(world, &run).await;
    }
    if let Some(message) = too_late(world, run) {
        return finish(world, run, Finish::NotStarted { reason: Reason::Expired, message }).await;
    }
    if let Some(message) = too_large(world, run, &key, backend.as_ref()) {
        return finish(world, run, Finish::NotStarted { reason: Reason::PayloadTooLarge, message }).await;
    }
    let grant = match granted(world, run).await? {
        ControlFlow::Continue(grant) => grant,
        ControlFlow::Break(stride) => return Ok(stride),
    };
    if let Some(message) = not_private(backend.as_ref(), &grant.handover) {
        give_back(world, run, &grant.record).await?;
        return finish(world, run, Finish::NotStarted { reason: Reason::ChannelNotPrivate, message }).await;
    }
    let run = match take_slot(world, run, slot, &grant.record).await {
        Ok(Some(run)) => run,
        Ok(None) => {
            // It was stopped, or is another request by now: what was granted is for nobody.
            give_back(world, run, &grant.record).await?;
            return Ok(Stride::Again);
        }
        Err(error) => {
            // That the grant cannot be given back either is said by then, and the journal may not take it: the first failure is told.
            let _ = give_back(world, run, &grant.record).await;
            return Err(error);
        }
    };
    let run = intend(world, &run, backend.as_ref()).await?;
    launch(world, &run, backend.as_ref(), &key, grant, slot).await
}

/// Makes the grant, or says how it goes on without one. While it is asked for, the journal says so: a token that a killed dispatcher
/// leaves behind is counted by the next one.
async fn granted(world: &World, run: &Run) -> Result<ControlFlow<Stride, Grant>, LifeError> {
    let may_leave_a_token = leaves_tokens(world, run);
    if may_leave_a_token {
        world.journal.minting(&run.id).await.map_err(LifeError::journal(run))?;
    }
    let minted = mint(world, run).await;
    if may_leave_a_token && !matches!(minted, Ok(_) | Err(GrantError::Unanswered { .. })) {
        world.journal.not_minted(&run.id).await.map_err(LifeError::journal(run))?;
    }
    Ok(ControlFlow::Break(match minted {
        Ok(grant) => return Ok(ControlFlow::Continue(grant)),
        Err(GrantError::Unusable { secret, detail }) => {
            let message = format!("secret {secret}: {detail}");
            finish(world, run, Finish::NotStarted { reason: Reason::SecretUnusable, message }).await?
        }
        Err(error @ (GrantError::Unavailable { .. } | GrantError::Misconfigured { .. })) => {
            returned(Reason::SecretsUnavailable, error.to_string())
        }
        Err(error @ GrantError::Unanswered { .. }) => {
            unanswered(world, run, &error.to_string()).await?;
            returned(Reason::SecretsUnavailable, error.to_string())
        }
    }))
}

/// Takes a grant back that the journal does not hold, so that nobody comes back to it: once, and where that fails its token may live
/// until it ends by itself, which is an alarm.
///
/// # Errors
/// The alarm is not recorded; it is in the log.
async fn give_back(world: &World, run: &Run, record: &GrantRecord) -> Result<(), LifeError> {
    match world.secrets.revoke(record).await {
        Ok(()) => world.journal.not_minted(&run.id).await.map_err(LifeError::journal(run)),
        Err(error) => {
            let words = format!("a grant that no run took up could not be taken back, and ends by itself: {error}");
            unanswered(world, run, &words).await
        }
    }
}

/// There may be a token that nobody holds: that is an alarm, after which the next start need not count it again.
async fn unanswered(world: &World, run: &Run, words: &str) -> Result<(), LifeError> {
    raise(world, run, Alarm::GrantUnanswered, words).await?;
    world.journal.not_minted(&run.id).await.map_err(LifeError::journal(run))
}

/// Whether a mint for `run` makes a token that outlives this process. The fence of a run without secrets gives nothing to anybody.
fn leaves_tokens(world: &World, run: &Run) -> bool {
    let names_some = run.admitted.as_ref().is_some_and(|admitted| !admitted.secrets.is_empty());
    names_some && world.secrets.delivery() == Delivery::Wrapped
}

/// A result that stands in the ops repo although this run has none: it was written by somebody else, or by this dispatcher
/// in a time that its journal, restored from an older copy, does not remember. Either way the action counts as done.
async fn standing_result(world: &World, run: &Run) -> Result<Option<String>, LifeError> {
    let standing = world.journal.standing(vec![run.id.action().to_string()]).await.map_err(LifeError::journal(run))?;
    let words =
        |path| format!("a result that this journal does not know of stands at {path}: the action counts as done");
    // The result of an earlier attempt is what a retry is there to replace.
    let of_this = |result: &StandingResult| run.id.attempt() == 1 || result.attempt >= run.id.attempt();
    Ok(standing.into_iter().flatten().find(of_this).map(|result| words(result.path)))
}

fn returned(reason: Reason, message: String) -> Stride {
    Stride::Done(Driven::Returned { reason, message })
}

async fn mint(world: &World, run: &Run) -> Result<Grant, GrantError> {
    let secrets = run.admitted.as_ref().map(|admitted| admitted.secrets.clone()).unwrap_or_default();
    let minutes = run.admitted.as_ref().map_or(0, |admitted| u64::from(admitted.timeout_minutes));
    let life = Duration::from_secs(minutes * fault::seconds_per_minute()) + 2 * world.grace;
    world.secrets.mint(Ask { run: &run.id, secrets: &secrets, life }).await
}

/// The time may have passed while it queued.
fn too_late(world: &World, run: &Run) -> Option<String> {
    let limit = run.admitted.as_ref()?.not_after?;
    (world.clock.now() > limit).then(|| format!("its time was over at {limit}, before it was launched"))
}

/// That the envelope does not fit through the backend's channel: looked at before anything is granted, with room for what the grant
/// adds to it.
fn too_large(world: &World, run: &Run, key: &LaunchKey, backend: &dyn Backend) -> Option<String> {
    let Channel::Shared { limit } = backend.channel() else { return None };
    let secrets = run.admitted.as_ref()?.secrets.len();
    let size = envelope(world, run, key, Handover::Values(BTreeMap::new()), 0)?.encoded_size().ok()?;
    let size = size + WRAPPING + secrets * PER_SECRET;
    let words = "make its formula and context files smaller, or let the formula fetch what is large";
    let name = backend.name();
    (size > limit).then(|| format!("its envelope comes to {size} bytes, and {name} takes {limit} at the most: {words}"))
}

/// That the grant holds secret values, and others could read them on the way.
fn not_private(backend: &dyn Backend, handover: &Handover) -> Option<String> {
    let holds = matches!(handover, Handover::Values(values) if !values.is_empty());
    let shared = matches!(backend.channel(), Channel::Shared { .. });
    (holds && shared).then(|| {
        format!(
            "the secret provider hands over the values themselves, and others can read what is handed over to {}: \
             configure the vault provider, which hands over a wrapping that opens once",
            backend.name()
        )
    })
}

/// Records the slot and the grant; `None` where the run is not one that may take them any more.
async fn take_slot(world: &World, run: &Run, slot: u32, record: &GrantRecord) -> Result<Option<Run>, LifeError> {
    let Some(request) = &run.request else { return Ok(None) };
    let step = Step::Grant { blob: request.blob.clone(), record: record.clone(), slot };
    match world.step(run, step).await {
        Ok(after) if after.state == State::Granted && after.request == run.request => Ok(Some(after)),
        Ok(_) | Err(LifeError::Journal { source: JournalError::Illegal { .. }, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn intend(world: &World, run: &Run, backend: &dyn Backend) -> Result<Run, LifeError> {
    let mark = backend.mark().await;
    world.step(run, Step::Launch { backend: backend.name().to_owned(), mark }).await
}

async fn finish(world: &World, run: &Run, how: Finish) -> Result<Stride, LifeError> {
    world.step(run, Step::Finish { how, wrapping: None }).await?;
    Ok(Stride::Again)
}

async fn launch(
    world: &World,
    run: &Run,
    backend: &dyn Backend,
    key: &LaunchKey,
    grant: Grant,
    slot: u32,
) -> Result<Stride, LifeError> {
    let Some(envelope) = envelope(world, run, key, grant.handover, slot) else {
        let message = "the journal does not hold what was admitted".to_owned();
        return finish(world, run, Finish::NotStarted { reason: Reason::JournalLost, message }).await;
    };
    if !world.tenure.holds() {
        // It lasted when the run was begun; a grant may have taken its time since.
        return_unlaunched(world, run, "the lease was over before the launch was asked for").await?;
        return Ok(Stride::Again);
    }
    if fault::twice("backend.launch") {
        backend.launch(key, &envelope).await.map_err(LifeError::backend(run))?;
    }
    match backend.launch(key, &envelope).await {
        Ok(handle) => {
            world.step(run, Step::Start { handle }).await?;
            Ok(Stride::Again)
        }
        Err(error @ BackendError::Ambiguous { .. }) => {
            let stride = resolve(world, run).await?;
            // Nothing came of it: the next try waits, so that a backend that always breaks off is not asked without a pause.
            let now = world.journal.run(&run.id).await.map_err(LifeError::journal(run))?;
            let returned_to_queue = now.is_some_and(|run| run.state == State::Admitted);
            Ok(if returned_to_queue { returned(Reason::BackendUnavailable, error.to_string()) } else { stride })
        }
        Err(error @ BackendError::Refused { .. }) => {
            let how = Finish::NotStarted { reason: Reason::LaunchRefused, message: error.to_string() };
            finish(world, run, how).await
        }
        Err(error) => {
            return_unlaunched(world, run, &format!("the launch failed: {error}")).await?;
            Ok(returned(Reason::BackendUnavailable, error.to_string()))
        }
    }
}

fn envelope(world: &World, run: &Run, key: &LaunchKey, handover: Handover, slot: u32) -> Option<Envelope> {
    let admitted = run.admitted.as_ref()?;
    let limits = Limits {
        timeout_seconds: u64::from(admitted.timeout_minutes) * fault::seconds_per_minute(),
        grace_seconds: world.grace.as_secs(),
    };
    let context_files = admitted.formula.context_files.iter().map(|(path, pinned)| (path.clone(), pinned.into()));
    Some(Envelope {
        protocol: PROTOCOL,
        run: run.id.clone(),
        key: key.clone(),
        slot,
        action: Sealed::from(&admitted.action),
        formula: admitted.formula.name.clone(),
        kind: admitted.formula.kind,
        script: Sealed::from(&admitted.formula.script),
        context_files: context_files.collect(),
        params: admitted.params.clone(),
        mounts: admitted.mounts.iter().map(|mount| (mount.clone(), String::new())).collect(),
        environment: world.environment.clone(),
        handover,
        limits,
        working_directory: admitted.working_directory.clone(),
        traceparent: Some(traceparent(key)),
    })
}

/// A W3C trace context of the run's own: made from the launch key, so that every part that knows the run knows its trace.
fn traceparent(key: &LaunchKey) -> String {
    let (trace, span) = key.as_str().split_at_checked(32).unwrap_or_default();
    format!("00-{trace}-{span:0<16}-01")
}

/// Finds out what became of a launch that was asked for and whose outcome is not recorded.
pub(super) async fn resolve(world: &World, run: &Run) -> Result<Stride, LifeError> {
    let Some(key) = run.launch_key() else {
        let message = "the journal does not say what was asked for".to_owned();
        return finish(world, run, Finish::Lost { reason: Reason::JournalLost, message }).await;
    };
    let backend = world.backend(run)?;
    let mut doubt = String::new();
    for _ in 0..LOOKS {
        match backend.rule_out(&key, run.mark.as_ref()).await.map_err(LifeError::backend(run))? {
            Found::Launched(handle) => {
                world.step(run, Step::Start { handle }).await?;
                return Ok(Stride::Again);
            }
            Found::NotLaunched if run.state == State::Cancelling => {
                let message = "the launch provably did not happen".to_owned();
                return finish(world, run, Finish::NotStarted { reason: Reason::CancelledByOperator, message }).await;
            }
            Found::NotLaunched => {
                return return_unlaunched(world, run, "the backend has no such launch, and can take up none").await;
            }
            Found::Unknown(words) => doubt = words,
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let message = format!("whether it was launched cannot be known: {doubt}");
    finish(world, run, Finish::Lost { reason: Reason::LaunchUnknown, message }).await
}

/// Back into the queue: nothing was launched, as `proof` says. The grant that was made for it is taken back.
pub(super) async fn return_unlaunched(world: &World, run: &Run, proof: &str) -> Result<Stride, LifeError> {
    let run = world.step(run, Step::Return { proof: proof.to_owned() }).await?;
    revoke(world, &run).await?;
    Ok(Stride::Again)
}
