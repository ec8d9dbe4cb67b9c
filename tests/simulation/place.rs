//! The backend and the secrets as the dispatcher meets them: calls take their time, some are refused, and of some the answer is
//! lost. What truly happened is known to the fake backend beneath, and to the ledger of grants.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dispatch::backend::fake::FakeBackend;
use dispatch::backend::{Backend, BackendError, Channel, Cursor, Ended, Found, Handle, Listed, Mark, Observation};
use dispatch::grant::{Ask, Grant, GrantError, GrantRecord, Presence, SecretProvider};
use dispatch::runner::envelope::{Envelope, Handover};
use dispatch::support::checkup::Finding;
use dispatch::support::ids::{LaunchKey, SecretName};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::chance::Chance;

/// Calls of a hundred that come to nothing, and as many of which the answer is lost.
const REFUSED: u64 = 6;
const LOST: u64 = 6;

/// The fake backend behind an unsteady line.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) fake: FakeBackend,
    pub(crate) chance: Chance,
}

fn unreachable(detail: &str) -> BackendError {
    BackendError::Unreachable { backend: "fake", detail: detail.to_owned() }
}

impl Place {
    async fn call<T>(
        &self,
        what: &str,
        deed: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        self.chance.pause().await;
        if self.chance.trouble(REFUSED) {
            self.chance.tell(format!("{what}: refused"));
            return Err(unreachable("refused"));
        }
        let answer = deed.await;
        self.chance.pause().await;
        if self.chance.trouble(LOST) {
            self.chance.tell(format!("{what}: done, and the answer is lost"));
            return Err(unreachable("the answer is lost"));
        }
        answer
    }
}

#[async_trait]
impl Backend for Place {
    fn name(&self) -> &'static str {
        self.fake.name()
    }

    async fn check(&self) -> Vec<Finding> {
        self.chance.pause().await;
        self.fake.check().await
    }

    fn channel(&self) -> Channel {
        self.fake.channel()
    }

    async fn launch(&self, key: &LaunchKey, envelope: &Envelope) -> Result<Handle, BackendError> {
        self.chance.pause().await;
        if self.chance.trouble(REFUSED) {
            self.chance.tell(format!("launch of {}: refused", envelope.run));
            return Err(unreachable("refused"));
        }
        if self.fake.executions(key) > 0 {
            self.chance.wrong(format!("{} is launched again after it began", envelope.run));
        }
        let answer = self.fake.launch(key, envelope).await;
        self.chance.tell(format!("launch of {}: {answer:?}", envelope.run));
        self.chance.pause().await;
        if answer.is_ok() && self.chance.trouble(LOST) {
            self.chance.tell(format!("launch of {}: the answer is lost", envelope.run));
            return Err(BackendError::Ambiguous { backend: "fake", detail: "the answer is lost".to_owned() });
        }
        answer
    }

    async fn find(&self, key: &LaunchKey) -> Result<Found, BackendError> {
        self.call("find", self.fake.find(key)).await
    }

    async fn rule_out(&self, key: &LaunchKey, before: Option<&Mark>) -> Result<Found, BackendError> {
        self.call("rule out", self.fake.rule_out(key, before)).await
    }

    async fn observe(
        &self,
        handle: &Handle,
        cursor: &Cursor,
        news: mpsc::Sender<Observation>,
    ) -> Result<Ended, BackendError> {
        self.chance.pause().await;
        let following = self.fake.observe(handle, cursor, news);
        if !self.chance.trouble(30) {
            return following.await;
        }
        match timeout(self.chance.millis(4_000), following).await {
            Ok(answer) => answer,
            Err(_) => Err(unreachable("the line broke")),
        }
    }

    async fn cancel(&self, handle: &Handle) -> Result<(), BackendError> {
        self.call("cancel", self.fake.cancel(handle)).await
    }

    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        self.call("remove", self.fake.remove(handle)).await
    }

    async fn list(&self) -> Result<Vec<Listed>, BackendError> {
        self.call("list", self.fake.list()).await
    }
}

/// Who holds which grant. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Grants {
    pub(crate) chance: Chance,
    ledger: Arc<Mutex<Ledger>>,
}

#[derive(Debug, Default)]
struct Ledger {
    made: u64,
    alive: BTreeSet<String>,
}

impl Grants {
    pub(crate) fn new(chance: Chance) -> Self {
        Self { chance, ledger: Arc::default() }
    }

    /// Whether nobody took the grant with this accessor back.
    pub(crate) fn is_alive(&self, accessor: &str) -> bool {
        self.ledger.lock().unwrap().alive.contains(accessor)
    }

    fn unavailable(detail: &str) -> GrantError {
        GrantError::Unavailable { detail: detail.to_owned() }
    }
}

#[async_trait]
impl SecretProvider for Grants {
    fn name(&self) -> &'static str {
        "vault"
    }

    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }

    async fn presence(&self, _secret: &SecretName) -> Presence {
        Presence::Present { evidence: "simulated".to_owned() }
    }

    async fn mint(&self, ask: Ask<'_>) -> Result<Grant, GrantError> {
        self.chance.pause().await;
        if self.chance.trouble(REFUSED) {
            return Err(Self::unavailable("refused"));
        }
        let accessor = {
            let mut ledger = self.ledger.lock().unwrap();
            ledger.made += 1;
            let accessor = format!("{}-{}", ask.run, ledger.made);
            ledger.alive.insert(accessor.clone());
            accessor
        };
        self.chance.pause().await;
        if self.chance.trouble(LOST) {
            return Err(GrantError::Unanswered { detail: "the answer is lost".to_owned() });
        }
        let record = GrantRecord { accessors: vec![accessor], ..GrantRecord::of(ask.secrets) };
        Ok(Grant { record, handover: Handover::Values([].into()) })
    }

    async fn revoke(&self, record: &GrantRecord) -> Result<(), GrantError> {
        self.chance.pause().await;
        if self.chance.trouble(REFUSED) {
            return Err(Self::unavailable("refused"));
        }
        self.ledger.lock().unwrap().alive.retain(|accessor| !record.accessors.contains(accessor));
        self.chance.pause().await;
        if self.chance.trouble(LOST) { Err(Self::unavailable("the answer is lost")) } else { Ok(()) }
    }
}
