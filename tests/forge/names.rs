//! Attacks on the name of an action and on its place in the tree: one id twice, letters of another case, what is no plain file.

use reqwest::Method;
use serde_json::json;

use crate::api;
use crate::ops::{Ops, Pull, action, path};

/// Opens a request with what was staged in the clone, approves and merges it.
async fn approve_and_merge(ops: &Ops, branch: &str) {
    let head = ops.commit(branch, &ops.crew.author);
    ops.push_as(&ops.crew.author.token, &format!("HEAD:{branch}")).unwrap();
    let body = json!({ "title": branch, "head": branch, "base": "main" });
    let opened = api::call(&ops.crew.author.token, Method::POST, &format!("/repos/{}/pulls", ops.name), body).await;
    let pull = Pull { number: opened["number"].as_u64().unwrap(), branch: branch.to_owned(), head };
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
}

#[tokio::test]
async fn a_link_in_an_actions_place_is_refused_though_it_was_approved() {
    let ops = Ops::new().await;
    ops.pull();
    ops.git(&["checkout", "--quiet", "-B", "links"]);
    ops.write("elsewhere.toml", &action("deploy-1"));
    std::fs::create_dir_all(ops.work().join("vault/actions")).unwrap();
    std::os::unix::fs::symlink("../../elsewhere.toml", ops.work().join(path("deploy-1"))).unwrap();
    approve_and_merge(&ops, "links").await;
    ops.refused("deploy-1", "not_a_plain_file", "is a symbolic link").await;
}

#[tokio::test]
async fn a_submodule_in_an_actions_place_is_refused_though_it_was_approved() {
    let ops = Ops::new().await;
    let commit = ops.pull();
    ops.git(&["checkout", "--quiet", "-B", "modules"]);
    let place = format!("160000,{commit},{}", path("deploy-1"));
    ops.git(&["update-index", "--add", "--cacheinfo", &place]);
    std::fs::create_dir_all(ops.work().join(path("deploy-1"))).unwrap();
    approve_and_merge(&ops, "modules").await;
    ops.refused("deploy-1", "not_a_plain_file", "submodule").await;
}

#[tokio::test]
async fn a_nested_one_and_one_in_other_letters_are_refused_though_they_were_approved() {
    let ops = Ops::new().await;
    let nested = "vault/actions/2026/deploy-1.toml";
    let pull = ops.request(&[(&path("Deploy-1"), &action("Deploy-1")), (nested, &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    let (_, printed) = ops.dispatch("once").await;
    ops.pull();
    let result = std::fs::read_to_string(ops.work().join("vault/actions/Deploy-1.result.json")).unwrap();
    assert!(result.contains("\"reason\": \"invalid_value\""), "{result}");
    assert!(printed.contains("it stands deeper than one level path=vault/actions/2026/deploy-1.toml"), "{printed}");
    assert_eq!(ops.launched(), Vec::<String>::new());
}

#[tokio::test]
async fn the_id_of_one_that_ran_in_other_letters_is_not_run() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.admitted("deploy-1").await;
    let again = ops.request(&[(&path("DEPLOY-1"), &action("DEPLOY-1"))]).await;
    ops.approve(&again, &ops.crew.first).await;
    ops.merge(&again, "squash").await;
    ops.dispatch("once").await;
    let (_, status) = ops.dispatch("--output json status").await;
    assert!(status.contains("DEPLOY-1") && status.contains("id_case_collision"), "{status}");
    assert_eq!(ops.launched(), ["deploy-1"]);
}

#[tokio::test]
async fn an_id_that_two_requests_bring_at_the_same_time_runs_once_and_with_the_bytes_that_came_first() {
    let ops = Ops::new().await;
    let other = action("deploy-1") + "priority = 7\n";
    let (one, two) = (
        ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await,
        ops.request(&[(&path("deploy-1"), &other)]).await,
    );
    ops.approve(&one, &ops.crew.first).await;
    ops.approve(&two, &ops.crew.second).await;
    let merge = |pull: &Pull| {
        let path = format!("/repos/{}/pulls/{}/merge", ops.name, pull.number);
        async move { api::ask(&ops.crew.writer.token, Method::POST, &path, Some(json!({ "Do": "squash" }))).await.0 }
    };
    let merged = std::sync::Mutex::new(Vec::new());
    api::until("one of them merged", || async {
        let both = tokio::join!(merge(&one), merge(&two));
        merged.lock().unwrap().extend([both.0, both.1]);
        both.0 == 200 || both.1 == 200
    })
    .await;
    let merged = merged.lock().unwrap().iter().filter(|status| **status == 200).count();
    assert_eq!(merged, 1, "the other one conflicts");
    ops.admitted("deploy-1").await;
    ops.dispatch("once").await;
    assert_eq!(ops.launched(), ["deploy-1"], "once");
}

#[tokio::test]
async fn an_id_that_two_requests_bring_with_the_same_bytes_runs_once() {
    let ops = Ops::new().await;
    let files = [(&*path("deploy-1"), &*action("deploy-1"))];
    let (one, two) = (ops.request(&files).await, ops.request(&files).await);
    ops.approve(&one, &ops.crew.first).await;
    ops.approve(&two, &ops.crew.first).await;
    tokio::join!(ops.merge(&one, "merge"), ops.merge(&two, "merge"));
    ops.admitted("deploy-1").await;
    ops.dispatch("once").await;
    assert_eq!(ops.launched(), ["deploy-1"], "once");
}

#[tokio::test]
async fn a_second_request_for_an_id_that_ran_is_set_aside() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.admitted("deploy-1").await;
    let again = ops.request(&[(&path("deploy-1"), &(action("deploy-1") + "priority = 7\n"))]).await;
    ops.approve(&again, &ops.crew.first).await;
    ops.merge(&again, "squash").await;
    let (_, printed) = ops.dispatch("once").await;
    assert_eq!(ops.launched(), ["deploy-1"], "{printed}");
    let said = ops.explain("deploy-1").await;
    assert!(said.all.contains("id_already_used"), "{}", said.all);
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
