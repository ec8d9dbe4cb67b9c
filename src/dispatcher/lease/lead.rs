//! What a dispatcher does with the lease: it waits for it, begins its term in the journal, and says who leads.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::{Leader, Taken};
use crate::dispatcher::Dispatcher;
use crate::dispatcher::rebuild::REBUILDING;
use crate::run::journal::JournalError;
use crate::run::journal::terms::LEAD;
use crate::support::chain;

/// Key of the journal's named value: the mark of the last leadership under this journal.
const LED: &str = "led";

/// What renews the lease, until this is dropped.
#[derive(Debug)]
pub(in crate::dispatcher) struct Keeping(Option<JoinHandle<()>>);

impl Drop for Keeping {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Dispatcher {
    /// Waits until this dispatcher leads, and keeps it leading. At once where it has to ask nobody.
    pub(in crate::dispatcher) async fn lead(&self) -> Result<Keeping, JournalError> {
        let Some(lease) = &self.lease else { return Ok(Keeping(None)) };
        let (ours, before) = lease.take().await;
        self.begin_term(&ours, before).await
    }

    /// The same, without waiting.
    ///
    /// # Errors
    /// In words: who leads, or why that cannot be told.
    pub(in crate::dispatcher) async fn lead_now(&self) -> Result<Keeping, LeadError> {
        let Some(lease) = &self.lease else { return Ok(Keeping(None)) };
        match lease.try_take().await {
            Ok(Taken::Ours { ours, before }) => Ok(self.begin_term(&ours, before).await?),
            Ok(Taken::Held(leader)) => {
                lease.stand_by(leader);
                Err(LeadError::Held(lease.view().words()))
            }
            Err(error) => Err(LeadError::Unknown(chain::words(&error))),
        }
    }

    /// Records the term. Where another led since this journal last did, it is compared with what the others left, as a journal that
    /// was lost: they launched runs that it does not know of.
    async fn begin_term(&self, ours: &Leader, before: Option<Leader>) -> Result<Keeping, JournalError> {
        let Some(lease) = &self.lease else { return Ok(Keeping(None)) };
        let keeping = {
            let lease = Arc::clone(lease);
            tokio::spawn(async move { lease.keep().await })
        };
        let keeping = Keeping(Some(keeping));
        let journal = self.journal();
        let elsewhere = before.filter(|before| before.mark.is_some());
        let elsewhere = match journal.get(LED).await? {
            led if elsewhere.as_ref().is_none_or(|before| before.mark == led) => None,
            _ => elsewhere,
        };
        if elsewhere.is_some() && journal.get(REBUILDING).await?.is_none() {
            journal.set(REBUILDING, Some("led elsewhere".to_owned())).await?;
        }
        let before = elsewhere.and_then(|before| before.holder);
        journal.note(LEAD, serde_json::json!({ "term": ours.term, "taken_over_from": before })).await?;
        // Last: cut short before it, the next start compares once too often.
        journal.set(LED, ours.mark.clone()).await?;
        self.outbox.lock().await.term = Some(ours.term);
        tracing::info!(term = ours.term, taken_over_from = before, "leading");
        Ok(keeping)
    }

    /// Returns when this dispatcher led and may not any more, with why.
    pub(in crate::dispatcher) async fn lease_over(&self) -> String {
        match &self.lease {
            Some(lease) => lease.over().await,
            None => std::future::pending().await,
        }
    }

    /// Ends the leadership, when nothing is under way any more: another may take over at once.
    pub(in crate::dispatcher) async fn step_down(&self, keeping: Keeping) {
        drop(keeping);
        if let Some(lease) = &self.lease {
            lease.give_back().await;
        }
    }

    /// Why this dispatcher does nothing: another leads. `None` where it leads, or has to ask nobody.
    pub(in crate::dispatcher) fn stands_by(&self) -> Option<String> {
        let view = self.lease.as_ref()?.view();
        (!view.leads).then(|| view.words())
    }
}

/// Why a dispatcher that does not wait does not lead.
#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    /// Another does, in words.
    #[error("{0}")]
    Held(String),
    /// The lease cannot be asked for.
    #[error("the lease cannot be taken: {0}")]
    Unknown(String),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
