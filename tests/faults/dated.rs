//! Results in folders by month: an action has one, also when the month has changed, or somebody put one elsewhere.

use rustix::process::Signal;

use crate::check::Strictness;
use crate::child::until;
use crate::world::World;

/// More than a month.
const LATER: &str = "3456000";

fn dated_world() -> World {
    let world = World::new();
    world.configure("[results]\nlayout = 'dated'\n");
    world
}

/// The only place of the result of `id`.
fn place(world: &World, id: &str) -> String {
    let [place] = <[String; 1]>::try_from(world.result_paths(id)).unwrap();
    place
}

#[test]
fn a_dated_result_stands_in_the_folder_of_its_month_once() {
    let world = dated_world();
    world.action("ok-1", "work", "");
    world.action("rej-1", "work", "colour = 'blue'");
    world.publish("two");
    world.recover();
    for id in ["ok-1", "rej-1"] {
        let made = world.result(id).unwrap()["timestamp"].as_str().unwrap().to_owned();
        let month = format!("{}/{}", &made[..4], &made[5..7]);
        assert_eq!(place(&world, id), format!("vault/results/{month}/{id}.result.json"));
    }
    world.assert_sound(Strictness::Exact);
}

#[test]
fn a_retry_in_a_later_month_takes_the_place_of_the_result_before_it() {
    let world = dated_world();
    world.action("bad-1", "fail", "");
    world.publish("one");
    world.recover();
    let before = place(&world, "bad-1");
    let serving = world.serve(&[("DISPATCH_FAULT_CLOCK", LATER)]);
    assert!(world.command("retry bad-1").output().unwrap().status.success());
    let over = || world.run("bad-1@2").is_some_and(|run| run.state.word() == "published");
    until("the second attempt", || over().then_some(()));
    serving.signal(Signal::TERM);
    serving.end();
    assert_eq!(place(&world, "bad-1"), before);
    assert_eq!((world.result("bad-1").unwrap()["attempt"].as_u64(), world.begun("bad-1")), (Some(2), 2));
    world.recover();
    world.assert_sound(Strictness::Exact);
}

#[test]
fn a_result_that_somebody_put_into_another_month_is_left_alone_and_ours_is_kept_aside() {
    let world = dated_world();
    world.action("hold-1", "hold", "");
    world.publish("one");
    let serving = world.serve(&[]);
    world.wait_until_begun("hold-1");
    let foreign = "vault/results/2020/01/hold-1.result.json";
    world.repo.write(foreign, "{\"exit_code\": 0}\n");
    // With an action beside it, whose result tells that it was looked at.
    world.action("ok-1", "work", "");
    world.publish("a result by hand");
    world.wait_for_result("ok-1");
    world.open_gate("hold-1");
    let run = || world.run("hold-1@1").filter(|run| run.state.word() == "published");
    let run = until("it to be over", run);
    serving.signal(Signal::TERM);
    serving.end();
    assert!(run.kept_aside.is_some(), "{run:?}");
    assert_eq!((place(&world, "hold-1"), world.begun("hold-1")), (foreign.to_owned(), 1));
    assert_eq!(world.result("hold-1").unwrap(), serde_json::json!({ "exit_code": 0 }));
}
