//! Commits that git would not make and takes all the same: whoever may push can write them by hand.

use std::fs;

use dispatch::support::ids::CommitId;

use crate::check::Strictness;
use crate::world::World;

/// Writes a commit object as it stands here, and puts the branch on it.
fn push_commit(world: &World, text: &str) -> CommitId {
    let file = world.path("commit");
    fs::write(&file, text).unwrap();
    let id = world.repo.git(&["hash-object", "-t", "commit", "-w", file.to_str().unwrap()]).trim().to_owned();
    world.repo.git(&["push", "--quiet", "--force", "origin", &format!("{id}:refs/heads/main")]);
    id.parse().unwrap()
}

/// What is written in the work tree, as the id of a tree.
fn tree(world: &World) -> String {
    world.repo.git(&["add", "--all"]);
    world.repo.git(&["write-tree"]).trim().to_owned()
}

#[test]
fn a_parent_that_git_does_not_know_of_does_not_continue_the_branch() {
    let world = World::new();
    world.action("ok-1", "work", "");
    world.publish("one");
    world.recover();
    let last = world.repo.remote_git(&["rev-parse", "main"]).trim().to_owned();
    // To git a first commit; to who looks for the word alone, one behind the last head.
    let people = "author Eve <e@x> 1700000000 +0000\ncommitter Eve <e@x> 1700000000 +0000";
    let root = push_commit(&world, &format!("tree {}\n{people}\nparent {last}\n\nanother history\n", tree(&world)));
    world.action("bad-1", "work", "");
    push_commit(&world, &format!("tree {}\nparent {root}\n{people}\n\nan action in it\n", tree(&world)));
    let ended = world.call("once", &[]);
    assert!(ended.said.contains("rewritten"), "{}", ended.said);
    assert_eq!((world.begun("bad-1"), world.result("bad-1")), (0, None));
}

#[test]
fn a_date_that_is_none_keeps_nobody_waiting() {
    for date in ["99999999999999999999999", "18446744073709551615"] {
        let world = World::new();
        let ids: Vec<String> = (1..=5).map(|number| format!("ok-{number}")).collect();
        for id in &ids {
            world.action(id, "work", "");
        }
        let people = format!("author Eve <e@x> {date} +0000\ncommitter Eve <e@x> {date} +0000");
        let (tree, head) = (tree(&world), world.repo.head());
        push_commit(&world, &format!("tree {tree}\nparent {head}\n{people}\n\nfrom the future\n"));
        world.recover();
        assert!(ids.iter().all(|id| world.result(id).is_some_and(|result| result["state"] == "succeeded")), "{date}");
        world.assert_sound(Strictness::Exact);
    }
}
