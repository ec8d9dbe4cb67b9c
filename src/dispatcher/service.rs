//! `dispatch run`: keeps the parts going until it is told to stop. Each part has a task of its own, so that a slow one holds up
//! nothing but itself.
//!
//! The first SIGTERM or SIGINT stops claiming and leaves runs running (or waits for them, with `--drain`); a second one ends at
//! once; either way the journal is right.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Dispatcher;
use super::judge::Patience;
use super::outbox::Flushed;
use super::pickup::Look;
use crate::ops::Clutter;
use crate::run::journal::JournalError;
use crate::run::state::State;
use crate::support::retry::RetryPolicy;
use crate::support::{chain, fault};

/// Looks again at requests that wait for something that does not announce itself: a secret, a server.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long what is under way may still take once another dispatcher may lead.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// It was told to.
    Told,
    /// Another dispatcher may lead now, and why.
    Deposed(String),
}

/// What to do with runs that are going when the service stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// They go on, and the next dispatcher adopts them.
    Leave,
    /// They are waited for, and their results published.
    Drain,
}

impl Dispatcher {
    /// Serves until `stop` becomes true, until a drain that somebody asked for is over, or until another dispatcher may lead. Where
    /// there are several, it stands by until it leads.
    ///
    /// # Errors
    /// Only where the journal cannot be read or written at the start.
    pub async fn serve(
        self: Arc<Self>,
        mut stop: watch::Receiver<bool>,
        on_stop: OnStop,
    ) -> Result<Served, JournalError> {
        let mut draining = self.draining.subscribe();
        let keeping = tokio::select! {
            keeping = self.lead() => keeping?,
            _ = stop.wait_for(|wanted| *wanted) => return Ok(Served::Told),
            _ = draining.wait_for(|wanted| *wanted) => return Ok(Served::Told),
        };
        self.begin_telling().await?;
        self.crew.resume().await?;
        let never = watch::Sender::new(false);
        let parts = self.start_parts(&never);
        let publishing = tokio::spawn(Arc::clone(&self).keep_publishing());
        let told_to_stop = async {
            drop(stop.wait_for(|wanted| *wanted).await);
            if on_stop == OnStop::Drain {
                self.draining.send_replace(true);
                self.drained().await;
            }
        };
        let asked_to_drain = async {
            drop(draining.wait_for(|wanted| *wanted).await);
            self.drained().await;
        };
        let served = tokio::select! {
            () = told_to_stop => Served::Told,
            () = asked_to_drain => Served::Told,
            why = self.lease_over() => Served::Deposed(why),
        };
        parts.iter().for_each(JoinHandle::abort);
        let wound_down = async {
            self.crew.detach().await;
            self.publish_before_another_leads().await;
            // Not cut off in the middle of a push: while this is held, no try is under way.
            drop(self.outbox.lock().await);
        };
        match served {
            Served::Told => wound_down.await,
            // Calls that hang keep nobody from standing by again: the journal is right at every instant.
            Served::Deposed(_) => drop(timeout(FAREWELL, wound_down).await),
        }
        publishing.abort();
        self.step_down(keeping).await;
        Ok(served)
    }

    /// Starts everything but the publishing. The telling would end by itself when `never` is said; stopping ends it like the rest.
    fn start_parts(self: &Arc<Self>, never: &watch::Sender<bool>) -> Vec<JoinHandle<()>> {
        let mut parts = vec![
            tokio::spawn(Arc::clone(self).keep_looking()),
            tokio::spawn(Arc::clone(self).keep_judging()),
            tokio::spawn(Arc::clone(self).keep_beginning()),
            tokio::spawn(Arc::clone(self).keep_tidy()),
            tokio::spawn(Arc::clone(self).keep_reaching()),
        ];
        if let Some(teller) = &self.teller {
            parts.push(tokio::spawn(Arc::clone(self).keep_checking(Arc::clone(teller))));
            let (this, teller, never) = (Arc::clone(self), Arc::clone(teller), never.subscribe());
            parts.push(tokio::spawn(async move { this.keep_telling(&teller, never).await }));
        }
        parts
    }

    /// What is settled here and not published would be found out once more by who leads next.
    async fn publish_before_another_leads(&self) {
        if self.lease.is_some()
            && let Err(error) = self.flush().await
        {
            tracing::warn!("results are left in this journal: {}", chain::words(&error));
        }
    }

    /// Waits until nothing runs and every result is in the ops repo, or is refused there until a person acts: to wait for
    /// that person would keep a service manager waiting, and the results are safe in the journal.
    async fn drained(&self) {
        let mut news = self.crew.news();
        let mut delays = RetryPolicy::OPS.delays();
        loop {
            news.mark_unchanged();
            if !self.crew.is_idle() {
                // The sender lives in the crew, which outlives this.
                drop(news.changed().await);
                continue;
            }
            match self.flush().await {
                Ok(Flushed::Nothing) => return,
                Ok(Flushed::Published(_)) => {}
                Ok(Flushed::Refused(why)) => return self.tell_unpublished(&why).await,
                Ok(Flushed::TryAgain(_)) | Err(_) => sleep(delays.next().unwrap_or(RetryPolicy::OPS.cap)).await,
            }
        }
    }

