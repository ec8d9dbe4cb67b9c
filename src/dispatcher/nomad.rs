//! Nomad as the config has it: its client, its backend, and the jobs that are to be registered there.

use std::time::Duration;

use crate::backend::nomad::client::{Client, ClientSettings, ConnectError, TokenSource};
use crate::backend::nomad::shipped::{Shipped, ShippedError, Wishes};
use crate::backend::nomad::{NomadBackend, NomadSettings};
use crate::config::Config;
use crate::config::types::Nomad;
use crate::support::fault;
use crate::support::tenure::Tenure;

/// Why the config leads to no Nomad.
#[derive(Debug, thiserror::Error)]
pub enum NomadError {
    /// There is no such table.
    #[error("the configuration has no [backends.nomad]")]
    NotConfigured,
    /// An address, certificate or key that is none.
    #[error("Nomad cannot be called as [backends.nomad] says")]
    Connect(#[from] ConnectError),
    /// The system gives no randomness.
    #[error("the id of a lock cannot be made")]
    Random(#[source] std::io::Error),
    /// Its jobs cannot be as they are wanted.
    #[error("the jobs for Nomad cannot be made of this configuration")]
    Shipped(#[from] ShippedError),
}

/// A client gives up the pull of an image after 5 minutes, and the fetch of an artifact after 30.
const SETUP_MINUTES: u32 = 30;

/// The backend; it dispatches nothing once `tenure` is over.
///
/// # Errors
/// [`NomadError`]
pub(super) fn backend(nomad: &Nomad, config: &Config, tenure: &Tenure) -> Result<NomadBackend, NomadError> {
    let wishes = wishes(nomad, config);
    let settings = NomadSettings {
        job: nomad.job.clone(),
        placement: Duration::from_secs(u64::from(nomad.placement_minutes) * fault::seconds_per_minute()),
        setup: SETUP_MINUTES * Duration::from_secs(fault::seconds_per_minute()),
        mounts: wishes.places()?,
        specs: wishes.runners()?.into_iter().map(|job| (job.id, job.marker)).collect(),
        sidecar: wishes.sidecars(),
    };
    let recipient = nomad.seal.as_ref().map(|seal| seal.recipient.clone());
    Ok(NomadBackend::new(client(nomad, token(nomad))?, settings).sealing_to(recipient).within(tenure.clone()))
}

/// Where the token comes from by the config.
pub fn token(nomad: &Nomad) -> TokenSource {
    match (&nomad.token_file, &nomad.token_env) {
        (Some(file), _) => TokenSource::File(file.clone()),
        (None, Some(name)) => TokenSource::Environment(name.clone()),
        (None, None) => TokenSource::None,
    }
}

/// A client of the configured servers, with `token`.
///
/// # Errors
/// [`ConnectError`]
pub(super) fn client(nomad: &Nomad, token: TokenSource) -> Result<Client, ConnectError> {
    Client::new(ClientSettings {
        address: nomad.address.clone(),
        token,
        namespace: nomad.namespace.clone(),
        region: nomad.region.clone(),
        ca_cert: nomad.ca_cert.clone(),
        client_cert: nomad.client_cert.clone(),
        client_key: nomad.client_key.clone(),
        tls_server_name: nomad.tls_server_name.clone(),
    })
}

fn wishes<'a>(nomad: &'a Nomad, config: &'a Config) -> Wishes<'a> {
    let identity = config.secrets.vault.as_ref().and_then(|vault| vault.workload_identity.as_ref());
    Wishes {
        namespace: &nomad.namespace,
        job: &nomad.job,
        runner: &nomad.runner,
        sidecar: nomad.sidecar.as_ref(),
        seal: nomad.seal.as_ref(),
        audience: identity.map(|identity| identity.audience.as_str()),
        mounts: &config.mounts,
    }
}

/// For `dispatch jobs`: all shipped jobs, and a client that registers them with the token that `token_of` chooses.
///
/// # Errors
/// [`NomadError`]
pub fn jobs(
    config: &Config,
    token_of: impl FnOnce(&Nomad) -> TokenSource,
) -> Result<(Client, Vec<Shipped>), NomadError> {
    let nomad = config.backends.nomad.as_ref().ok_or(NomadError::NotConfigured)?;
    let jobs = wishes(nomad, config).jobs()?;
    Ok((client(nomad, token_of(nomad))?, jobs))
}
