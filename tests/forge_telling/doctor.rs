//! What `dispatch doctor` finds of a real forge, and which start is refused for it.

use std::fs;

use crate::child::Ended;
use crate::testbed::{Permission, User};
use crate::world::World;

/// Approval by pull request, by one who is who the config says, unless `approvers` says otherwise.
fn approving(world: &World, approvers: &str, more: &str) {
    let right = format!("{{ login = '{}', id = {} }}", world.approver.name, world.approver.id);
    let approvers = if approvers.is_empty() { right.as_str() } else { approvers };
    world.configure(&format!("[approval]\nmode = 'pull_request'\nhigh.approvers = [{approvers}]\n{more}"));
}

/// Lets the config read the forge as `user`.
fn reading_as(world: &World, user: &User) {
    fs::write(world.path("reader.token"), &user.api.token).unwrap();
    let text = fs::read_to_string(world.path("dispatch.toml")).unwrap();
    let (ours, theirs) = ("[forge]\ntoken_env = 'DISPATCHER'", "[forge]\ntoken_file = 'reader.token'");
    assert!(text.contains(ours), "{text}");
    fs::write(world.path("dispatch.toml"), text.replace(ours, theirs)).unwrap();
}

fn finds(world: &World, words: &[&str]) -> Ended {
    let found = world.call("doctor");
    for words in words {
        assert!(found.said.contains(words), "{words}: {}", found.said);
    }
    found
}

#[test]
fn a_start_is_refused_while_the_branch_is_open_where_the_config_asks_for_protection() {
    let world = World::new();
    let reader = world.repository.user("reader", Permission::Read, &["read:repository", "read:issue", "read:user"]);
    approving(&world, "", "require_protection = true\n");
    reading_as(&world, &reader);
    let open = "it is not protected: every writer may push to it";
    assert_ne!(finds(&world, &[open]).status.code(), Some(0));
    let refused = world.call("once");
    assert!(refused.status.code() != Some(0) && refused.said.contains(open), "{}", refused.said);
    let rule = serde_json::json!({ "rule_name": "main", "enable_push": true, "required_approvals": 0 });
    world.repository.must("POST", "/branch_protections", Some(&rule));
    finds(&world, &["it is protected, and a merge needs no approval"]);
    world.repository.must("PATCH", "/branch_protections/main", Some(&serde_json::json!({ "required_approvals": 2 })));
    let found = finds(&world, &["a merge needs 2 approvals"]);
    assert_eq!(found.status.code(), Some(0), "{}", found.said);
    let begun = world.call("once");
    assert_eq!(begun.status.code(), Some(0), "{}", begun.said);
}

#[test]
fn an_open_branch_alone_stops_no_start_where_the_config_does_not_ask_for_protection() {
    let world = World::new();
    approving(&world, "", "");
    finds(&world, &["it is not protected: every writer may push to it"]);
    let begun = world.call("once");
    assert_eq!(begun.status.code(), Some(0), "{}", begun.said);
}

#[test]
fn a_token_that_may_not_read_what_happened_to_requests_is_named() {
    let world = World::new();
    let reader = world.repository.user("reader", Permission::Read, &["read:repository", "read:user"]);
    approving(&world, "", "");
    reading_as(&world, &reader);
    let found =
        finds(&world, &["forge: scope for what happened to requests", "read:issue", "docs/forge.md names the scopes"]);
    assert_ne!(found.status.code(), Some(0), "{}", found.said);
}

#[test]
fn approvers_who_are_not_there_or_are_somebody_else_are_named() {
    let world = World::new();
    let name = &world.approver.name;
    approving(&world, &format!("{{ login = 'nobody-of-that-name', id = 9 }}, {{ login = '{name}', id = 999999 }}"), "");
    let taken = format!("{name} is user {} now, and 999999 is pinned", world.approver.id);
    let found = finds(&world, &["the forge has no user nobody-of-that-name", &taken]);
    assert_ne!(found.status.code(), Some(0), "{}", found.said);
}
