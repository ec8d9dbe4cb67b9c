//! One request to the forge and its answer: bounded in time, size and number, and taken for an answer only where a forge would
//! give it. Everything above this file deals with values.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::access::{Address, Login, Token};
use super::error::{Class, Effect, ForgeError};
use crate::support::http::{self, Times};
use crate::support::retry::RetryPolicy;
use crate::support::text::one_line;

/// The most bytes of one answer: a page of 50 pull requests has about 400 kB.
const ANSWER_LIMIT: usize = 16 << 20;
/// The most characters of the forge's own words that are repeated.
const SAID_LIMIT: usize = 300;
/// The most requests that are under way at once: a forge on a small machine also serves people.
const AT_ONCE: usize = 4;

/// Sends requests and reads answers.
#[derive(Debug)]
pub(super) struct Wire {
    client: Client,
    address: Address,
    token: Token,
    permits: Semaphore,
}

/// One question.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// What is asked for, for people: "the reviews of pull request 3".
    pub(super) what: String,
    method: Method,
    /// Behind `/api/v1`.
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

/// What came back and is a forge's success.
#[derive(Debug)]
pub(super) struct Answer {
    what: String,
    effect: Effect,
    body: Vec<u8>,
    /// `X-Total-Count`: how long the whole list is.
    pub(super) total: Option<usize>,
}

/// What a forge says where it refuses.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl<'a> Call<'a> {
    pub(super) fn get(what: impl Into<String>, path: &[&'a str]) -> Self {
        Self::new(Method::GET, what.into(), path)
    }

    pub(super) fn post(what: impl Into<String>, path: &[&'a str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, what.into(), path) }
    }

    pub(super) fn patch(what: impl Into<String>, path: &[&'a str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PATCH, what.into(), path) }
    }

    fn new(method: Method, what: String, path: &[&'a str]) -> Self {
        Self { what, method, path: path.to_vec(), query: Vec::new(), body: None }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.retain(|(known, _)| *known != name);
        self.query.push((name, value.into()));
        self
    }

    fn effect(&self) -> Effect {
        if self.method == Method::GET { Effect::Reads } else { Effect::Writes }
    }
}

impl Wire {
    pub(super) fn new(
        address: Address,
        token: Token,
        request: Duration,
        roots: Option<&Path>,
    ) -> Result<Self, ForgeError> {
        let times = Times { connect: request.min(Duration::from_secs(10)), request };
        let client = http::client(address.api.as_str(), times, roots)?;
        Ok(Self { client, address, token, permits: Semaphore::new(AT_ONCE) })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Asks; what only reads and failed in a way that passes is asked again a few times.
    pub(super) async fn ask(&self, call: &Call<'_>) -> Result<Answer, ForgeError> {
        let mut delays = RetryPolicy::FORGE.delays();
        loop {
            let error = match self.once(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let again = call.effect() == Effect::Reads && error.class() == Class::Transient;
            match delays.next().filter(|_| again) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error),
            }
        }
    }

    /// [`Self::ask`], and the answer as a value.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, ForgeError> {
        self.ask(call).await?.value()
    }

    async fn once(&self, call: &Call<'_>) -> Result<Answer, ForgeError> {
        let _turn = self.permits.acquire().await;
        let (what, effect) = (call.what.clone(), call.effect());
        let login = self.token.read()?;
        let sent = self.request(call, login.as_ref())?.send().await;
        let lost =
            |source: reqwest::Error| ForgeError::Send { what: what.clone(), effect, source: source.without_url() };
        let response = sent.map_err(lost)?;
        let status = response.status();
        let is_json = is_json(&response);
        let total = total(&response);
        if status.is_redirection() {
            return Err(ForgeError::Elsewhere { what });
        }
        let body = match bounded(response).await {
            Ok(Some(body)) => body,
            Ok(None) => return Err(not_an_answer(&what, effect, format!("it is longer than {ANSWER_LIMIT} bytes"))),
            Err(error) => return Err(lost(error)),
        };
        match (status.is_success(), is_json) {
            (true, true) => Ok(Answer { what, effect, body, total }),
            (true, false) if body.is_empty() => Ok(Answer { what, effect, body, total }),
            (true, false) => {
                Err(not_an_answer(&what, effect, "it is not JSON, though its status is a success".to_owned()))
            }
            (false, _) => Err(refused(what, effect, status, said(&body, is_json, login.as_ref()))),
        }
    }

    fn request(&self, call: &Call<'_>, login: Option<&Login>) -> Result<reqwest::RequestBuilder, ForgeError> {
        let mut url = self.address.api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(&call.path);
        }
        let request = self.client.request(call.method.clone(), url).query(&call.query);
        let request = match &call.body {
            Some(body) => request.json(body),
            None => request,
        };
        let Some(login) = login else { return Ok(request) };
        let unfit = || ForgeError::Token {
            from: format!("{:?}", self.token),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, "a header cannot hold it"),
        };
        Ok(request.header(AUTHORIZATION, login.header().ok_or_else(unfit)?))
    }
}

impl Answer {
    /// The answer as the value that was asked for.
    pub(super) fn value<T: DeserializeOwned>(&self) -> Result<T, ForgeError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| not_an_answer(&self.what, self.effect, format!("its form is not known ({error})")))
    }
}

fn not_an_answer(what: &str, effect: Effect, why: String) -> ForgeError {
    ForgeError::NotAnAnswer { what: what.to_owned(), effect, why }
}

/// A 404 of a proxy says nothing about the forge: only one in the forge's own words is believed.
fn refused(what: String, effect: Effect, status: StatusCode, said: Option<String>) -> ForgeError {
    match (status, said) {
        (StatusCode::NOT_FOUND, Some(said)) => ForgeError::NotFound { what, said },
        (StatusCode::NOT_FOUND, None) => not_an_answer(&what, effect, "a 404 that is not the forge's own".to_owned()),
        (status, said) => ForgeError::Status { what, effect, status: status.as_u16(), said: said.unwrap_or_default() },
    }
}

/// The forge's words for a refusal; `None` where the answer is not one of a forge.
fn said(body: &[u8], is_json: bool, login: Option<&Login>) -> Option<String> {
    let refusal: Refusal = is_json.then(|| serde_json::from_slice(body).ok()).flatten()?;
    let words: String = one_line(&refusal.message).chars().take(SAID_LIMIT).collect();
    Some(login.map_or_else(|| words.clone(), |login| login.scrub(&words)))
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn total(response: &Response) -> Option<usize> {
    response.headers().get("X-Total-Count")?.to_str().ok()?.parse().ok()
}

/// The body; `None` where it is longer than the limit.
async fn bounded(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
