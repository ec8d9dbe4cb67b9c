//! The dispatcher's own token: got, looked at, renewed before two thirds of its life, got anew when it dies or its lease shrinks.
//!
//! One session at a time, shared by all runs. A keeper in the background renews it also while nobody uses it, for a token that was
//! given and not logged in for cannot be had again.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use crate::config::types::{AppRole, Jwt, Vault as Configured};
use crate::grant::policies::{DISPATCHER, RUNNER};
use crate::support::chain;
use crate::vault::answer::Auth;
use crate::vault::token::Lookup;
use crate::vault::{Session, Token, Vault, VaultError, Why};

/// Between two tries at a renewal that failed.
const AGAIN: Duration = Duration::from_secs(10);

/// A token's file is short; a larger one is another file.
const MAX_BYTES: u64 = 64 << 10;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    /// The server did not do it.
    #[error("the dispatcher's login at Vault failed")]
    Refused(#[source] VaultError),
    /// What is logged in with cannot be had, or is not fit.
    #[error("the dispatcher cannot log in to Vault: {what}")]
    Unusable {
        /// What is wrong, and where.
        what: String,
        /// What to do about it.
        fix: String,
    },
}

/// How to log in. Secrets are read anew each time.
#[derive(Debug)]
enum How {
    TokenEnv(String),
    TokenFile(PathBuf),
    AppRole(AppRole),
    Jwt(Jwt),
}

/// A session and what is known of its token.
#[derive(Debug)]
struct Held {
    session: Session,
    /// Seconds that the lease was given at first; 0: no end.
    lease: u64,
    renewable: bool,
    /// When to renew it, or where that cannot be, to get another.
    refresh_at: Option<Instant>,
}

impl Held {
    fn is_due(&self) -> bool {
        self.refresh_at.is_some_and(|at| at <= Instant::now())
    }
}

/// The dispatcher's login.
#[derive(Debug)]
pub(super) struct Login {
    vault: Vault,
    how: How,
    held: Mutex<Option<Held>>,
    this: Weak<Login>,
}

impl Login {
    pub(super) fn new(vault: Vault, settings: &Configured) -> Arc<Self> {
        let how = match settings {
            Configured { approle: Some(approle), .. } => How::AppRole(approle.clone()),
            Configured { jwt: Some(jwt), .. } => How::Jwt(jwt.clone()),
            Configured { token_file: Some(file), .. } => How::TokenFile(file.clone()),
            Configured { token_env, .. } => {
                How::TokenEnv(token_env.clone().unwrap_or_else(|| "VAULT_TOKEN".to_owned()))
            }
        };
        Arc::new_cyclic(|this| Self { vault, how, held: Mutex::default(), this: this.clone() })
    }

    /// A session whose token lives.
    ///
    /// # Errors
    /// [`LoginError`].
    pub(super) async fn session(&self) -> Result<Session, LoginError> {
        let mut held = self.held.lock().await;
        match held.as_ref() {
            Some(current) if !current.is_due() => return Ok(current.session.clone()),
            _ => {}
        }
        // The keeper of a token goes on while that token is held, and ends when another takes its place.
        let kept = held.as_ref().map(|current| current.session.clone());
        let session = self.hold(&mut held).await?;
        drop(held);
        if !kept.is_some_and(|kept| same(&kept, &session)) {
            tokio::spawn(keep(self.this.clone(), session.clone()));
        }
        Ok(session)
    }

    /// Renews what is held, or logs in where nothing is. On a failure the old one stays for as long as it lives: what was logged in
    /// with may be spent, or be the same token.
    async fn hold(&self, held: &mut Option<Held>) -> Result<Session, LoginError> {
        let (next, old) = match held.take() {
            Some(due) => {
                let again = Held { session: due.session.clone(), refresh_at: Some(Instant::now() + AGAIN), ..due };
                (self.refresh(due).await, Some(again))
            }
            None => (self.log_in().await, None),
        };
        match next {
            Ok(next) => Ok(held.insert(next).session.clone()),
            Err(error) => {
                *held = old;
                Err(error)
            }
        }
    }

