//! The testbed itself: that its servers answer, that tests do not see each other, and that nothing is left behind, whoever dies.
//!
//! - `servers`: the shared ones and a test's own. `proxy`: the faults. `endings`: Ctrl-C, kill -9, and what then still runs.
//!   `build`: how the binaries are come by. `command`: `./test` around them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "helpers of tests fail loudly; clippy.toml's exceptions reach only the tests themselves"
)]

#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "../common/fault_proxy.rs"]
mod fault_proxy;
#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "../common/testbed.rs"]
mod testbed;

mod build;
mod command;
mod endings;
mod proxy;
mod servers;

use std::time::Duration;

use serde_json::{Value, json};

/// For anything that a server does within a second when the machine is idle.
const SOON: Duration = Duration::from_secs(30);

/// A batch job with one task of the `raw_exec` driver.
fn job(id: &str, command: &str, arguments: &[&str]) -> Value {
    let task = json!({ "Name": "task", "Driver": "raw_exec", "Config": { "command": command, "args": arguments } });
    json!({ "Job": { "ID": id, "Type": "batch", "TaskGroups": [{ "Name": "group", "Tasks": [task] }] } })
}
