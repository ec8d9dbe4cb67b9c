//! A backend for tests: does what a script says, on tokio's clock, and checks its caller against the contract of
//! [`Backend`].
//!
//! `script` is what a test writes down for a launch key; `caller` notices calls that the contract forbids. A test ends with
//! `assert_eq!(fake.violations(), [""; 0])` and reads [`FakeBackend::executions`], which counts what truly ran, whatever
//! the answers said.

mod caller;
mod script;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::caller::{Call, Caller};
pub use self::script::{FindAnswer, LaunchAnswer, Script, Step};
use super::{Backend, BackendError, Channel, Cursor, Ended, Found, Handle, Listed, Mark, Observation, Placement};
use crate::runner::envelope::Envelope;
use crate::support::checkup::{Finding, Standing};
use crate::support::ids::{LaunchKey, RunId};

const NAME: &str = "fake";

/// A scripted backend. Clones share everything, as two dispatchers share one place where runs run.
#[derive(Debug, Clone, Default)]
pub struct FakeBackend(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    usual: Script,
    scripts: BTreeMap<LaunchKey, Script>,
    runs: BTreeMap<LaunchKey, Run>,
    /// How many runs were removed by key.
    past: BTreeMap<LaunchKey, usize>,
    caller: Caller,
    check: Option<String>,
    channel: Option<Channel>,
}

/// What truly happened under one key.
#[derive(Debug)]
struct Run {
    id: RunId,
    script: Script,
    begins: Instant,
    cancelled: watch::Sender<Option<Instant>>,
    /// Steps at which the connection was lost already.
    lost: Vec<usize>,
}

impl FakeBackend {
    /// A backend where every launch succeeds and every run exits with 0 at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// What keys do that have no script of their own.
    pub fn usually(&self, script: Script) {
        self.world().usual = script;
    }

    /// What `key` does.
    pub fn script(&self, key: &LaunchKey, script: Script) {
        self.world().scripts.insert(key.clone(), script);
    }

    /// Makes `check` fail with these words, or succeed again.
    pub fn check_says(&self, words: Option<&str>) {
        self.world().check = words.map(str::to_owned);
    }

    /// Makes what is handed over go by `channel`; else it is private.
    pub fn hands_over_by(&self, channel: Channel) {
        self.world().channel = Some(channel);
    }

    /// Puts everything that happened or is to happen off by so much: for a caller that goes on under another runtime, whose clock
    /// began later.
    pub fn put_off(&self, by: std::time::Duration) {
        for run in self.world().runs.values_mut() {
            run.begins += by;
            run.cancelled.send_if_modified(|at| at.as_mut().map(|at| *at += by).is_some());
        }
    }

    /// How often something truly ran under `key`.
    pub fn executions(&self, key: &LaunchKey) -> usize {
        let world = self.world();
        let present = world.runs.get(key).is_some_and(|run| run.begins <= Instant::now());
        world.past.get(key).unwrap_or(&0) + usize::from(present)
    }

    /// How often `launch` was called under `key`.
    pub fn launches(&self, key: &LaunchKey) -> usize {
        self.world().caller.launches(key)
    }

    /// What the caller did that the contract forbids, in words.
    pub fn violations(&self) -> Vec<String> {
        self.world().caller.violations()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call for as long as the answer lives.
    fn call(&self, key: &LaunchKey, call: Call) -> InFlight {
        self.world().caller.begin(key, call);
        InFlight { fake: self.clone(), key: key.clone(), call }
    }

    /// Says that the run's process is there once it is; never returns where it never is.
    async fn start(&self, key: &LaunchKey, placement: Placement, news: &mpsc::Sender<Observation>) {
        let run = self.world().runs.get(key).map(|run| (run.begins, run.script.starts_after));
        let Some((begins, Some(after))) = run else { return std::future::pending().await };
        tokio::time::sleep_until(begins + after).await;
        let lasted = Some((begins + after).elapsed());
        let _ = news.send(Observation::Started { placement, lasted }).await;
    }

    /// Where the run stands, for one look of `observe`.
    fn look(&self, key: &LaunchKey, step: usize) -> Option<Look> {
        let mut world = self.world();
        let run = world.runs.get_mut(key)?;
        let next = run.script.steps.get(step).cloned();
        let at = run.begins + run.script.time_until(step + usize::from(next.is_some()));
        let first_loss = matches!(next, Some(Step::ConnectionLost)) && !run.lost.contains(&step);
        if first_loss {
            run.lost.push(step);
        }
        Some(Look { next, at, first_loss, cancelled: run.cancelled.subscribe(), script: run.script.clone() })
    }
}

struct InFlight {
    fake: FakeBackend,
    key: LaunchKey,
    call: Call,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.fake.world().caller.end(&self.key, self.call);
    }
}

struct Look {
    next: Option<Step>,
    at: Instant,
    first_loss: bool,
    cancelled: watch::Receiver<Option<Instant>>,
    script: Script,
}

