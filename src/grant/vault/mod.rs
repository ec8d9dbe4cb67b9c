//! The `vault` provider: for each run one Vault token that can read exactly its secrets, handed over in a wrapping that opens
//! once. Built on the client in [`crate::vault`].
//!
//! - [`login`]: the dispatcher's own token: got, renewed, got anew.
//! - [`mint`]: one grant; `proof` (pure) says whether a minted token is what was asked for.
//! - [`deposit`]: the wrapping token, for runs that get theirs by their own identity.
//! - [`check`], [`identities`]: what a start and `dispatch doctor` look at. [`trouble`]: since when it has not worked.

mod check;
mod deposit;
mod identities;
mod login;
mod mint;
mod proof;
mod trouble;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::policies::{Site, or_shipped};
use super::{Ask, Delivery, Deposited, Fate, Grant, GrantError, GrantRecord, Presence, SecretProvider, WrappingRecord};
use crate::config::types::Vault as Configured;
use crate::support::checkup::Finding;
use crate::support::http::Times;
use crate::support::ids::SecretName;
use crate::vault::kv::Current;
use crate::vault::{Session, Settings, SettingsError, Trust, Vault, VaultError, Why};
use login::Login;
use trouble::{Deed, Trouble};

/// One call to a server that works takes milliseconds; a minute of the life of a run is worth no more waiting than this.
const TIMES: Times = Times { connect: Duration::from_secs(5), request: Duration::from_secs(15) };

/// How long the server's clock is believed to run like ours.
const CLOCK: Duration = Duration::from_secs(30);

/// The server tells its time in whole seconds.
const CLOCK_STEP: SignedDuration = SignedDuration::from_secs(1);

/// Vault as a secret provider. Holds the dispatcher's own token, and none of a run's.
#[derive(Debug)]
pub struct VaultProvider {
    vault: Vault,
    login: Arc<Login>,
    settings: Configured,
    site: Site,
    /// Those that runs may be granted: the dispatcher's own token must read none of them.
    secrets: BTreeSet<SecretName>,
    /// PEM certificates for runners, as the config names them.
    ca_cert: Option<PathBuf>,
    /// Set once the server has refused to mint in the clear: before that nothing is minted.
    proven: OnceCell<()>,
    clock: Mutex<Option<(Timestamp, Instant)>>,
    trouble: Trouble,
    /// Wrapping tokens on their way to runs that are not placed yet.
    held: deposit::Held,
}

