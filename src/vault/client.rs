//! A Vault server, and the one place where a request goes out to it.
//!
//! `vaultrs` describes requests (its endpoint types and its middleware, which sets the headers); they are sent from here, with
//! our HTTP client and not with its own, since that one drops the headers of a refusal (`Retry-After`, `Location`), keeps bodies
//! in its errors and reads an answer of any size.

use std::fmt;
use std::sync::Arc;

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode, Url};
use rustify::Endpoint;
use rustify::endpoint::MiddleWare as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use vaultrs::api::EndpointMiddleware;
use zeroize::{Zeroize as _, Zeroizing};

use super::answer::{Answer, Body, take_secret};
use super::classify::Refusal;
use super::error::{SettingsError, VaultError, Why};
use super::scrub;
use crate::support::http::{self, Times};
use crate::support::text;

/// More than any answer that is asked for here: a string in Vault has at most 1 MiB.
const MAX_BODY: usize = 4 << 20;

/// A redirect is followed at most so often: from a standby to the active node, and once more while that changes.
const MAX_REDIRECTS: usize = 2;

/// Whom to trust for `https`.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// The system's roots, and those in this file.
    System(Option<&'a std::path::Path>),
    /// These PEM certificates and no others.
    Only(&'a str),
}

/// How to reach a server.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The first is asked. The others are the nodes to which it may redirect; a token goes nowhere else.
    pub addresses: &'a [String],
    /// The namespace, where the server has them.
    pub namespace: Option<&'a str>,
    /// Whom to trust.
    pub trust: Trust<'a>,
    /// Bounds for connecting and for a whole call.
    pub times: Times,
}

/// A token: something that fits into the header that carries it.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Takes `text` as a token, without white space around it (files end in a newline).
    ///
    /// # Errors
    /// It is empty, or no header can carry it.
    pub fn new(text: &SecretString) -> Result<Self, SettingsError> {
        let trimmed = text.expose_secret().trim();
        if trimmed.is_empty() || !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SettingsError::Token);
        }
        Ok(Self(SecretString::from(trimmed)))
    }

    /// The text: for an envelope, and for the redactor.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = take_secret(String::deserialize(deserializer)?);
        Self::new(&text).map_err(|_| serde::de::Error::custom("not a token"))
    }
}

/// A server. Cheap to clone: the connections are shared.
#[derive(Debug, Clone)]
pub struct Vault(Arc<Server>);

#[derive(Debug)]
struct Server {
    http: reqwest::Client,
    addresses: Vec<String>,
    namespace: Option<String>,
}

/// A server and a token to speak to it with.
#[derive(Debug, Clone)]
pub struct Session {
    vault: Vault,
    token: Token,
}

/// What goes along with a request.
#[derive(Clone, Copy, Default)]
pub(super) struct With<'a> {
    pub(super) token: Option<&'a Token>,
    /// Seconds that the answer is to be wrapped for.
    pub(super) wrap: Option<u64>,
    /// What the request says that no message may repeat; the token is never repeated anyway.
    pub(super) hidden: &'a [&'a SecretString],
}

/// An answer, whatever its status.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Body,
    /// What else tells why it was refused, where it was.
    refusal: Refusal,
}

impl Vault {
    /// A client for `settings`. Nothing is sent yet.
    ///
    /// # Errors
    /// The setting that cannot be used.
    pub fn new(settings: Settings<'_>) -> Result<Self, SettingsError> {
        let addresses = settings.addresses.iter().map(|address| origin(address)).collect::<Result<Vec<_>, _>>()?;
        let first = addresses.first().ok_or(SettingsError::Address { address: String::new(), rule: "it is empty" })?;
        let namespace = settings.namespace.filter(|namespace| !namespace.is_empty()).map(str::to_owned);
        if namespace.as_ref().is_some_and(|namespace| !namespace.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(SettingsError::Namespace);
        }
        let http = match settings.trust {
            Trust::System(roots) => http::client(first, settings.times, roots)?,
            Trust::Only(pem) => http::client_trusting_only(pem, "the given certificates", settings.times)?,
        };
        Ok(Self(Arc::new(Server { http, addresses, namespace })))
    }

    /// The address that is asked.
    pub fn address(&self) -> &str {
        self.0.addresses.first().map_or("", String::as_str)
    }

    /// With `token` in every request.
    pub fn session(&self, token: Token) -> Session {
        Session { vault: self.clone(), token }
    }

    /// Sends `endpoint`'s request and answers Vault's frame; a 204 is an empty one.
    pub(super) async fn ask<E: Endpoint>(&self, endpoint: E, with: With<'_>) -> Result<Answer, VaultError> {
        let (call, path) = (named(&endpoint), endpoint.path());
        let reply = self.send(&endpoint, with).await?;
        let answer = match reply.status.as_u16() {
            204 => Ok(Answer { data: None, auth: None, wrap_info: None, warnings: None }),
            200 => reply.body.parse("an answer of Vault"),
            _ => Err(reply.into_why(&path, with)),
        };
        answer.map_err(|why| self.error(call, why))
    }

