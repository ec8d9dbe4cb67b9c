//! `dispatch request`: from the command to the result, and what is refused before anything is written.

use rustix::process::Signal;

use crate::child::until;
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
