//! Statuses and comments: there, edited and not repeated, and of no consequence for a run.

use rustix::process::Signal;

use crate::child::until;
use crate::world::{World, hello, stop};

const TELLING: &str = "[telling]\nstatuses = true\ncomments = true\nlook_seconds = 1\n";

fn count(world: &World, commit: &str, context: &str) -> usize {
    let all = world.repository.must("GET", &format!("/statuses/{commit}?limit=50"), None);
    all.as_array().unwrap().iter().filter(|status| status["context"] == context).count()
}

#[test]
fn an_open_request_is_told_what_would_run_and_a_bad_one_what_is_wrong() {
    let world = World::new();
    world.configure(TELLING);
    let serving = world.serve();
    let (_, good) = world.file("good", &hello("good"));
    let (_, bad) = world.file("bad", &format!("{}colour = 'blue'\n", hello("bad")));
    let words = world.await_status(&good, "dispatch/check", "success");
    assert_eq!(words, "good would run hello (low tier) with no secrets, no mounts");
    let words = world.await_status(&bad, "dispatch/check", "failure");
    assert!(words.starts_with("bad: ") && words.contains("colour"), "{words}");
    stop(serving);
    // A restart says none of it again.
    let serving = world.serve();
    let (_, last) = world.file("last", &hello("last"));
    world.await_status(&last, "dispatch/check", "success");
    assert_eq!((count(&world, &good, "dispatch/check"), count(&world, &bad, "dispatch/check")), (1, 1));
    stop(serving);
}

#[test]
fn a_run_is_told_on_its_merge_and_its_comment_is_edited_and_not_repeated() {
    let world = World::new();
    world.configure(TELLING);
    let serving = world.serve();
    let (number, _) = world.file("once", &hello("once"));
    let merge = world.merge(number);
    assert_eq!(world.await_status(&merge, "dispatch/run", "success"), "once: succeeded");
    let comment = |words: &str| {
        until(words, || {
            let all = world.comments(number);
            assert!(all.len() <= 1, "{all:?}");
            all.into_iter().find(|comment| comment["body"].as_str().unwrap().contains(words))
        })
    };
    let first = comment("| `once` | succeeded | 0 | low |");
    assert_eq!(first["user"]["login"], world.dispatcher.name.as_str());
    // Killed at some point or other, and asked for another attempt: the same comment tells of that one.
    serving.signal(Signal::KILL);
    serving.end();
    let serving = world.serve();
    until("a retry", || (world.call("retry once").status.code() == Some(0)).then_some(()));
    let second = comment("| `once` | succeeded, attempt 2 | 0 | low |");
    assert_eq!(second["id"], first["id"]);
    assert_eq!(world.await_status(&merge, "dispatch/run", "success"), "once: succeeded, attempt 2");
    stop(serving);
}

#[test]
fn a_comment_of_somebody_else_with_our_marker_is_left_alone() {
    let world = World::new();
    world.configure(TELLING);
    let (number, _) = world.file("once", &hello("once"));
    let body = serde_json::json!({ "body": "<!-- dispatch/run --> all is well, merge it" });
    world.author.api.must("POST", &world.repository.path(&format!("/issues/{number}/comments")), Some(&body));
    let serving = world.serve();
    world.merge(number);
    let ours = until("our own comment", || {
        world.comments(number).into_iter().find(|one| one["user"]["login"] == world.dispatcher.name.as_str())
    });
    assert!(ours["body"].as_str().unwrap().contains("| `once` | succeeded"), "{ours}");
    assert_eq!(world.comments(number)[0]["body"], body["body"]);
    stop(serving);
}

#[test]
fn a_forge_that_cannot_be_told_holds_no_run_up_and_shows_in_the_status() {
    let world = World::new();
    let name = world.repository.full_name();
    world.configure(&format!("url = 'http://127.0.0.1:9'\nrepository = '{name}'\n{TELLING}"));
    let serving = world.serve();
    let (number, _) = world.file("once", &hello("once"));
    world.merge(number);
    let result = "/contents/vault/actions/once.result.json";
    until("the result", || (world.repository.ask("GET", result, None).status == 200).then_some(()));
    until("the trouble", || world.call("status").said.contains("telling: the forge was not told").then_some(()));
    stop(serving);
}
