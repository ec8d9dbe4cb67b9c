//! Between dispatcher and Nomad stands a proxy that spoils one call of a run at a time: each kind of call, in each way.

use std::time::Duration;

use dispatch::support::ids::{BlobId, LaunchKey};
use rustix::process::Signal;
use serde_json::json;

use crate::child::{BOUND, until};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::world::{World, side_by_side};

/// More than the dispatcher gives a server for one answer.
const TOO_LATE: Duration = Duration::from_secs(12);

/// Each way in which a call with an answer of its own goes wrong.
const WAYS: [Fault; 11] = [
    Fault::DropBefore,
    Fault::Silence,
    Fault::Refuse(503),
    Fault::DelayBefore(TOO_LATE),
    Fault::DelayAnswer(TOO_LATE),
    Fault::LoseAnswer,
    Fault::ErrorAfter,
    Fault::ResetMidBody,
    Fault::Truncate,
    Fault::WrongContentType,
    Fault::Duplicate,
];

/// Each way in which an answer without an end goes wrong.
const WAYS_OF_STREAMS: [Fault; 5] = [
    Fault::DropBefore,
    Fault::Silence,
    Fault::Refuse(500),
    Fault::WrongContentType,
    Fault::CutAfter(Duration::from_millis(300)),
];

/// Which requests are a run's own, told from those of other runs.
type Pattern = fn(&str, &LaunchKey) -> String;

const CALLS: [(&str, Pattern); 4] = [
    ("find", |_, key| format!("GET /v1/jobs?*prefix=*{}*", &key.as_str()[..16])),
    ("dispatch", |_, key| format!("PUT /v1/job/*/dispatch?*idempotency_token={key}*")),
    ("read", |id, _| format!("GET /v1/job/*-run-1-{id}-*")),
    ("watch", |id, _| format!("GET /v1/job/*-run-1-{id}-*/allocations?*")),
];

fn key_of(world: &World, id: &str) -> LaunchKey {
    let blob = world.repo.remote_git(&["rev-parse", &format!("main:vault/actions/{id}.toml")]);
    LaunchKey::of_action(&id.parse().unwrap(), &BlobId::try_from(blob.trim().to_owned()).unwrap(), 1)
}

fn spoilt_world() -> (World, FaultProxy) {
    let world = World::new();
    let proxy = FaultProxy::start(&world.api.address);
    let url = proxy.url();
    (world.through(&url), proxy)
}

#[test]
fn each_call_of_a_run_may_go_wrong_in_each_way_and_the_run_has_its_one_result() {
    let (world, proxy) = spoilt_world();
    let cases = CALLS.iter().flat_map(|(call, pattern)| {
        WAYS.iter().enumerate().map(move |(n, way)| (format!("{call}-{n}-x"), pattern, *way))
    });
    let cases: Vec<_> = cases.collect();
    for (id, ..) in &cases {
        world.write_action(id, "fail", "");
    }
    world.publish();
    for (id, pattern, way) in &cases {
        proxy.spoil(1, &pattern(id, &key_of(&world, id)), *way);
    }
    world.call("once", &[]);
    assert_eq!(proxy.fired(), cases.len(), "each rule applies to one request");
    let wrong: Vec<_> = cases
        .iter()
        .map(|(id, _, way)| (id, way, world.wrong_with_result(id, "failed", "exit_nonzero", &json!(3))))
        .filter(|(.., wrong)| !wrong.is_empty())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", world.logged());
    world.assert_nothing_wrong();
}

/// A call that is not a run's own, or does not name its run: one round for each way in which it goes wrong.
fn spoil_each(pattern: &str, ways: &[Fault]) -> Option<String> {
    spoil_each_after(0, pattern, ways)
}

/// The same, where so many requests of each start that come first are others', and are left alone.
fn spoil_each_after(others: usize, pattern: &str, ways: &[Fault]) -> Option<String> {
    let (world, proxy) = spoilt_world();
    let mut wrong = Vec::new();
    for (n, way) in ways.iter().enumerate() {
        let (id, expected) = (format!("way-{n}"), (n + 1) * (others + 1));
        // What is asked only while a run goes on is waited for; what is asked later must not be.
        let meanwhile = pattern.contains("follow=true");
        world.ask(&id, if meanwhile { "hold" } else { "brief" }, "");
        if others > 0 {
            proxy.spoil(others, pattern, Fault::DelayAnswer(Duration::ZERO));
        }
        proxy.spoil(1, pattern, *way);
        let mut once = world.start("once", &[]);
        if meanwhile {
            until("the log to be followed", || (proxy.fired() == expected || once.is_over()).then_some(()));
            world.open_gate(&id);
        }
        let once = once.end();
        if proxy.fired() != expected {
            return Some(format!("{way:?} of {pattern}: not asked\n{}", once.said));
        }
        let found = world.wrong_with_result(&id, "failed", "exit_nonzero", &json!(3));
        let told = world.result(&id).unwrap_or_default()["logs"] == json!("done\n");
        if !found.is_empty() || !told {
            wrong.push(format!("{way:?} of {pattern}: {found:#?}\n{}", once.said));
        }
    }
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}

