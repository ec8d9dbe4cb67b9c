//! What a run may know: secret providers behind one trait.
//!
//! - [`mod@file`]: one age-encrypted file per secret; opens files, asks `support::seal` to decrypt and `value` whether the text is fit.
//! - [`value`]: what may be a secret's value (pure).
//! - [`mod@vault`]: one Vault token for each run, wrapped; [`policies`]: what must stand in Vault for that.
//!
//! Admission asks `presence`, the dispatcher asks `mint` and `revoke`; nobody below knows of secrets.

pub mod file;
pub mod none;
pub mod policies;
pub mod value;
pub mod vault;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::runner::envelope::Handover;
use crate::support::checkup::Finding;
use crate::support::ids::{RunId, SecretName};

pub use crate::support::seal::{GeneratedIdentity, SealError, generate_identity, seal_for};
pub use file::FileProvider;
pub use vault::VaultProvider;

/// Whether a secret can be granted, told without reading its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It exists; the evidence says where (a path, a version), never its content.
    Present {
        /// Where it is.
        evidence: String,
    },
    /// There is no such secret.
    Absent {
        /// Where it was looked for.
        evidence: String,
    },
    /// It cannot be told now: the provider does not answer.
    Unknown {
        /// Why.
        evidence: String,
    },
}

/// What the journal keeps of a grant: enough to revoke it after a crash, nothing that opens it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// The policies that the run holds: `runner-<SECRET>` for each secret named.
    pub policies: Vec<String>,
    /// The provider's own handles for revoking (accessors); empty for files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accessors: Vec<String>,
    /// The wrapping in which it travels, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapping: Option<WrappingRecord>,
    /// Where that wrapping's token is deposited for the run, where it does not travel with the envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposit: Option<DepositRecord>,
}

/// Where a wrapping token may stand, to be removed from there when the run is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositRecord {
    /// The mount of the key-value store.
    pub mount: String,
    /// The folder in it.
    pub prefix: String,
    /// The allocations for which it was to be deposited, recorded before it was.
    #[serde(default)]
    pub allocations: BTreeSet<String>,
}

/// What came of a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deposited {
    /// The run can take its wrapping token now.
    There,
    /// Nobody holds the wrapping token any more: the dispatcher that made the grant was ended before it could deposit it.
    Forgotten,
}

/// A single-use wrapping as the journal keeps it: what tells later whether somebody has opened it, and nothing that opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappingRecord {
    /// Its accessor: alive as long as nobody has opened it.
    pub accessor: String,
    /// The accessor of the token inside; none in the fence of a run without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapped: Option<String>,
    /// When it was made, in the server's own words.
    pub creation_time: String,
    /// When it ends by itself, by the server's clock.
    pub expires_at: Timestamp,
    /// SHA-256 of the nonce inside, lower-case hex, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce_sha256: Option<String>,
}

/// What has become of the wrapping of a grant, seen without touching it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The provider hands over no wrappings.
    NotApplicable,
    /// Nobody has opened it, and it can still be opened.
    Unused,
    /// Its time is over. Whether it was opened before cannot be told any more.
    Expired,
    /// It is gone before its time: somebody has opened it, or it was taken back.
    Gone,
}

/// How values come to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// There are none.
    Nothing,
    /// In the envelope itself: only where nobody else can read it.
    Values,
    /// In a wrapping that opens once.
    Wrapped,
}

/// What a grant is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The run.
    pub run: &'a RunId,
    /// Exactly these secrets.
    pub secrets: &'a BTreeSet<SecretName>,
    /// How long the run may take, its grace included.
    pub life: Duration,
}

impl GrantRecord {
    /// The record of a grant of exactly `secrets`.
    pub fn of(secrets: &BTreeSet<SecretName>) -> Self {
        Self { policies: secrets.iter().map(|secret| format!("runner-{secret}")).collect(), ..Self::default() }
    }
}

/// A grant that was made for one run and not yet handed over.
#[derive(Debug)]
pub struct Grant {
    /// For the journal, before the launch.
    pub record: GrantRecord,
    /// For the envelope, once.
    pub handover: Handover,
}

/// Why a grant could not be made or taken back.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The secret is not there, or empty, or unfit (shorter than 6 characters, not UTF-8, holds a NUL).
    #[error("secret {secret}: {detail}")]
    Unusable {
        /// Which secret.
        secret: SecretName,
        /// What is wrong, never its content.
        detail: String,
    },
    /// The provider cannot answer now: worth another try.
    #[error("the secret provider does not answer: {detail}")]
    Unavailable {
        /// What happened.
        detail: String,
    },
    /// The provider was asked to make a grant, and its answer was lost: there may be one that nobody holds. It ends by itself.
    #[error(
        "the secret provider did not answer after it was asked for a grant, which may exist and then ends by itself: {detail}"
    )]
    Unanswered {
        /// What happened.
        detail: String,
    },
    /// The provider is set up wrongly: no try will help before a person has changed it.
    #[error("the secret provider cannot be used: {detail}; {fix}")]
    Misconfigured {
        /// What is wrong, and where.
        detail: String,
        /// What to do about it.
        fix: String,
    },
}

/// Where secrets come from.
///
/// # Guarantees
/// - `presence` reads no value. `mint` reads, or opens the way to, exactly the secrets named.
/// - `revoke` may be called twice, after a crash, and for a grant that never reached a run.
#[async_trait]
pub trait SecretProvider: Debug + Send + Sync {
    /// `file` or `vault`.
    fn name(&self) -> &'static str;

    /// Can it work? One finding for each thing looked at, in order; what depends on something that does not hold is not looked at.
    async fn check(&self) -> Vec<Finding>;

    /// Whether `secret` could be granted now.
    async fn presence(&self, secret: &SecretName) -> Presence;

    /// Makes the grant for one run: exactly `secrets`, no others.
    async fn mint(&self, ask: Ask<'_>) -> Result<Grant, GrantError>;

    /// Deposits the wrapping token of a grant for the execution that was placed as `allocation`. May be done again.
    async fn deposit(&self, _record: &GrantRecord, _allocation: &str) -> Result<Deposited, GrantError> {
        Ok(Deposited::There)
    }

    /// Takes the grant back, and proves that it is dead.
    async fn revoke(&self, record: &GrantRecord) -> Result<(), GrantError>;

    /// How values come to a run.
    fn delivery(&self) -> Delivery {
        Delivery::Values
    }

    /// What has become of the wrapping of a grant that was not taken back yet.
    async fn fate(&self, _record: &GrantRecord) -> Result<Fate, GrantError> {
        Ok(Fate::NotApplicable)
    }

    /// What a person should know of it now: that it has not worked for a while, and why.
    fn troubles(&self) -> Vec<String> {
        Vec::new()
    }
}
