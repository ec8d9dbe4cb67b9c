//! Clocks an hour apart, the dispatcher's on one side and Nomad's on the other, in both directions: what was before what is told by neither.

use serde_json::{Value, json};

use crate::child::until;
use crate::fault_proxy::FaultProxy;
use crate::testbed::Testbed;
use crate::world::{World, side_by_side};

/// The dispatcher's clock is so many seconds ahead.
const CLOCK: &str = "DISPATCH_FAULT_CLOCK";

const OFF: [&str; 2] = ["3600", "-3600"];

/// The ids of all that was dispatched in the world's namespace.
fn children(world: &World) -> Vec<Value> {
    let jobs = world.nomad("GET", "/v1/jobs", None);
    jobs.as_array().unwrap().iter().filter(|job| job["ParentID"] != "").cloned().collect()
}

/// What another dispatcher of the namespace does before a launch of its own.
fn make_a_mark(world: &World) {
    let nothing = json!({ "Meta": { "run_id": "tidemark" }, "Payload": "e30=", "IdPrefixTemplate": "tidemark" });
    let made = world.nomad("PUT", "/v1/job/vault-runner/dispatch", Some(&nothing));
    let id = made["DispatchedJobID"].as_str().unwrap();
    world.nomad("DELETE", &format!("/v1/job/{id}"), None);
    let waits = |one: &Value| ["pending", "running"].contains(&one["ClientStatus"].as_str().unwrap_or_default());
    let undecided = |one: &Value| one["Status"] == "pending";
    until("the mark to be over", || {
        let of = |what: &str| world.nomad("GET", &format!("/v1/job/{id}/{what}"), None).as_array().unwrap().clone();
        (!of("allocations").iter().any(waits) && !of("evaluations").iter().any(undecided)).then_some(())
    });
}

#[test]
fn a_launch_that_came_about_and_was_forgotten_is_not_repeated_whatever_the_clocks_say() {
    let nomad = Testbed::get().private_nomad(&[]);
    // At the launch, and at the recovery: somebody may set the clock in between.
    let clocks = [("3600", "3600"), ("-3600", "-3600"), ("3600", "0"), ("0", "3600")];
    let worlds: Vec<World> = clocks.iter().map(|_| World::on(&nomad.api())).collect();
    for (world, (launching, _)) in worlds.iter().zip(clocks) {
        world.ask("run", "fail", "");
        let killed = world.call("once", &[(CLOCK, launching), ("DISPATCH_FAULT", "kill:nomad.dispatch.after:1")]);
        assert!(killed.status.code().is_none(), "{}", killed.said);
        world.wait_until_begun("run");
        until("all to be over", || children(world).iter().all(|job| job["Status"] == "dead").then_some(()));
    }
    nomad.api().must("PUT", "/v1/system/gc", None);
    for (world, (launching, recovering)) in worlds.iter().zip(clocks) {
        until("all to be forgotten", || children(world).is_empty().then_some(()));
        make_a_mark(world);
        for _ in 0..2 {
            world.call("once", &[(CLOCK, recovering)]);
        }
        assert_eq!(world.begun("run"), 1, "{launching}, {recovering}: it ran again\n{}", world.logged());
        world.assert_ended("run", "lost", "launch_unknown", &Value::Null);
    }
}

#[test]
fn a_launch_that_never_came_about_is_made_whatever_the_clocks_say() {
    let wrong = side_by_side(OFF.to_vec(), |off| {
        let world = World::new();
        world.ask("run", "fail", "");
        let killed = world.call("once", &[(CLOCK, off), ("DISPATCH_FAULT", "kill:nomad.dispatch.before:1")]);
        assert!(killed.status.code().is_none(), "{}", killed.said);
        for _ in 0..2 {
            world.call("once", &[(CLOCK, off)]);
        }
        let wrong = world.wrong_with_end("run", "failed", "exit_nonzero", &json!(3));
        (!wrong.is_empty()).then(|| format!("{off}: {wrong:#?}\n{}", world.logged()))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_mark_is_used_by_the_starts_that_follow_whatever_the_clocks_say() {
    for off in OFF {
        let world = World::new();
        for id in ["one", "two"] {
            world.ask(id, "work", "");
            world.call("once", &[(CLOCK, off)]);
            assert_eq!(world.result(id).unwrap()["state"], "succeeded", "{}", world.logged());
        }
        let marks = world.nomad("GET", "/v1/jobs?prefix=vault-runner/dispatch-tidemark-", None);
        assert_eq!(marks.as_array().unwrap().len(), 1, "{off}: {marks}");
    }
}

#[test]
fn a_run_waits_for_its_place_as_long_as_it_may_whatever_the_clocks_say() {
    let nomad = Testbed::get().private_nomad(&[]);
    let node = nomad.api().must("GET", "/v1/nodes", None)[0]["ID"].as_str().unwrap().to_owned();
    let let_it_work = |may: &str| {
        let wish = json!({ "NodeID": node, "Eligibility": may });
        nomad.api().must("PUT", &format!("/v1/node/{node}/eligibility"), Some(&wish));
    };
    for off in OFF {
        let proxy = FaultProxy::start(&nomad.api().address);
        let world = World::on(&nomad.api()).through(&proxy.url());
        // Its mark is there already, and no launch waits for it.
        world.ask("first", "work", "");
        world.call("once", &[]);
        let_it_work("ineligible");
        world.ask("run", "fail", "");
        let serving = world.serve(&[(CLOCK, off)]);
        world.wait_for_state("run", "running");
        let looks = format!("GET /v1/job/{}/evaluations*", world.child("run"));
        until("the dispatcher to see that it has no place", || (!proxy.seen(&looks).is_empty()).then_some(()));
        // It is looked at again at the next change; by then it would have been taken back.
        let_it_work("eligible");
        world.wait_for_result("run");
        serving.signal(rustix::process::Signal::TERM);
        serving.end();
        world.assert_ended("run", "failed", "exit_nonzero", &json!(3));
    }
}
