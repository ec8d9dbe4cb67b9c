//! One watch for all runs: it tells each that something may have changed, and nothing else. What has changed is read by the run itself.
//!
//! It listens to the event stream. An event may come before a read shows the change, so its index goes with it. The stream begins with whatever the server still has, without a word about what is missing; so after
//! each opening every run is told. Where the stream cannot be had (a proxy that holds it back) a query that the server
//! answers when an allocation has changed takes its place. A stream is opened anew after some minutes, which bounds how long news
//! that it lost could stay unknown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::client::types::News;
use super::client::{Client, ClientError, Since};
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
    listeners: HashMap<String, watch::Sender<Hint>>,
    /// Whether a task listens for all of them.
    going: bool,
}

/// What a run was told so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hint {
    /// The last change of its allocations.
    pub(super) allocations: Since,
    /// The last change of its evaluations.
    pub(super) evaluations: Since,
}

/// A run that listens.
#[derive(Debug)]
pub(super) struct Listener {
    inner: Arc<Inner>,
    job: String,
    news: watch::Receiver<Hint>,
}

impl Watch {
    pub(super) fn new(client: Client) -> Self {
        Self(Arc::new(Inner { client, state: Mutex::default() }))
    }

    /// Listens for `job` from now on.
    pub(super) fn listen(&self, job: &str) -> Listener {
        let mut state = self.0.state();
        let sender = state.listeners.entry(job.to_owned()).or_insert_with(|| watch::Sender::new(Hint::default()));
        let news = sender.subscribe();
        if !std::mem::replace(&mut state.going, true) {
            tokio::spawn(Arc::clone(&self.0).run());
        }
        Listener { inner: Arc::clone(&self.0), job: job.to_owned(), news }
    }
}

impl Listener {
    /// Waits until something may have changed since this was last called, and answers what is known of it.
    pub(super) async fn changed(&mut self) -> Hint {
        if self.news.changed().await.is_err() {
            // The sender goes only when this listener has.
            std::future::pending::<()>().await;
        }
        *self.news.borrow_and_update()
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

    fn pass_on(&self, news: &News) {
        let (state, since) = (self.state(), Since::Index(news.index));
        for sender in news.allocations.iter().filter_map(|job| state.listeners.get(job)) {
            sender.send_modify(|hint| hint.allocations = since);
        }
        for sender in news.evaluations.iter().filter_map(|job| state.listeners.get(job)) {
            sender.send_modify(|hint| hint.evaluations = since);
        }
    }

    fn wake_all(&self) {
        for sender in self.state().listeners.values() {
            sender.send_modify(|_| {});
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
            Ok(Ok(Some(first))) => self.pass_on(&first),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(None)) | Err(_) => return Ok(Heard::Nothing),
        }
        self.wake_all();
        while !self.is_done() {
            match stream.next().await {
                Ok(Some(news)) => self.pass_on(&news),
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
            let allocations = changed.into_iter().map(|one| one.job).collect();
            self.pass_on(&News { index: next, allocations, evaluations: Vec::new() });
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
