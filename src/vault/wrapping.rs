//! Response wrapping: a cupboard that opens once, for whoever comes first.

use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use vaultrs::api::sys::requests::WrappingLookupRequest;

use super::answer::{Answer, WrapInfo};
use super::call::Call;
use super::client::{Session, Token, Vault, With, named};
use super::error::{VaultError, Why};

/// A wrapping that nobody has opened yet, as its token shows it. By these three it is recognised: one that was opened and made
/// anew (`rewrap`) keeps the path and gets another time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Wrapping {
    /// The path that made it.
    pub creation_path: String,
    /// When, as the maker was told, to the nanosecond.
    pub creation_time: String,
    /// Seconds that it lives.
    pub creation_ttl: u64,
}

impl Vault {
    /// Looks at a wrapping without opening it. Needs no token but the wrapping's.
    ///
    /// # Errors
    /// [`Why::WrappingGone`] when it is used, expired, revoked or never was, which the server does not tell apart; or as any call.
    pub async fn wrapping_lookup(&self, wrapping: &Token) -> Result<Wrapping, VaultError> {
        let text = wrapping.secret();
        let request = WrappingLookupRequest { token: text.expose_secret().to_owned() };
        let answer = self.ask(request, With { hidden: &[text], ..With::default() }).await?;
        let call = || "POST sys/wrapping/lookup".to_owned();
        answer.data("what a wrapping has").map_err(|why| self.error(call(), why))
    }

    /// Opens a wrapping: **once**, whatever comes back. An error with [`super::error::Effect::Unknown`] has spent it.
    ///
    /// What comes back is a win only with `auth` or `data` in it: one who came second may get a 204 too.
    ///
    /// # Errors
    /// [`Why::WrappingGone`], or as any call.
    pub async fn unwrap(&self, wrapping: &Token) -> Result<Answer, VaultError> {
        self.ask(Call::post_nothing("sys/wrapping/unwrap"), With { token: Some(wrapping), ..With::default() }).await
    }
}

impl Session {
    /// Wraps `content`, for `wrap_seconds`.
    ///
    /// # Errors
    /// Refused, or answered without a wrapping.
    pub async fn wrap(&self, content: Map<String, Value>, wrap_seconds: u64) -> Result<WrapInfo, VaultError> {
        let request = Call::post("sys/wrapping/wrap", Value::Object(content));
        let call = named(&request);
        let answer = self.ask_wrapped(request, wrap_seconds).await?;
        let missing = || Why::Unexpected { expected: "a wrapping" };
        answer.wrap_info.ok_or_else(|| self.vault().error(call, missing()))
    }

    pub(super) async fn ask_wrapped(
        &self,
        request: impl rustify::Endpoint,
        seconds: u64,
    ) -> Result<Answer, VaultError> {
        self.vault().ask(request, With { wrap: Some(seconds), ..self.with() }).await
    }
}
