//! Attacks on what was approved: bytes that change between the approval and the run.

use reqwest::Method;
use serde_json::json;

use crate::api;
use crate::ops::{Ops, action, path};

/// The same action, reaching further.
fn worse(id: &str) -> String {
    action(id) + "timeout_minutes = 999\n"
}

/// On a busy machine the forge notices the push late or early: what it calls the approval differs, and what is merged does not.
#[tokio::test]
async fn approved_closed_pushed_to_reopened_and_merged() {
    let ops = Ops::new().await;
    let mut pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    let approved = pull.head.clone();
    ops.approve(&pull, &ops.crew.first).await;
    ops.edit(&pull, &ops.crew.author, json!({ "state": "closed" })).await;
    ops.push_more(&mut pull, &[(&path("deploy-1"), &worse("deploy-1"))]);
    ops.edit(&pull, &ops.crew.author, json!({ "state": "open" })).await;
    ops.merge(&pull, "squash").await;
    ops.pull();
    let merged = std::fs::read_to_string(ops.work().join(path("deploy-1"))).unwrap();
    assert_eq!(merged, worse("deploy-1"), "the forge merged what nobody approved");
    let words = format!("approved at {}, but {} ", &approved[..10], path("deploy-1"));
    ops.refused("deploy-1", "approval_outdated", &words).await;
}

#[tokio::test]
async fn edited_after_the_approval() {
    let ops = Ops::new().await;
    let mut pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    let approved = pull.head.clone();
    ops.approve(&pull, &ops.crew.first).await;
    ops.push_more(&mut pull, &[(&path("deploy-1"), &worse("deploy-1"))]);
    ops.merge(&pull, "merge").await;
    let words = format!("approved at {}, but {} changed in {}", &approved[..10], path("deploy-1"), &pull.head[..10]);
    ops.refused("deploy-1", "approval_outdated", &words).await;
}

#[tokio::test]
async fn a_formula_exchanged_after_the_approval() {
    let ops = Ops::new().await;
    let mut pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.push_more(&mut pull, &[("formulas/deploy.meta.toml", "idempotent = true\n")]);
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approval_outdated", "formulas/deploy.meta.toml changed in").await;
}

#[tokio::test]
async fn a_formula_exchanged_after_the_merge_does_not_run() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    let evil = format!("echo evil >> '{}'\n", ops.folder.path().join("launched").display());
    ops.push_directly(&[("formulas/deploy.sh", &evil)]);
    ops.admitted("deploy-1").await;
    assert_eq!(ops.launched(), ["deploy-1"], "what ran is what was approved");
}

#[tokio::test]
async fn edited_after_the_merge() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.push_directly(&[(&path("deploy-1"), &worse("deploy-1"))]);
    ops.refused("deploy-1", "no_pull_request", "without a pull request").await;
}

#[tokio::test]
async fn a_tier_claimed_by_the_requester_is_not_believed() {
    let ops = Ops::new().await;
    let claim = action("deploy-1") + "blast_radius = \"low\"\n";
    let smuggled = "\"\"\"\nx\nblast_radius = 'low'\ndispatch_mode = 'direct'\n\"\"\"";
    let hidden = action("deploy-2").replace("\"for a test\"", smuggled);
    let direct = action("deploy-3") + "dispatch_mode = \"direct\"\n";
    ops.push_directly(&[(&path("deploy-1"), &claim), (&path("deploy-2"), &hidden), (&path("deploy-3"), &direct)]);
    ops.refused("deploy-1", "no_pull_request", "the action claims low, which is lower and was ignored").await;
    assert_eq!(ops.decided("deploy-3").await.reason, "direct_not_allowed");
    let hidden = ops.decided("deploy-2").await;
    assert_eq!((hidden.verdict.as_str(), hidden.reason.as_str()), ("rejected", "no_pull_request"), "{}", hidden.all);
}

#[tokio::test]
async fn an_approval_is_asked_of_the_forge_and_not_read_from_a_message() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    let forged = ops.request(&[(&path("deploy-2"), &action("deploy-2"))]).await;
    ops.edit(&forged, &ops.crew.author, json!({ "title": format!("pull request #{}, approved", pull.number) })).await;
    let title = format!("Merge pull request 'a request' (#{}) from approved", pull.number);
    ops.merge_with(&forged, json!({ "Do": "merge", "MergeTitleField": title })).await;
    ops.refused("deploy-2", "not_enough_approvals", &format!("pull request #{}", forged.number)).await;
}

/// The forge notices a quarter of a second after a push that approvals have become stale; until then it merges.
#[tokio::test]
async fn pushed_to_and_merged_before_the_forge_calls_the_approval_stale() {
    let ops = Ops::new().await;
    ops.protect(1).await;
    let mut pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.push_more(&mut pull, &[(&path("deploy-1"), &worse("deploy-1"))]);
    let merge = format!("/repos/{}/pulls/{}/merge", ops.name, pull.number);
    for _ in 0..5 {
        api::ask(&ops.crew.writer.token, Method::POST, &merge, Some(json!({ "Do": "squash" }))).await;
    }
    let merged = api::ask(&ops.crew.writer.token, Method::GET, &merge, None).await.0 == 204;
    if merged {
        ops.refused("deploy-1", "approval_outdated", "changed in").await;
    } else {
        let (_, printed) = ops.dispatch("once").await;
        assert_eq!(ops.launched(), Vec::<String>::new(), "{printed}");
    }
}
