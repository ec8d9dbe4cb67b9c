//! The Nomad backend: each run is a dispatch of a parameterized job that `dispatch jobs` has registered.
//!
//! `client` talks to the server, `names` says what things are called there, `launch` brings a run about at most once and `tidemark` is how it rules one out, `observe` follows one:
//! `watch` tells it that something changed, `decide` what that means, `log` reads what the runner printed. `check` looks at what all of it needs, with `restraint`
//! at what keeps Nomad from executing a run twice.
//!
//! Nothing in a jobspec stops every second execution (a reboot of the client, a node purge, `alloc stop`). What is promised here is one
//! child job for each launch key; the fence inside the run stops a second execution of that job before the formula.

pub mod changes;
mod check;
pub mod client;
mod decide;
mod launch;
mod log;
mod names;
mod observe;
mod restraint;
pub mod shipped;
mod tidemark;
mod watch;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use self::client::{Client, ClientError, Prospect, Since};
use self::log::Turns;
use self::shipped::Shipped;
use self::tidemark::Tidemark;
use self::watch::Watch;
use super::{Backend, BackendError, Channel, Cursor, Ended, Found, Handle, Listed, Mark, Observation};
use crate::runner::envelope::Envelope;
use crate::support::checkup::Finding;
use crate::support::ids::{LaunchKey, MountName};
use crate::support::retry::RetryPolicy;
use crate::support::tenure::Tenure;
use crate::support::{chain, fault};

pub use self::names::{variant, variants};

const NAME: &str = "nomad";

/// What a payload may hold, in bytes. Seen on 1.11.3: 16,384 are taken, one more is refused.
pub const PAYLOAD_LIMIT: usize = 16_384;

/// What encrypting adds to a payload: age's header for one recipient, and the tag of one chunk, with some room.
const SEALING: usize = 256;

/// What the Nomad backend is told.
#[derive(Debug, Clone)]
pub struct NomadSettings {
    /// The parameterized job without mounts; the others are named after it ([`variant`]).
    pub job: String,
    /// How long a run may wait to be placed.
    pub placement: Duration,
    /// How long it may then take until its process is there: a client answers, an image is pulled.
    pub setup: Duration,
    /// The mounts that there are, and where a run finds each.
    pub mounts: BTreeMap<MountName, String>,
    /// The marker that each registered job must have in its meta, by its id; empty: all sets of mounts have a job, and none is compared.
    pub specs: BTreeMap<String, String>,
    /// The sidecars' job, where there is to be one: looked at, and launched by nobody here.
    pub sidecar: Option<Shipped>,
}

/// Runs in Nomad.
#[derive(Debug)]
pub struct NomadBackend {
    client: Client,
    /// For launches and cancellations.
    urgent: Client,
    settings: NomadSettings,
    /// The age recipient to which payloads are encrypted; none: whoever may read jobs reads them.
    recipient: Option<String>,
    /// Until when this process may dispatch.
    tenure: Tenure,
    watch: Watch,
    turns: Turns,
    tidemark: tokio::sync::Mutex<Tidemark>,
}

/// Which child: the content of a [`Handle`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    key: LaunchKey,
    job: String,
    /// Whose payload it has, where that was looked at.
    #[serde(default, skip_serializing_if = "Maker::is_unknown")]
    maker: Maker,
}

/// Who made a child.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Maker {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// This dispatcher: it has the payload that was sent.
    We,
}

impl Maker {
    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

impl Place {
    fn of(handle: &Handle) -> Result<Self, BackendError> {
        Self::deserialize(&handle.0).map_err(|error| refused(format!("not a handle of this backend: {error}")))
    }

    fn handle(&self) -> Handle {
        // The fields are texts, which always become JSON.
        Handle(serde_json::to_value(self).unwrap_or_default())
    }
}

impl NomadBackend {
    /// A backend that talks through `client`. Asks nothing yet.
    pub fn new(client: Client, settings: NomadSettings) -> Self {
        let watch = Watch::new(client.clone());
        let (turns, tidemark) = (Turns::default(), tokio::sync::Mutex::default());
        let (urgent, tenure) = (client.urgent(), Tenure::unlimited());
        Self { client, urgent, settings, recipient: None, tenure, watch, turns, tidemark }
    }

    /// The same, with payloads encrypted to this age recipient (`age1…`).
    #[must_use]
    pub fn sealing_to(self, recipient: Option<String>) -> Self {
        Self { recipient, ..self }
    }

    /// The same, which dispatches nothing once `tenure` is over.
    #[must_use]
    pub fn within(self, tenure: Tenure) -> Self {
        Self { tenure, ..self }
    }

