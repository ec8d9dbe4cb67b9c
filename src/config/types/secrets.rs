//! Secrets: which may be granted, and where they come from.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vault::Vault;
use crate::support::ids::SecretName;

/// `[secrets]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The secrets that actions may name. Empty: none.
    #[serde(default)]
    pub allow: BTreeSet<SecretName>,
    /// The `file` provider: one age-encrypted file per secret.
    #[serde(default)]
    pub file: Option<SecretFiles>,
    /// The `vault` provider: one policy per secret, one token per run.
    #[serde(default)]
    pub vault: Option<Vault>,
}

/// `[secrets.file]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFiles {
    /// The folder of `<NAME>.enc`.
    #[schemars(extend("format" = "path"))]
    pub directory: PathBuf,
    /// The age identity that opens them. Must be readable by the dispatcher's user alone.
    #[schemars(extend("format" = "path"))]
    pub identity: PathBuf,
}