/// A client for the server that is configured.
///
/// # Errors
/// The address or the certificates cannot be used.
pub fn client(settings: &Configured) -> Result<Vault, SettingsError> {
    Vault::new(Settings {
        addresses: std::slice::from_ref(&settings.address),
        namespace: settings.namespace.as_deref(),
        trust: Trust::System(settings.ca_cert.as_deref()),
        times: TIMES,
    })
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// There is no session to do it in.
    #[error(transparent)]
    Login(#[from] login::LoginError),
    /// The call.
    #[error(transparent)]
    Call(#[from] VaultError),
}

impl VaultProvider {
    /// A provider over these settings. Asks nothing of the server yet.
    ///
    /// # Errors
    /// [`GrantError::Misconfigured`]: the address or the certificates cannot be used.
    pub fn open(settings: &Configured) -> Result<Self, GrantError> {
        let vault = client(settings).map_err(|error| GrantError::Misconfigured {
            detail: crate::support::chain::words(&error),
            fix: "correct [secrets.vault]".to_owned(),
        })?;
        Ok(Self {
            login: Login::new(vault.clone(), settings),
            vault,
            site: Site::of(settings),
            secrets: BTreeSet::new(),
            ca_cert: settings.ca_cert.clone(),
            settings: settings.clone(),
            proven: OnceCell::new(),
            clock: Mutex::default(),
            trouble: Trouble::default(),
            held: deposit::Held::default(),
        })
    }

    /// The same, for grants of these secrets; where there are none, for those that ship.
    #[must_use]
    pub fn granting(self, secrets: &BTreeSet<SecretName>) -> Self {
        Self { secrets: or_shipped(secrets), ..self }
    }

    /// Does `call` in the dispatcher's session; where the server does not know its token any more, once more after a new login.
    async fn call<T, F>(&self, call: impl Fn(Session) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, VaultError>>,
    {
        let session = self.login.session().await?;
        match call(session.clone()).await {
            Err(VaultError { why: Why::TokenDead, .. }) => {
                self.login.forget(&session).await;
                Ok(call(self.login.session().await?).await?)
            }
            done => Ok(done?),
        }
    }

    /// The server's clock.
    async fn server_now(&self) -> Result<Timestamp, Failure> {
        let mut seen = self.clock.lock().await;
        if let Some((then, at)) = *seen
            && at.elapsed() < CLOCK
        {
            return Ok(then.saturating_add(at.elapsed()).unwrap_or(then));
        }
        let unreadable = Why::Unexpected { expected: "the server's clock" };
        let failed =
            |why| VaultError { address: self.vault.address().to_owned(), call: "GET sys/health".to_owned(), why };
        let now = self.vault.health().await?.now().ok_or_else(|| failed(unreadable))?;
        *seen = Some((now, Instant::now()));
        Ok(now)
    }

    async fn fate_of(&self, wrapping: &WrappingRecord) -> Result<Fate, Failure> {
        let accessor = &wrapping.accessor;
        match self.call(|session| async move { session.lookup_accessor(accessor).await }).await {
            Ok(_) => Ok(Fate::Unused),
            Err(Failure::Call(VaultError { why: Why::NoSuchAccessor, .. })) => {
                Ok(fate_at(self.server_now().await?, wrapping.expires_at))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn current(&self, secret: &SecretName) -> Result<Current, Failure> {
        // What was deleted within the last second must not look as if that lay ahead.
        let now = self.server_now().await?;
        let now = now.saturating_add(CLOCK_STEP).unwrap_or(now);
        let path = format!("{}{secret}", self.site.prefix);
        let (mount, path) = (&self.site.mount, &path);
        self.call(|session| async move { session.current_version(mount, path, now).await }).await
    }

    fn shown(&self, secret: &SecretName) -> String {
        format!("{}/{}{secret}", self.site.mount, self.site.prefix)
    }

    /// Revokes each accessor and has the server say that nothing lives under it. Where one cannot be, the others are revoked all the
    /// same; the first failure is answered.
    async fn revoke_all(&self, accessors: &BTreeSet<&String>) -> Result<(), Failure> {
        let mut done = Ok(());
        for accessor in accessors {
            done = done.and(self.revoke_one(accessor).await);
        }
        done
    }

    async fn revoke_one(&self, accessor: &str) -> Result<(), Failure> {
        self.call(|session| async move { session.revoke_accessor(accessor).await }).await?;
        match self.call(|session| async move { session.lookup_accessor(accessor).await }).await {
            Err(Failure::Call(VaultError { why: Why::NoSuchAccessor, .. })) => Ok(()),
            Ok(_) => {
                let why = Why::Unexpected { expected: "a dead token after its revocation" };
                let call = "POST auth/token/lookup-accessor".to_owned();
                Err(VaultError { address: self.vault.address().to_owned(), call, why }.into())
            }
            Err(failure) => Err(failure),
        }
    }
}

impl From<Failure> for GrantError {
    fn from(failure: Failure) -> Self {
        let detail = crate::support::chain::words(&failure);
        match failure {
            Failure::Login(login::LoginError::Unusable { fix, .. }) => Self::Misconfigured { detail, fix },
            Failure::Call(VaultError { why: Why::Denied { .. }, .. }) => Self::Misconfigured {
                detail,
                fix: "`dispatch policies check` shows what the server has otherwise than it should".to_owned(),
            },
            Failure::Call(VaultError { why, .. }) if !why.may_pass() => {
                Self::Misconfigured { detail, fix: "`dispatch doctor` looks at each part".to_owned() }
            }
            _ => Self::Unavailable { detail },
        }
    }
}

#[async_trait]
impl SecretProvider for VaultProvider {
    fn name(&self) -> &'static str {
        "vault"
    }

    async fn check(&self) -> Vec<Finding> {
        self.findings().await
    }

    async fn presence(&self, secret: &SecretName) -> Presence {
        let deed = Deed::Look(secret.clone());
        match self.current(secret).await {
            Ok(current) => {
                self.trouble.worked(&deed);
                let place = self.shown(secret);
                match current {
                    Current::Version(version) => Presence::Present { evidence: format!("{place}, version {version}") },
                    Current::Absent(why) => Presence::Absent { evidence: format!("{place}: {why}") },
                }
            }
            Err(failure) => {
                let evidence = crate::support::chain::words(&failure);
                self.trouble.failed(deed, evidence.clone());
                Presence::Unknown { evidence }
            }
        }
    }

    async fn mint(&self, ask: Ask<'_>) -> Result<Grant, GrantError> {
        self.trouble.came(Deed::Make(ask.secrets.clone()), self.grant(ask).await)
    }

    async fn deposit(&self, record: &GrantRecord, allocation: &str) -> Result<Deposited, GrantError> {
        self.trouble.came(Deed::PutDown(handle(record)), self.put_down(record, allocation).await)
    }

    async fn revoke(&self, record: &GrantRecord) -> Result<(), GrantError> {
        let revoked = self.revoke_all(&record.accessors.iter().collect()).await;
        let done = revoked.and(self.clear_away(record).await);
        self.trouble.came(Deed::TakeBack(handle(record)), done.map_err(GrantError::from))
    }

    fn delivery(&self) -> Delivery {
        Delivery::Wrapped
    }

    async fn fate(&self, record: &GrantRecord) -> Result<Fate, GrantError> {
        let Some(wrapping) = &record.wrapping else { return Ok(Fate::NotApplicable) };
        self.trouble.came(Deed::Tell(handle(record)), self.fate_of(wrapping).await.map_err(GrantError::from))
    }

    fn troubles(&self) -> Vec<String> {
        self.trouble.lasting()
    }
}

/// By what a grant is told from others.
fn handle(record: &GrantRecord) -> String {
    record.accessors.first().cloned().unwrap_or_default()
}

/// What a wrapping that is gone at `now`, by the server's clock, came to. The server tells whole seconds: in the one in which it
/// ends, a wrapping that has expired must not look stolen (the runner's look at it allows for the same).
fn fate_at(now: Timestamp, expires_at: Timestamp) -> Fate {
    if expires_at.duration_since(now) <= CLOCK_STEP { Fate::Expired } else { Fate::Gone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapping_that_is_gone_in_the_second_of_its_end_has_expired() {
        let at = |now: &str| fate_at(now.parse().unwrap(), "2026-11-21T10:05:00.9Z".parse().unwrap());
        assert_eq!(at("2026-11-21T10:04:59Z"), Fate::Gone);
        // The server's 10:05:00 may be 10:05:00.95 already.
        assert_eq!(at("2026-11-21T10:05:00Z"), Fate::Expired);
        assert_eq!(at("2026-11-21T11:00:00Z"), Fate::Expired);
    }
}
