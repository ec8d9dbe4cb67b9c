//! Which policy counts, from where on, and that what was seen of its approval outlives the reviews.

use reqwest::Method;
use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;
use serde_json::Value;

use crate::api;
use crate::child::Running;
use crate::ops::{Ops, POLICY, Pull, action, path};
use crate::proxy::{Fault, Proxy};

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

/// An action of the formula that the first policy calls low.
fn echo(id: &str) -> String {
    action(id).replace("formula = \"deploy\"", "formula = \"echo\"")
}

/// Takes the policy out of the history; answers the first commit, which has none now.
fn without_policy(ops: &Ops) -> String {
    ops.pull();
    ops.git(&["rm", "--quiet", "vault/policy.toml"]);
    let amend = ["commit", "--quiet", "--amend", "-m", "the rules, and no policy"];
    ops.git(&[&["-c", "user.name=x", "-c", "user.email=x@example.invalid"], &amend[..]].concat());
    ops.push_as(&api::admin(), "HEAD:main").unwrap();
    ops.git(&["rev-parse", "HEAD"])
}

#[tokio::test]
async fn the_first_one_after_a_root_without_any_has_no_effect_unless_it_was_approved() {
    let ops = Ops::new().await;
    let root = without_policy(&ops);
    ops.configure(&format!("trust_root = '{root}'"));
    ops.push_directly(&[("vault/policy.toml", LAX)]);
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.refused("deploy-1", "no_pull_request", "the change of vault/policy.toml in").await;
    let said = ops.explain("deploy-1").await;
    assert!(said.all.contains(&format!("there was no vault/policy.toml in {}", &root[..10])), "{}", said.all);
}

#[tokio::test]
async fn the_first_one_after_a_root_without_any_counts_when_it_was_approved() {
    let ops = Ops::new().await;
    let root = without_policy(&ops);
    ops.configure(&format!("trust_root = '{root}'"));
    relaxed(&ops).await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.admitted("deploy-1").await;
}

#[tokio::test]
async fn on_a_line_without_the_root_nothing_is_believed() {
    let ops = Ops::new().await;
    let elsewhere = ops.request(&[("README.md", "never merged\n")]).await;
    ops.configure(&format!("trust_root = '{}'", elsewhere.head));
    ops.push_directly(&[(&path("echo-1"), &echo("echo-1"))]);
    let (_, printed) = ops.dispatch("once").await;
    let said = ops.explain("echo-1").await;
    assert_eq!((said.verdict.as_str(), said.reason.as_str()), ("waiting", "evidence_unavailable"), "{}", said.all);
    assert!(said.all.contains(&format!("the trust root {}", &elsewhere.head[..10])), "{}", said.all);
    assert_eq!(ops.launched(), Vec::<String>::new(), "{printed}");
}

/// In which `echo` is not low any more.
const TIGHT: &str = "[tiers]\necho = \"high\"\ndeploy = \"medium\"\n";

fn wait(ops: &Ops, from: u32, to: u32) {
    ops.reconfigure(&format!("request_wait_seconds = {from}"), &format!("request_wait_seconds = {to}"));
}

#[tokio::test]
async fn an_action_waits_while_the_forge_does_not_name_the_request_that_tightened_the_policy_before_it() {
    let (ops, proxy) = (Ops::new().await, Proxy::new().await);
    ops.configure_at(&proxy.url, "");
    wait(&ops, 2, 600);
    let pull = ops.request(&[("vault/policy.toml", TIGHT)]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    proxy.set(Fault::NotYet);
    ops.push_directly(&[(&path("echo-1"), &echo("echo-1"))]);
    let (_, printed) = ops.dispatch("once").await;
    let said = ops.explain("echo-1").await;
    assert_eq!((said.verdict.as_str(), said.reason.as_str()), ("waiting", "evidence_unavailable"), "{}", said.all);
    assert!(said.all.contains("waits for the forge to name the request of"), "{}", said.all);
    assert_eq!(ops.launched(), Vec::<String>::new(), "{printed}");
    proxy.set(Fault::None);
    wait(&ops, 600, 2);
    ops.refused("echo-1", "no_pull_request", &format!("pull request #{}, approved by", pull.number)).await;
}

/// Whether the journal holds an event of this kind.
fn is_kept(ops: &Ops, kind: &str) -> bool {
    let file = ops.folder.path().join("state/journal.db");
    let Ok(journal) = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY) else { return false };
    journal.query_row("SELECT count(*) FROM events WHERE kind = ?1", [kind], |row| row.get(0)).is_ok_and(|n: i64| n > 0)
}

