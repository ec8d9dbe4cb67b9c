//! From a merge to a launch: by the poll, and by the webhook with the next poll an hour away. The times are printed, not judged.

use crate::world::{World, address, hello, says, stop};

/// Merges an action and waits for its launch.
fn measure(world: &World, serving: &crate::child::Running, id: &str, how: &str) {
    let (number, _) = world.file(id, &hello(id));
    let (_, from) = world.merge_at(number);
    crate::child::until("the launch", || {
        serving.said().lines().any(|line| line.contains(id) && line.contains("launching")).then_some(())
    });
    eprintln!("merge -> launch, {how}: {} ms after the merge was asked for", from.elapsed().as_millis());
}

#[test]
fn a_merge_is_taken_up_by_a_poll_of_a_second() {
    let world = World::new();
    let serving = world.serve();
    says(&serving, "serving");
    for number in 0..3 {
        measure(&world, &serving, &format!("polled-{number}"), "poll of 1 s");
    }
    stop(serving);
}

#[test]
fn a_merge_is_taken_up_by_the_webhook_though_the_next_poll_is_an_hour_away() {
    let world = World::new();
    world.configure("[webhook]\nlisten = '127.0.0.1:0'\nsecret_env = 'HOOK'\n");
    let text = std::fs::read_to_string(world.path("dispatch.toml")).unwrap();
    std::fs::write(world.path("dispatch.toml"), text.replace("poll_seconds = 1", "poll_seconds = 3600")).unwrap();
    let serving = world.serve();
    world.hook(&address(&serving));
    for number in 0..3 {
        measure(&world, &serving, &format!("woken-{number}"), "webhook");
    }
    stop(serving);
}
