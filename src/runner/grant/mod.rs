//! Opening what a run was granted, where it comes as a wrapping in Vault.
//!
//! ```text
//! its token (from the envelope, or deposited in Vault for this workload's identity)
//!   ─► lookup (is it ours, unopened?) ─► unwrap, once ─► is the content ours? ─► read each secret
//! ```
//!
//! - `deposit`: coming by a wrapping token that is not in the envelope.
//! - `stop`: every way not to arrive, with its words and its exit code.
//! - `patience`: asking again while Vault cannot serve.
//!
//! # Guarantees
//! - The wrapping is opened by one request, and never again once that may have been done: not after a lost answer either.
//! - What comes out was made for this run: the same path, time and life at the lookup, the same accessor or nonce inside.
//! - The token that comes out, and each value, is known to the redactor before anything else is done with it.
//! - No token is in the formula's environment, nor kept behind this, but for the redactor's own list.

mod deposit;
mod patience;
mod stop;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::emit::Emitter;
use super::envelope::{Opens, SecretPlace, Secrets, Wrapped, WrappingToken};
use super::event::{GRANT_OPENED, Kind};
use super::redact::{Registry, RegistryError};
use crate::support::http::Times;
use crate::support::ids::SecretName;
use crate::support::{chain, fault};
use crate::vault::answer::{Answer, Auth};
use crate::vault::error::Effect;
use crate::vault::kv::Field;
use crate::vault::wrapping::Wrapping;
use crate::vault::{Settings, Token, Trust, Vault, VaultError, Why};
pub use deposit::IdentityError;
use patience::Patience;
pub use stop::GrantStop;

/// A slow answer is better than a lost one: the unwrap cannot be repeated.
const TIMES: Times = Times { connect: Duration::from_secs(5), request: Duration::from_secs(30) };

/// How long Vault is asked at least, once the wrapping is open: its token lives longer than the wrapping did.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// The server tells its time in whole seconds.
const CLOCK: SignedDuration = SignedDuration::from_secs(1);

/// Under which name the redactor knows the tokens.
pub const TOKEN: &str = "vault-token";

/// Why there are no secrets: the grant, or a value that cannot be redacted.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// The grant.
    #[error(transparent)]
    Grant(#[from] GrantStop),
    /// A value.
    #[error("what was granted cannot be kept out of the log")]
    Unfit(#[from] RegistryError),
}

/// Opens `wrapped` and answers its secrets: none where it holds a nonce. Says [`GRANT_OPENED`] when it is open. `identity` is the file
/// of this workload's identity, where it has one.
///
/// # Errors
/// See [`GrantStop`]: the formula must not begin.
pub async fn open(
    wrapped: &Wrapped,
    identity: Option<&Path>,
    registry: &Registry,
    emitter: &Emitter,
) -> Result<Secrets, NotOpened> {
    let vault = server(wrapped)?;
    let life = Duration::from_secs(wrapped.ttl_seconds);
    let token = match &wrapped.token {
        WrappingToken::Carried(token) => Token::new(token).map_err(GrantStop::Settings)?,
        WrappingToken::Deposited(deposit) => {
            let token = deposit::take(&vault, deposit, identity, registry, &mut Patience::new(life, emitter)).await?;
            registry.add(TOKEN, token.secret().clone())?;
            token
        }
    };
    let opener = Opener::new(wrapped, vault, token)?;
    let mut patience = Patience::new(life, emitter);
    let answer = opener.unwrap(&mut patience).await?;
    match &wrapped.opens {
        Opens::Nonce(nonce) => {
            check_nonce(&answer, nonce)?;
            emitter.emit([Kind::status(GRANT_OPENED, None)]);
            Ok(Secrets::new())
        }
        Opens::Grant { accessor, secrets } => {
            let token = check_accessor(answer.auth, accessor)?.client_token;
            registry.add(TOKEN, token.secret().clone())?;
            emitter.emit([Kind::status(GRANT_OPENED, None)]);
            let mut patience = Patience::new(READ_WITHIN.max(Duration::from_secs(wrapped.ttl_seconds)), emitter);
            Ok(opener.read(token, secrets, &mut patience).await?)
        }
    }
}

fn server(wrapped: &Wrapped) -> Result<Vault, GrantStop> {
    let settings = Settings {
        addresses: std::slice::from_ref(&wrapped.address),
        namespace: wrapped.namespace.as_deref(),
        trust: wrapped.ca_pem.as_deref().map_or(Trust::System(None), Trust::Only),
        times: TIMES,
    };
    Vault::new(settings).map_err(GrantStop::Settings)
}

struct Opener<'a> {
    vault: Vault,
    token: Token,
    wrapped: &'a Wrapped,
    made: Timestamp,
}

