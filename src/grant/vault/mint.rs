//! One grant: minted in a wrapping, proven by its accessor before anything is launched with it, and taken back at once where it is
//! not what was asked for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};

use super::proof::{Wanted, unreadable};
use super::{Failure, VaultProvider};
use crate::grant::policies::policy_name;
use crate::grant::{Ask, Grant, GrantError, GrantRecord, WrappingRecord};
use crate::runner::envelope::{Handover, Opens, SecretPlace, Wrapped};
use crate::support::chain;
use crate::support::ids::{RunId, SecretName, hex};
use crate::vault::error::Effect;
use crate::vault::kv::Current;
use crate::vault::token::Mint;
use crate::vault::{VaultError, Why, WrapInfo};

/// A policy that does not exist: a token with it alone can do nothing.
const PROBE: &str = "runner-dispatch-probe";

/// Seconds that a probe lives, should it be forgotten.
const PROBE_SECONDS: u64 = 60;

/// A token that was minted, and how it was asked for.
struct Minted {
    wrapping: WrapInfo,
    /// Its accessor.
    accessor: String,
}

impl VaultProvider {
    /// Makes and proves the grant of one run.
    pub(super) async fn grant(&self, ask: Ask<'_>) -> Result<Grant, GrantError> {
        let ca_pem = self.ca_pem()?;
        if ask.secrets.is_empty() {
            return self.fence(ask.run, ca_pem).await;
        }
        self.proven.get_or_try_init(|| self.prove_wrapping_is_forced()).await?;
        for secret in ask.secrets {
            if let Current::Absent(why) = self.current(secret).await? {
                return Err(GrantError::Unusable {
                    secret: secret.clone(),
                    detail: format!("{}: {why}", self.shown(secret)),
                });
            }
        }
        let policies: BTreeSet<String> = ask.secrets.iter().map(policy_name).collect();
        let wrap = u64::from(self.settings.wrap_ttl_seconds);
        // The token's time runs from the mint, and it may be opened as late as its wrapping ends.
        let ttl = (ask.life.as_secs() + wrap).min(u64::from(self.settings.token_ttl_seconds));
        let minted =
            self.mint_wrapped(&policies, ttl, BTreeMap::from([("run".to_owned(), ask.run.to_string())])).await?;
        let wanted = Wanted { role: &self.settings.role, policies: &policies, ttl_seconds: ttl };
        match self.prove(&minted, &wanted, ask.secrets).await {
            Ok(()) => self.handed_over(ask.secrets, minted, ca_pem),
            Err(error) => Err(self.take_back(&minted, error).await),
        }
    }

    async fn mint_wrapped(
        &self,
        policies: &BTreeSet<String>,
        ttl_seconds: u64,
        meta: BTreeMap<String, String>,
    ) -> Result<Minted, GrantError> {
        let (role, wrap_seconds) = (self.settings.role.as_str(), u64::from(self.settings.wrap_ttl_seconds));
        let mint = Mint { role, policies, ttl_seconds, wrap_seconds, meta };
        let mint = &mint;
        let wrapping =
            self.call(|session| async move { session.mint_wrapped(mint).await }).await.map_err(unanswered)?;
        let accessor = wrapping.wrapped_accessor.clone().ok_or_else(|| GrantError::Unanswered {
            detail: "the server does not tell the accessor of the token that it has wrapped".to_owned(),
        })?;
        Ok(Minted { wrapping, accessor })
    }

