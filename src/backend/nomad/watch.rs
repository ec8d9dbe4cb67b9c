//! One watch for all runs: it tells each that something may have changed, and nothing else. What has changed is read by the run itself.
//!
//! It listens to the event stream. That begins with whatever the server still has, without a word about what is missing; so after
//! each opening every run is told. Where the stream cannot be had (a proxy that holds it back) a query that the server
//! answers when an allocation has changed takes its place. A stream is opened anew after some minutes, which bounds how long news
//! that it lost could stay unknown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::client::{Client, ClientError};
use crate::support::retry::RetryPolicy;

/// A stream that is not refused says something at once.
const OPENS_WITHIN: Duration = Duration::from_secs(10);

/// Queries before the stream is tried again.
const QUERIES: u32 = 5;

/// The shared watch.
#[derive(Debug)]
pub(super) struct Watch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By job.
    listeners: HashMap<String, watch::Sender<u64>>,
    /// Whether a task listens for all of them.
    going: bool,
}

/// A run that listens.
#[derive(Debug)]
pub(super) struct Listener {
    inner: Arc<Inner>,
    job: String,
    news: watch::Receiver<u64>,
}

impl Watch {
    pub(super) fn new(client: Client) -> Self {
        Self(Arc::new(Inner { client, state: Mutex::default() }))
    }

    /// Listens for `job` from now on.
    pub(super) fn listen(&self, job: &str) -> Listener {
        let mut state = self.0.state();
        let sender = state.listeners.entry(job.to_owned()).or_insert_with(|| watch::Sender::new(0));
        let news = sender.subscribe();
        if !std::mem::replace(&mut state.going, true) {
            tokio::spawn(Arc::clone(&self.0).run());
        }
        Listener { inner: Arc::clone(&self.0), job: job.to_owned(), news }
    }
}

impl Listener {
    /// Waits until something may have changed since this was last called.
    pub(super) async fn changed(&mut self) {
        if self.news.changed().await.is_err() {
            // The sender goes only when this listener has.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        // This one is still counted.
        if state.listeners.get(&self.job).is_some_and(|sender| sender.receiver_count() <= 1) {
            state.listeners.remove(&self.job);
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake<'a>(&self, jobs: impl IntoIterator<Item = &'a str>) {
        let state = self.state();
        for sender in jobs.into_iter().filter_map(|job| state.listeners.get(job)) {
            sender.send_modify(|count| *count += 1);
        }
    }

    fn wake_all(&self) {
        for sender in self.state().listeners.values() {
            sender.send_modify(|count| *count += 1);
        }
    }

    /// Whether nobody listens any more; whoever comes next starts the task anew.
    fn is_done(&self) -> bool {
        let mut state = self.state();
        state.going = !state.listeners.is_empty();
        !state.going
    }

    async fn run(self: Arc<Self>) {
        let mut delays = RetryPolicy::FOLLOW.delays();
        while !self.is_done() {
            match self.listen().await {
                Ok(Heard::Something) => {
                    delays = RetryPolicy::FOLLOW.delays();
                    continue;
                }
                Ok(Heard::Nothing) => tracing::warn!("Nomad's event stream stays empty; asking for changes instead"),
                Err(error) => tracing::info!(%error, "Nomad's event stream cannot be followed; trying again"),
            }
            if let Err(error) = self.query().await {
                tracing::debug!(%error, "nor can changes be asked for");
                tokio::time::sleep(delays.next().unwrap_or(RetryPolicy::FOLLOW.cap)).await;
            }
        }
    }

    /// Follows the stream until it ends.
    async fn listen(&self) -> Result<Heard, ClientError> {
        let mut stream = self.client.events().await?;
        // A refused stream is empty; one that is held back says nothing.
        match tokio::time::timeout(OPENS_WITHIN, stream.next()).await {
            Ok(Ok(Some(first))) => self.wake(first.jobs.iter().map(String::as_str)),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(None)) | Err(_) => return Ok(Heard::Nothing),
        }
        self.wake_all();
        while !self.is_done() {
            match stream.next().await {
                Ok(Some(news)) => self.wake(news.jobs.iter().map(String::as_str)),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(Heard::Something)
    }

    /// Asks for changes a few times; each answer comes when there is one.
    async fn query(&self) -> Result<(), ClientError> {
        let mut index = 1;
        self.wake_all();
        for _ in 0..QUERIES {
            if self.is_done() {
                break;
            }
            let (changed, next) = self.client.changed_after(index).await?;
            self.wake(changed.iter().map(|one| one.job.as_str()));
            index = next;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Something,
    Nothing,
}
