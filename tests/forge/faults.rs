//! A forge that is down, slow, half or somebody else: what depends on it waits, with words, and goes on when it recovers.

use reqwest::Method;
use serde_json::Value;

use crate::api;
use crate::ops::{Ops, action, path};
use crate::proxy::{Fault, Proxy};

/// An action that was approved and merged, and a dispatcher that reaches the forge through a proxy.
async fn approved() -> (Ops, Proxy) {
    let (ops, proxy) = (Ops::new().await, Proxy::new().await);
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.configure_at(&proxy.url, "");
    (ops, proxy)
}

async fn waits_and_recovers(fault: Fault, words: &str) {
    let (ops, proxy) = approved().await;
    let pinned = ops.explain("deploy-1").await;
    assert_eq!(pinned.verdict, "admitted", "through the proxy: {}", pinned.all);
    proxy.set(fault);
    let (_, printed) = ops.dispatch("once").await;
    let said = ops.explain("deploy-1").await;
    assert_eq!((said.verdict.as_str(), said.reason.as_str()), ("waiting", "evidence_unavailable"), "{}", said.all);
    assert!(said.all.contains(words), "`{words}` is not said in {}", said.all);
    assert_eq!(ops.launched(), Vec::<String>::new(), "{printed}");
    proxy.set(Fault::None);
    ops.admitted("deploy-1").await;
}

#[tokio::test]
async fn it_answers_500() {
    waits_and_recovers(Fault::Error500, "the forge answered 500 when asked for").await;
}

#[tokio::test]
async fn it_shows_a_page_to_sign_in() {
    waits_and_recovers(Fault::SignIn, "is not its answer").await;
}

#[tokio::test]
async fn it_is_slow() {
    waits_and_recovers(Fault::Slow, "the forge did not answer when asked for").await;
}

#[tokio::test]
async fn it_answers_half() {
    waits_and_recovers(Fault::HalfALine, "is not its answer").await;
}

#[tokio::test]
async fn its_lists_are_shorter_than_it_says() {
    waits_and_recovers(Fault::ShortLists, "was not read to its end").await;
}

/// git answers all the while, and so does everything else of the API.
#[tokio::test]
async fn it_refuses_only_the_reviews_or_only_what_happened_or_only_the_commits() {
    for end in ["/reviews", "/timeline", "/commits"] {
        waits_and_recovers(Fault::Refuses(end), "the forge answered 403 when asked for").await;
    }
}

#[tokio::test]
async fn it_does_not_know_of_the_merge_yet() {
    let (ops, proxy) = approved().await;
    proxy.set(Fault::NotYet);
    let said = ops.explain("deploy-1").await;
    assert_eq!((said.verdict.as_str(), said.reason.as_str()), ("waiting", "evidence_unavailable"), "{}", said.all);
    assert!(said.all.contains("names no pull request for"), "{}", said.all);
    proxy.set(Fault::None);
    ops.admitted("deploy-1").await;
}

#[tokio::test]
async fn it_is_another_repository_of_that_name() {
    let (ops, proxy) = approved().await;
    let here = format!("/repos/{}", ops.name);
    let here = api::call(&ops.crew.reader.token, Method::GET, &here, Value::Null).await;
    ops.reconfigure("[forge]\n", &format!("[forge]\nrepository_id = {}\n", here["id"]));
    proxy.set(Fault::SomebodyElse);
    let said = ops.explain("deploy-1").await;
    assert_eq!((said.verdict.as_str(), said.reason.as_str()), ("waiting", "evidence_unavailable"), "{}", said.all);
    assert!(said.all.contains("ALARM"), "{}", said.all);
    ops.dispatch("once").await;
    assert_eq!(ops.launched(), Vec::<String>::new());
    proxy.set(Fault::None);
    ops.admitted("deploy-1").await;
}
