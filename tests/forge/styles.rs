//! All five ways in which a forge merges admit what was approved, and the result says by whom.

use crate::ops::{Ops, action, path};

async fn admits(style: &str) {
    let ops = Ops::new().await;
    ops.protect(1).await;
    let pull = ops.request(&[("README.md", "one commit before it\n"), (&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, style).await;
    ops.admitted("deploy-1").await;
    ops.pull();
    let result = std::fs::read_to_string(ops.work().join("vault/actions/deploy-1.result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["approval"]["how"], "pull_request", "{style}");
    assert_eq!(result["approval"]["pull_request"], pull.number);
    assert_eq!(result["approval"]["by"][0], ops.crew.first.login.as_str());
}

#[tokio::test]
async fn a_merge_commit() {
    admits("merge").await;
}

#[tokio::test]
async fn a_squash() {
    admits("squash").await;
}

#[tokio::test]
async fn a_rebase() {
    admits("rebase").await;
}

#[tokio::test]
async fn a_rebase_with_a_merge_commit() {
    admits("rebase-merge").await;
}

#[tokio::test]
async fn a_fast_forward() {
    admits("fast-forward-only").await;
}

/// The base moves between the opening and the merge, so that the commits on the primary branch are new ones.
#[tokio::test]
async fn a_rebase_onto_a_base_that_moved() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1")), ("README.md", "one commit after it\n")]).await;
    ops.push_directly(&[("other.md", "meanwhile\n")]);
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "rebase").await;
    ops.admitted("deploy-1").await;
}

#[tokio::test]
async fn a_later_push_that_leaves_the_bytes_alone_needs_no_new_approval_unless_the_config_asks_for_it() {
    let ops = Ops::new().await;
    let mut pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.push_more(&mut pull, &[("README.md", "a word more\n")]);
    ops.merge(&pull, "squash").await;
    ops.configure("exact_head = true");
    let exact = ops.explain("deploy-1").await;
    assert_eq!((exact.verdict.as_str(), exact.reason.as_str()), ("rejected", "approval_outdated"), "{}", exact.all);
    ops.configure("");
    ops.admitted("deploy-1").await;
}

#[tokio::test]
async fn whoever_merges_counts_where_the_config_says_so() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    let merge = format!("/repos/{}/pulls/{}/merge", ops.name, pull.number);
    crate::api::until("merged by an approver", || async {
        let how = serde_json::json!({ "Do": "squash" });
        crate::api::ask(&ops.crew.first.token, reqwest::Method::POST, &merge, Some(how)).await.0 == 200
    })
    .await;
    ops.configure("merged_by_counts = true");
    ops.admitted("deploy-1").await;
}
