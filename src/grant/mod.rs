//! What a run may know: secret providers behind one trait.
//!
//! - [`mod@file`]: one age-encrypted file per secret; opens files, asks `support::seal` to decrypt and `value` whether the text is fit.
//! - [`value`]: what may be a secret's value (pure).
//!
//! Admission asks `presence`, the dispatcher asks `mint` and `revoke`; nobody below knows of secrets.

pub mod file;
pub mod none;
pub mod value;

use std::collections::BTreeSet;
use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::runner::envelope::Handover;
use crate::support::checkup::Finding;
use crate::support::ids::{RunId, SecretName};

pub use crate::support::seal::{GeneratedIdentity, SealError, generate_identity, seal_for};
pub use file::FileProvider;

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
}

impl GrantRecord {
    /// The record of a grant of exactly `secrets`.
    pub fn of(secrets: &BTreeSet<SecretName>) -> Self {
        Self { policies: secrets.iter().map(|secret| format!("runner-{secret}")).collect(), accessors: Vec::new() }
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
    async fn mint(&self, run: &RunId, secrets: &BTreeSet<SecretName>) -> Result<Grant, GrantError>;

    /// Takes the grant back.
    async fn revoke(&self, record: &GrantRecord) -> Result<(), GrantError>;
}
