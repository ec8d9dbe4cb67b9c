//! Kill -9 and a full disk at every point that is passed. Which points there are is learned from a good round, not written here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::check::Strictness;
use crate::child::until;
use crate::world::World;

/// What a point does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// The process is gone at once.
    Kill,
    /// The step fails as on a full disk.
    Error,
}

/// Passings of one point that are tried: the first few differ in what stands around them, later ones do not.
const PASSINGS: usize = 2;

/// Points by name, and how often each is passed.
type Points = BTreeMap<String, usize>;

fn passed(trace: &Path) -> Points {
    let mut points = Points::new();
    for line in fs::read_to_string(trace).unwrap_or_default().lines() {
        *points.entry(line.to_owned()).or_default() += 1;
    }
    points
}

/// The environment that asks for `deed` at the `nth` passing of `point`, and for a trace.
fn asking(world: &World, deed: Deed, point: &str, nth: usize) -> [(&'static str, String); 2] {
    let deed = match deed {
        Deed::Kill => "kill",
        Deed::Error => "error",
    };
    [("DISPATCH_FAULT", format!("{deed}:{point}:{nth}")), tracing(world)]
}

fn tracing(world: &World) -> (&'static str, String) {
    ("DISPATCH_FAULT_TRACE", world.path("trace").display().to_string())
}

fn borrowed<'e>(environment: &'e [(&'static str, String)]) -> Vec<(&'static str, &'e str)> {
    environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Passed by the supervisor or the runner of a run: what becomes of the run itself is then not certain, but that it is not repeated.
fn is_of_the_run(point: &str) -> bool {
    ["runner.fence.", "local.record.", "local.segment.", "local.exit."].iter().any(|area| point.starts_with(area))
}

fn strictness(point: &str) -> Strictness {
    if is_of_the_run(point) { Strictness::AtMostOnce } else { Strictness::Exact }
}

/// One round of `dispatch once` over one of everything that needs nobody to speak to the dispatcher.
fn quiet_points() -> Points {
    let world = World::with_a_bit_of_everything();
    let ended = world.call("once", &borrowed(&[tracing(&world)]));
    // The failed and the refused action are what it ends with.
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    world.assert_sound(Strictness::Exact);
    passed(&world.path("trace"))
}

/// The outcome of one fault, in words where something is wrong.
fn try_quietly(deed: Deed, point: &str, nth: usize) -> Option<String> {
    let world = World::with_a_bit_of_everything();
    let environment = asking(&world, deed, point, nth);
    let faulty = world.start("once", &borrowed(&environment));
    if is_of_the_run(point) {
        // Each supervisor is hit anew; the first one is enough.
        until("the point", || passed(&world.path("trace")).contains_key(point).then_some(()));
        faulty.signal(Signal::KILL);
    }
    let ended = faulty.end();
    if passed(&world.path("trace")).get(point).is_none_or(|count| *count < nth) {
        return Some("the point was not reached".to_owned());
    }
    if deed == Deed::Error && ended.status.code().is_none() && !is_of_the_run(point) {
        return Some(format!("it died of a full disk: {}", ended.said));
    }
    world.recover();
    let wrong = world.faults(strictness(point));
    (!wrong.is_empty()).then(|| format!("{wrong:#?}\n{}", ended.said))
}

fn try_all(
    deed: Deed,
    points: Points,
    which: impl Fn(&str) -> bool,
    attempt: impl Fn(Deed, &str, usize) -> Option<String>,
) {
    let mut wrong = Vec::new();
    for (point, count) in points.into_iter().filter(|(point, _)| which(point)) {
        let passings = if is_of_the_run(&point) { 1 } else { count.min(PASSINGS) };
        for nth in 1..=passings {
            wrong.extend(attempt(deed, &point, nth).map(|what| format!("{deed:?} at {point}, passing {nth}: {what}")));
        }
    }
    assert!(wrong.is_empty(), "{} faults were not survived:\n{}", wrong.len(), wrong.join("\n"));
}

fn is_of_the_journal(point: &str) -> bool {
    point.starts_with("journal.")
}

#[test]
fn killed_at_any_step_of_the_journal_nothing_is_lost_or_repeated() {
    try_all(Deed::Kill, quiet_points(), is_of_the_journal, try_quietly);
}

#[test]
fn killed_at_any_step_beside_the_journal_nothing_is_lost_or_repeated() {
    try_all(Deed::Kill, quiet_points(), |point| !is_of_the_journal(point), try_quietly);
}

#[test]
fn a_full_disk_at_any_step_of_the_journal_loses_and_repeats_nothing() {
    try_all(Deed::Error, quiet_points(), is_of_the_journal, try_quietly);
}

#[test]
fn a_full_disk_at_any_step_beside_the_journal_loses_and_repeats_nothing() {
    try_all(Deed::Error, quiet_points(), |point| !is_of_the_journal(point), try_quietly);
}

#[test]
fn every_durable_step_has_a_point_before_and_one_after_it() {
    let points = quiet_points();
    let steps = [
        "journal.set",
        "journal.sight",
        "journal.judge",
        "journal.grant",
        "journal.launch",
        "journal.start",
        "journal.finish",
        "journal.settle",
        "journal.publish",
        "journal.revoke",
        "local.mkdir",
        "local.launchfile",
        "local.spawn",
        "local.handover",
        "local.record",
        "local.ack",
        "runner.fence",
        "local.segment",
        "local.exit",
        "log.record",
        "ops.fetch",
        "ops.import",
        "ops.push",
        "local.remove",
    ];
    let missing: Vec<String> = steps
        .iter()
        .flat_map(|step| ["before", "after"].map(|side| format!("{step}.{side}")))
        .filter(|point| !points.contains_key(point))
        .collect();
    assert!(missing.is_empty(), "not passed by a good round: {missing:?}");
}

/// A round in which somebody speaks to the dispatcher: one run is cancelled while it goes on, another is asked for again.
/// Stops where the dispatcher does.
pub(crate) fn eventful_round(world: &World, environment: &[(&str, &str)]) {
    let mut serving = world.serve(environment);
    until("can-1 to begin", || (serving.is_over() || world.begun("can-1") > 0).then_some(()));
    until("the cancellation", || (serving.is_over() || says(world, "cancel can-1")).then_some(()));
    let ids = ["ok-1", "bad-1", "rej-1", "sec-1", "can-1"];
    until("the results", || (serving.is_over() || ids.iter().all(|id| world.result(id).is_some())).then_some(()));
    // Where the answer is an error, it may have been recorded all the same.
    let asked = || says(world, "retry ok-1") || world.run("ok-1@2").is_some();
    until("the retry", || (serving.is_over() || asked()).then_some(()));
    let again = || world.result("ok-1").is_some_and(|result| result["attempt"] == 2);
    until("the second result", || (serving.is_over() || again()).then_some(()));
    serving.signal(Signal::TERM);
    serving.end();
}

fn says(world: &World, line: &str) -> bool {
    world.command(line).output().unwrap().status.success()
}

pub(crate) fn eventful_world() -> World {
    let world = World::with_a_bit_of_everything();
    world.action("can-1", "hold", "");
    world.publish("one to be cancelled");
    world
}

/// What an eventful round passes and a quiet one does not.
fn eventful_points() -> Points {
    let world = eventful_world();
    eventful_round(&world, &borrowed(&[tracing(&world)]));
    world.recover();
    world.assert_sound(Strictness::Exact);
    assert_eq!(world.begun("ok-1"), 2, "it was asked for twice");
    assert_eq!(world.result("can-1").unwrap()["state"], "cancelled");
    let quiet = quiet_points();
    passed(&world.path("trace")).into_iter().filter(|(point, _)| !quiet.contains_key(point)).collect()
}

fn try_eventfully(deed: Deed, point: &str, nth: usize) -> Option<String> {
    let world = eventful_world();
    let environment = asking(&world, deed, point, nth);
    eventful_round(&world, &borrowed(&environment));
    world.open_gate("can-1");
    world.recover();
    let wrong = world.faults(strictness(point));
    (!wrong.is_empty()).then(|| format!("{wrong:#?}"))
}

#[test]
fn a_cancellation_and_a_retry_survive_a_kill_at_each_of_their_steps() {
    let points = eventful_points();
    assert!(points.contains_key("journal.stop.before") && points.contains_key("journal.see.after"), "{points:?}");
    try_all(Deed::Kill, points, |_| true, try_eventfully);
}

#[test]
fn a_cancellation_and_a_retry_survive_a_full_disk_at_each_of_their_steps() {
    try_all(Deed::Error, eventful_points(), |_| true, try_eventfully);
}

#[test]
fn a_dispatcher_that_goes_on_after_a_full_disk_forgets_nothing() {
    let together = ["sight", "judge", "publish"];
    let points = together.iter().flat_map(|step| ["before", "after"].map(|side| (format!("journal.{step}.{side}"), 1)));
    try_all(Deed::Error, points.collect(), |_| true, try_eventfully);
}

/// A world whose dispatcher was killed while it handed a run over.
fn broken_off() -> World {
    let world = World::with_a_bit_of_everything();
    let environment = asking(&world, Deed::Kill, "local.handover.before", 1);
    let ended = world.call("once", &borrowed(&environment));
    assert_eq!(ended.status.code(), None, "{}", ended.said);
    fs::remove_file(world.path("trace")).unwrap();
    world
}

fn recovery_points() -> Points {
    let world = broken_off();
    world.call("once", &borrowed(&[tracing(&world)]));
    world.assert_sound(Strictness::Exact);
    let quiet = quiet_points();
    passed(&world.path("trace")).into_iter().filter(|(point, _)| !quiet.contains_key(point)).collect()
}

fn try_recovering(deed: Deed, point: &str, nth: usize) -> Option<String> {
    let world = broken_off();
    let environment = asking(&world, deed, point, nth);
    world.call("once", &borrowed(&environment));
    world.recover();
    let wrong = world.faults(Strictness::Exact);
    (!wrong.is_empty()).then(|| format!("{wrong:#?}"))
}

#[test]
fn a_recovery_that_is_itself_broken_off_is_taken_up_again() {
    let points = recovery_points();
    assert!(points.contains_key("runner.seal.before") && points.contains_key("journal.return.after"), "{points:?}");
    try_all(Deed::Kill, points.clone(), |_| true, try_recovering);
    try_all(Deed::Error, points, |_| true, try_recovering);
}
