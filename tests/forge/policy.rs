//! Which policy counts, and that what was seen of its approval outlives the reviews.

use reqwest::Method;
use serde_json::Value;

use crate::api;
use crate::ops::{Ops, Pull, action, path};

/// In which `deploy` is low, so that a push is enough.
const LAX: &str = "[tiers]\necho = \"low\"\ndeploy = \"low\"\n";

/// A change of the policy that was approved and merged, and the number of its review.
async fn relaxed(ops: &Ops) -> (Pull, Value) {
    let pull = ops.request(&[("vault/policy.toml", LAX)]).await;
    let review = ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "rebase").await;
    (pull, review)
}

async fn delete(ops: &Ops, (pull, review): &(Pull, Value)) {
    let place = format!("/repos/{}/pulls/{}/reviews/{}", ops.name, pull.number, review["id"]);
    api::call(&ops.crew.first.token, Method::DELETE, &place, Value::Null).await;
}

#[tokio::test]
async fn one_that_comes_with_the_action_in_the_same_request_has_no_effect() {
    for style in ["squash", "rebase", "fast-forward-only"] {
        let ops = Ops::new().await;
        let pull = ops.request(&[("vault/policy.toml", LAX), (&path("deploy-1"), &action("deploy-1"))]).await;
        ops.merge(&pull, style).await;
        ops.refused("deploy-1", "not_enough_approvals", "needs 1 more approval by one of").await;
    }
}

#[tokio::test]
async fn one_that_nobody_approved_has_no_effect_even_where_it_was_merged_before() {
    let ops = Ops::new().await;
    let first = ops.request(&[("vault/policy.toml", LAX)]).await;
    ops.merge(&first, "squash").await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.refused("deploy-1", "no_pull_request", "vault/policy.toml").await;
}

#[tokio::test]
async fn one_that_was_approved_counts_for_what_comes_after_it() {
    let ops = Ops::new().await;
    relaxed(&ops).await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.admitted("deploy-1").await;
}

/// Every call of the binary is a dispatcher that has just been started.
#[tokio::test]
async fn an_approval_of_it_that_was_seen_counts_also_after_its_review_was_deleted() {
    let ops = Ops::new().await;
    let change = relaxed(&ops).await;
    ops.dispatch("once").await;
    delete(&ops, &change).await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    let said = ops.explain("deploy-1").await;
    assert!(said.all.contains("as was seen when their reviews were still there"), "{}", said.all);
    ops.admitted("deploy-1").await;
    let (code, printed) = ops.dispatch("audit verify").await;
    assert_eq!(code, Some(0), "{printed}");
}

#[tokio::test]
async fn an_approval_of_it_that_was_deleted_before_anybody_saw_it_does_not_count() {
    let ops = Ops::new().await;
    let change = relaxed(&ops).await;
    delete(&ops, &change).await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.refused("deploy-1", "no_pull_request", "the change of vault/policy.toml in").await;
}

#[tokio::test]
async fn what_was_kept_of_it_counts_only_for_people_who_are_still_on_the_list() {
    let ops = Ops::new().await;
    let change = relaxed(&ops).await;
    ops.dispatch("once").await;
    delete(&ops, &change).await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    let first = &ops.crew.first;
    ops.reconfigure(&format!("{{ login = '{}', id = {} }}, ", first.login, first.id), "");
    ops.refused("deploy-1", "no_pull_request", "the change of vault/policy.toml in").await;
}
