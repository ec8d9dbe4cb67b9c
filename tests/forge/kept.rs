//! What was seen of an approval while its action waited for something else: the forge may lose it in the meantime. In each scenario
//! the action depends on another one, which comes only after that.

use reqwest::Method;
use rustix::process::Signal;
use serde_json::Value;

use crate::api;
use crate::child::Running;
use crate::ops::{Ops, Pull, action, path};

/// An action that is approved, merged, and looked at by a dispatcher while what it depends on is not there. Its request and its
/// review.
async fn waiting() -> (Ops, Pull, Value) {
    let ops = Ops::new().await;
    let dependent = format!("{}depends_on = [\"echo-1\"]\n", action("deploy-1"));
    let pull = ops.request(&[(&path("deploy-1"), &dependent)]).await;
    let review = ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.dispatch("once").await;
    let said = ops.explain("deploy-1").await;
    assert_eq!((said.verdict.as_str(), said.reason.as_str()), ("waiting", "dependency_pending"), "{}", said.all);
    (ops, pull, review)
}

async fn delete(ops: &Ops, pull: &Pull, review: &Value) {
    let place = format!("/repos/{}/pulls/{}/reviews/{}", ops.name, pull.number, review["id"]);
    api::call(&ops.crew.first.token, Method::DELETE, &place, Value::Null).await;
}

fn echo() -> String {
    action("echo-1").replace("\"deploy\"", "\"echo\"")
}

/// What it depends on comes, runs, and then its own turn has come.
async fn the_other_one_runs(ops: &Ops) {
    ops.push_directly(&[(&path("echo-1"), &echo())]);
    ops.admitted("echo-1").await;
    ops.dispatch("once").await;
}

#[tokio::test]
async fn its_review_is_deleted_while_it_waits() {
    let (ops, pull, review) = waiting().await;
    delete(&ops, &pull, &review).await;
    let said = ops.explain("deploy-1").await;
    assert!(said.all.contains("counts as it was seen; the review was deleted since"), "{}", said.all);
    the_other_one_runs(&ops).await;
    assert_eq!(ops.launched(), ["echo-1", "deploy-1"]);
    let (code, printed) = ops.dispatch("audit verify").await;
    assert_eq!(code, Some(0), "{printed}");
}

/// What it depends on comes by another request, which is then the next one on the line.
#[tokio::test]
async fn the_whole_request_is_deleted_while_it_waits() {
    let (ops, pull, _) = waiting().await;
    let place = format!("/repos/{}/issues/{}", ops.name, pull.number);
    api::call(&api::admin(), Method::DELETE, &place, Value::Null).await;
    let said = ops.explain("deploy-1").await;
    assert!(said.all.contains("as was seen when the forge still had it"), "{}", said.all);
    let other = ops.request(&[(&path("echo-1"), &echo())]).await;
    ops.merge(&other, "squash").await;
    ops.admitted("echo-1").await;
    ops.dispatch("once").await;
    assert_eq!(ops.launched(), ["echo-1", "deploy-1"]);
}

/// Between two looks: it stands there as it did, and came another way.
#[tokio::test]
async fn it_is_taken_away_and_pushed_again_while_it_waits() {
    let (ops, _, _) = waiting().await;
    ops.pull();
    ops.git(&["rm", "--quiet", &path("deploy-1")]);
    ops.commit("taken away", &ops.crew.writer);
    ops.git(&["checkout", "--quiet", "HEAD^", "--", &path("deploy-1")]);
    ops.commit("and put back", &ops.crew.writer);
    ops.push_as(&ops.crew.writer.token, "HEAD:main").unwrap();
    ops.refused("deploy-1", "no_pull_request", "without a pull request that was merged into it").await;
}

#[tokio::test]
async fn its_review_is_deleted_before_another_attempt() {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    let review = ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    let serving = Running::start(ops.command("run"), ops.folder.path().join("run.log"));
    let over = || async { ops.dispatch("show deploy-1").await.1.contains("published") };
    api::until("it is over", over).await;
    delete(&ops, &pull, &review).await;
    let (code, printed) = ops.dispatch("retry deploy-1").await;
    assert_eq!(code, Some(0), "{printed}");
    api::until("it has run again", || async { ops.launched() == ["deploy-1", "deploy-1"] }).await;
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().status.code(), Some(0));
}
