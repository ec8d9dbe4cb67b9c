//! Following a run that goes on: its log is kept, its time limit watched, a wish to stop passed on, its end recorded.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::deposit::Depositing;
use super::{Driven, LifeError, Stride, Wishes, World, begin};
use crate::backend::{Backend, Ended, Handle, Observation};
use crate::grant::Fate;
use crate::run::log::{LogError, LogWriter, Progress};
use crate::run::record::Run;
use crate::run::state::State;
use crate::run::step::{Finish, Step, StopCause};
use crate::support::{chain, fault};

/// News that may wait to be written to the log before the backend is made to wait.
const NEWS: usize = 64;

/// What the runner, which keeps the time limit itself, is given on top of the limit and twice the grace before it is asked to
/// stop from here: the outer deadline lies behind the inner one.
const MARGIN: Duration = Duration::from_secs(10);

/// Between two requests to stop a run that does not.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// How long a secret provider may take to say what has become of a grant, before the end of its run is recorded without that.
const FATE_WITHIN: Duration = Duration::from_secs(20);

/// A time that does not come: where there is nothing to wait for.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What ended one stretch of watching.
enum Turn {
    Over(Ended),
    Stop,
    Deadline,
    Detach,
}

/// Follows `run` to its end, or until this process is to leave it running.
pub(super) async fn follow(world: &World, run: &Run, wishes: &mut Wishes) -> Result<Stride, LifeError> {
    let Some(handle) = run.handle.clone() else { return begin::resolve(world, run).await };
    let backend = world.backend(run)?;
    let mut log = world.log_of(run)?;
    let cursor = log.cursor().clone();
    let (sender, mut news) = mpsc::channel(NEWS);
    let mut watching = std::pin::pin!(backend.observe(&handle, &cursor, sender));
    let mut asked = Asked::new(run);
    let mut depositing = Depositing::new(world, run);
    loop {
        let (to_stop, deadline) = (asked.to_stop, asked.deadline);
        let turn = tokio::select! {
            biased;
            Some(observation) = news.recv() => {
                match observation {
                    Observation::Placed { allocation } => depositing.placed(allocation).await?,
                    Observation::Started { lasted, .. } => asked.begun(world, run, lasted),
                    other => keep(&mut log, other).map_err(LifeError::log(run))?,
                }
                continue;
            }
            ended = &mut watching => Turn::Over(ended.map_err(LifeError::backend(run))?),
            () = wanted(&mut wishes.detach) => Turn::Detach,
            // Beside `observe`, not instead of it: what that holds while nobody goes on with it (a connection, one of few) may be
            // what this waits for.
            () = asked.answered() => continue,
            () = depositing.done() => continue,
            () = wanted(&mut wishes.stop), if !to_stop => Turn::Stop,
            () = sleep_until(deadline) => Turn::Deadline,
        };
        match turn {
            Turn::Over(ended) => {
                while let Ok(observation) = news.try_recv() {
                    keep(&mut log, observation).map_err(LifeError::log(run))?;
                }
                let told = log.finish().map_err(LifeError::log(run))?.progress;
                let wrapping = fate(world, run, &told).await;
                world.step(run, Step::Finish { how: Finish::Ended(ended), wrapping }).await?;
                return Ok(Stride::Again);
            }
            // What is in the log and not yet recorded there is read again by whoever adopts the run.
            Turn::Detach => return Ok(Stride::Done(Driven::Detached)),
            Turn::Stop => asked.ask(world, backend.as_ref(), run, &handle),
            Turn::Deadline => {
                if !to_stop {
                    world.step(run, Step::Stop { cause: StopCause::Timeout, by: None }).await?;
                }
                asked.ask(world, backend.as_ref(), run, &handle);
            }
        }
    }
}

