//! The lease: which of several dispatchers works.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[lease]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The variable in Nomad, in the namespace of the runs, whose lock is the lease.
    #[serde(default = "defaults::path")]
    pub path: String,
    /// Seconds after which a leader that could not renew the lease stops. Another takes over five seconds after twice that.
    #[serde(default = "defaults::ttl_seconds")]
    #[schemars(range(min = 10, max = 600))]
    pub ttl_seconds: u32,
}

mod defaults {
    pub(super) fn path() -> String {
        "dispatch/lease".to_owned()
    }
    pub(super) fn ttl_seconds() -> u32 {
        15
    }
}
