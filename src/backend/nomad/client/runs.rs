//! Calls about what a job came to: its allocations.

use std::time::Duration;

use serde::Deserialize;

use super::answer::Call;
use super::types::Allocation;
use super::{Client, ClientError, Since};

const OF_JOB: Call = Call { does: "reading the job's allocations", needs: "read-job" };
const ONE: Call = Call { does: "reading the allocation", needs: "read-job" };
const CHANGED: Call = Call { does: "waiting for a change of allocations", needs: "read-job" };

/// How long the server keeps a waiting request before it answers without news; it adds up to a sixteenth.
const WAIT: Duration = Duration::from_secs(60);

/// An allocation in a list, as far as it tells that something changed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Changed {
    /// Its job.
    #[serde(rename = "JobID")]
    pub job: String,
    /// Raft index of its last change.
    pub modify_index: u64,
}

impl Client {
    /// The allocations of a job, in the order in which they were made, as they are at the index `since` or later; none for a job that is
    /// not there.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn allocations(&self, job: &str, since: Since) -> Result<Vec<Allocation>, ClientError> {
        let request = self.get(&format!("job/{job}/allocations")).since(since);
        let found: Option<Vec<Allocation>> = self.read(OF_JOB, request).await?;
        let mut found = found.unwrap_or_default();
        found.sort_by_key(|allocation| allocation.create_index);
        Ok(found)
    }

    /// One allocation, in full.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn allocation(&self, id: &str) -> Result<Allocation, ClientError> {
        self.read(ONE, self.get(&format!("allocation/{id}"))).await
    }

    /// Waits until an allocation of the namespace has changed after `index`, or about a minute; answers those that have, and the index to
    /// go on from.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn changed_after(&self, index: u64) -> Result<(Vec<Changed>, u64), ClientError> {
        let request = self
            .get("allocations")
            .with("task_states", "false")
            .with("filter", format!("ModifyIndex > {index}"))
            .with("index", index.to_string())
            .with("wait", format!("{}s", WAIT.as_secs()))
            .within(WAIT * 2);
        let answer = self.exchange(CHANGED, request).await?;
        let found: Option<Vec<Changed>> = answer.json(CHANGED)?;
        // An index that goes back is a server that was set up anew: from the beginning, then.
        let next = if answer.index < index { 1 } else { answer.index.max(1) };
        Ok((found.unwrap_or_default(), next))
    }
}
