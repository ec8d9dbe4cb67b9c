//! The webhook's endpoint around a serving dispatcher: opened before it, closed after it, so that it can be asked all the while
//! whether the process lives.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::error::{CliError, Kind};
use crate::config::Config;
use crate::dispatcher::Dispatcher;
use crate::dispatcher::wake::{Bound, Wakeup};

/// An endpoint that is being served.
pub(super) struct Endpoint {
    wakeup: Arc<Wakeup>,
    serving: JoinHandle<()>,
    attending: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Endpoint {
    /// Opens it, where one is configured.
    pub(super) async fn open(config: &Config) -> Result<Option<Self>, CliError> {
        let Some(webhook) = &config.webhook else { return Ok(None) };
        let bound = Bound::bind(webhook).await.map_err(|error| {
            CliError::from_error(Kind::Failed, &error).hint("another process may have the port; `ss -ltnp` names it")
        })?;
        let (wakeup, stop) = (bound.wakeup(), watch::Sender::new(false));
        let serving = tokio::spawn(bound.serve(stop.subscribe()));
        Ok(Some(Self { wakeup, serving, attending: None, stop }))
    }

    /// From now on it wakes `dispatcher`.
    pub(super) fn attend(&mut self, dispatcher: &Arc<Dispatcher>) {
        let (wakeup, dispatcher) = (Arc::clone(&self.wakeup), Arc::clone(dispatcher));
        self.attending = Some(tokio::spawn(async move { wakeup.attend(dispatcher).await }));
    }

    /// Closes it; what is being answered is finished.
    pub(super) async fn close(self) {
        self.attending.inspect(JoinHandle::abort);
        self.stop.send_replace(true);
        drop(self.serving.await);
    }
}
