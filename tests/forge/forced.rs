//! What the forge itself refuses, and what becomes of it where somebody forces the forge: by its database.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api;
use crate::database;
use crate::ops::{Ops, action, path};

async fn merge_once(ops: &Ops, number: u64) -> (u16, Value) {
    let merge = format!("/repos/{}/pulls/{number}/merge", ops.name);
    api::ask(&ops.crew.writer.token, Method::POST, &merge, Some(json!({ "Do": "squash" }))).await
}

#[tokio::test]
async fn the_forge_refuses_an_approval_of_ones_own_and_a_forced_one_does_not_count() {
    let ops = Ops::new().await;
    ops.protect(1).await;
    let files = [(&*path("deploy-1"), &*action("deploy-1"))];
    let pull = ops.request_by(&ops.crew.first, &ops.crew.author, "main", &files).await;
    let reviews = format!("/repos/{}/pulls/{}/reviews", ops.name, pull.number);
    let own = json!({ "event": "APPROVED", "commit_id": pull.head });
    let (status, answer) = api::ask(&ops.crew.first.token, Method::POST, &reviews, Some(own)).await;
    assert_eq!((status, answer["message"].as_str()), (422, Some("approve your own pull is not allowed")));
    let comment = ops.review(&pull, &ops.crew.first, "COMMENT", &pull.head).await;
    let forced = format!("UPDATE review SET type = 1, official = 1 WHERE id = {}", comment["id"]);
    assert_eq!(database::change(&forced), 1);
    let all = api::call(&ops.crew.reader.token, Method::GET, &reviews, Value::Null).await;
    assert_eq!((&all[0]["state"], &all[0]["official"]), (&json!("APPROVED"), &json!(true)), "the forge believes it");
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approval_by_author", "opened the pull request").await;
}

/// Once the forge has noticed the push it refuses to merge; where it has not, it merges what nobody approved.
#[tokio::test]
async fn the_forge_refuses_what_changed_since_and_what_it_did_not_notice_is_refused_here() {
    let ops = Ops::new().await;
    ops.protect(1).await;
    let mut pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    let review = ops.approve(&pull, &ops.crew.first).await;
    ops.push_more(&mut pull, &[(&path("deploy-1"), &(action("deploy-1") + "timeout_minutes = 999\n"))]);
    let reviews = format!("/repos/{}/pulls/{}/reviews", ops.name, pull.number);
    api::until("stale", || async {
        api::call(&ops.crew.reader.token, Method::GET, &reviews, Value::Null).await[0]["stale"] == json!(true)
    })
    .await;
    let (status, answer) = merge_once(&ops, pull.number).await;
    assert_eq!(status, 405, "{answer}");
    let (_, printed) = ops.dispatch("once").await;
    assert_eq!(ops.launched(), Vec::<String>::new(), "{printed}");
    assert_eq!(database::change(&format!("UPDATE review SET stale = 0 WHERE id = {}", review["id"])), 1);
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approval_outdated", "changed in").await;
}
