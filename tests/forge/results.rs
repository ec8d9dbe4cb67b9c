//! Attacks on results: planted, edited and deleted ones, by requests that were approved.

use crate::ops::{Ops, action, path};

const PLACE: &str = "vault/actions/deploy-1.result.json";

/// An action that ran.
async fn ran() -> Ops {
    let ops = Ops::new().await;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.admitted("deploy-1").await;
    ops
}

#[tokio::test]
async fn a_planted_result_stops_an_action_and_does_not_make_it_look_done_by_us() {
    let ops = Ops::new().await;
    let planted = r#"{"id":"deploy-1","exit_code":0,"timestamp":"2026-01-01T00:00:00Z","logs":""}"#;
    let pull = ops.request(&[(&path("deploy-1"), &action("deploy-1")), (PLACE, planted)]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.dispatch("once").await;
    let said = ops.explain("deploy-1").await;
    assert_eq!((said.verdict.as_str(), said.reason.as_str()), ("set_aside", "foreign_result"), "{}", said.all);
    assert_eq!(ops.launched(), Vec::<String>::new());
}

#[tokio::test]
async fn an_edited_result_does_not_make_it_run_again_and_shows_as_somebody_elses() {
    let ops = ran().await;
    let edited = r#"{"id":"deploy-1","exit_code":1,"timestamp":"2026-01-01T00:00:00Z","logs":"run me again"}"#;
    let pull = ops.request(&[(PLACE, edited)]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    let (_, printed) = ops.dispatch("once").await;
    let (_, shown) = ops.dispatch("show deploy-1").await;
    assert_eq!(ops.launched(), ["deploy-1"], "{printed}");
    assert!(shown.contains("succeeded") && !shown.contains("run me again"), "{shown}");
    assert!(shown.contains("a result that this journal does not know"), "{shown}");
}

#[tokio::test]
async fn a_deleted_result_does_not_make_it_run_again() {
    let ops = ran().await;
    ops.pull();
    ops.git(&["rm", "--quiet", PLACE]);
    ops.commit("there was no such run", &ops.crew.writer);
    ops.push_as(&ops.crew.writer.token, "HEAD:main").unwrap();
    let (_, printed) = ops.dispatch("once").await;
    let (_, shown) = ops.dispatch("show deploy-1").await;
    assert_eq!(ops.launched(), ["deploy-1"], "{printed}");
    assert!(shown.contains("succeeded"), "{shown}");
}