#[test]
fn streams_logs_and_marks_may_go_wrong_in_each_way_and_each_run_has_its_one_result_and_its_log() {
    let streams = ["GET /v1/event/stream*", "GET /v1/client/fs/logs/*follow=true*"];
    let answers = [
        "GET /v1/client/fs/logs/*follow=false*",
        "PUT /v1/job/*/dispatch?*tidemark*",
        "GET /v1/job/*tidemark*/evaluations?*",
    ];
    let parts = |call| WAYS.chunks(4).map(move |ways| (call, ways));
    let mut cases: Vec<(&str, &[Fault])> = streams.map(|call| (call, &WAYS_OF_STREAMS[..])).to_vec();
    cases.extend(answers.into_iter().flat_map(parts));
    let wrong = side_by_side(cases, |(pattern, ways)| spoil_each(pattern, ways));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_asked_about_marks_and_what_is_removed_may_go_wrong_in_each_way_too() {
    // Before the launch looks for marks, the start has looked whether they may be listed.
    let lists = (1, "GET /v1/jobs?*prefix=*dispatch-tidemark-*", 4);
    let removal = (0, "DELETE /v1/job/*-run-1-way-*", 4);
    // A mark that was deregistered is used by the starts that follow: each way has a world of its own.
    let ended = (0, "DELETE /v1/job/*tidemark*", 1);
    let parts = |(others, call, size)| WAYS.chunks(size).map(move |ways| (others, call, ways));
    let cases = [lists, removal, ended].into_iter().flat_map(parts).collect();
    let wrong = side_by_side(cases, |(others, pattern, ways)| spoil_each_after(others, pattern, ways));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The dispatcher is killed before its dispatch; while the next one rules the launch out, a call of that goes wrong.
fn spoil_ruling_out(call: &str, way: Fault) -> Option<String> {
    let (world, proxy) = spoilt_world();
    world.ask("one", "fail", "");
    world.call("once", &[("DISPATCH_FAULT", "kill:nomad.dispatch.before:1")]);
    let pattern = match call {
        "dispatch" => format!("PUT /v1/job/*/dispatch?*idempotency_token={}*", key_of(&world, "one")),
        _ => "DELETE /v1/job/*-seal-1*".to_owned(),
    };
    proxy.spoil(1, &pattern, way);
    let once = world.call("once", &[]);
    if proxy.fired() != 1 {
        return Some(format!("{way:?} of {pattern}: not asked\n{}", once.said));
    }
    world.recover();
    let wrong = world.wrong_with_end("one", "failed", "exit_nonzero", &json!(3));
    (!wrong.is_empty()).then(|| format!("{way:?} of {pattern}: {wrong:#?}\n{}", world.logged()))
}

#[test]
fn ruling_a_launch_out_may_go_wrong_in_each_way_and_the_run_is_made_once() {
    let cases = ["dispatch", "delete"].iter().flat_map(|call| WAYS.iter().map(|way| (*call, *way))).collect();
    let wrong = side_by_side(cases, |(call, way)| spoil_ruling_out(call, way));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_cancellation_may_go_wrong_in_each_way_and_the_run_stops_once() {
    let (world, proxy) = spoilt_world();
    // The request itself, and the question why the allocation is to stop.
    let calls = [("stop", "DELETE /v1/job/*-run-1-ID-*"), ("why", "GET /v1/job/*-run-1-ID-*/evaluations?*")];
    let cases = calls.iter().flat_map(|(call, pattern)| {
        WAYS.iter().enumerate().map(move |(n, way)| (format!("{call}-{n}-x"), *pattern, *way))
    });
    let cases: Vec<_> = cases.collect();
    for (id, ..) in &cases {
        world.write_action(id, "hold", "");
    }
    world.publish();
    let serving = world.serve(&[]);
    for (id, pattern, way) in &cases {
        world.wait_until_begun(id);
        world.wait_for_state(id, "running");
        proxy.spoil(1, &pattern.replace("ID", id), *way);
        let said = world.command(&format!("cancel {id}")).output().unwrap();
        assert!(said.status.success(), "{id}: {said:?}");
    }
    for (id, _, way) in &cases {
        world.wait_for_result(id);
        let wrong = world.wrong_with_result(id, "cancelled", "cancelled_by_operator", &json!(143));
        assert!(wrong.is_empty(), "{id}, {way:?}: {wrong:#?}");
    }
    assert_eq!(proxy.fired(), cases.len(), "each rule applies to one request");
    serving.signal(Signal::TERM);
    serving.end();
    world.assert_nothing_wrong();
}

#[test]
fn many_runs_that_are_cancelled_while_all_of_them_wait_for_slow_answers_do_not_wait_for_each_other() {
    let (world, proxy) = spoilt_world();
    let ids: Vec<String> = (0..12).map(|n| format!("run-{n}")).collect();
    for id in &ids {
        world.write_action(id, "hold", "");
    }
    world.publish();
    let serving = world.serve(&[]);
    for id in &ids {
        world.wait_until_begun(id);
        world.wait_for_state(id, "running");
    }
    // Something changes about each of them, so that each is looked at, over connections that are fewer than they are.
    proxy.spoil(usize::MAX, "GET /v1/job/*-run-1-*", Fault::DelayAnswer(Duration::from_millis(300)));
    for id in &ids {
        let child = world.child(id);
        world.nomad("PUT", &format!("/v1/job/{child}/evaluate"), Some(&json!({ "JobID": child, "EvalOptions": {} })));
    }
    let cancels: Vec<_> = ids.iter().map(|id| world.command(&format!("cancel {id}")).spawn().unwrap()).collect();
    for mut cancel in cancels {
        assert!(cancel.wait().unwrap().success());
    }
    for id in &ids {
        world.wait_for_result(id);
        let wrong = world.wrong_with_result(id, "cancelled", "cancelled_by_operator", &json!(143));
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    let said = serving.said();
    assert!(!said.contains("does not answer the request to stop"), "{said}");
    serving.signal(Signal::TERM);
    serving.end();
    proxy.heal();
    world.assert_nothing_wrong();
}

/// Nobody answers a dispatch until the dispatcher has given up on it; it is killed then, if `killed`, and goes on when Nomad answers.
fn launch_in_doubt(way: Fault, killed: bool) -> Option<String> {
    let (world, proxy) = spoilt_world();
    world.ask("doubt", "fail", "");
    let dispatches = format!("PUT /v1/job/*/dispatch?*idempotency_token={}*", key_of(&world, "doubt"));
    proxy.spoil(usize::MAX, &dispatches, way);
    let mut serving = world.serve(&[]);
    proxy.wait_for(5, &dispatches, BOUND);
    if killed {
        serving.signal(Signal::KILL);
        serving.end();
        serving = world.serve(&[]);
    }
    proxy.heal();
    world.wait_for_result("doubt");
    serving.signal(Signal::TERM);
    serving.end();
    world.recover();
    let wrong = world.wrong_with_end("doubt", "failed", "exit_nonzero", &json!(3));
    (!wrong.is_empty()).then(|| format!("{way:?}, killed {killed}: {wrong:#?}\n{}", world.logged()))
}

#[test]
fn a_launch_that_stays_in_doubt_is_found_or_made_again_when_nomad_answers() {
    let ways = [Fault::DropBefore, Fault::Refuse(500), Fault::LoseAnswer, Fault::ErrorAfter];
    let cases = ways.into_iter().flat_map(|way| [(way, false), (way, true)]).collect();
    let wrong = side_by_side(cases, |(way, killed)| launch_in_doubt(way, killed));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_outage_in_the_middle_of_a_run_is_waited_for() {
    let (world, proxy) = spoilt_world();
    world.ask("out", "hold", "");
    let serving = world.serve(&[]);
    world.wait_until_begun("out");
    world.wait_for_state("out", "running");
    proxy.spoil(usize::MAX, "*", Fault::Refuse(503));
    world.open_gate("out");
    let ended = || world.allocations("out")[0]["ClientStatus"] == json!("failed");
    until("the run to end", || ended().then_some(()));
    let before = proxy.fired();
    until("more questions in vain", || (proxy.fired() > before + 3).then_some(()));
    assert_eq!(world.result("out"), None);
    proxy.heal();
    world.wait_for_result("out");
    serving.signal(Signal::TERM);
    serving.end();
    world.assert_ended("out", "failed", "exit_nonzero", &json!(3));
}
