//! One of two works, the other stands by and says so; a leader that ends in good order hands over at once.
//!
//! The lease lasts so long here that nothing could be taken over by its expiry within the bound of a wait.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use dispatch::run::state::State;
use rustix::process::Signal;

use crate::child::{Ended, Running, until};
use crate::member::{Member, assert_once, is_locked, world};
use crate::world::World;

const LONG: u32 = 600;

/// What the endpoint that `member` opened answers.
fn get(member: &Member<'_>, path: &str) -> String {
    let address = until("the endpoint", || {
        let said = member.said();
        let line = said.lines().find(|line| line.contains("listening for the forge's webhook"))?;
        Some(line.split("address=").nth(1)?.split_whitespace().next()?.to_owned())
    });
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// `dispatch once` in a state directory of its own.
fn once_in(world: &World, name: &str) -> Ended {
    let mut once = world.command("once");
    once.env("DISPATCH_STATE_DIR", world.path(name));
    Running::start(once, world.path(&format!("{name}.log"))).end()
}

#[test]
fn one_of_two_works_and_the_other_says_who() {
    let world = world(LONG);
    let mut first = Member::start(&world, "a");
    let term = first.wait_until_it_leads();
    let endpoint = [("DISPATCH_WEBHOOK_LISTEN", "127.0.0.1:0"), ("DISPATCH_WEBHOOK_SECRET_ENV", "HOME")];
    let mut second = Member::start_with(&world, "b", &endpoint);
    let lease = second.wait_until_it_stands_by();
    assert!(lease["leader"].as_str().unwrap().starts_with(&format!("process {} on ", first.pid())), "{lease}");
    assert_eq!(lease["term"], term);
    assert!(get(&second, "/healthz").starts_with("HTTP/1.1 200"));
    let ready = get(&second, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("lease: standby: led by process"), "{ready}");
    let shown = second.call("status").said;
    assert!(shown.contains("standing by") && shown.contains("standby: led by process"), "{shown}");

    for id in ["one", "two", "three"] {
        world.write_action(id, "work", "");
    }
    world.publish();
    for id in ["one", "two", "three"] {
        world.wait_for_result(id);
        assert_once(&world, id, 0);
    }
    assert!(second.runs().is_empty(), "a standby takes nothing up");
    let refused = second.call("cancel one");
    assert!(refused.status.code() == Some(1) && refused.said.contains("led by process"), "{}", refused.said);

    let once = once_in(&world, "c");
    assert!(once.status.code() == Some(6) && once.said.contains("led by process"), "{}", once.said);
    let local = second.call("once --backend local");
    assert!(local.status.code() == Some(2), "{}", local.said);

    assert!(second.stop(Signal::TERM).status.success());
    assert!(first.stop(Signal::TERM).status.success());
    world.ask("four", "work", "");
    let once = once_in(&world, "c");
    assert!(once.status.success() && !is_locked(&world), "{}", once.said);
    assert_once(&world, "four", 0);
}

#[test]
fn a_leader_that_is_told_to_stop_hands_its_runs_over_at_once() {
    let world = world(LONG);
    let mut first = Member::start(&world, "a");
    let term = first.wait_until_it_leads();
    world.ask("run", "hold", "");
    world.wait_until_begun("run");
    let mut second = Member::start(&world, "b");
    second.wait_until_it_stands_by();
    until("the run to be followed", || (first.run("run")?.state == State::Running).then_some(()));
    let ended = first.stop(Signal::TERM);
    assert!(ended.status.success(), "{}", ended.said);
    assert!(second.wait_until_it_leads() > term);
    world.ask("next", "work", "");
    world.wait_for_result("next");
    world.open_gate("run");
    world.wait_for_result("run");
    assert_once(&world, "run", 3);
    assert_once(&world, "next", 0);

    // Back again: what this journal still had as running is over, and stays with its one result.
    assert!(second.stop(Signal::TERM).status.success());
    let mut first = Member::start(&world, "a");
    first.wait_until_it_leads();
    world.ask("last", "work", "");
    world.wait_for_result("last");
    until("what was running to be published", || (first.run("run")?.state == State::Published).then_some(()));
    assert!(first.run("run").unwrap().kept_aside.is_some());
    assert!(first.run("next").is_none_or(|run| run.state == State::Published));
    for (id, exit) in [("run", 3), ("next", 0), ("last", 0)] {
        assert_once(&world, id, exit);
    }
    let audit = first.call("audit verify");
    assert!(audit.status.success() && audit.said.contains("by other dispatchers"), "{}", audit.said);
    assert!(!first.said().contains("journal is older"), "{}", first.said());
    assert!(first.stop(Signal::TERM).status.success());
}

#[test]
fn what_another_launched_meanwhile_is_adopted_also_where_it_would_be_refused_now() {
    let world = world(LONG);
    let mut second = Member::start(&world, "b");
    second.wait_until_it_leads();
    world.ask("zero", "work", "");
    world.wait_for_result("zero");
    let mut first = Member::start(&world, "a");
    first.wait_until_it_stands_by();
    assert!(second.stop(Signal::TERM).status.success());
    first.wait_until_it_leads();
    world.ask("run", "hold", "");
    world.wait_until_begun("run");
    // No result tells the other that its journal is behind, and what the action asks for is gone.
    world.repo.git(&["rm", "--quiet", "formulas/hold.sh"]);
    world.publish();
    let mut second = Member::start(&world, "b");
    second.wait_until_it_stands_by();
    assert!(first.stop(Signal::TERM).status.success());
    second.wait_until_it_leads();
    until("the run to be adopted", || second.run("run").map(|_| ()));
    world.open_gate("run");
    world.wait_for_result("run");
    assert_once(&world, "run", 3);
    assert!(second.stop(Signal::TERM).status.success());
}
