//! The lease: of several dispatchers one leads, the one that has the lock of a variable in Nomad; the others stand by.
//!
//! - [`Lease`] takes the lock, renews it and gives it back; [`lead`] is what a dispatcher does with it; [`look`] is the doctor's look.
//! - The leader's time is counted by its own clock, from before each request was sent, and ends after one time to live; Nomad lets another
//!   have the lock after twice that and a delay. Between the two nobody leads. What is about to act asks the [`Tenure`].
//! - It fences nothing that was launched: that one action is one run is kept by the launch key and the fence in the run, and that it has
//!   one result by the push, which is a compare-and-swap. A leader that was frozen between its last look at the clock and its
//!   request is stopped by those.
//!
//! The number of a leadership, its term, is the index at which Nomad took the lock down. It grows with each, and no two are alike; a
//! counter in the variable could come twice, since Nomad refuses check-and-set together with a lock.

mod lead;
mod look;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::nomad::{self, NomadError};
use super::start::Surroundings;
use crate::backend::nomad::client::types::Variable;
use crate::backend::nomad::client::{Client, ClientError, LockTimes};
use crate::config::Config;
use crate::support::chain;
use crate::support::clock::{Clock, rfc3339_seconds};
use crate::support::ids::sha256_hex;
use crate::support::retry::RetryPolicy;
use crate::support::status::LeaseView;
use crate::support::tenure::{Tenure, uptime};

pub use self::lead::LeadError;
pub use self::look::finding;

/// What Nomad waits for, after twice the time to live, before it lets another have the lock.
const DELAY: Duration = Duration::from_secs(5);

/// Between two tries to renew the lock, while there is time.
const RENEWALS: RetryPolicy =
    RetryPolicy { first: Duration::from_millis(200), cap: Duration::from_secs(1), budget: None };

/// Who has the lock, or had it last, as the variable says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Leader {
    holder: Option<String>,
    since: Option<String>,
    /// What the leader's journal knows this leadership by; says nothing to others.
    mark: Option<String>,
    term: u64,
}

impl Leader {
    fn of(variable: Variable) -> Self {
        let mut items = variable.items.unwrap_or_default();
        let mut take = |name: &str| items.remove(name);
        Self { holder: take("holder"), since: take("since"), mark: take("mark"), term: variable.modify_index }
    }
}

/// How this dispatcher stands to the lease.
#[derive(Debug, Clone)]
enum Role {
    /// Another has it, as far as is known.
    Standby(Option<Leader>),
    /// It is ours.
    Leading(Leader),
    /// It was ours, and why it is not.
    Deposed(String),
}

/// What a try to take the lock came to.
enum Taken {
    /// It is ours; and what the variable said before.
    Ours { ours: Leader, before: Option<Leader> },
    /// Another has it.
    Held(Option<Leader>),
}

/// The lease, as one process has it or waits for it.
#[derive(Debug)]
pub struct Lease {
    /// Its own, so that no followed log keeps a renewal waiting for a connection.
    client: Client,
    path: String,
    times: LockTimes,
    /// Of the lock. Who knows it can end the lock: it goes nowhere else.
    id: String,
    holder: String,
    clock: Arc<dyn Clock>,
    tenure: Tenure,
    role: watch::Sender<Role>,
    trouble: watch::Sender<Option<String>>,
}

impl Lease {
    /// The lease, where one is configured. Asks nothing yet.
    ///
    /// # Errors
    /// [`NomadError`]: Nomad cannot be called as the config says.
    pub fn of(config: &Config, surroundings: &Surroundings) -> Result<Option<Self>, NomadError> {
        let Some(lease) = &config.lease else { return Ok(None) };
        let nomad = config.backends.nomad.as_ref().ok_or(NomadError::NotConfigured)?;
        Ok(Some(Self {
            client: nomad::client(nomad, nomad::token(nomad))?,
            path: lease.path.clone(),
            times: LockTimes { ttl: Duration::from_secs(lease.ttl_seconds.into()), delay: DELAY },
            id: lock_id()?,
            holder: format!("process {} on {}", std::process::id(), surroundings.host),
            clock: Arc::clone(&surroundings.clock),
            tenure: Tenure::not_begun(),
            role: watch::Sender::new(Role::Standby(None)),
            trouble: watch::Sender::new(None),
        }))
    }

    /// Until when this process may act.
    pub fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// Takes the lock as soon as it is free; answers who had it before. Woken by Nomad when it is given back or expires.
    async fn take(&self) -> (Leader, Option<Leader>) {
        let mut delays = RetryPolicy::FOLLOW.delays();
        loop {
            match self.try_take().await {
                Ok(Taken::Ours { ours, before }) => return (ours, before),
                Ok(Taken::Held(leader)) => {
                    delays = RetryPolicy::FOLLOW.delays();
                    self.stand_by(leader.clone());
                    let Some(leader) = leader else { continue };
                    // However this ends, the lock is asked for next.
                    let wait = Some((leader.term, self.times.ttl));
                    if let Err(error) = self.client.variable(&self.path, wait).await {
                        self.note_trouble(&error);
                    }
                }
                Err(error) => {
                    self.note_trouble(&error);
                    sleep(delays.next().unwrap_or(RetryPolicy::FOLLOW.cap)).await;
                }
            }
        }
    }

