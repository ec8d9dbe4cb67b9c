//! The three addresses of the endpoint. What is sent is refused as early as possible: by who sends it, by its size, by its
//! signature; only then is its id looked at.

use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use secrecy::SecretString;
use serde_json::json;
use tokio::time::Instant;

use super::Wakeup;
use super::gate::Caller;
use super::memory::{Heard, Memory};
use super::signature::Signature;
use crate::support::{chain, keepsake};

/// Bytes of a delivery: Gitea's have 5 to 15 kB, with at most five commits in them.
const BODY: usize = 1 << 20;

/// Ids that are longer are none.
const ID: usize = 128;

/// What Gitea, Forgejo and GitHub's kind number their deliveries with.
const IDS: [&str; 3] = ["x-gitea-delivery", "x-forgejo-delivery", "x-github-delivery"];

pub(super) fn router(wakeup: Arc<Wakeup>) -> Router {
    Router::new()
        .route("/webhook", post(delivered))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(wakeup)
}

/// The forge says that something happened.
async fn delivered(
    State(wakeup): State<Arc<Wakeup>>,
    ConnectInfo(Caller(from)): ConnectInfo<Caller>,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Response {
    if let Some(wait) = wakeup.remember(|memory| memory.deaf_to(from.ip(), Instant::now())) {
        let seconds = HeaderValue::from(wait.as_secs() + 1);
        return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds)], "refused too often\n").into_response();
    }
    let heard = wakeup.hear(&headers, request).await;
    if let Err(Deaf::NotSigned | Deaf::TooLarge) = heard {
        wakeup.remember(|memory| memory.refuse(from.ip(), Instant::now()));
    }
    match heard {
        Ok(Heard::First) => (StatusCode::ACCEPTED, "looking\n").into_response(),
        Ok(Heard::Again) => (StatusCode::OK, "heard before\n").into_response(),
        Err(why) => why.into_response(),
    }
}

/// Why a delivery is not listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deaf {
    NotSigned,
    TooLarge,
    CutOff,
    NoSecret,
}

impl Deaf {
    fn into_response(self) -> Response {
        let (status, words) = match self {
            Self::NotSigned => (StatusCode::UNAUTHORIZED, "the signature is missing or wrong\n"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n"),
            Self::CutOff => (StatusCode::BAD_REQUEST, "the body did not come to its end\n"),
            Self::NoSecret => (StatusCode::SERVICE_UNAVAILABLE, "the secret cannot be read\n"),
        };
        (status, words).into_response()
    }
}

impl From<BytesRejection> for Deaf {
    fn from(why: BytesRejection) -> Self {
        if why.status() == StatusCode::PAYLOAD_TOO_LARGE { Self::TooLarge } else { Self::CutOff }
    }
}

impl Wakeup {
    async fn hear(&self, headers: &HeaderMap, request: axum::extract::Request) -> Result<Heard, Deaf> {
        use axum::body::HttpBody as _;
        use axum::extract::FromRequest as _;
        let signature = Signature::of(headers).ok_or(Deaf::NotSigned)?;
        if request.body().size_hint().lower() > BODY as u64 {
            return Err(Deaf::TooLarge);
        }
        let body = Bytes::from_request(request, &()).await?;
        if !signature.proves(&body, &self.secret()?) {
            return Err(Deaf::NotSigned);
        }
        let id = IDS.iter().find_map(|name| headers.get(*name)?.to_str().ok()).filter(|id| id.len() <= ID);
        let heard = self.remember(|memory| memory.hear(id, signature));
        if heard == Heard::First {
            tracing::debug!(delivery = id, "woken by the forge");
            self.rung.notify_one();
        }
        Ok(heard)
    }

    fn remember<T>(&self, what: impl FnOnce(&mut Memory) -> T) -> T {
        what(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn secret(&self) -> Result<SecretString, Deaf> {
        match keepsake::read(self.config.secret_file.as_deref(), self.config.secret_env.as_deref()) {
            Ok(secret) => {
                self.dispatcher.get().inspect(|dispatcher| dispatcher.troubles.clear("webhook"));
                Ok(secret.unwrap_or_default())
            }
            Err(error) => {
                let words = format!("the secret cannot be read: {}", chain::words(&error));
                self.dispatcher.get().inspect(|dispatcher| dispatcher.troubles.set("webhook", words));
                Err(Deaf::NoSecret)
            }
        }
    }
}

/// Whether the dispatcher can do its work; otherwise what keeps it from that.
async fn ready(State(wakeup): State<Arc<Wakeup>>) -> Response {
    let missing = match wakeup.dispatcher.get() {
        Some(dispatcher) => dispatcher.not_ready(),
        None => vec!["dispatcher: it is starting".to_owned()],
    };
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = json!({ "ready": missing.is_empty(), "missing": missing });
    (status, [(CONTENT_TYPE, "application/json")], format!("{answer}\n")).into_response()
}