    /// The token is what was asked for, reads each path, and was wrapped where it was asked to be.
    async fn prove(
        &self,
        minted: &Minted,
        wanted: &Wanted<'_>,
        secrets: &BTreeSet<SecretName>,
    ) -> Result<(), GrantError> {
        let accessor = minted.accessor.as_str();
        let token = self.call(|session| async move { session.lookup_accessor(accessor).await }).await?;
        let mut amiss = wanted.amiss(&token);
        let expected = format!("auth/token/create/{}", self.settings.role);
        if minted.wrapping.creation_path != expected {
            amiss.push(format!("its wrapping was made at {}", minted.wrapping.creation_path));
        }
        if !amiss.is_empty() {
            return Err(GrantError::Misconfigured {
                detail: format!("the token that Vault has minted is not what was asked for: {}", amiss.join("; ")),
                fix: "`dispatch policies apply` sets the token role right".to_owned(),
            });
        }
        if secrets.is_empty() {
            return Ok(());
        }
        let paths: Vec<String> = secrets.iter().map(|secret| self.site.data_path(secret)).collect();
        let paths = &paths;
        let can = self.call(|session| async move { session.capabilities_accessor(accessor, paths).await }).await?;
        match unreadable(&can).as_slice() {
            [] => Ok(()),
            wrong => Err(GrantError::Misconfigured {
                detail: format!("the policies of the run do not let it read its secrets: {}", wrong.join(", ")),
                fix: "`dispatch policies apply` writes the policies that are missing".to_owned(),
            }),
        }
    }

    fn handed_over(
        &self,
        secrets: &BTreeSet<SecretName>,
        minted: Minted,
        ca_pem: Option<String>,
    ) -> Result<Grant, GrantError> {
        let place =
            |secret: &SecretName| SecretPlace { path: self.site.data_path(secret), field: self.settings.field.clone() };
        let opens = Opens::Grant {
            accessor: minted.accessor.clone(),
            secrets: secrets.iter().map(|secret| (secret.clone(), place(secret))).collect(),
        };
        let wrapping = record_of(&minted.wrapping, Some(minted.accessor.clone()), None)?;
        let record = GrantRecord {
            accessors: vec![minted.wrapping.accessor.clone(), minted.accessor],
            wrapping: Some(wrapping),
            deposit: self.deposit_record(),
            ..GrantRecord::of(secrets)
        };
        Ok(Grant { record, handover: self.wrapped(&minted.wrapping, opens, ca_pem) })
    }

    /// A run without secrets: nothing is granted, and what it opens is the fence alone.
    async fn fence(&self, run: &RunId, ca_pem: Option<String>) -> Result<Grant, GrantError> {
        let nonce = nonce()?;
        let content = Map::from_iter([("run".to_owned(), json!(run)), ("nonce".to_owned(), json!(nonce))]);
        let (content, seconds) = (&content, u64::from(self.settings.wrap_ttl_seconds));
        let wrapping = self.call(|session| async move { session.wrap(content.clone(), seconds).await }).await?;
        let digest = hex(&Sha256::digest(nonce.as_bytes()));
        let record = GrantRecord {
            accessors: vec![wrapping.accessor.clone()],
            wrapping: Some(record_of(&wrapping, None, Some(digest))?),
            deposit: self.deposit_record(),
            ..GrantRecord::default()
        };
        Ok(Grant { record, handover: self.wrapped(&wrapping, Opens::Nonce(nonce), ca_pem) })
    }

    /// The certificates that a runner is to trust.
    fn ca_pem(&self) -> Result<Option<String>, GrantError> {
        let read = self.ca_cert.as_ref().map(std::fs::read_to_string).transpose();
        read.map_err(|error| GrantError::Misconfigured {
            detail: format!("secrets.vault.ca_cert cannot be read: {error}"),
            fix: "give a file that the dispatcher's user can read".to_owned(),
        })
    }

    fn wrapped(&self, wrapping: &WrapInfo, opens: Opens, ca_pem: Option<String>) -> Handover {
        Handover::Wrapped(Box::new(Wrapped {
            address: self.settings.runner_address.clone().unwrap_or_else(|| self.vault.address().to_owned()),
            namespace: self.settings.namespace.clone(),
            ca_pem,
            token: self.token_of(wrapping),
            creation_path: wrapping.creation_path.clone(),
            creation_time: wrapping.creation_time.clone(),
            ttl_seconds: wrapping.ttl,
            opens,
        }))
    }