    /// The server does not know this session's token any more.
    pub(super) async fn forget(&self, session: &Session) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| same(&held.session, session)) {
            *held = None;
        }
    }

    /// Renews `due`; where that is not possible, or the lease came out shorter, logs in anew. A token that was given is gone on with
    /// for as long as it lives.
    async fn refresh(&self, due: Held) -> Result<Held, LoginError> {
        if !due.renewable {
            return self.log_in().await;
        }
        match due.session.renew_self().await {
            Ok(auth) if auth.lease_duration >= due.lease => Ok(held(due.session, due.lease, auth.lease_duration, true)),
            Ok(auth) => match self.log_in().await {
                Ok(next) => Ok(next),
                Err(error) => {
                    tracing::warn!(error = %chain::words(&error), "the dispatcher's token is near its end");
                    Ok(held(due.session, due.lease, auth.lease_duration, true))
                }
            },
            Err(VaultError { why: Why::TokenDead | Why::Refused { .. }, .. }) => self.log_in().await,
            Err(error) => Err(LoginError::Refused(error)),
        }
    }

    async fn log_in(&self) -> Result<Held, LoginError> {
        let (session, auth) = match &self.how {
            How::TokenEnv(name) => (self.given(std::env::var(name).map(SecretString::from).ok(), name)?, None),
            How::TokenFile(file) => {
                let place = file.display().to_string();
                (self.given(Some(read(file, "secrets.vault.token_file")?), &place)?, None)
            }
            How::AppRole(AppRole { mount, role_id, secret_id_file }) => {
                let secret_id = read(secret_id_file, "secrets.vault.approle.secret_id_file")?;
                let auth = self.vault.login_approle(mount, role_id, &trimmed(&secret_id)).await;
                self.entered("approle", mount, auth)?
            }
            How::Jwt(Jwt { mount, role, file }) => {
                let token = read(file, "secrets.vault.jwt.file")?;
                self.entered("jwt", mount, self.vault.login_jwt(mount, role, &trimmed(&token)).await)?
            }
        };
        let lookup = session.lookup_self().await.map_err(|error| self.not_taken(error))?;
        fit(&lookup)?;
        let (lease, renewable) = auth.unwrap_or((lookup.ttl, lookup.renewable));
        Ok(held(session, lease, lease, renewable))
    }

    fn given(&self, text: Option<SecretString>, place: &str) -> Result<Session, LoginError> {
        let unusable = |what: String| LoginError::Unusable {
            what,
            fix: "give it a token of the policy `service-dispatcher` (docs/vault.md)".to_owned(),
        };
        let text = text.ok_or_else(|| unusable(format!("the environment variable {place} is not set")))?;
        let token = Token::new(&text).map_err(|error| unusable(format!("{place}: {error}")))?;
        Ok(self.vault.session(token))
    }

    fn entered(
        &self,
        kind: &str,
        mount: &str,
        auth: Result<Auth, VaultError>,
    ) -> Result<(Session, Option<(u64, bool)>), LoginError> {
        let auth = auth.map_err(|error| {
            let fix = match error.why {
                Why::Refused { .. } => {
                    "look at the role and at what is logged in with; `dispatch policies check` compares the role"
                        .to_owned()
                }
                // What the server says to somebody without a token about a mount that is not there.
                Why::NoToken | Why::Denied { .. } | Why::NotFound { .. } => format!(
                    "is `{kind}` enabled at `{mount}`, and open to this machine? `vault auth list` shows it; enable it, or set \
                     secrets.vault.{kind}.mount"
                ),
                _ => return LoginError::Refused(error),
            };
            LoginError::Unusable { what: chain::words(&error), fix }
        })?;
        Ok((self.vault.session(auth.client_token), Some((auth.lease_duration, auth.renewable))))
    }

    /// What is wrong with a token that may not look at itself. One that was got for a login is new: it lives.
    fn not_taken(&self, error: VaultError) -> LoginError {
        let fix = match (&error.why, &self.how) {
            (Why::TokenDead, How::TokenFile(file)) => {
                format!("put a new token into {} (docs/vault.md); it is read again without a restart", file.display())
            }
            (Why::TokenDead, How::TokenEnv(name)) => {
                format!("restart with a new token in {name} (docs/vault.md), or use `token_file`, which is read again")
            }
            (Why::NoToken, _) => {
                "the token is bound to other addresses than this machine's (`token_bound_cidrs`): give the \
                                  dispatcher one that is valid from here"
                    .to_owned()
            }
            (Why::Denied { .. }, _) => {
                format!(
                    "`dispatch policies apply` writes the policy `{DISPATCHER}`; give the dispatcher's token that one"
                )
            }
            _ => return LoginError::Refused(error),
        };
        LoginError::Unusable { what: chain::words(&error), fix }
    }
}

