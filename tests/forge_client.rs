//! The client of the forge against a server that answers as told: what a forge would not say is not taken for its answer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use dispatch::config::Config;
use dispatch::forge::{As, Class, Forge, ForgeError, PullNumber};
use serde_json::json;

/// A server on loopback that gives every request to `answer`, and a client of it.
async fn forge(answer: impl Fn(Request) -> Response + Clone + Send + Sync + 'static) -> Forge {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move |request: Request| {
        let answer = answer(request);
        async move { answer }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    client(&format!("http://{address}"))
}

fn client(url: &str) -> Forge {
    let config =
        json!({ "ops": { "remote": "/srv/ops" }, "forge": { "url": url, "repository": "o/r", "timeout_seconds": 1 } });
    let config: Config = serde_json::from_value(config).unwrap();
    Forge::open(&config, As::Reader).unwrap()
}

fn json_answer(body: &serde_json::Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json;charset=utf-8")], body.to_string()).into_response()
}

/// A page of reviews, with the count of all of them.
fn page(request: &Request, all: usize, said: usize) -> Response {
    let query = request.uri().query().unwrap();
    let number: usize = query.split('&').find_map(|part| part.strip_prefix("page=")).unwrap().parse().unwrap();
    let entries: Vec<_> = ((number - 1) * 50..all.min(number * 50))
        .map(|id| json!({ "id": id, "user": { "id": 7, "login": "x" }, "state": "APPROVED", "commit_id": "" }))
        .collect();
    let headers = [(header::CONTENT_TYPE.as_str(), "application/json"), ("x-total-count", &said.to_string())];
    (headers, json!(entries).to_string()).into_response()
}

#[tokio::test]
async fn a_list_is_read_over_all_its_pages() {
    let forge = forge(|request| page(&request, 120, 120)).await;
    let reviews = forge.reviews(PullNumber(3)).await.unwrap();
    assert_eq!(reviews.iter().map(|review| review.id).collect::<Vec<_>>(), (0..120).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_list_that_is_shorter_than_the_forge_says_is_no_answer() {
    let forge = forge(|request| page(&request, 60, 61)).await;
    let error = forge.reviews(PullNumber(3)).await.unwrap_err();
    assert_eq!(error.class(), Class::CannotTell);
    assert_eq!(
        error.to_string(),
        "the list of the reviews of pull request #3 was not read to its end: the forge says that it has 61 entries and gave 60"
    );
}

#[tokio::test]
async fn a_web_page_with_status_200_is_not_an_answer() {
    let html = ([(header::CONTENT_TYPE, "text/html")], "<title>Sign in</title>");
    let forge = forge(move |_| html.clone().into_response()).await;
    let error = forge.repository().await.unwrap_err();
    assert!(matches!(error, ForgeError::NotAnAnswer { .. }), "{error}");
    assert_eq!(error.class(), Class::CannotTell);
}

#[tokio::test]
async fn a_proxys_404_does_not_say_that_the_forge_has_no_such_request() {
    let html = (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/html")], "<h1>not found</h1>");
    let proxy = forge(move |_| html.clone().into_response()).await;
    let commit = "a".repeat(40).parse().unwrap();
    assert_eq!(proxy.request_of(&commit).await.unwrap_err().class(), Class::CannotTell);
    let own = forge(|_| {
        (StatusCode::NOT_FOUND, json_answer(&json!({ "message": "pull request does not exist [id: 0, issue_id: 0]" })))
            .into_response()
    })
    .await;
    assert!(own.request_of(&commit).await.unwrap().is_none());
}

/// A private repository that the token's user may not read, and one that is not there, are one answer to a forge.
#[tokio::test]
async fn a_404_of_the_forge_that_does_not_speak_of_the_request_does_not_say_that_there_is_none() {
    let forge = forge(|_| {
        let body = json!({ "errors": null, "message": "not found", "url": "http://forge.invalid/api/swagger" });
        (StatusCode::NOT_FOUND, json_answer(&body)).into_response()
    })
    .await;
    let error = forge.request_of(&"a".repeat(40).parse().unwrap()).await.unwrap_err();
    assert_eq!(error.class(), Class::CannotTell, "{error}");
    assert!(error.to_string().contains("the token's user may read it"), "{error}");
}

#[tokio::test]
async fn nobody_is_followed_elsewhere_with_the_token() {
    let forge = forge(|_| (StatusCode::FOUND, [(header::LOCATION, "http://elsewhere.invalid/")]).into_response()).await;
    let error = forge.repository().await.unwrap_err();
    assert!(matches!(error, ForgeError::Elsewhere { .. }), "{error}");
    assert_eq!(error.class(), Class::Permanent);
}

#[tokio::test]
async fn an_endless_answer_is_given_up() {
    let forge = forge(|_| {
        let body = vec![b' '; 17 << 20];
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    })
    .await;
    let error = forge.repository().await.unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let forge =
        forge(|_| ([(header::CONTENT_TYPE, "application/json")], r#"{"id": 3, "full_na"#).into_response()).await;
    assert_eq!(forge.repository().await.unwrap_err().class(), Class::CannotTell);
}

#[tokio::test]
async fn a_read_that_failed_inside_the_forge_is_asked_again_and_a_write_is_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let forge = forge(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 | 2 => (StatusCode::INTERNAL_SERVER_ERROR, json_answer(&json!({ "message": "" }))).into_response(),
        _ => json_answer(&json!({ "id": 3, "full_name": "o/r" })),
    })
    .await;
    assert_eq!(forge.repository().await.unwrap().id.0, 3);
    let error = forge.comment(PullNumber(1), "done").await.unwrap_err();
    assert_eq!(error.class(), Class::CannotTell, "it may stand there");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_forge_that_is_not_there_is_a_matter_of_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let forge = client(&format!("http://{address}"));
    assert_eq!(forge.repository().await.unwrap_err().class(), Class::Transient);
    assert_eq!(forge.comment(PullNumber(1), "x").await.unwrap_err().class(), Class::Transient, "it never left");
}

#[tokio::test]
async fn a_label_that_the_forge_does_not_know_does_not_select_every_issue() {
    let issue =
        |number: u64, label: &str| json!({ "number": number, "state": "open", "labels": [{ "id": 1, "name": label }] });
    let body = json!([issue(1, "Decomposed"), issue(2, "other")]);
    let forge = forge(move |request| {
        let first = request.uri().query().unwrap().contains("page=1");
        json_answer(&if first { body.clone() } else { json!([]) })
    })
    .await;
    let issues = forge.open_issues(&["Decomposed"]).await.unwrap();
    assert_eq!(issues.iter().map(|issue| issue.number.0).collect::<Vec<_>>(), [1]);
}
