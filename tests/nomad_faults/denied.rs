//! The right to end a run is gone while it goes on: whoever looks is told, and once it is back the run ends.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::child::until;
use crate::world::World;

/// Takes the right from the dispatcher; answers the token that has it.
fn take_the_right_to_deregister(world: &World) -> String {
    let whole = fs::read_to_string(world.path("token")).unwrap();
    let rules = world.shipped("nomad-dispatcher.hcl");
    let kept: Vec<&str> = rules.lines().filter(|line| !line.trim_start().starts_with("\"deregister-job\"")).collect();
    fs::write(world.path("token"), world.token_of(&[kept.join("\n")])).unwrap();
    whole
}

/// The problem that `dispatch status` shows of the run of `id`.
fn problem(world: &World, id: &str) -> Option<String> {
    let status = world.status();
    let mut problems = status["problems"].as_array()?.iter().filter_map(Value::as_str);
    problems.find(|words| words.starts_with(&format!("{id}@1 does not stop"))).map(str::to_owned)
}

/// What stops a run is refused: that is shown, with the capability, until the right is back and the run has ended.
fn assert_shown_until_it_ends(world: &World, id: &str, whole: &str, end: (&str, &str)) {
    let words = until("the denial to be shown", || problem(world, id));
    assert!(words.contains("deregistering the job") && words.contains("policy needs deregister-job"), "{words}");
    let people = world.command("status").output().unwrap().stdout;
    let people = String::from_utf8_lossy(&people).into_owned();
    assert!(people.contains("needs deregister-job"), "{people}");
    fs::write(world.path("token"), whole).unwrap();
    let result = world.wait_for_result(id);
    assert_eq!((result["state"].as_str().unwrap(), result["reason"].as_str().unwrap()), end, "{result:#}");
    until("nothing to be shown any more", || problem(world, id).is_none().then_some(()));
}

#[test]
fn a_cancellation_that_the_token_may_not_make_is_shown_until_it_may() {
    let world = World::new();
    world.ask("held", "hold", "");
    let serving = world.serve(&[]);
    world.wait_until_begun("held");
    world.wait_for_state("held", "running");
    let whole = take_the_right_to_deregister(&world);
    assert!(world.command("cancel held").output().unwrap().status.success());
    assert_shown_until_it_ends(&world, "held", &whole, ("cancelled", "cancelled_by_operator"));
    serving.signal(Signal::TERM);
    serving.end();
    world.assert_nothing_wrong();
}

#[test]
fn a_time_limit_that_the_token_may_not_keep_is_shown_until_it_may() {
    let world = World::new();
    // Its runner stands still, and ends nothing at the limit.
    world.formula("work", "echo \"$1\" >> TALLY\nkill -STOP $PPID\nsleep 120\n");
    world.ask("stuck", "work", "timeout_minutes = 1");
    let serving = world.serve(&[("DISPATCH_FAULT_MINUTE", "1")]);
    world.wait_until_begun("stuck");
    world.wait_for_state("stuck", "running");
    let whole = take_the_right_to_deregister(&world);
    assert_shown_until_it_ends(&world, "stuck", &whole, ("timed_out", "timed_out"));
    serving.signal(Signal::TERM);
    serving.end();
}
