//! Calls about a variable, as far as its lock is used: reading it, and taking, renewing and giving back the lock.
//!
//! What 1.11.3 does, and other calls build on:
//! - The lock's id may be the caller's own. Taking it again under the same id answers the lock that is held, so that an answer that was
//!   lost costs nothing. Whoever may write the variable and knows the id can end the lock: it stays with its maker.
//! - Only a management token sees in a variable that it is locked. That it is shows in the refusal to take the lock.
//! - Taking a lock replaces the items, and refuses check-and-set; giving it back, or its expiry, leaves them.
//! - A waiting request is answered when the lock is given back or expires, and not when it is renewed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::answer::{Call, NOT_LOCKED};
use super::types::Variable;
use super::{Client, ClientError, REQUEST_TIMEOUT};

const READ: Call = Call { does: "reading the variable", needs: "`read` on it: policies/nomad-lease.hcl" };
const ACQUIRE: Call = Call { does: "locking the variable", needs: "`write` on it: policies/nomad-lease.hcl" };
const RENEW: Call =
    Call { does: "renewing the lock of the variable", needs: "`write` on it: policies/nomad-lease.hcl" };
const RELEASE: Call =
    Call { does: "giving back the lock of the variable", needs: "`write` on it: policies/nomad-lease.hcl" };

/// The id of a lock that nobody has.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// How long a lock lasts. The server lets another have it after twice the time to live, and then the delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockTimes {
    /// From ten seconds to a day.
    pub ttl: Duration,
    /// Not zero, which the server takes for fifteen seconds.
    pub delay: Duration,
}

/// How a variable stands, for one who may not see its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// There is no such variable.
    Absent,
    /// Nobody has its lock.
    Free,
    /// Somebody has.
    Held,
}

impl Client {
    /// A variable; `None` where there is none. With an index, waits for a change after it, for `wait` at the most.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn variable(&self, path: &str, after: Option<(u64, Duration)>) -> Result<Option<Variable>, ClientError> {
        let mut request = self.get(&format!("var/{path}"));
        if let Some((index, wait)) = after {
            // The server adds up to a sixteenth.
            let patience = wait + wait / 16 + REQUEST_TIMEOUT;
            let wait = format!("{}ms", wait.as_millis());
            request = request.with("index", index.to_string()).with("wait", wait).within(patience);
        }
        match self.read(READ, request).await {
            Err(ClientError::Absent { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Takes the lock of a variable, which is made where it is missing, and replaces its items. Answers the variable's index, by which
    /// the order in which a lock was had can be told.
    ///
    /// # Errors
    /// [`ClientError::Conflict`]: another has it. In doubt, ask again with the same `id`.
    pub async fn acquire_lock(
        &self,
        path: &str,
        id: &str,
        times: LockTimes,
        items: &BTreeMap<&str, String>,
    ) -> Result<u64, ClientError> {
        let seconds = |time: Duration| format!("{}s", time.as_secs());
        let lock = json!({ "ID": id, "TTL": seconds(times.ttl), "LockDelay": seconds(times.delay) });
        let body = json!({ "Namespace": self.namespace(), "Path": path, "Items": items, "Lock": lock });
        let request = self.put(&format!("var/{path}"), &body).with("lock-acquire", "");
        self.read::<Variable>(ACQUIRE, request).await.map(|variable| variable.modify_index)
    }

    /// Renews the lock `id`, or gives up on it after `within`.
    ///
    /// # Errors
    /// [`ClientError::Conflict`]: it is not, or no longer, that lock.
    pub async fn renew_lock(&self, path: &str, id: &str, within: Duration) -> Result<(), ClientError> {
        let request = self.put(&format!("var/{path}"), &self.lock(path, id)).with("lock-renew", "");
        self.exchange(RENEW, request.within(within)).await.map(drop)
    }

    /// Gives the lock `id` back: another may have it at once.
    ///
    /// # Errors
    /// [`ClientError::Conflict`]: it is not, or no longer, that lock.
    pub async fn release_lock(&self, path: &str, id: &str) -> Result<(), ClientError> {
        let request = self.put(&format!("var/{path}"), &self.lock(path, id)).with("lock-release", "");
        self.exchange(RELEASE, request).await.map(drop)
    }

    /// How the lock stands, changing nothing: a lock that nobody has is renewed, which needs the right to write.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn lock_state(&self, path: &str) -> Result<LockState, ClientError> {
        match self.renew_lock(path, NOBODY, REQUEST_TIMEOUT).await {
            Ok(()) => Ok(LockState::Free),
            Err(ClientError::Absent { .. }) => Ok(LockState::Absent),
            Err(ClientError::Conflict { said, .. }) if said.contains(NOT_LOCKED) => Ok(LockState::Free),
            Err(ClientError::Conflict { .. }) => Ok(LockState::Held),
            Err(error) => Err(error),
        }
    }

    fn lock(&self, path: &str, id: &str) -> serde_json::Value {
        json!({ "Namespace": self.namespace(), "Path": path, "Lock": { "ID": id } })
    }
}
