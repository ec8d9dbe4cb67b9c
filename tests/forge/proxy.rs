//! A server between the dispatcher and the forge that answers wrongly when told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api;

/// What is wrong with the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Every answer is an error of its own.
    Error500,
    /// Every answer is a page for people, with status 200.
    SignIn,
    /// It takes longer than anyone waits.
    Slow,
    /// Lists end in the middle.
    HalfALine,
    /// It is another repository of that name.
    SomebodyElse,
    /// It does not know of the merge yet.
    NotYet,
    /// Lists hold less than the forge says.
    ShortLists,
    /// Paths with this end are refused; everything else is answered, and so is git.
    Refuses(&'static str),
}

/// The proxy; it ends with the test.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    fault: Arc<Mutex<Fault>>,
    faults: Arc<AtomicUsize>,
    pub(crate) url: String,
}

impl Proxy {
    pub(crate) async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fault = Arc::new(Mutex::new(Fault::None));
        let this = Self { fault, faults: Arc::default(), url };
        let router = Router::new().fallback(answer).with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        this
    }

    /// How often it said that a merge is not known yet.
    pub(crate) fn put_off(&self) -> usize {
        self.faults.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

async fn answer(State(proxy): State<Proxy>, request: Request) -> Response {
    let fault = *proxy.fault.lock().unwrap();
    let path = request.uri().path().to_owned();
    match fault {
        Fault::Error500 => {
            return refusal(StatusCode::INTERNAL_SERVER_ERROR, "");
        }
        Fault::SignIn => return ([(header::CONTENT_TYPE, "text/html")], "<title>Sign in</title>").into_response(),
        Fault::Slow => tokio::time::sleep(Duration::from_secs(3600)).await,
        Fault::NotYet if path.contains("/commits/") => {
            proxy.faults.fetch_add(1, Ordering::SeqCst);
            return refusal(StatusCode::NOT_FOUND, "pull request does not exist [id: 0]");
        }
        Fault::Refuses(end) if path.ends_with(end) => return refusal(StatusCode::FORBIDDEN, "not for you"),
        _ => {}
    }
    let (status, total, body) = forward(request).await;
    let is_list = body.first() == Some(&b'[');
    let body: Vec<u8> = match fault {
        Fault::HalfALine if is_list => body.iter().take(body.len() / 2).copied().collect(),
        Fault::SomebodyElse if path.matches('/').count() == 5 => {
            let mut repository: Value = serde_json::from_slice(&body).unwrap();
            repository["id"] = json!(987_654);
            repository.to_string().into_bytes()
        }
        Fault::ShortLists if is_list => b"[]".to_vec(),
        _ => body.to_vec(),
    };
    let mut answer = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(total) = total {
        answer.headers_mut().insert("x-total-count", total);
    }
    answer
}

fn refusal(status: StatusCode, words: &str) -> Response {
    let body = json!({ "message": words }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn forward(request: Request) -> (StatusCode, Option<HeaderValue>, Bytes) {
    let target = format!("{}{}", api::url(), request.uri());
    let token = request.headers().get(header::AUTHORIZATION).cloned().unwrap();
    let answer = api::client().get(target).header(header::AUTHORIZATION, token).send().await.unwrap();
    let (status, total) = (answer.status(), answer.headers().get("x-total-count").cloned());
    (status, total, answer.bytes().await.unwrap())
}
