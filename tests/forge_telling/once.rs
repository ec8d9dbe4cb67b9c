//! `dispatch once` tells the forge too, and no forge that cannot be told changes how it ends.

use crate::world::{World, hello};

const TELLING: &str = "[telling]\nstatuses = true\ncomments = true\n";

#[test]
fn a_round_tells_how_its_runs_ended_and_what_open_requests_would_do() {
    let world = World::new();
    world.configure(TELLING);
    let (number, _) = world.file("first", &hello("first"));
    let merge = world.merge(number);
    let (_, open) = world.file("second", &hello("second"));
    let round = world.call("once");
    assert_eq!(round.status.code(), Some(0), "{}", round.said);
    let told = |commit: &str, context: &str| world.status(commit, context).unwrap_or_default();
    assert_eq!(told(&merge, "dispatch/run"), ("success".to_owned(), "first: succeeded".to_owned()));
    assert_eq!(told(&open, "dispatch/check").0, "success");
    let comments = world.comments(number);
    assert!(comments[0]["body"].as_str().unwrap().contains("| `first` | succeeded | 0 | low |"), "{comments:?}");
    // Another round has nothing to say.
    world.call("once");
    assert_eq!(world.comments(number), comments);
}

#[test]
fn a_forge_that_cannot_be_told_changes_nothing_about_a_round() {
    let world = World::new();
    let name = world.repository.full_name();
    world.configure(&format!("url = 'http://127.0.0.1:9'\nrepository = '{name}'\n{TELLING}"));
    let (number, _) = world.file("first", &hello("first"));
    let merge = world.merge(number);
    let round = world.call("once");
    assert_eq!(round.status.code(), Some(0), "{}", round.said);
    assert!(round.said.contains("the forge is not told of everything"), "{}", round.said);
    let result = "/contents/vault/actions/first.result.json";
    assert_eq!(world.repository.ask("GET", result, None).status, 200);
    // The next one makes up for it.
    world.configure(TELLING);
    world.call("once");
    assert_eq!(world.status(&merge, "dispatch/run").unwrap_or_default().0, "success");
}
