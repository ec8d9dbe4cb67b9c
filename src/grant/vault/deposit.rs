//! Handing a wrapping token over to the one workload that may have it: deposited in the key-value store at a place named after the
//! run's allocation, which only that allocation's identity can read, and removed when the run is over.
//!
//! The token is held here from the mint until the grant is taken back, and nowhere else: in no payload and in no journal. A dispatcher
//! that is ended in between has lost it, and the run ends at its wrapping's life, before its formula.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;

use super::{Failure, VaultProvider};
use crate::config::types::WorkloadIdentity;
use crate::grant::{DepositRecord, Deposited, GrantError, GrantRecord};
use crate::runner::envelope::{DEPOSITED, Deposit, WrappingToken};
use crate::support::fault;
use crate::vault::WrapInfo;

/// Wrapping tokens that are to be deposited, by their accessors.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<BTreeMap<String, SecretString>>);

impl Held {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, SecretString>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, record: &GrantRecord) -> Option<SecretString> {
        self.all().get(&record.wrapping.as_ref()?.accessor).cloned()
    }

    /// What was taken back is of no use to anybody.
    pub(super) fn forget(&self, record: &GrantRecord) {
        if let Some(wrapping) = &record.wrapping {
            self.all().remove(&wrapping.accessor);
        }
    }
}

impl VaultProvider {
    /// What goes into the envelope in place of the wrapping token, or it.
    pub(super) fn token_of(&self, wrapping: &WrapInfo) -> WrappingToken {
        let token = wrapping.token.secret().clone();
        let Some(identity) = &self.settings.workload_identity else { return WrappingToken::Carried(token) };
        self.held.all().insert(wrapping.accessor.clone(), token);
        WrappingToken::Deposited(Deposit {
            mount: identity.mount.clone(),
            role: identity.role.clone(),
            folder: format!("{}/data/{}", self.site.mount, identity.prefix),
        })
    }

    /// What the journal keeps of it.
    pub(super) fn deposit_record(&self) -> Option<DepositRecord> {
        let of = |identity: &WorkloadIdentity| DepositRecord {
            mount: self.site.mount.clone(),
            prefix: identity.prefix.clone(),
            allocations: std::collections::BTreeSet::new(),
        };
        self.settings.workload_identity.as_ref().map(of)
    }

    pub(super) async fn put_down(&self, record: &GrantRecord, allocation: &str) -> Result<Deposited, GrantError> {
        let Some(deposit) = &record.deposit else { return Ok(Deposited::There) };
        let Some(token) = self.held.of(record) else { return Ok(Deposited::Forgotten) };
        let stopped = |error| GrantError::Unavailable { detail: format!("depositing was stopped: {error}") };
        fault::point("deposit.before").map_err(stopped)?;
        let (path, token) = (&format!("{}/data/{}{allocation}", deposit.mount, deposit.prefix), &token);
        self.call(|session| async move { session.write_field(path, DEPOSITED, token).await }).await?;
        fault::point("deposit.after").map_err(stopped)?;
        Ok(Deposited::There)
    }

    /// Removes each place with all its versions; one where nothing stands is no failure.
    pub(super) async fn clear_away(&self, record: &GrantRecord) -> Result<(), Failure> {
        self.held.forget(record);
        let mut done = Ok(());
        let Some(deposit) = &record.deposit else { return done };
        for allocation in &deposit.allocations {
            let path = &format!("{}/metadata/{}{allocation}", deposit.mount, deposit.prefix);
            done = done.and(self.call(|session| async move { session.delete(path).await }).await);
        }
        done
    }
}
