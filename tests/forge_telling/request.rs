//! `dispatch request`: from the command to the result, and what is refused before anything is written.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::json;

use crate::child::{Running, until};
use crate::world::{World, says, stop};

fn open_requests(world: &World) -> usize {
    world.repository.must("GET", "/pulls?state=open", None).as_array().unwrap().len()
}

#[test]
fn a_request_is_followed_through_approval_and_merge_to_its_result() {
    let world = World::new();
    world.add("formulas/ship.sh", "echo \"shipped $DISPATCH_PARAM_TAG\"\n");
    world.add("formulas/ship.meta.toml", "[[params]]\nname = 'tag'\n");
    let (login, id) = (&world.approver.name, world.approver.id);
    let approval =
        format!("[approval]\nmode = 'pull_request'\nhigh.approvers = [{{ login = '{login}', id = {id} }}]\n");
    world.configure(&format!("{approval}[telling]\nstatuses = true\n"));
    let serving = world.serve();
    let line = ["request", "ship", "--context", "to see it", "--param", "tag=v1", "--id", "ship-1", "--wait"];
    let asking = world.start_as(&world.author, &line);
    says(&asking, "opened #1");
    world.approve(1);
    says(&asking, &format!("approved by {}", world.approver.name));
    world.merge(1);
    let ended = asking.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    for words in
        [&format!("needs     1 approval of: {login}"), &format!("merged by {login}"), "ship-1: succeeded", "succeeded"]
    {
        assert!(ended.said.contains(words), "{words}: {}", ended.said);
    }
    let shown = world.call("logs ship-1").said;
    assert!(shown.contains("shipped v1"), "{shown}");
    let again = world.start_as(&world.author, &line[..8]).end();
    assert_eq!(again.status.code(), Some(3), "an id is used once: {}", again.said);
    stop(serving);
}

#[test]
fn what_would_be_rejected_is_refused_before_anything_is_written() {
    let world = World::new();
    let refused = |arguments: &[&str], words: &str| {
        let line = [&["request"], arguments, &["--context", "x"]].concat();
        let ended = world.start_as(&world.author, &line).end();
        assert_eq!(ended.status.code(), Some(3), "{}", ended.said);
        assert!(ended.said.contains(words), "{}", ended.said);
    };
    refused(&["nothing"], "nothing");
    refused(&["hello", "--secret", "STOLEN"], "STOLEN");
    refused(&["hello", "--param", "colour=blue"], "colour");
    let printed = world.call("request hello --context why --id dry --dry-run");
    assert_eq!(printed.status.code(), Some(0), "{}", printed.said);
    assert!(printed.said.contains("id = \"dry\""), "{}", printed.said);
    assert_eq!(open_requests(&world), 0);
    let branches = world.repository.must("GET", "/branches", None);
    assert_eq!(branches.as_array().unwrap().len(), 1, "{branches}");
}

#[test]
fn one_that_is_closed_is_rejected_and_one_that_is_interrupted_stays_open() {
    let world = World::new();
    let asking = world.start_as(&world.author, &["request", "hello", "--context", "x", "--wait"]);
    says(&asking, "opened #1");
    asking.signal(Signal::INT);
    let ended = asking.end();
    assert_eq!(ended.status.code(), Some(130), "{}", ended.said);
    assert!(ended.said.contains("request #1 stays open"), "{}", ended.said);
    assert_eq!(open_requests(&world), 1);
    let asking = world.start_as(&world.author, &["request", "hello", "--context", "x", "--wait"]);
    says(&asking, "opened #2");
    let closed = serde_json::json!({ "state": "closed" });
    world.author.api.must("PATCH", &world.repository.path("/pulls/2"), Some(&closed));
    let ended = asking.end();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.said);
    assert!(ended.said.contains("closed without a merge"), "{}", ended.said);
    until("both are told apart", || (open_requests(&world) == 1).then_some(()));
}

/// A result that says of `id` that it succeeded, as a dispatcher would write it.
fn planted(id: &str) -> String {
    let result = json!({
        "id": id, "exit_code": 0, "timestamp": "2026-01-01T00:00:00Z", "logs": "", "schema": 1, "state": "succeeded",
        "reason": "succeeded", "message": "", "exit": 0, "action_blob": "1".repeat(40), "policies": [], "attempt": 1,
        "queued_at": null, "started_at": null, "finished_at": null, "dispatcher": { "version": "0.1.0", "host": "here" },
    });
    result.to_string()
}

/// The configuration of somebody on another machine: no journal, and the dispatcher's user by number.
fn elsewhere(world: &World) -> String {
    let text = fs::read_to_string(world.path("dispatch.toml")).unwrap();
    let text = text.replacen("/state'", "/elsewhere'", 1);
    let text = text.replace("[telling]\n", &format!("[telling]\nuser_id = {}\n", world.dispatcher.id));
    let file = world.path("elsewhere.toml");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// A request by somebody on another machine, of which `before` happens when it is open; it is approved and merged, and what came of
/// it is told.
fn followed(world: &World, config: &[&str], id: &str, before: impl Fn()) -> (Running, String) {
    let line = [config, &["request", "hello", "--context", "x", "--id", id, "--wait"]].concat();
    let asking = world.start_as(&world.author, &line);
    says(&asking, "opened #1");
    before();
    world.approve(1);
    (asking, world.merge(1))
}

fn plant(world: &World, id: &str) {
    let body = json!({ "content": STANDARD.encode(planted(id)), "message": "x", "branch": format!("dispatch/{id}") });
    let place = format!("/contents/vault/actions/{id}.result.json");
    world.author.api.must("POST", &world.repository.path(&place), Some(&body));
}

#[test]
fn a_result_that_came_with_the_request_is_not_taken_for_the_dispatchers() {
    let world = World::new();
    world.configure("[telling]\nstatuses = true\n");
    let serving = world.serve();
    let (asking, _) = followed(&world, &[], "planted-1", || plant(&world, "planted-1"));
    let ended = asking.end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    assert!(ended.said.contains("no dispatcher vouches for it"), "{}", ended.said);
    stop(serving);
}

#[test]
fn on_another_machine_the_status_of_the_dispatchers_own_user_vouches_for_a_result() {
    let world = World::new();
    world.configure("[telling]\nstatuses = true\n");
    let config = elsewhere(&world);
    let serving = world.serve();
    let (asking, _) = followed(&world, &["--config", &config], "honest-1", || {});
    let ended = asking.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    assert!(!world.path("elsewhere/journal.db").exists());
    stop(serving);
}

/// Any writer may tell any status of any commit.
#[test]
fn on_another_machine_the_status_of_somebody_else_vouches_for_nothing() {
    let world = World::new();
    world.configure("[telling]\nstatuses = true\n");
    let config = elsewhere(&world);
    let serving = world.serve();
    let (asking, merge) = followed(&world, &["--config", &config], "planted-1", || plant(&world, "planted-1"));
    let status = json!({ "state": "success", "context": "dispatch/run", "description": "planted-1: succeeded" });
    world.author.api.must("POST", &world.repository.path(&format!("/statuses/{merge}")), Some(&status));
    let ended = asking.end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    assert!(ended.said.contains("no dispatcher vouches for it"), "{}", ended.said);
    stop(serving);
}