#[tokio::test]
async fn a_dispatcher_that_looked_before_the_forge_named_its_request_looks_again_and_keeps_the_approval() {
    let (ops, proxy) = (Ops::new().await, Proxy::new().await);
    ops.configure_at(&proxy.url, "");
    wait(&ops, 2, 600);
    let change = relaxed(&ops).await;
    proxy.set(Fault::NotYet);
    let serving = Running::start(ops.command("run"), ops.folder.path().join("run.log"));
    api::until("the dispatcher has looked", || async { proxy.put_off() > 0 }).await;
    assert!(!is_kept(&ops, "policy_approved"), "{}", serving.said());
    proxy.set(Fault::None);
    api::until("the approval is kept", || async { is_kept(&ops, "policy_approved") }).await;
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().status.code(), Some(0));
    delete(&ops, &change).await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.admitted("deploy-1").await;
}

/// It was seen approved: that the forge does not name its request any more takes nothing back.
#[tokio::test]
async fn one_that_was_seen_approved_counts_also_when_the_forge_has_forgotten_its_request() {
    let (ops, proxy) = (Ops::new().await, Proxy::new().await);
    ops.configure_at(&proxy.url, "");
    let pull = ops.request(&[("vault/policy.toml", TIGHT)]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.dispatch("once").await;
    proxy.set(Fault::NotYet);
    ops.push_directly(&[(&path("echo-1"), &echo("echo-1"))]);
    ops.refused("echo-1", "no_pull_request", "as was seen when the forge still named the request").await;
}

/// Every call of the binary is a dispatcher that has just been started.
#[tokio::test]
async fn one_that_nobody_approved_makes_actions_wait_once_and_not_after_every_start() {
    let ops = Ops::new().await;
    ops.push_directly(&[("vault/policy.toml", TIGHT), (&path("echo-1"), &echo("echo-1"))]);
    ops.push_directly(&[(&path("echo-2"), &echo("echo-2"))]);
    ops.decided("echo-2").await;
    assert!(ops.launched().contains(&"echo-2".to_owned()));
    ops.push_directly(&[(&path("echo-3"), &echo("echo-3"))]);
    ops.admitted("echo-3").await;
}

/// The request shows the line that it adds, and not the one that stands there already and that nobody approved.
#[tokio::test]
async fn one_that_was_approved_on_top_of_a_change_that_nobody_approved_has_no_effect() {
    let ops = Ops::new().await;
    ops.push_directly(&[("vault/policy.toml", LAX)]);
    let pull = ops.request(&[("vault/policy.toml", &format!("{LAX}backup = \"medium\"\n"))]).await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "squash").await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.refused("deploy-1", "no_pull_request", "it was made on top of a version that nobody approved").await;
}

#[tokio::test]
async fn one_that_was_approved_counts_after_the_version_that_nobody_approved_was_put_back() {
    let ops = Ops::new().await;
    ops.push_directly(&[("vault/policy.toml", TIGHT)]);
    let back = ops.request(&[("vault/policy.toml", POLICY)]).await;
    ops.approve(&back, &ops.crew.first).await;
    ops.merge(&back, "squash").await;
    relaxed(&ops).await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    let said = ops.decided("deploy-1").await;
    assert!(ops.launched().contains(&"deploy-1".to_owned()), "{}", said.all);
}

#[tokio::test]
async fn one_that_was_pushed_out_of_a_closed_request_has_no_effect() {
    for style in ["squash", "fast-forward-only"] {
        let ops = Ops::new().await;
        let pull = ops.half_pushed("vault/policy.toml", LAX).await;
        ops.approve(&pull, &ops.crew.first).await;
        ops.merge(&pull, style).await;
        ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
        ops.refused("deploy-1", "no_pull_request", "the change of vault/policy.toml in").await;
    }
}

#[tokio::test]
async fn one_that_was_seen_before_the_request_was_merged_that_is_said_to_have_brought_it_has_no_effect() {
    let ops = Ops::new().await;
    let pull = ops.request(&[("vault/policy.toml", LAX), ("README.md", "an honest change\n")]).await;
    let first = ops.git(&["rev-parse", &format!("{}^", pull.head)]);
    ops.push_as(&ops.crew.writer.token, &format!("{first}:main")).unwrap();
    ops.dispatch("once").await;
    ops.approve(&pull, &ops.crew.first).await;
    ops.merge(&pull, "fast-forward-only").await;
    ops.push_directly(&[(&path("deploy-1"), &action("deploy-1"))]);
    ops.refused("deploy-1", "no_pull_request", "vault/policy.toml was seen on the primary branch in").await;
}
