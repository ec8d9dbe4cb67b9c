//! The forge's API as its users call it, with a token each.

use std::time::Duration;

use dispatch::support::http::{self, Times};
use reqwest::{Client, Method};
use serde_json::Value;

/// Where the forge of the testbed is.
pub(crate) fn url() -> String {
    variable("FORGE_URL")
}

/// The administrator's token.
pub(crate) fn admin() -> String {
    variable("FORGE_TOKEN")
}

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `tests/testbed/up` and export what it prints"))
}

/// A client that waits as long as a busy machine needs.
pub(crate) fn client() -> Client {
    let times = Times { connect: Duration::from_secs(10), request: Duration::from_secs(60) };
    http::client(&url(), times, None).unwrap()
}

/// One call; the status and the answer.
pub(crate) async fn ask(token: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let request = client().request(method, format!("{}/api/v1{path}", url()));
    let request = request.header("Authorization", format!("token {token}"));
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
}

/// One call that must succeed.
pub(crate) async fn call(token: &str, method: Method, path: &str, body: Value) -> Value {
    let body = (!body.is_null()).then_some(body);
    let (status, answer) = ask(token, method.clone(), path, body).await;
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    answer
}

/// Asks again until `is` holds; the forge does much after it has answered.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is: impl Fn() -> F) {
    let within = tokio::time::timeout(Duration::from_secs(30), async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    within.await.unwrap_or_else(|_| panic!("not within 30 s: {what}"));
}
