//! The envelope: all that is handed over to a run, in one versioned JSON document.
//!
//! Made by the dispatcher, carried by a backend over a private channel (stdin, a payload file), read once by the runner.
//! Nothing else about the run is looked up from inside the job.

use std::collections::BTreeMap;

use secrecy::SecretString;

pub use crate::action::FormulaKind;
use crate::support::ids::{ActionId, FormulaName, LaunchKey, MountName, RunId, SecretName};

/// The protocol that this build speaks; a runner also accepts the one before.
pub const PROTOCOL: u32 = 1;

/// Bytes together with the SHA-256 (lower-case hex) that they must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The digest that was admitted.
    pub sha256: String,
    /// The bytes, checked against the digest by the runner before use.
    pub bytes: Vec<u8>,
}

/// The values of a run's secrets by name.
pub type Secrets = BTreeMap<SecretName, SecretString>;

/// What opens the run's secrets and fences it against a second execution.
#[derive(Debug, Clone)]
pub enum Handover {
    /// The values themselves; only over a channel that no one else can read (a pipe on the same host). The fence is a marker
    /// file made with `O_EXCL` in the run's directory.
    Values(Secrets),
    /// A single-use wrapping that Vault holds: whoever opens it first has it, and everyone else learns that they came second.
    /// The marker file is taken as well.
    Wrapped(Box<Wrapped>),
}

impl Handover {
    /// Whether only a workload with an identity of its own can come by it.
    pub fn needs_identity(&self) -> bool {
        matches!(self, Self::Wrapped(wrapped) if matches!(wrapped.token, WrappingToken::Deposited(_)))
    }

    /// The secrets that it carries or opens.
    pub fn names(&self) -> Box<dyn Iterator<Item = &SecretName> + '_> {
        match self {
            Self::Values(values) => Box::new(values.keys()),
            Self::Wrapped(wrapped) => match &wrapped.opens {
                Opens::Grant { secrets, .. } => Box::new(secrets.keys()),
                Opens::Nonce(_) => Box::new(std::iter::empty()),
            },
        }
    }
}

/// A wrapping in Vault, with everything by which the runner recognises it as the one that was made for it.
#[derive(Debug, Clone)]
pub struct Wrapped {
    /// Vault's address as the runner reaches it, without `/v1`.
    pub address: String,
    /// The namespace, where the server has them.
    pub namespace: Option<String>,
    /// PEM certificates to trust for `address`; the system's roots where it is not set.
    pub ca_pem: Option<String>,
    /// The wrapping token, or how to come by it.
    pub token: WrappingToken,
    /// `wrap_info.creation_path`, as the lookup must answer it.
    pub creation_path: String,
    /// `wrap_info.creation_time`, to the nanosecond, as the lookup must answer it.
    pub creation_time: String,
    /// `wrap_info.ttl`, in seconds, as the lookup must answer it.
    pub ttl_seconds: u64,
    /// What is inside.
    pub opens: Opens,
}

/// The token that opens a wrapping.
#[derive(Debug, Clone)]
pub enum WrappingToken {
    /// Here: whoever reads the envelope has it.
    Carried(SecretString),
    /// In Vault, where one workload alone can read it: the one for which it was put there.
    Deposited(Deposit),
}

/// Where a wrapping token is put down for one run, and how that run logs in to take it: by its own identity.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposit {
    /// Where the auth method is mounted.
    pub mount: String,
    /// The role.
    pub role: String,
    /// The folder as it is read, `kv/data/disinto/handover/`; a run's own place in it is named after its allocation.
    pub folder: String,
}

/// The field that holds a wrapping token that was deposited.
pub const DEPOSITED: &str = "token";

/// What a wrapping holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opens {
    /// The token of a grant.
    Grant {
        /// The token's accessor: the one that comes out must have this one.
        accessor: String,
        /// The secrets to read with it: all of them, and no others.
        secrets: BTreeMap<SecretName, SecretPlace>,
    },
    /// Nothing but this nonce: a run without secrets, fenced the same way.
    Nonce(String),
}

/// Where a secret stands in Vault's KV v2.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretPlace {
    /// The path to read, such as `kv/data/disinto/runner/NPM_TOKEN`.
    pub path: String,
    /// The field that holds the value.
    pub field: String,
}

/// How much output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock seconds that the formula may take.
    pub timeout_seconds: u64,
    /// Seconds between the polite signal and the kill.
    pub grace_seconds: u64,
}

/// All that is handed over to one run.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// [`PROTOCOL`] of the dispatcher that made it.
    pub protocol: u32,
    /// The run.
    pub run: RunId,
    /// Its launch key.
    pub key: LaunchKey,
    /// The slot that it occupies, from 0: `DISPATCH_SLOT`.
    pub slot: u32,
    /// The admitted bytes of `<id>.toml`.
    pub action: Sealed,
    /// The formula's name.
    pub formula: FormulaName,
    /// Mechanical or agent.
    pub kind: FormulaKind,
    /// The admitted bytes of the formula.
    pub script: Sealed,
    /// Context files by their path in the ops repo.
    pub context_files: BTreeMap<String, Sealed>,
    /// `DISPATCH_PARAM_<NAME>`.
    pub params: BTreeMap<String, String>,
    /// Mounts by name, and where the backend has put each: `DISPATCH_MOUNT_<NAME>`.
    pub mounts: BTreeMap<MountName, String>,
    /// What the config passes by name into every formula's environment.
    pub environment: BTreeMap<String, String>,
    /// Secrets and fence.
    pub handover: Handover,
    /// Time limits.
    pub limits: Limits,
    /// The directory of this host that the action names: `DISPATCH_WORKING_DIRECTORY`. The formula still begins in a fresh one.
    pub working_directory: Option<String>,
    /// W3C trace context of the run: `TRACEPARENT`.
    pub traceparent: Option<String>,
}

impl Envelope {
    /// The action's id.
    pub fn action_id(&self) -> &ActionId {
        self.run.action()
    }
}
