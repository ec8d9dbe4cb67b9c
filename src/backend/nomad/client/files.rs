//! Calls to the client that runs an allocation, through the server: the task's log, and files that it has written.

use std::time::Duration;

use reqwest::Response;
use serde::Deserialize;

use super::answer::{Call, judge_file};
use super::{Client, ClientError, REQUEST_TIMEOUT, Room, STREAM_TIMEOUT};

const LOG: Call = Call { does: "reading the run's log", needs: "read-logs" };
const FOLLOW: Call = Call { does: "following", needs: "" };
const FILE: Call = Call { does: "reading the runner's events file", needs: "read-fs" };

/// A log is not read for longer than this without a byte.
const SILENCE: Duration = Duration::from_secs(15);

/// Which log of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend::nomad) enum Reading {
    /// What is there now.
    UpToNow,
    /// What is there and whatever comes; it has no end of its own.
    Following,
}

/// Bytes as they come. Keeps its connection until it is dropped.
#[derive(Debug)]
pub struct Chunks {
    response: Response,
    silence: Duration,
    _room: Room,
}

impl Chunks {
    /// Nothing for longer than `silence` is an error.
    pub(super) fn new(response: Response, room: Room, silence: Duration) -> Self {
        Self { response, silence, _room: room }
    }

    /// More bytes; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        match tokio::time::timeout(self.silence, self.response.chunk()).await {
            Ok(Ok(bytes)) => Ok(bytes.map(|bytes| bytes.to_vec())),
            Ok(Err(error)) => Err(ClientError::of_transport(FOLLOW, error)),
            Err(_) => Err(ClientError::NoAnswer { call: FOLLOW, detail: "nothing came any more".to_owned() }),
        }
    }
}

impl Client {
    /// The standard output of `task` from byte `offset` of what is kept of it, as frames.
    ///
    /// # Errors
    /// [`ClientError::Absent`] where the task did not start, or the allocation was collected.
    pub(in crate::backend::nomad) async fn log(
        &self,
        allocation: &str,
        task: &str,
        offset: u64,
        reading: Reading,
    ) -> Result<Chunks, ClientError> {
        let (follow, timeout) = match reading {
            Reading::UpToNow => ("false", REQUEST_TIMEOUT * 6),
            Reading::Following => ("true", STREAM_TIMEOUT),
        };
        let request = self
            .get(&format!("client/fs/logs/{allocation}"))
            .with("task", task)
            .with("type", "stdout")
            .with("origin", "start")
            .with("offset", offset.to_string())
            .with("follow", follow)
            .within(timeout);
        let (response, room) = self.accepted(LOG, request).await?;
        Ok(Chunks::new(response, room, SILENCE))
    }

    /// How many bytes a file of an allocation has.
    ///
    /// # Errors
    /// [`ClientError::Denied`] without `read-fs`, as [`Self::file`].
    pub async fn file_size(&self, allocation: &str, path: &str) -> Result<u64, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Stat {
            size: u64,
        }
        let request = self.get(&format!("client/fs/stat/{allocation}")).with("path", path);
        let answer = self.exchange(FILE, request).await?;
        judge_file(FILE, &answer.body)?;
        answer.json::<Stat>(FILE).map(|stat| stat.size)
    }

    /// At most `limit` bytes of a file of an allocation from `offset`; none behind its end.
    ///
    /// # Errors
    /// [`ClientError::Denied`] without `read-fs`, which also opens everything else of the allocation: an operator may not want to
    /// give it.
    pub async fn file(&self, allocation: &str, path: &str, offset: u64, limit: u64) -> Result<Vec<u8>, ClientError> {
        let request = self
            .get(&format!("client/fs/readat/{allocation}"))
            .with("path", path)
            .with("offset", offset.to_string())
            .with("limit", limit.to_string());
        let body = self.exchange(FILE, request).await?.body;
        judge_file(FILE, &body)?;
        Ok(body)
    }
}