/// An unwrap that the server, or something before it, answered with a 5xx.
struct Failed {
    status: u16,
    words: String,
}

impl<'a> Opener<'a> {
    fn new(wrapped: &'a Wrapped, vault: Vault, token: Token) -> Result<Self, GrantStop> {
        let made = wrapped.creation_time.parse().map_err(GrantStop::Time)?;
        Ok(Self { vault, token, wrapped, made })
    }

    /// Looks, and opens it when it is ours. While it certainly was not opened, Vault is asked again.
    async fn unwrap(&self, patience: &mut Patience<'_>) -> Result<Answer, GrantStop> {
        let mut failed = None;
        loop {
            self.recognise(patience, failed.as_ref()).await?;
            fault::point("runner.unwrap.before")?;
            let answer = self.vault.unwrap(&self.token).await;
            fault::point("runner.unwrap.after")?;
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match &error.why {
                Why::WrappingGone => return Err(self.gone(patience, None).await),
                // Looked at again: where it is still there, this one was not done.
                Why::Server { status, .. } => failed = Some(Failed { status: *status, words: chain::words(&error) }),
                why if why.effect() == Effect::Unknown => {
                    return Err(GrantStop::Spent { how: chain::words(&error) });
                }
                why if why.may_pass() => {}
                _ => return Err(GrantStop::Refused(Box::new(error))),
            }
            patience.wait(error).await?;
        }
    }

    /// Whether the wrapping is there, and the one that the envelope describes. `failed` is how an unwrap of ours failed
    /// inside the server before.
    async fn recognise(&self, patience: &mut Patience<'_>, failed: Option<&Failed>) -> Result<(), GrantStop> {
        match patience.ask(|| self.vault.wrapping_lookup(&self.token)).await? {
            Ok(found) => match differing(self.wrapped, &found) {
                None => Ok(()),
                Some(part) => Err(GrantStop::Other { part }),
            },
            Err(VaultError { why: Why::WrappingGone, .. }) => Err(self.gone(patience, failed).await),
            Err(error) => Err(GrantStop::Refused(Box::new(error))),
        }
    }

    /// Used, expired, revoked: the answer is the same, so the server's clock decides. Its own, since the wrapping's time is its own.
    async fn gone(&self, patience: &mut Patience<'_>, failed: Option<&Failed>) -> GrantStop {
        let health = patience.ask(|| self.vault.health()).await;
        let now = health.ok().and_then(Result::ok).and_then(|health| health.now());
        let ttl = self.wrapped.ttl_seconds;
        judge_absence(self.made, ttl, now, failed)
    }

    async fn read(
        &self,
        token: Token,
        secrets: &BTreeMap<SecretName, SecretPlace>,
        patience: &mut Patience<'_>,
    ) -> Result<Secrets, GrantStop> {
        let session = self.vault.session(token);
        let mut values = Secrets::new();
        for (name, place) in secrets {
            let field = patience.ask(|| session.read_field(&place.path, &place.field)).await?;
            values.insert(name.clone(), value_of(name, place, field)?);
        }
        Ok(values)
    }
}

fn value_of(
    name: &SecretName,
    place: &SecretPlace,
    found: Result<Field, VaultError>,
) -> Result<SecretString, GrantStop> {
    let name = name.clone();
    match found {
        Ok(Field::Text(value)) => Ok(value),
        Ok(Field::Unusable(source)) => {
            Err(GrantStop::Absent { name, path: place.path.clone(), field: place.field.clone(), source })
        }
        Err(error) => {
            let source = Box::new(error);
            Err(match &source.why {
                Why::TokenDead => GrantStop::TakenBack { name, source },
                Why::Denied { .. } => GrantStop::Denied { name, source },
                _ => GrantStop::Refused(source),
            })
        }
    }
}