    /// Says which results this dispatcher leaves behind unpublished.
    async fn tell_unpublished(&self, why: &str) {
        for run in self.journal().in_state(State::Settled).await.unwrap_or_default() {
            tracing::error!(
                run = %run.id,
                "its result is left unpublished: the ops repo refuses it ({why}); it is in the journal and goes out with \
                 the next start at which it may"
            );
        }
    }

    async fn keep_looking(self: Arc<Self>) {
        let mut delays = RetryPolicy::OPS.delays();
        loop {
            let pause = match self.look().await {
                Ok(look) => {
                    delays = RetryPolicy::OPS.delays();
                    self.troubles.clear("ops");
                    self.note_look(&look);
                    jittered(self.settings.borrow().poll)
                }
                Err(error) => {
                    self.troubles.set("ops", chain::words(&error));
                    delays.next().unwrap_or(RetryPolicy::OPS.cap)
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.wakes.poll.notified() => {}
            }
        }
    }

    fn note_look(&self, look: &Look) {
        match look {
            Look::Rewritten { last, head } => self.troubles.set(
                "history",
                format!(
                    "the primary branch was rewritten: {} does not continue {}; nothing new is admitted until a person \
                     says `dispatch ops accept-rewrite {head}`",
                    head.short(),
                    last.short()
                ),
            ),
            Look::Same => {}
            Look::Moved { .. } | Look::Empty => self.troubles.clear("history"),
        }
    }

    async fn keep_judging(self: Arc<Self>) {
        loop {
            let again = match self.judge(Patience::Moment).await {
                Ok(judged) => {
                    self.troubles.clear("judge");
                    judged.again
                }
                Err(error) => {
                    self.troubles.set("judge", chain::words(&error));
                    Some(LOOK_AGAIN)
                }
            };
            tokio::select! {
                () = self.wakes.judge.notified() => {}
                () = sleep(again.unwrap_or(Duration::MAX)) => {}
            }
        }
    }

    async fn keep_beginning(self: Arc<Self>) {
        let mut looked = self.looked.subscribe();
        drop(looked.wait_for(|looked| *looked).await);
        loop {
            self.begin();
            let returned = self.crew.next_return();
            let at = returned.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                () = self.wakes.queue.notified() => {}
                () = sleep_until(at) => {}
            }
        }
    }

    /// What waits for a backend is looked at again once it answers.
    async fn keep_reaching(self: Arc<Self>) {
        self.note_reach();
        let news = || {
            self.note_reach();
            if !self.reach.owed().is_empty() {
                self.wakes.poll.notify_one();
            }
            self.wakes.judge.notify_one();
            self.wakes.queue.notify_one();
        };
        self.reach.keep_looking(news).await;
    }

    pub(super) fn note_reach(&self) {
        let out: Vec<String> = self.reach.out().into_values().collect();
        if out.is_empty() {
            self.troubles.clear("backends");
        } else {
            self.troubles.set("backends", out.join("; "));
        }
    }

    /// Packs the mirror once in many new heads, while nothing runs.
    async fn keep_tidy(self: Arc<Self>) {
        let mirror = &self.pickup.mirror;
        loop {
            sleep(Duration::from_secs(fault::seconds_per_minute())).await;
            match mirror.clutter() {
                Clutter::Overdue => {}
                Clutter::Much if self.crew.is_idle() && self.crew.queued() == 0 => {}
                Clutter::Much | Clutter::Little => continue,
            }
            match mirror.tidy().await {
                Ok(()) => tracing::debug!("the mirror is packed"),
                Err(error) => tracing::warn!("the mirror is not packed: {}", chain::words(&error)),
            }
        }
    }

    async fn keep_publishing(self: Arc<Self>) {
        let mut delays = RetryPolicy::OPS.delays();
        loop {
            let trouble = match self.flush().await {
                Ok(Flushed::Nothing | Flushed::Published(_)) => None,
                Ok(Flushed::TryAgain(why)) => Some(why),
                Ok(Flushed::Refused(why)) => Some(format!("the ops repo refuses the results: {why}")),
                Err(error) => Some(chain::words(&error)),
            };
            let Some(why) = trouble else {
                self.troubles.clear("outbox");
                delays = RetryPolicy::OPS.delays();
                self.wakes.outbox.notified().await;
                continue;
            };
            self.troubles.set("outbox", why);
            sleep(delays.next().unwrap_or(RetryPolicy::OPS.cap)).await;
        }
    }
}

/// The interval, a tenth longer or shorter, so that several dispatchers do not ask in step.
fn jittered(interval: Duration) -> Duration {
    let mut byte = [0_u8; 1];
    // Without randomness the interval is only less jittered.
    let random = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::empty()).map_or(128, |_| byte[0]);
    interval.mul_f64(0.9 + 0.2 * f64::from(random) / 255.0)
}