/// What has become of the wrapping of the grant, where the runner did not say that it opened it: once it is taken back, nobody can
/// tell any more. A provider that does not answer now holds no result back.
async fn fate(world: &World, run: &Run, told: &Progress) -> Option<Fate> {
    let record = run.grant.as_ref().filter(|record| record.wrapping.is_some())?;
    if told.opened || told.started > 0 {
        return None;
    }
    let untold = "whether somebody opened the grant of this run cannot be told";
    match timeout(FATE_WITHIN, world.secrets.fate(record)).await {
        Ok(Ok(fate)) => Some(fate),
        Ok(Err(error)) => {
            tracing::warn!(run = %run.id, %error, "{untold}");
            None
        }
        Err(_) => {
            tracing::warn!(run = %run.id, "{untold}: the secret provider does not answer");
            None
        }
    }
}

fn keep(log: &mut LogWriter, observation: Observation) -> Result<(), LogError> {
    match observation {
        Observation::Placed { .. } | Observation::Started { .. } => Ok(()),
        Observation::Events { bytes, cursor } => log.feed(&bytes, &cursor),
        Observation::Dropped { bytes } => log.dropped(bytes),
        Observation::Incomplete { why } => log.incomplete(&why),
    }
}

/// Waits until the wish is there; for ever when nobody can wish any more.
async fn wanted(wish: &mut tokio::sync::watch::Receiver<bool>) {
    if wish.wait_for(|wanted| *wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether the run was asked to stop, and when to ask (again).
struct Asked<'a> {
    to_stop: bool,
    deadline: Instant,
    /// The request that is under way.
    asking: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
}

impl<'a> Asked<'a> {
    /// Until the backend says that the run's process is there, its limit does not count: how long it waits for that is the backend's
    /// to bound.
    fn new(run: &Run) -> Self {
        let wait = if run.state == State::Cancelling { Duration::ZERO } else { NEVER };
        Self { to_stop: false, deadline: Instant::now() + wait, asking: None }
    }

    /// The run's process is there, and has gone on for so long: what is left of its limit counts from now. Whoever adopts it hears the
    /// same of the backend, so that a change of dispatchers makes no limit longer.
    fn begun(&mut self, world: &World, run: &Run, lasted: Option<Duration>) {
        if self.to_stop || run.state == State::Cancelling {
            return;
        }
        let minutes = run.admitted.as_ref().map(|admitted| u64::from(admitted.timeout_minutes));
        let limit = minutes.map(|minutes| Duration::from_secs(minutes * fault::seconds_per_minute()));
        let since_launch = || {
            let now = world.clock.now();
            Duration::try_from(now.duration_since(run.started_at.unwrap_or(now))).unwrap_or_default()
        };
        let gone = lasted.unwrap_or_else(since_launch);
        let left = limit.map_or(NEVER, |limit| (limit + 2 * world.grace + MARGIN).saturating_sub(gone));
        self.deadline = Instant::now() + left;
    }

    /// Asks, in place of a request that is still under way.
    fn ask(&mut self, world: &'a World, backend: &'a dyn Backend, run: &'a Run, handle: &'a Handle) {
        (self.to_stop, self.deadline) = (true, Instant::now() + ASK_AGAIN);
        self.asking = Some(Box::pin(async move {
            match timeout(ASK_AGAIN, backend.cancel(handle)).await {
                Ok(Ok(())) => world.hindered.clear(&run.id),
                Ok(Err(error)) => {
                    world.hindered.set(&run.id, chain::words(&error));
                    tracing::warn!(run = %run.id, %error, "the run could not be asked to stop; asking again");
                }
                Err(_) => {
                    world.hindered.set(&run.id, format!("{} does not answer the request", backend.name()));
                    tracing::warn!(run = %run.id, "the backend does not answer the request to stop; asking again");
                }
            }
        }));
    }

    /// Returns when the request that is under way has come to an end; never where there is none.
    async fn answered(&mut self) {
        match &mut self.asking {
            Some(asking) => asking.await,
            None => std::future::pending().await,
        }
        self.asking = None;
    }
}