/// What of the wrapping is not as the envelope says.
fn differing(expected: &Wrapped, found: &Wrapping) -> Option<&'static str> {
    match () {
        () if found.creation_path != expected.creation_path => Some("creation path"),
        () if found.creation_time != expected.creation_time => Some("creation time"),
        () if found.creation_ttl != expected.ttl_seconds => Some("time to live"),
        () => None,
    }
}

/// Why a wrapping is gone that was made at `made`, at `now` by the server's clock. Where that is not known, the worse is assumed.
///
/// After an unwrap of ours that failed: a gateway's status (502 and above) says that an answer got lost on the way, while Vault's
/// own 500 is also what one gets who came second.
fn judge_absence(made: Timestamp, ttl: u64, now: Option<Timestamp>, failed: Option<&Failed>) -> GrantStop {
    let lived = SignedDuration::from_secs(i64::try_from(ttl).unwrap_or(i64::MAX));
    let end = made.saturating_add(lived).unwrap_or(Timestamp::MAX);
    let left = now.map_or(lived, |now| end.duration_since(now));
    let doubt = match (now, failed) {
        (_, Some(Failed { status: 501.., words })) => return GrantStop::Spent { how: words.clone() },
        (Some(_), _) if left <= CLOCK => return GrantStop::Expired { made: made.to_string(), ttl },
        (Some(_), None) => "",
        (Some(_), Some(_)) => " (an unwrap of this runner had failed inside the server before, and may have spent it)",
        (None, _) => " (the server's clock could not be asked)",
    };
    GrantStop::Intercepted { left: left.as_secs(), doubt }
}

fn check_nonce(answer: &Answer, expected: &str) -> Result<(), GrantStop> {
    let nonce = answer.data.as_ref().and_then(|data| data.get("nonce")?.as_str());
    match nonce {
        Some(nonce) if nonce == expected && answer.auth.is_none() => Ok(()),
        Some(_) => Err(GrantStop::OtherContent { found: "another nonce" }),
        None if answer.auth.is_some() => Err(GrantStop::OtherContent { found: "a token instead of a nonce" }),
        None => Err(GrantStop::OtherContent { found: "nothing of the kind" }),
    }
}

fn check_accessor(found: Option<Auth>, expected: &str) -> Result<Auth, GrantStop> {
    match found {
        Some(auth) if auth.accessor == expected => Ok(auth),
        Some(_) => Err(GrantStop::OtherContent { found: "the token of another accessor" }),
        None => Err(GrantStop::OtherContent { found: "no token" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: &str = "2026-11-21T10:00:00.5Z";

    fn exit_at(now: Option<&str>, status: Option<u16>) -> i32 {
        let failed = status.map(|status| Failed { status, words: "words".to_owned() });
        let now = now.map(|now| now.parse().unwrap());
        judge_absence(MADE.parse().unwrap(), 300, now, failed.as_ref()).exit() as i32
    }

    #[test]
    fn a_wrapping_that_is_gone_before_its_time_is_in_other_hands_and_later_it_has_expired() {
        assert_eq!(exit_at(Some("2026-11-21T10:04:59Z"), None), 67);
        // The server's 10:05:00 may be 10:05:00.9 already.
        assert_eq!(exit_at(Some("2026-11-21T10:05:00Z"), None), 66);
        assert_eq!(exit_at(Some("2026-11-21T11:00:00Z"), None), 66);
    }

    #[test]
    fn without_the_servers_clock_the_worse_is_assumed() {
        assert_eq!(exit_at(None, None), 67);
    }

    #[test]
    fn after_a_failure_a_gateway_has_lost_the_answer_and_the_server_may_have_given_it_to_another() {
        assert_eq!(exit_at(Some("2026-11-21T10:01:00Z"), Some(502)), 66);
        assert_eq!(exit_at(Some("2026-11-21T10:01:00Z"), Some(500)), 67);
    }
}
