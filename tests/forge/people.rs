//! Attacks on who approved: the same person, the wrong person, somebody who is no longer who they were.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api;
use crate::crew::Somebody;
use crate::ops::{Ops, Pull, action, path};

async fn requested() -> (Ops, Pull) {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    (ops, pull)
}

#[tokio::test]
async fn nobody_approved() {
    let (ops, pull) = requested().await;
    ops.merge(&pull, "squash").await;
    let words = format!("needs 1 more approval by one of: {}, {}", ops.crew.first.login, ops.crew.second.login);
    ops.refused("deploy-1", "not_enough_approvals", &words).await;
}

#[tokio::test]
async fn before_the_merge_an_explanation_says_that_only_the_approval_is_missing() {
    let (ops, pull) = requested().await;
    let (code, printed) = ops.dispatch(&format!("explain deploy-1 --ref {}", pull.branch)).await;
    let words = "everything else holds; its approval is judged when a pull request brings it to main";
    assert!(code == Some(0) && printed.contains(words), "{printed}");
}

#[tokio::test]
async fn two_reviews_of_one_person_are_one() {
    let (ops, pull) = requested().await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.reconfigure("[approval.medium]\n", "[approval.medium]\napprovals = 2\n");
    let words = format!("needs 1 more approval by one of: {}", ops.crew.second.login);
    ops.refused("deploy-1", "not_enough_approvals", &words).await;
}

#[tokio::test]
async fn an_outsider_approved() {
    let (ops, pull) = requested().await;
    ops.approve(&pull, &ops.crew.outsider).await;
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approver_not_allowed", "may not approve medium").await;
}

#[tokio::test]
async fn the_approval_was_dismissed() {
    let (ops, pull) = requested().await;
    let review = ops.approve(&pull, &ops.crew.first).await;
    let dismissal = format!("/repos/{}/pulls/{}/reviews/{}/dismissals", ops.name, pull.number, review["id"]);
    api::call(&api::admin(), Method::POST, &dismissal, json!({ "message": "no" })).await;
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approval_withdrawn", "it was dismissed").await;
}

#[tokio::test]
async fn the_approver_asked_for_changes_afterwards() {
    let (ops, pull) = requested().await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.review(&pull, &ops.crew.first, "REQUEST_CHANGES", &pull.head).await;
    ops.review(&pull, &ops.crew.first, "COMMENT", &pull.head).await;
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approval_withdrawn", "it asks for changes").await;
}

/// The author of a commit is who it says.
#[tokio::test]
async fn whoever_pushed_under_somebody_elses_name_cannot_approve_it() {
    let ops = Ops::new().await;
    let mut pull = ops.request(&[("README.md", "an honest change\n")]).await;
    ops.push_more_as(&ops.crew.first, &mut pull, &[(&path("deploy-1"), &action("deploy-1"))]);
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    let words = format!("{} pushed to its branch, or sent it to another one", ops.crew.first.login);
    ops.refused("deploy-1", "approval_by_author", &words).await;
}

#[tokio::test]
async fn whoever_committed_a_part_of_it_cannot_approve_it() {
    let ops = Ops::new().await;
    let files = [(&*path("deploy-1"), &*action("deploy-1"))];
    let pull = ops.request_by(&ops.crew.author, &ops.crew.first, "main", &files).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approval_by_author", "wrote or committed a part of it").await;
}

/// A commit has an author and a committer; each of them alone is enough.
#[tokio::test]
async fn whoever_is_only_the_author_or_only_the_committer_of_a_commit_cannot_approve_it() {
    for only in ["AUTHOR", "COMMITTER"] {
        let ops = Ops::new().await;
        let mut pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
        let (mail, mine) = (ops.crew.first.mail(), ops.crew.author.mail());
        let (author, committer) = if only == "AUTHOR" { (&mail, &mine) } else { (&mine, &mail) };
        let (author, committer) = (format!("Somebody <{author}>"), format!("user.email={committer}"));
        let amend = ["commit", "--quiet", "--amend", "--no-edit", "--author", &author];
        ops.git(&[&["-c", "user.name=Somebody", "-c", &committer], &amend[..]].concat());
        pull.head = ops.git(&["rev-parse", "HEAD"]);
        ops.push_as(&ops.crew.author.token, &format!("HEAD:{}", pull.branch)).unwrap();
        ops.approve(&pull, &ops.crew.first).await;
        ops.merge(&pull, "squash").await;
        ops.refused("deploy-1", "approval_by_author", "wrote or committed a part of it").await;
    }
}

