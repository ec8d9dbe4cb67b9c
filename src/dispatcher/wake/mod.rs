//! Being woken by the forge, and saying how one is: an HTTP endpoint beside the loop.
//!
//! A delivery that carries the right signature makes the loop look at the ops repo now, and nothing in it is believed: what
//! happened is learned from git and from the forge's API, as at any other look. So it may come late, twice or never (Gitea
//! sends it a second or so after a merge, tries once and never again), and the poll stays the net below it.
//!
//! - [`signature`] (pure): whether whoever sent a body knows the secret.
//! - [`memory`] (pure): which deliveries were heard, and who has been refused too often.
//! - [`gate`]: connections, bounded in number and in time.
//! - [`routes`]: `/webhook`, `/healthz`, `/readyz`.

mod gate;
mod memory;
mod routes;
mod signature;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::Dispatcher;
use crate::config::types::Webhook;
use gate::Gate;
use memory::Memory;

/// Between two looks that deliveries cause, however many there are: the looks in between would see what the next one sees.
const PACE: Duration = Duration::from_millis(250);

/// How long answers under way may take once the dispatcher stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// The endpoint cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("listening on {listen} (`webhook.listen`)")]
pub struct WakeError {
    /// The address.
    pub listen: String,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// The endpoint, as its handlers share it.
#[derive(Debug)]
pub struct Wakeup {
    config: Webhook,
    memory: Mutex<Memory>,
    rung: Notify,
    dispatcher: OnceLock<Arc<Dispatcher>>,
}

/// An endpoint whose port is bound, with nobody behind it yet.
#[derive(Debug)]
pub struct Bound {
    wakeup: Arc<Wakeup>,
    gate: Gate,
}

impl Bound {
    /// Binds the port. From then on connections are accepted by the kernel, and answered once [`Self::serve`] runs.
    ///
    /// # Errors
    /// [`WakeError`]: the address is not ours, or is taken.
    pub async fn bind(config: &Webhook) -> Result<Self, WakeError> {
        let failed = |source| WakeError { listen: config.listen.clone(), source };
        let listener = TcpListener::bind(&config.listen).await.map_err(failed)?;
        let gate = Gate::new(listener);
        tracing::info!(address = %gate.address().map_err(failed)?, "listening for the forge's webhook");
        Ok(Self { wakeup: Arc::new(Wakeup::new(config.clone())), gate })
    }

    /// What the handlers share.
    pub fn wakeup(&self) -> Arc<Wakeup> {
        Arc::clone(&self.wakeup)
    }

    /// Answers until `stop` becomes true; what is being answered then is finished, but not for long.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let mut told = stop.clone();
        let stopped = async move { drop(told.wait_for(|wanted| *wanted).await) };
        let service = routes::router(self.wakeup).into_make_service_with_connect_info::<gate::Caller>();
        let served = axum::serve(self.gate, service).with_graceful_shutdown(stopped);
        let mut served = std::pin::pin!(async { drop(served.await) });
        tokio::select! {
            () = &mut served => return,
            _ = stop.wait_for(|wanted| *wanted) => {}
        }
        drop(timeout(FAREWELL, served).await);
    }
}

impl Wakeup {
    fn new(config: Webhook) -> Self {
        Self { config, memory: Mutex::default(), rung: Notify::new(), dispatcher: OnceLock::new() }
    }

    /// From now on deliveries wake `dispatcher`, and readiness is its own.
    pub async fn attend(&self, dispatcher: Arc<Dispatcher>) {
        // Only the first counts, and there is only one.
        let _ = self.dispatcher.set(Arc::clone(&dispatcher));
        self.pass_on(|| dispatcher.look_now()).await;
    }

    /// Calls `wake` for every delivery, those that come close together as one. None is lost: one that comes within the pause is
    /// passed on at its end.
    async fn pass_on(&self, wake: impl Fn()) {
        loop {
            self.rung.notified().await;
            wake();
            sleep(PACE).await;
        }
    }
}
