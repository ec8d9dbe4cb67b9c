//! Attacks on the way to the primary branch: pushes beside the request, other branches, marks by hand, ids used twice.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api;
use crate::ops::{Ops, action, path};

#[tokio::test]
async fn pushed_directly() {
    let ops = Ops::new().await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    let at_first = ops.explain("deploy-1").await;
    assert_eq!((at_first.verdict.as_str(), at_first.reason.as_str()), ("waiting", "evidence_unavailable"));
    ops.refused("deploy-1", "no_pull_request", "came to the primary branch without a pull request").await;
}

#[tokio::test]
async fn slipped_in_before_anothers_merge() {
    let ops = Ops::new().await;
    let honest = ops.request(&[("README.md", "an honest change\n")]).await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.approve(&honest, &ops.crew.first).await;
    ops.merge(&honest, "squash").await;
    ops.refused("deploy-1", "approval_outdated", &format!("pull request #{}", honest.number)).await;
}

#[tokio::test]
async fn slipped_in_and_taken_over_by_anothers_branch_before_it_was_approved() {
    let ops = Ops::new().await;
    let mut honest = ops.request(&[("README.md", "an honest change\n")]).await;
    let slipped = ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.git(&["checkout", "--quiet", &honest.branch]);
    let (name, mail) =
        (format!("user.name={}", ops.crew.author.login), format!("user.email={}", ops.crew.author.mail()));
    ops.git(&["-c", &name, "-c", &mail, "merge", "--quiet", "--no-edit", &slipped]);
    ops.push_more(&mut honest, &[("README.md", "an honest change, up to date\n")]);
    ops.approve(&honest, &ops.crew.first).await;
    ops.merge(&honest, "squash").await;
    ops.refused("deploy-1", "bytes_not_of_request", "stood on the primary branch before").await;
}

#[tokio::test]
async fn merged_into_a_side_branch_that_somebody_brought_to_the_primary_one() {
    let ops = Ops::new().await;
    ops.pull();
    ops.push_as(&ops.crew.author.token, "HEAD:side").unwrap();
    let files = [(&*path("deploy-1"), &*action("deploy-1"))];
    let pull = ops.request_by(&ops.crew.author, &ops.crew.author, "side", &files).await;
    ops.approve(&pull, &ops.crew.first).await;
    let merge = ops.merge(&pull, "merge").await;
    let token = api::admin();
    let address = format!("{}/{}.git", api::url().replace("://", &format!("://x:{token}@")), ops.name);
    ops.git(&["fetch", "--quiet", &address, "side"]);
    ops.push_as(&ops.crew.writer.token, &format!("{merge}:main")).unwrap();
    ops.refused("deploy-1", "no_pull_request", "into side, which is not the primary branch").await;
}

#[tokio::test]
async fn approved_for_another_base_and_then_retargeted_counts_only_for_what_was_looked_at() {
    let ops = Ops::new().await;
    ops.pull();
    ops.push_as(&ops.crew.author.token, "HEAD:side").unwrap();
    let files = [(&*path("deploy-1"), &*action("deploy-1"))];
    let mut pull = ops.request_by(&ops.crew.author, &ops.crew.author, "side", &files).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.edit(&pull, &ops.crew.author, json!({ "base": "main" })).await;
    let worse = action("deploy-1") + "priority = 100\n";
    ops.push_more(&mut pull, &[(&path("deploy-1"), &worse)]);
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approval_outdated", "changed in").await;
}

#[tokio::test]
async fn marked_as_merged_by_hand_without_approvals() {
    let ops = Ops::new().await;
    ops.protect(1).await;
    ops.set(json!({ "has_pull_requests": true, "allow_manual_merge": true })).await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    let commit = ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.merge_with(&pull, json!({ "Do": "manually-merged", "MergeCommitID": commit })).await;
    ops.configure("merged_by_counts = true");
    ops.refused("deploy-1", "not_enough_approvals", "marked as merged by hand").await;
}

