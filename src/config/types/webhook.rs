//! The webhook: where the forge wakes the dispatcher, and where health is asked for.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[webhook]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The address and port to listen on for `/webhook`, `/healthz` and `/readyz`; port 0 takes a free one, which the log names.
    pub listen: String,
    /// The file that holds the secret which the forge signs its deliveries with.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub secret_file: Option<PathBuf>,
    /// The environment variable that holds it.
    #[serde(default)]
    pub secret_env: Option<String>,
}