    fn variants(&self) -> Vec<String> {
        let mut all = variants(&self.settings.job, self.settings.mounts.keys());
        all.retain(|job| self.is_registered(job));
        all
    }

    /// Whether there is to be a job of this id.
    fn is_registered(&self, job: &str) -> bool {
        self.settings.specs.is_empty() || self.settings.specs.contains_key(job)
    }
}

#[async_trait]
impl Backend for NomadBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Vec<Finding> {
        self.look_around().await
    }

    fn channel(&self) -> Channel {
        let sealing = self.recipient.as_ref().map_or(0, |_| SEALING);
        Channel::Shared { limit: PAYLOAD_LIMIT - sealing }
    }

    async fn launch(&self, key: &LaunchKey, envelope: &Envelope) -> Result<Handle, BackendError> {
        self.launch_once(key, envelope).await.map(|place| place.handle())
    }

    async fn find(&self, key: &LaunchKey) -> Result<Found, BackendError> {
        let children = self.children(key).await?;
        if children.run.is_none() {
            self.keep_tidemark().await;
        }
        Ok(children.run.map_or(Found::NotLaunched, |place| Found::Launched(place.handle())))
    }

    async fn mark(&self) -> Option<Mark> {
        self.tidemark_now().await
    }

    async fn rule_out(&self, key: &LaunchKey, before: Option<&Mark>) -> Result<Found, BackendError> {
        self.seal(key, before).await
    }

    async fn observe(
        &self,
        handle: &Handle,
        cursor: &Cursor,
        news: mpsc::Sender<Observation>,
    ) -> Result<Ended, BackendError> {
        self.follow(&Place::of(handle)?, cursor, &news).await
    }

    async fn cancel(&self, handle: &Handle) -> Result<(), BackendError> {
        let place = Place::of(handle)?;
        question(|| self.urgent.deregister(&place.job)).await.map(drop)
    }

    /// Marks the child as done with, by deregistering it. It stays where it is until Nomad collects it: a purge would forget its token.
    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        let place = Place::of(handle)?;
        let allocations = question(|| self.client.allocations(&place.job, Since::Whenever)).await?;
        let running = |one: &client::types::Allocation| matches!(one.client_status.as_str(), "pending" | "running");
        if allocations.iter().any(running) {
            return Err(refused(format!("the run {} is not over: cancel it first", place.job)));
        }
        point("nomad.remove.before", "marking the run as done with")?;
        question(|| self.client.deregister(&place.job)).await?;
        point("nomad.remove.after", "marking the run as done with")
    }

    async fn list(&self) -> Result<Vec<Listed>, BackendError> {
        let mut listed = Vec::new();
        for job in self.variants() {
            let prefix = format!("{job}/dispatch-");
            for child in question(|| self.client.jobs(&prefix)).await?.into_iter().filter(|child| !child.stop) {
                let Some((key, run)) = names::identity(child.meta.as_ref()) else { continue };
                let handle = Place { key: key.clone(), job: child.id, maker: Maker::Unknown }.handle();
                listed.push(Listed { key, run, handle });
            }
        }
        Ok(listed)
    }
}

/// Passes a point at which a test may end this process, or make `step` fail.
fn point(name: &str, step: &str) -> Result<(), BackendError> {
    let failed = |source| BackendError::Io { backend: NAME, step: step.to_owned(), source };
    fault::point(name).map_err(failed)
}

fn refused(detail: String) -> BackendError {
    BackendError::Refused { backend: NAME, detail }
}

/// What a call that changes nothing, or may be made again, has come to.
fn plainly(error: &ClientError) -> BackendError {
    of_prospect(error.prospect(), chain::words(error))
}

fn of_prospect(prospect: Prospect, detail: String) -> BackendError {
    let backend = NAME;
    match prospect {
        Prospect::Later | Prospect::InDoubt => BackendError::Unreachable { backend, detail },
        Prospect::Never => BackendError::Refused { backend, detail },
    }
}

/// Asks something that may be asked again, a few times.
async fn question<T, F>(ask: impl Fn() -> F) -> Result<T, BackendError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    persist(RetryPolicy::QUESTION, ask).await.map_err(|error| plainly(&error))
}

/// Asks until there is an answer, or asking again is of no use.
async fn persist<T, F>(policy: RetryPolicy, ask: impl Fn() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut delays = policy.delays();
    loop {
        match (ask().await, delays.next()) {
            (Err(error), Some(delay)) if error.may_pass() => {
                tracing::debug!(%error, "asking again");
                tokio::time::sleep(delay).await;
            }
            (answer, _) => return answer,
        }
    }
}
