//! Attacks on the way to the primary branch: pushes beside the request, other branches and repositories, marks by hand, history.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api;
use crate::ops::{Ops, Pull, action, path};

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

/// The request is closed while its first commit is pushed: once it is open again its page shows the second one alone, which is what
/// gets approved, and the forge still lists both as its own.
#[tokio::test]
async fn pushed_out_of_a_closed_request_that_is_opened_again_and_approved_for_the_rest() {
    // Whether the forge has looked for the fork once more before a fast forward is a matter of time; the words differ by that.
    for style in ["squash", "merge", "fast-forward-only"] {
        let ops = Ops::new().await;
        let pull = ops.half_pushed(&path("deploy-1"), &action("deploy-1")).await;
        ops.approve(&pull, &ops.crew.first).await;
        ops.merge(&pull, style).await;
        ops.refused("deploy-1", "bytes_not_of_request", &format!("pull request #{} was", pull.number)).await;
    }
}

/// The bytes were there before the request was merged, whatever the forge tells of what happened to it.
#[tokio::test]
async fn seen_on_the_primary_branch_before_the_request_was_merged_that_is_said_to_have_brought_it() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1")), ("README.md", "an honest change\n")]).await;
    let first = ops.git(&["rev-parse", &format!("{}^", pull.head)]);
    ops.push_as(&ops.crew.writer.token, &format!("{first}:main")).unwrap();
    ops.dispatch("once").await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "fast-forward-only").await;
    ops.refused("deploy-1", "bytes_not_of_request", &format!("in {}, before pull request", &first[..10])).await;
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

/// An action that an approved request brought to a side branch.
async fn on_a_side_branch(ops: &Ops) {
    ops.pull();
    ops.push_as(&ops.crew.author.token, "HEAD:side").unwrap();
    let files = [(&*path("deploy-1"), &*action("deploy-1"))];
    let first = ops.request_by(&ops.crew.author, &ops.crew.author, "side", &files).await;
    ops.approve(&first, &ops.crew.first).await;
    ops.merge(&first, "merge").await;
}

/// A request that brings the side branch to the primary one, as far as it is opened.
async fn from_the_side(ops: &Ops) -> Pull {
    let token = &ops.crew.author.token;
    let body = json!({ "title": "from the side", "head": "side", "base": "main" });
    let opened = api::call(token, Method::POST, &format!("/repos/{}/pulls", ops.name), body).await;
    let head = opened["head"]["sha"].as_str().unwrap().to_owned();
    Pull { number: opened["number"].as_u64().unwrap(), branch: "side".to_owned(), head }
}

/// What was approved for the side branch was not approved to run.
#[tokio::test]
async fn merged_into_a_side_branch_that_a_second_request_brings_to_the_primary_one_unapproved() {
    for style in ["squash", "merge"] {
        let ops = Ops::new().await;
        on_a_side_branch(&ops).await;
        let second = from_the_side(&ops).await;
        ops.merge(&second, style).await;
        ops.refused("deploy-1", "not_enough_approvals", &format!("pull request #{} needs", second.number)).await;
    }
}

/// Both left the same commit, and the forge names the first one, which went elsewhere: the second is found among those that are
/// closed.
#[tokio::test]
async fn of_two_requests_that_share_a_commit_the_one_into_the_primary_branch_decides() {
    for approved in ["", "by the second request"] {
        let ops = Ops::new().await;
        on_a_side_branch(&ops).await;
        let second = from_the_side(&ops).await;
        if !approved.is_empty() {
            ops.approve(&second, &ops.crew.second).await;
        }
        ops.merge(&second, "fast-forward-only").await;
        let said = ops.explain("deploy-1").await;
        assert!(said.all.contains("into side, which is not the primary branch"), "{}", said.all);
        if approved.is_empty() {
            ops.refused("deploy-1", "not_enough_approvals", &format!("pull request #{} needs", second.number)).await;
        } else {
            ops.admitted("deploy-1").await;
        }
    }
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

/// The forge calls the approval neither stale nor unofficial; the bytes are those that were approved, for a branch on which nothing runs.
#[tokio::test]
async fn approved_for_another_base_and_then_only_retargeted() {
    let ops = Ops::new().await;
    ops.protect(1).await;
    ops.pull();
    ops.push_as(&ops.crew.author.token, "HEAD:side").unwrap();
    let files = [(&*path("deploy-1"), &*action("deploy-1"))];
    let pull = ops.request_by(&ops.crew.author, &ops.crew.author, "side", &files).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.edit(&pull, &ops.crew.author, json!({ "base": "main" })).await;
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approval_for_other_branch", "when the pull request went to side").await;
}

#[tokio::test]
async fn approved_again_after_it_was_retargeted() {
    let ops = Ops::new().await;
    ops.pull();
    ops.push_as(&ops.crew.author.token, "HEAD:side").unwrap();
    let files = [(&*path("deploy-1"), &*action("deploy-1"))];
    let pull = ops.request_by(&ops.crew.author, &ops.crew.author, "side", &files).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.edit(&pull, &ops.crew.author, json!({ "base": "main" })).await;
    ops.approve(&pull, &ops.crew.second).await;
    ops.merge(&pull, "squash").await;
    ops.admitted("deploy-1").await;
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
    let said = ops.explain("deploy-1").await;
    assert_eq!((said.verdict.as_str(), said.reason.as_str()), ("waiting", "history_rewritten"), "{}", said.all);
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

/// The same commit, which the forge maps to the request of a fork, and not here.
#[tokio::test]
async fn a_request_of_another_repository_that_brought_the_same_commit_proves_nothing_here() {
    let ops = Ops::new().await;
    let author = &ops.crew.author;
    let fork = json!({ "name": format!("fork-of-{}", ops.name.replace('/', "-")) });
    let made = api::call(&author.token, Method::POST, &format!("/repos/{}/forks", ops.name), fork).await;
    let fork = made["full_name"].as_str().unwrap().to_owned();
    for who in [&ops.crew.first, &ops.crew.writer] {
        let place = format!("/repos/{fork}/collaborators/{}", who.login);
        api::call(&author.token, Method::PUT, &place, json!({ "permission": "write" })).await;
    }
    let base = ops.pull();
    ops.write(&path("deploy-1"), &action("deploy-1"));
    let head = ops.commit("in the fork", author);
    let there = format!("{}/{fork}.git", api::url().replace("://", &format!("://x:{}@", author.token)));
    ops.git(&["push", "--quiet", &there, &format!("{base}:main"), "HEAD:request"]);
    let body = json!({ "title": "a request", "head": "request", "base": "main" });
    // The forge learns of the branch some time after the push.
    let pulls = format!("/repos/{fork}/pulls");
    api::until("opened in the fork", || async {
        api::ask(&author.token, Method::POST, &pulls, Some(body.clone())).await.0 == 201
    })
    .await;
    let request = format!("{pulls}/1");
    let approval = json!({ "event": "APPROVED", "commit_id": head });
    api::call(&ops.crew.first.token, Method::POST, &format!("{request}/reviews"), approval).await;
    api::until("merged in the fork", || async {
        let how = json!({ "Do": "merge" });
        api::ask(&ops.crew.writer.token, Method::POST, &format!("{request}/merge"), Some(how)).await.0 == 200
    })
    .await;
    ops.git(&["fetch", "--quiet", &there, "main"]);
    ops.push_as(&ops.crew.writer.token, "FETCH_HEAD:main").unwrap();
    ops.refused("deploy-1", "no_pull_request", "without a pull request").await;
}