    /// Takes back what is not handed over, and answers `error`, or that there may be a token left until it ends by itself.
    async fn take_back(&self, minted: &Minted, error: GrantError) -> GrantError {
        let accessors = BTreeSet::from([&minted.wrapping.accessor, &minted.accessor]);
        match self.revoke_all(&accessors).await {
            Ok(()) => error,
            Err(failure) => GrantError::Unanswered {
                detail: format!("{error}; and it could not be taken back: {}", chain::words(&failure)),
            },
        }
    }

    /// A mint that would show its token must be refused by the server itself: no rule of capabilities tells, so it is tried, with
    /// a token that could do nothing.
    pub(super) async fn prove_wrapping_is_forced(&self) -> Result<(), GrantError> {
        let path = &format!("auth/token/create/{}", self.settings.role);
        let body = &json!({ "policies": [PROBE], "ttl": format!("{PROBE_SECONDS}s") });
        match self.call(|session| async move { session.write(path, body.clone()).await }).await {
            Err(Failure::Call(VaultError { why: Why::Denied { .. }, .. })) => Ok(()),
            Err(failure) => Err(failure.into()),
            Ok(answer) => {
                let accessor = answer.auth.map(|auth| auth.accessor);
                if let Some(accessor) = &accessor {
                    self.revoke_all(&BTreeSet::from([accessor])).await?;
                }
                Err(GrantError::Misconfigured {
                    detail: format!(
                        "Vault mints tokens at {path} without a wrapping, so that the dispatcher could read secrets"
                    ),
                    fix:
                        "`dispatch policies apply` writes the policy `service-dispatcher`; give the dispatcher no other"
                            .to_owned(),
                })
            }
        }
    }

    /// Mints what a run would get, but with a policy that does not exist, and says what is amiss with it: the role is right.
    pub(super) async fn prove_role(&self) -> Result<(), GrantError> {
        let policies = BTreeSet::from([PROBE.to_owned()]);
        let ttl = u64::from(self.settings.token_ttl_seconds);
        let minted = self.mint_wrapped(&policies, ttl, BTreeMap::new()).await?;
        let wanted = Wanted { role: &self.settings.role, policies: &policies, ttl_seconds: ttl };
        match self.prove(&minted, &wanted, &BTreeSet::new()).await {
            Err(error) => Err(self.take_back(&minted, error).await),
            Ok(()) => Ok(self.revoke_all(&BTreeSet::from([&minted.wrapping.accessor, &minted.accessor])).await?),
        }
    }
}

/// A mint that may have been done although its answer did not come.
fn unanswered(failure: Failure) -> GrantError {
    match &failure {
        Failure::Call(error) if error.why.effect() == Effect::Unknown => {
            GrantError::Unanswered { detail: chain::words(&failure) }
        }
        _ => failure.into(),
    }
}

fn record_of(
    wrapping: &WrapInfo,
    wrapped: Option<String>,
    nonce_sha256: Option<String>,
) -> Result<WrappingRecord, GrantError> {
    let unreadable = || GrantError::Unanswered {
        detail: format!("the server says that it made the wrapping at `{}`, which is no time", wrapping.creation_time),
    };
    let made: Timestamp = wrapping.creation_time.parse().map_err(|_| unreadable())?;
    let life = SignedDuration::from_secs(i64::try_from(wrapping.ttl).unwrap_or(i64::MAX));
    Ok(WrappingRecord {
        accessor: wrapping.accessor.clone(),
        wrapped,
        creation_time: wrapping.creation_time.clone(),
        expires_at: made.checked_add(life).map_err(|_| unreadable())?,
        nonce_sha256,
    })
}

/// 128 random bits in hex.
fn nonce() -> Result<String, GrantError> {
    let mut bytes = [0_u8; 16];
    let random = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match random {
        Ok(16) => Ok(hex(&bytes)),
        _ => Err(GrantError::Unavailable { detail: "the kernel gives no random bytes".to_owned() }),
    }
}