/// Renews the login in the background for as long as it is held.
async fn keep(login: Weak<Login>, mut session: Session) {
    loop {
        let Some(alive) = login.upgrade() else { return };
        let refresh_at = match alive.held.lock().await.as_ref() {
            Some(held) if same(&held.session, &session) => held.refresh_at,
            // Another login came in between, and has a keeper of its own.
            _ => return,
        };
        drop(alive);
        let Some(at) = refresh_at else { return };
        sleep_until(at).await;
        let Some(alive) = login.upgrade() else { return };
        match alive.refresh_held(&session).await {
            Ok(Some(next)) => session = next,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(error = %chain::words(&error), "the login at Vault is not renewed yet");
                drop(alive);
                sleep_until(Instant::now() + AGAIN).await;
            }
        }
    }
}

impl Login {
    /// Renews what is held when it is due, if it is still `session`'s. Somebody who used it may have renewed it a moment before.
    async fn refresh_held(&self, session: &Session) -> Result<Option<Session>, LoginError> {
        let mut held = self.held.lock().await;
        let Some(current) = held.as_ref().filter(|current| same(&current.session, session)) else { return Ok(None) };
        if !current.is_due() {
            return Ok(Some(current.session.clone()));
        }
        self.hold(&mut held).await.map(Some)
    }
}

/// A session whose lease has `left` seconds now. It is refreshed before two thirds of them are over.
fn held(session: Session, lease: u64, left: u64, renewable: bool) -> Held {
    let refresh_at = (left > 0).then(|| Instant::now() + Duration::from_secs(left) * 6 / 10);
    Held { session, lease, renewable, refresh_at }
}

fn same(one: &Session, other: &Session) -> bool {
    use secrecy::ExposeSecret as _;
    one.token().secret().expose_secret() == other.token().secret().expose_secret()
}

/// Refuses tokens that cannot do the work, or could do far more than it.
fn fit(token: &Lookup) -> Result<(), LoginError> {
    let unusable = |what: &str, fix: &str| Err(LoginError::Unusable { what: what.to_owned(), fix: fix.to_owned() });
    let mut policies = token.policies.iter().chain(token.identity_policies.iter().flatten());
    if token.kind == "batch" {
        return unusable(
            "its token is a batch token, which can make no other",
            "set `token_type = \"service\"` in its role",
        );
    }
    if policies.clone().any(|policy| policy == "root") {
        return unusable(
            "its token is a root token, which may do everything",
            "use one of the policy `service-dispatcher`",
        );
    }
    match policies.find(|policy| policy.starts_with(RUNNER)) {
        Some(policy) => unusable(
            &format!("its token has the policy `{policy}`, with which it reads a secret of runs"),
            "use one of the policy `service-dispatcher` and no other; an entity behind it must give it none either",
        ),
        None => Ok(()),
    }
}

fn trimmed(text: &SecretString) -> SecretString {
    use secrecy::ExposeSecret as _;
    SecretString::from(text.expose_secret().trim())
}

fn read(file: &PathBuf, key: &str) -> Result<SecretString, LoginError> {
    use std::io::Read as _;
    let unusable = |error: &std::io::Error| LoginError::Unusable {
        what: format!("{} cannot be read: {error}", file.display()),
        fix: format!("set {key} to a file that the dispatcher's user can read"),
    };
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let opened = fs::File::open(file).map_err(|error| unusable(&error))?;
    opened.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| unusable(&error))?;
    Ok(SecretString::from(text.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(kind: &str, policy: &str) -> Lookup {
        serde_json::from_value(json!({ "accessor": "a", "type": kind, "policies": [policy] })).unwrap()
    }

    #[test]
    fn a_token_that_reads_a_secret_of_runs_is_refused_by_the_name_of_the_policy_wherever_it_has_it_from() {
        let own = json!({ "accessor": "a", "type": "service", "policies": ["runner-a", "service-dispatcher"] });
        let entity = json!({
            "accessor": "a", "type": "service", "policies": ["service-dispatcher"], "identity_policies": ["runner-a"],
        });
        for token in [own, entity] {
            let Err(LoginError::Unusable { what, .. }) = fit(&serde_json::from_value(token).unwrap()) else { panic!() };
            assert!(what.contains("`runner-a`"), "{what}");
        }
    }

    #[test]
    fn a_batch_token_and_a_root_token_are_refused_with_the_next_step() {
        assert!(fit(&token("service", "service-dispatcher")).is_ok());
        for (kind, policy, word) in
            [("batch", "service-dispatcher", "token_type"), ("service", "root", "service-dispatcher")]
        {
            let Err(LoginError::Unusable { fix, .. }) = fit(&token(kind, policy)) else { panic!("{kind} {policy}") };
            assert!(fix.contains(word), "{fix}");
        }
    }
}
