//! Telling the forge what would run, what runs and how it ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[telling]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telling {
    /// Whether commits get statuses: `dispatch/check` on open pull requests that bring actions, `dispatch/run` on merged ones.
    #[serde(default)]
    pub statuses: bool,
    /// Whether a pull request gets a comment with the results of its actions, which is edited when they change.
    #[serde(default)]
    pub comments: bool,
    /// Seconds between two looks at the open pull requests where no webhook says that there is something to see.
    #[serde(default = "defaults::look_seconds")]
    #[schemars(range(min = 1, max = 86_400))]
    pub look_seconds: u32,
    /// The forge's number of the user whose token tells. `dispatch request --wait` believes a result that this user's `dispatch/run`
    /// status names, and where it is not set, none but what the journal of this machine knows.
    #[serde(default)]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub user_id: Option<i64>,
}

impl Default for Telling {
    fn default() -> Self {
        Self { statuses: false, comments: false, look_seconds: defaults::look_seconds(), user_id: None }
    }
}

mod defaults {
    pub(super) fn look_seconds() -> u32 {
        60
    }
}