#[tokio::test]
async fn an_id_is_used_once_also_after_a_revert() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.admitted("deploy-1").await;
    ops.pull();
    ops.git(&["rm", "--quiet", &path("deploy-1"), "vault/actions/deploy-1.result.json"]);
    ops.commit("revert", &ops.crew.writer);
    ops.push_as(&ops.crew.writer.token, "HEAD:main").unwrap();
    ops.dispatch("once").await;
    let again = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&again, &ops.crew.first).await;
    ops.merge(&again, "squash").await;
    ops.dispatch("once").await;
    assert_eq!(ops.launched(), ["deploy-1"], "once");
}

#[tokio::test]
async fn a_planted_result_stops_an_action_and_does_not_make_it_look_done_by_us() {
    let ops = Ops::new().await;
    let planted = r#"{"id":"deploy-1","exit_code":0,"timestamp":"2026-01-01T00:00:00Z","logs":""}"#;
    let pull =
        ops.request(&[(&path("deploy-1"), &action("deploy-1")), ("vault/actions/deploy-1.result.json", planted)]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.dispatch("once").await;
    let said = ops.explain("deploy-1").await;
    assert_ne!(said.verdict, "admitted", "{}", said.all);
    assert_eq!(ops.launched(), Vec::<String>::new());
}

#[tokio::test]
async fn history_that_was_rewritten_admits_nothing() {
    let ops = Ops::new().await;
    ops.dispatch("once").await;
    ops.pull();
    let another = ["commit", "--quiet", "--amend", "-m", "another beginning"];
    ops.git(&[&["-c", "user.name=x", "-c", "user.email=x@example.invalid"], &another[..]].concat());
    ops.push_as(&api::admin(), "HEAD:main").unwrap();
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    let (code, printed) = ops.dispatch("once").await;
    assert_ne!(code, Some(0), "{printed}");
    assert_eq!(ops.launched(), Vec::<String>::new(), "{printed}");
}

#[tokio::test]
async fn a_link_in_an_actions_place_is_refused_though_it_was_approved() {
    let ops = Ops::new().await;
    ops.pull();
    ops.git(&["checkout", "--quiet", "-B", "links"]);
    ops.write("elsewhere.toml", &action("deploy-1"));
    std::fs::create_dir_all(ops.work().join("vault/actions")).unwrap();
    std::os::unix::fs::symlink("../../elsewhere.toml", ops.work().join(path("deploy-1"))).unwrap();
    let head = ops.commit("a link", &ops.crew.author);
    ops.push_as(&ops.crew.author.token, "HEAD:links").unwrap();
    let body = json!({ "title": "a link", "head": "links", "base": "main" });
    let opened = api::call(&ops.crew.author.token, Method::POST, &format!("/repos/{}/pulls", ops.name), body).await;
    let number = opened["number"].as_u64().unwrap();
    let pull = crate::ops::Pull { number, branch: "links".to_owned(), head };
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "not_a_plain_file", "is a symbolic link").await;
}

#[tokio::test]
async fn a_review_deleted_after_the_admission_stays_in_the_journal() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    let review = ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.admitted("deploy-1").await;
    let place = format!("/repos/{}/pulls/{}/reviews/{}", ops.name, pull.number, review["id"]);
    api::call(&ops.crew.first.token, Method::DELETE, &place, Value::Null).await;
    let (_, shown) = ops.dispatch("--output json show deploy-1").await;
    assert!(shown.contains(&ops.crew.first.login), "{shown}");
}

#[tokio::test]
async fn a_name_in_other_letters_and_a_nested_one_are_refused_though_they_were_approved() {
    let ops = Ops::new().await;
    let nested = "vault/actions/2026/deploy-1.toml";
    let pull = ops.request(&[(&path("Deploy-1"), &action("Deploy-1")), (nested, &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    let (code, printed) = ops.dispatch("once").await;
    assert_ne!(code, Some(2), "{printed}");
    assert_eq!(ops.launched(), Vec::<String>::new(), "{printed}");
}

#[tokio::test]
async fn a_request_of_another_repository_with_the_same_commit_proves_nothing_here() {
    let (ops, other) = (Ops::new().await, Ops::new().await);
    let pull = other.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    other.approve(&pull, &other.crew.first).await;
    other.merge(&pull, "squash").await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.refused("deploy-1", "no_pull_request", "without a pull request").await;
}
