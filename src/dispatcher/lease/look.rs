//! A look at the lease for `doctor` and at a start: whether it can be had, and how it stands. It is not taken.

use super::super::nomad;
use super::Leader;
use crate::backend::nomad::client::{Client, ClientError, LockState, Prospect};
use crate::config::Config;
use crate::support::chain;
use crate::support::checkup::{Finding, Standing};

const SUBJECT: &str = "lease";

/// What is found; nothing where no lease is configured.
pub async fn finding(config: &Config) -> Option<Finding> {
    let (lease, nomad) = (config.lease.as_ref()?, config.backends.nomad.as_ref()?);
    let client = match nomad::client(nomad, nomad::token(nomad)) {
        Ok(client) => client,
        Err(error) => {
            let fix = "correct [backends.nomad]; `dispatch config show --origin` says what is in force";
            return Some(Finding::bad(Standing::Wrong, SUBJECT, chain::words(&error), fix));
        }
    };
    Some(look(&client, &lease.path).await)
}

async fn look(client: &Client, path: &str) -> Finding {
    let state = match client.lock_state(path).await {
        Ok(state) => state,
        Err(error) => return failed(&error, path),
    };
    match client.variable(path, None).await {
        Ok(variable) => Finding::good(SUBJECT, format!("{path}: {}", words(state, variable.map(Leader::of)))),
        Err(error) => failed(&error, path),
    }
}

fn words(state: LockState, leader: Option<Leader>) -> String {
    let Leader { holder, since, term, .. } = leader.unwrap_or_default();
    let holder = holder.unwrap_or_else(|| "somebody who does not say who".to_owned());
    let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
    match state {
        LockState::Absent => "free; nobody has led yet".to_owned(),
        LockState::Free => format!("free; {holder} led last"),
        LockState::Held => format!("{holder} leads{since} (term {term})"),
    }
}

fn failed(error: &ClientError, path: &str) -> Finding {
    let (standing, fix) = match error.prospect() {
        Prospect::Never => {
            let fix = format!("give the dispatcher's token policies/nomad-lease.hcl with the path {path}");
            (Standing::Wrong, fix)
        }
        Prospect::Later | Prospect::InDoubt => {
            (Standing::Unreachable, "see that a Nomad agent answers (backends.nomad.address, NOMAD_ADDR)".to_owned())
        }
    };
    Finding::bad(standing, SUBJECT, chain::words(error), fix)
}
