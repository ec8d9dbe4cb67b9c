//! Coming by a wrapping token that was deposited in Vault for this run alone: by the identity that Nomad gave to its workload.
//!
//! ```text
//! read the identity ─► log in ─► read our own place, until the token is there
//! ```
//!
//! The dispatcher knows the place only when Nomad has placed the run, so the runner may well be there first.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::NotOpened;
use super::patience::Patience;
use super::stop::GrantStop;
use crate::runner::envelope::{DEPOSITED, Deposit};
use crate::runner::redact::Registry;
use crate::vault::kv::{Absence, Field};
use crate::vault::{Session, Token, Vault, VaultError, Why};

/// Under which name the redactor knows the identity.
const IDENTITY: &str = "workload-identity";

/// Nomad's have less than one kilobyte.
const MAX_IDENTITY: u64 = 16 * 1024;

/// Why the file of the identity is of no use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The job gives the runner none.
    #[error("this job gives its runs no identity; `dispatch jobs apply` registers the job that does")]
    NotGiven,
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no identity of a workload.
    #[error("{} holds no identity of a workload in Nomad", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// The identity of this workload, as Nomad signed it.
struct Identity {
    text: SecretString,
    /// The allocation that it is of: what our place is called. Vault decides by the signature whether it is ours.
    allocation: String,
}

impl Identity {
    fn read(path: Option<&Path>) -> Result<Self, IdentityError> {
        let path = path.ok_or(IdentityError::NotGiven)?;
        let mut text = Zeroizing::new(String::with_capacity(4096));
        let read = File::open(path).and_then(|file| file.take(MAX_IDENTITY).read_to_string(&mut text));
        read.map_err(|source| IdentityError::Read { path: path.to_owned(), source })?;
        let text = text.trim();
        let allocation = allocation(text).ok_or_else(|| IdentityError::Foreign { path: path.to_owned() })?;
        Ok(Self { text: SecretString::from(text), allocation })
    }
}

/// What an identity says that its allocation is. Its characters are those of an id, so that it names one place and no path.
fn allocation(identity: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        nomad_allocation_id: String,
    }
    let claims = URL_SAFE_NO_PAD.decode(identity.split('.').nth(1)?).ok()?;
    let id = serde_json::from_slice::<Claims>(&claims).ok()?.nomad_allocation_id;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then_some(id)
}

/// Waits for the token that is deposited for this run, and takes it.
///
/// # Errors
/// [`GrantStop::Identity`], [`GrantStop::LogIn`], [`GrantStop::NotDeposited`], or what else Vault answers.
pub(super) async fn take(
    vault: &Vault,
    deposit: &Deposit,
    identity: Option<&Path>,
    registry: &Registry,
    patience: &mut Patience<'_>,
) -> Result<Token, NotOpened> {
    let identity = Identity::read(identity).map_err(GrantStop::Identity)?;
    registry.add(IDENTITY, identity.text.clone())?;
    let place = format!("{}{}", deposit.folder, identity.allocation);
    let mut session = log_in(vault, deposit, &identity, registry, patience).await?;
    loop {
        match patience.ask(|| session.read_field(&place, DEPOSITED)).await? {
            Ok(Field::Text(text)) => return Ok(Token::new(&text).map_err(GrantStop::Settings)?),
            // Not yet; deleted, too: where runs are over nobody waits.
            Ok(Field::Unusable(Absence::Missing)) => patience.wait_for_deposit(&place).await?,
            Ok(Field::Unusable(source)) => return Err(GrantStop::NoDeposit { place, source }.into()),
            // The login lives for minutes, and the wait may be longer.
            Err(VaultError { why: Why::TokenDead, .. }) => {
                session = log_in(vault, deposit, &identity, registry, patience).await?;
            }
            Err(error) => return Err(GrantStop::Refused(Box::new(error)).into()),
        }
    }
}

async fn log_in(
    vault: &Vault,
    deposit: &Deposit,
    identity: &Identity,
    registry: &Registry,
    patience: &mut Patience<'_>,
) -> Result<Session, NotOpened> {
    let entered = patience.ask(|| vault.login_jwt(&deposit.mount, &deposit.role, &identity.text)).await?;
    let token = entered.map_err(|error| GrantStop::LogIn(Box::new(error)))?.client_token;
    registry.add(super::TOKEN, SecretString::from(token.secret().expose_secret()))?;
    Ok(vault.session(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_allocation_is_what_the_identity_says_and_never_a_path() {
        let of = |claims: &str| allocation(&identity(claims));
        let id = "da247605-c1c0-1a7f-1695-d3a2326bd7a5";
        assert_eq!(of(&format!("{{\"nomad_allocation_id\":\"{id}\",\"sub\":\"x\"}}")).as_deref(), Some(id));
        for claims in [
            "{}",
            "[]",
            "{\"nomad_allocation_id\":\"\"}",
            "{\"nomad_allocation_id\":\"../x\"}",
            "{\"nomad_allocation_id\":1}",
        ] {
            assert_eq!(of(claims), None, "{claims}");
        }
        assert_eq!(allocation("no token"), None);
    }
}