impl Look {
    /// Waits until the next step is due or the run has been cancelled and has stopped.
    async fn due(&mut self) -> Due {
        let goes_on = self.next.is_some() || self.script.end.is_some();
        let takes = self.script.cancel_takes;
        let stopped = async {
            match self.cancelled.wait_for(Option::is_some).await.map(|at| *at) {
                Ok(Some(at)) => tokio::time::sleep_until(at + takes).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stopped => Due::Cancelled,
            () = tokio::time::sleep_until(self.at), if goes_on => Due::Now,
        }
    }

    fn ended(self, due: Due, placement: Placement) -> Ended {
        let script = self.script;
        let how = script.end.filter(|_| due == Due::Now).unwrap_or(script.cancelled_end);
        let reason = script.reason.filter(|_| due == Due::Now);
        let (detail, restarted) = (script.detail, script.restarted);
        Ended { how, at: Timestamp::UNIX_EPOCH, placement, detail, reason, restarted }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Now,
    Cancelled,
}

#[async_trait]
impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Vec<Finding> {
        let detail = self.world().check.clone();
        let bad = |detail| Finding::bad(Standing::Unreachable, NAME, detail, "wait for it, or mend it");
        vec![detail.map_or_else(|| Finding::good(NAME, "it plays its script"), bad)]
    }

    fn channel(&self) -> Channel {
        self.world().channel.unwrap_or(Channel::Private)
    }

    async fn launch(&self, key: &LaunchKey, envelope: &Envelope) -> Result<Handle, BackendError> {
        let _call = self.call(key, Call::Launch);
        let script = self.world().script_of(key);
        let answer = script.launch;
        if answer.takes_effect() {
            self.world().begin(key, envelope, script.clone());
        }
        tokio::time::sleep(script.launch_takes).await;
        let result = answer.answer(handle(key));
        if result.is_ok() {
            self.world().caller.launched(key);
        }
        result
    }

    async fn find(&self, key: &LaunchKey) -> Result<Found, BackendError> {
        let _call = self.call(key, Call::Find);
        let mut world = self.world();
        world.caller.found(key);
        match world.script_of(key).find {
            FindAnswer::Unknown => return Ok(Found::Unknown("the fake does not know".to_owned())),
            FindAnswer::Unreachable => return Err(script::unreachable()),
            FindAnswer::Truth => {}
        }
        let begun = world.runs.get(key).is_some_and(|run| run.begins <= Instant::now());
        if !begun {
            // The promise of `NotLaunched`: what has not begun by now never will.
            world.runs.remove(key);
        }
        Ok(if begun { Found::Launched(handle(key)) } else { Found::NotLaunched })
    }

    async fn rule_out(&self, key: &LaunchKey, _before: Option<&Mark>) -> Result<Found, BackendError> {
        self.find(key).await
    }

    async fn observe(
        &self,
        handle: &Handle,
        cursor: &Cursor,
        news: mpsc::Sender<Observation>,
    ) -> Result<Ended, BackendError> {
        let key = key_of(handle)?;
        let _call = self.call(&key, Call::Observe);
        let placement = Placement { id: format!("fake/{key}"), ..Placement::default() };
        let mut start = std::pin::pin!(self.start(&key, placement.clone(), &news));
        let mut started = false;
        let mut step = cursor.0.as_u64().and_then(|step| usize::try_from(step).ok()).unwrap_or(0);
        loop {
            let Some(mut look) = self.look(&key, step) else {
                self.world().caller.ended(&key);
                return Ok(Ended::forgotten(Timestamp::UNIX_EPOCH, placement));
            };
            let due = tokio::select! {
                biased;
                () = &mut start, if !started => {
                    started = true;
                    continue;
                }
                due = look.due() => due,
            };
            let (Due::Now, Some(next)) = (due, &look.next) else {
                self.world().caller.ended(&key);
                return Ok(look.ended(due, placement));
            };
            if look.first_loss {
                return Err(script::unreachable());
            }
            step += 1;
            if let Some(observation) = next.observation(step) {
                let _ = news.send(observation).await;
            }
        }
    }

    async fn cancel(&self, handle: &Handle) -> Result<(), BackendError> {
        let key = key_of(handle)?;
        let _call = self.call(&key, Call::Cancel);
        if let Some(run) = self.world().runs.get(&key) {
            run.cancelled.send_if_modified(|at| at.replace(at.unwrap_or_else(Instant::now)).is_none());
        }
        Ok(())
    }

    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        let key = key_of(handle)?;
        let _call = self.call(&key, Call::Remove);
        let mut world = self.world();
        if world.runs.remove(&key).is_some() {
            *world.past.entry(key).or_default() += 1;
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Listed>, BackendError> {
        let now = Instant::now();
        let world = self.world();
        let present = world.runs.iter().filter(|(_, run)| run.begins <= now);
        Ok(present.map(|(key, run)| Listed { key: key.clone(), run: run.id.clone(), handle: handle(key) }).collect())
    }
}

impl World {
    fn script_of(&self, key: &LaunchKey) -> Script {
        self.scripts.get(key).unwrap_or(&self.usual).clone()
    }

    fn begin(&mut self, key: &LaunchKey, envelope: &Envelope, script: Script) {
        let begins = Instant::now() + script.launch.begins_after();
        self.runs.entry(key.clone()).or_insert_with(|| Run {
            id: envelope.run.clone(),
            script,
            begins,
            cancelled: watch::Sender::new(None),
            lost: Vec::new(),
        });
    }
}

fn handle(key: &LaunchKey) -> Handle {
    Handle(serde_json::json!({ "fake": key }))
}

fn key_of(handle: &Handle) -> Result<LaunchKey, BackendError> {
    let text = handle.0.get("fake").and_then(|key| key.as_str()).unwrap_or_default();
    text.parse().map_err(|_| refused("not a handle of this backend"))
}

fn refused(detail: &str) -> BackendError {
    BackendError::Refused { backend: NAME, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests;