    /// Sends `endpoint`'s request and answers what comes, whatever its status; a redirect to a configured address is followed.
    pub(super) async fn send<E: Endpoint>(&self, endpoint: &E, with: With<'_>) -> Result<Reply, VaultError> {
        let fail = |why| self.error(named(endpoint), why);
        let mut address = self.address();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_to(address, endpoint, with).await.map_err(fail)?;
            if !response.status().is_redirection() {
                let refusal = Refusal::of(&response, &endpoint.method());
                return read(response, refusal).await.map_err(fail);
            }
            let to = target(&response);
            match self.0.addresses.iter().find(|known| **known == to && *known != address) {
                Some(known) => address = known,
                None => return Err(fail(Why::Redirect { to })),
            }
        }
        Err(fail(Why::NoLeader))
    }

    async fn send_to<E: Endpoint>(&self, address: &str, endpoint: &E, with: With<'_>) -> Result<Response, Why> {
        let mut middleware = EndpointMiddleware {
            token: with.token.map(|token| token.secret().expose_secret().to_owned()).unwrap_or_default(),
            version: "v1".to_owned(),
            wrap: with.wrap.map(|seconds| format!("{seconds}s")),
            namespace: self.0.namespace.clone(),
        };
        let request = build(address, endpoint, &middleware);
        middleware.token.zeroize();
        self.0.http.execute(request?).await.map_err(not_answered)
    }

    pub(super) fn error(&self, call: String, why: Why) -> VaultError {
        VaultError { address: self.address().to_owned(), call, why }
    }
}

impl Session {
    /// The server.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The token.
    pub fn token(&self) -> &Token {
        &self.token
    }

    pub(super) async fn ask<E: Endpoint>(&self, endpoint: E) -> Result<Answer, VaultError> {
        self.vault.ask(endpoint, self.with()).await
    }

    pub(super) fn with(&self) -> With<'_> {
        With { token: Some(&self.token), ..With::default() }
    }
}

impl Reply {
    /// What a refusal with this status and body is.
    pub(super) fn into_why(self, path: &str, with: With<'_>) -> Why {
        let mut hidden: Vec<&SecretString> = with.token.map(Token::secret).into_iter().collect();
        hidden.extend(with.hidden);
        let errors = self.errors();
        let words = scrub::words(&errors, &hidden);
        self.refusal.why(self.status.as_u16(), &errors, words, path)
    }

    fn errors(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<String>,
        }
        self.body.parse::<Errors>("errors").map(|body| body.errors).unwrap_or_default()
    }
}

/// `POST auth/token/create/runner`, for messages.
pub(super) fn named<E: Endpoint>(endpoint: &E) -> String {
    format!("{:?} {}", endpoint.method(), endpoint.path().trim().trim_start_matches('/'))
}

fn build<E: Endpoint>(address: &str, endpoint: &E, middleware: &EndpointMiddleware) -> Result<reqwest::Request, Why> {
    let impossible = || Why::Malformed { words: "no request can be made of it".to_owned() };
    let mut request = endpoint.request(address).map_err(|_| impossible())?;
    middleware.request(endpoint, &mut request).map_err(|_| impossible())?;
    if let Some(token) = request.headers_mut().get_mut("X-Vault-Token") {
        token.set_sensitive(true);
    }
    reqwest::Request::try_from(request).map_err(|_| impossible())
}

async fn read(mut response: Response, refusal: Refusal) -> Result<Reply, Why> {
    let status = response.status();
    // From the start as large as it gets, so that it never moves and leaves a copy of a secret behind.
    let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(64 << 10);
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected.min(MAX_BODY)));
    while let Some(chunk) = response.chunk().await.map_err(not_answered)? {
        if bytes.len() + chunk.len() > MAX_BODY {
            return Err(Why::Unexpected { expected: "an answer of at most 4 MiB" });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Reply { status, body: Body(bytes), refusal })
}

/// Without the URL: the message names the call already.
fn not_answered(error: reqwest::Error) -> Why {
    let error = error.without_url();
    match () {
        () if error.is_connect() => Why::Unreachable(error),
        () if error.is_timeout() => Why::Slow,
        () => Why::Lost(error),
    }
}

/// Scheme, host and port of where a redirect leads.
fn target(response: &Response) -> String {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let url = location.and_then(|location| response.url().join(location).ok());
    url.map_or_else(|| "nowhere".to_owned(), |url| url.origin().ascii_serialization())
}

/// `address` as scheme, host and port alone: what stands before `/v1`.
fn origin(address: &str) -> Result<String, SettingsError> {
    // What was given may hold a password: nothing of it that is not an address is repeated.
    let wrong = |rule| SettingsError::Address {
        address: text::clipped(address.rsplit('@').next().unwrap_or_default(), 120),
        rule,
    };
    let url = Url::parse(address).map_err(|_| wrong("it is no URL"))?;
    match () {
        () if !matches!(url.scheme(), "http" | "https") => Err(wrong("only http and https are spoken")),
        () if !url.username().is_empty() || url.password().is_some() => {
            Err(wrong("a user or password has no place in it"))
        }
        () if !matches!(url.path(), "/" | "/v1" | "/v1/") => Err(wrong("Vault is not found below a path")),
        () if url.query().is_some() || url.fragment().is_some() => Err(wrong("it ends behind the port")),
        () => Ok(url.origin().ascii_serialization()),
    }
}