#[tokio::test]
async fn whoever_opened_it_cannot_approve_it_by_merging_it() {
    let ops = Ops::new().await;
    let files = [(&*path("deploy-1"), &*action("deploy-1"))];
    let pull = ops.request_by(&ops.crew.first, &ops.crew.author, "main", &files).await;
    let merge = format!("/repos/{}/pulls/{}/merge", ops.name, pull.number);
    api::until("merged by who opened it", || async {
        api::ask(&ops.crew.first.token, Method::POST, &merge, Some(json!({ "Do": "squash" }))).await.0 == 200
    })
    .await;
    ops.configure("merged_by_counts = true");
    ops.refused("deploy-1", "not_enough_approvals", "opened the pull request").await;
}

#[tokio::test]
async fn a_commit_that_the_reviewer_made_up() {
    let (ops, pull) = requested().await;
    let elsewhere = ops.git(&["rev-parse", "main"]);
    ops.review(&pull, &ops.crew.first, "APPROVED", &elsewhere).await;
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approval_elsewhere", "is no commit of pull request").await;
}

#[tokio::test]
async fn approvals_are_found_on_the_last_of_many_pages() {
    let (ops, pull) = requested().await;
    let comments: Vec<u32> = (0..55).collect();
    for _ in comments {
        ops.review(&pull, &ops.crew.outsider, "COMMENT", &pull.head).await;
    }
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.admitted("deploy-1").await;
}

#[tokio::test]
async fn an_approval_that_is_withdrawn_on_the_last_of_many_pages_does_not_count() {
    let (ops, pull) = requested().await;
    ops.approve(&pull, &ops.crew.first).await;
    let comments: Vec<u32> = (0..55).collect();
    for _ in comments {
        ops.review(&pull, &ops.crew.outsider, "COMMENT", &pull.head).await;
    }
    ops.review(&pull, &ops.crew.first, "REQUEST_CHANGES", &pull.head).await;
    ops.merge(&pull, "squash").await;
    ops.refused("deploy-1", "approval_withdrawn", "it asks for changes").await;
}

/// A configuration in which this user may approve, and not the crew's first approver.
fn configure_for(ops: &Ops, login: &str, id: i64) {
    let first = &ops.crew.first;
    ops.reconfigure(&format!("login = '{}', id = {}", first.login, first.id), &format!("login = '{login}', id = {id}"));
}

#[tokio::test]
async fn an_approver_was_renamed_and_somebody_else_took_the_name() {
    let (ops, pull) = requested().await;
    let name = format!("trusted-{}", std::process::id());
    let trusted = Somebody::named(&name).await;
    let renamed = json!({ "new_username": format!("{name}-former") });
    api::call(&api::admin(), Method::POST, &format!("/admin/users/{name}/rename"), renamed).await;
    api::call(&api::admin(), Method::PATCH, &format!("/admin/users/{name}-former"), mail(&name)).await;
    let impostor = Somebody::named(&name).await;
    ops.collaborator(&impostor, "write").await;
    ops.approve(&pull, &impostor).await;
    ops.merge(&pull, "squash").await;
    configure_for(&ops, &name, trusted.id);
    let words = format!("ALARM: {name} is user {} now", impostor.id);
    ops.refused("deploy-1", "approver_changed", &words).await;
}

#[tokio::test]
async fn an_approver_who_was_renamed_is_asked_about() {
    let (ops, pull) = requested().await;
    let name = format!("renamed-{}", std::process::id());
    let trusted = Somebody::named(&name).await;
    ops.collaborator(&trusted, "write").await;
    ops.approve(&pull, &trusted).await;
    let renamed = json!({ "new_username": format!("{name}-now") });
    api::call(&api::admin(), Method::POST, &format!("/admin/users/{name}/rename"), renamed).await;
    ops.merge(&pull, "squash").await;
    configure_for(&ops, &name, trusted.id);
    let words = format!("ALARM: user {} is called {name}-now now", trusted.id);
    ops.refused("deploy-1", "approver_changed", &words).await;
}

/// Frees the e-mail of a user that was renamed.
fn mail(name: &str) -> Value {
    json!({ "login_name": format!("{name}-former"), "source_id": 0, "email": format!("{name}-former@example.invalid") })
}

#[tokio::test]
async fn a_deleted_approver_is_nobody() {
    let (ops, pull) = requested().await;
    let gone = Somebody::new("gone").await;
    ops.collaborator(&gone, "write").await;
    ops.approve(&pull, &gone).await;
    ops.merge(&pull, "squash").await;
    api::call(&api::admin(), Method::DELETE, &format!("/admin/users/{}?purge=false", gone.login), Value::Null).await;
    configure_for(&ops, &gone.login, gone.id);
    ops.refused("deploy-1", "not_enough_approvals", "a deleted user's").await;
}