    async fn try_take(&self) -> Result<Taken, ClientError> {
        // Read before, so that the wait for a change misses none.
        let before = self.client.variable(&self.path, None).await?.map(Leader::of);
        let (asked, since) = (uptime(), rfc3339_seconds(self.clock.now()));
        let mark = sha256_hex(self.id.as_bytes());
        let items = BTreeMap::from([("holder", self.holder.clone()), ("since", since.clone()), ("mark", mark.clone())]);
        match self.client.acquire_lock(&self.path, &self.id, self.times, &items).await {
            Ok(term) => {
                self.tenure.extend_to(asked + self.times.ttl);
                self.trouble.send_replace(None);
                let ours = Leader { holder: Some(self.holder.clone()), since: Some(since), mark: Some(mark), term };
                self.role.send_replace(Role::Leading(ours.clone()));
                Ok(Taken::Ours { ours, before })
            }
            Err(ClientError::Conflict { .. }) => Ok(Taken::Held(before)),
            Err(error) => Err(error),
        }
    }

    fn stand_by(&self, leader: Option<Leader>) {
        self.trouble.send_replace(None);
        let known = matches!(&*self.role.borrow(), Role::Standby(known) if *known == leader);
        self.role.send_replace(Role::Standby(leader));
        if !known {
            tracing::info!("{}", self.view().words());
        }
    }

    fn note_trouble(&self, error: &ClientError) {
        let words = chain::words(error);
        if self.trouble.send_replace(Some(words.clone())).as_ref() != Some(&words) {
            tracing::warn!(part = "lease", "{words}");
        }
    }

    /// Renews the lock until that fails for too long. [`Self::over`] tells then.
    async fn keep(&self) {
        let why = loop {
            sleep(self.times.ttl / 3).await;
            if let Err(why) = self.renew().await {
                break why;
            }
        };
        self.tenure.end();
        tracing::error!(part = "lease", "leading no longer: {why}");
        self.role.send_replace(Role::Deposed(why));
    }

    /// Renews the lock, for as long as the time lasts that is left of it.
    async fn renew(&self) -> Result<(), String> {
        let mut delays = RENEWALS.delays();
        let mut trouble = "this process did not get to it in time".to_owned();
        loop {
            let left = self.tenure.left();
            if left.is_zero() {
                return Err(format!("the lease was not renewed within {} s: {trouble}", self.times.ttl.as_secs()));
            }
            let asked = uptime();
            match self.client.renew_lock(&self.path, &self.id, left.min(self.times.ttl / 3)).await {
                Ok(()) => {
                    self.tenure.extend_to(asked + self.times.ttl);
                    self.trouble.send_replace(None);
                    return Ok(());
                }
                Err(error @ (ClientError::Conflict { .. } | ClientError::Absent { .. })) => {
                    return Err(format!("the lease is not ours any more: {}", chain::words(&error)));
                }
                Err(error) => {
                    self.note_trouble(&error);
                    trouble = chain::words(&error);
                }
            }
            sleep(delays.next().unwrap_or(RENEWALS.cap).min(self.tenure.left())).await;
        }
    }

    /// Gives the lock back, where it is ours: another may lead at once. Nothing may be under way any more.
    async fn give_back(&self) {
        if !self.tenure.holds() {
            return;
        }
        self.tenure.end();
        match self.client.release_lock(&self.path, &self.id).await {
            Ok(()) => tracing::info!("the lease is given back"),
            Err(error) => tracing::warn!("the lease is not given back, and ends by itself: {}", chain::words(&error)),
        }
    }

    /// Returns when the lease was ours and is not any more, with why.
    async fn over(&self) -> String {
        let mut role = self.role.subscribe();
        // The sender lives as long as this.
        let over = role.wait_for(|role| matches!(role, Role::Deposed(_))).await;
        match over.as_deref() {
            Ok(Role::Deposed(why)) => why.clone(),
            _ => String::new(),
        }
    }

    /// How it stands, for `dispatch status`.
    pub fn view(&self) -> LeaseView {
        let (leads, leader, over) = match self.role.borrow().clone() {
            Role::Standby(leader) => (false, leader, None),
            Role::Leading(ours) => (true, Some(ours), None),
            Role::Deposed(why) => (false, None, Some(why)),
        };
        let leader = leader.unwrap_or_default();
        LeaseView {
            leads,
            leader: leader.holder,
            since: leader.since,
            term: Some(leader.term).filter(|term| *term > 0),
            error: over.or_else(|| self.trouble.borrow().clone()),
        }
    }
}

/// The id of a lock that nobody else can guess, in the form of a UUID.
fn lock_id() -> Result<String, NomadError> {
    let mut bytes = [0_u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| NomadError::Random(error.into()))?;
    let hex = sha256_hex(&bytes);
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().to_owned();
    Ok([part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-"))
}
