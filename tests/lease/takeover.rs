//! A leader that is killed, cut off from Nomad, or frozen: another leads when its time is over, and what it did or was about to do is done
//! once. Each waits for one expiry of the shortest lease that Nomad knows.

use rustix::process::Signal;

use crate::child::until;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::member::{Member, assert_once, children, is_locked, world};
use crate::world::World;

/// Seconds; the shortest that there is.
const SHORT: u32 = 10;

const DISPATCH: &str = "PUT /v1/job/*/dispatch*";

/// A leader that reaches Nomad through `proxy`, and a standby that reaches it directly.
fn pair<'a>(world: &'a World, proxy: &FaultProxy, more: &[(&str, &str)]) -> (Member<'a>, Member<'a>) {
    let url = proxy.url();
    let mut environment = vec![("DISPATCH_BACKENDS_NOMAD_ADDRESS", url.as_str())];
    environment.extend(more);
    let mut first = Member::start_with(world, "a", &environment);
    first.wait_until_it_leads();
    let mut second = Member::start(world, "b");
    second.wait_until_it_stands_by();
    (first, second)
}

/// The runs that `proxy` was asked to launch; tidemarks are none.
fn launches(proxy: &FaultProxy) -> usize {
    proxy.seen(DISPATCH).iter().filter(|line| !line.contains("tidemark")).count()
}

#[test]
fn a_leader_that_is_killed_is_followed_by_the_standby_which_brings_its_runs_to_their_end() {
    let world = world(SHORT);
    let mut first = Member::start(&world, "a");
    let term = first.wait_until_it_leads();
    let mut second = Member::start(&world, "b");
    second.wait_until_it_stands_by();
    world.ask("held", "hold", "");
    world.ask("over", "hold", "");
    world.wait_until_begun("held");
    world.wait_until_begun("over");
    first.stop(Signal::KILL);
    // One ends, and one is asked for, while nobody leads.
    world.open_gate("over");
    world.ask("meanwhile", "work", "");
    assert!(second.wait_until_it_leads() > term);
    world.wait_for_result("over");
    world.wait_for_result("meanwhile");
    world.open_gate("held");
    world.wait_for_result("held");
    for (id, exit) in [("held", 3), ("over", 3), ("meanwhile", 0)] {
        assert_once(&world, id, exit);
    }
    let mut first = Member::start(&world, "a");
    first.wait_until_it_stands_by();
    assert!(first.stop(Signal::TERM).status.success());
    assert!(second.stop(Signal::TERM).status.success());
}

#[test]
fn a_leader_that_is_cut_off_from_nomad_ends_before_another_can_lead() {
    let world = world(SHORT);
    let proxy = FaultProxy::start(&world.api.address);
    let (first, mut second) = pair(&world, &proxy, &[]);
    world.ask("before", "hold", "");
    world.wait_until_begun("before");
    proxy.spoil(usize::MAX, "*", Fault::Silence);
    world.ask("after", "work", "");
    until("the leader to give up", || first.said().contains("leading no longer").then_some(()));
    assert!(is_locked(&world), "nobody else can have led yet");
    assert_eq!(children(&world, "after"), 0);
    let ended = first.end();
    assert_eq!(ended.status.code(), Some(6), "{}", ended.said);
    assert!(ended.said.contains("was not renewed within 10 s"), "{}", ended.said);
    second.wait_until_it_leads();
    world.wait_for_result("after");
    world.open_gate("before");
    world.wait_for_result("before");
    assert_once(&world, "before", 3);
    assert_once(&world, "after", 0);
    assert!(second.stop(Signal::TERM).status.success());
}

#[test]
fn a_leader_that_was_frozen_before_a_launch_wakes_up_and_launches_nothing() {
    let world = world(SHORT);
    let proxy = FaultProxy::start(&world.api.address);
    let held = world.path("held-up");
    std::fs::write(&held, "").unwrap();
    let pause = format!("pause:nomad.dispatch.before:{}", held.display());
    let (first, mut second) = pair(&world, &proxy, &[("DISPATCH_FAULT", &pause)]);
    world.ask("run", "hold", "");
    until("the launch", || (first.run("run")?.state.word() == "launching").then_some(()));
    first.signal(Signal::STOP);
    second.wait_until_it_leads();
    world.wait_until_begun("run");
    std::fs::remove_file(&held).unwrap();
    first.signal(Signal::CONT);
    let ended = first.end();
    assert_eq!(ended.status.code(), Some(6), "{}", ended.said);
    assert_eq!(launches(&proxy), 0, "{:?}", proxy.seen(DISPATCH));
    world.open_gate("run");
    world.wait_for_result("run");
    assert_once(&world, "run", 3);
    assert!(second.stop(Signal::TERM).status.success());
}

#[test]
fn a_launch_that_arrives_when_another_leads_already_brings_no_second_run() {
    let world = world(SHORT);
    let proxy = FaultProxy::start(&world.api.address);
    // A way that holds the request up for longer than it takes until another leads.
    let (first, mut second) = pair(&world, &proxy, &[]);
    world.ask("run", "hold", "");
    world.wait_until_begun("run");
    proxy.spoil(1, DISPATCH, Fault::DelayBefore(std::time::Duration::from_secs(40)));
    world.ask("late", "hold", "");
    until("the request", || (launches(&proxy) == 2).then_some(()));
    first.signal(Signal::STOP);
    second.wait_until_it_leads();
    world.wait_until_begun("late");
    until("the request to arrive", || (proxy.arrived() == 1).then_some(()));
    first.signal(Signal::CONT);
    let ended = first.end();
    assert_eq!(ended.status.code(), Some(6), "{}", ended.said);
    for id in ["run", "late"] {
        world.open_gate(id);
        world.wait_for_result(id);
        assert_once(&world, id, 3);
    }
    assert!(second.stop(Signal::TERM).status.success());
}
