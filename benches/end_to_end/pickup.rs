//! From an approved action on the branch to its first instruction, one action at a time.

use jiff::Timestamp;

use crate::Effort;
use crate::table::{Goal, Row};
use crate::world::{Event, Service, Setup, World};

/// What one action took, in milliseconds.
struct Taken {
    /// From the commit on the branch to the recorded launch.
    landed_to_launched: f64,
    /// From the poll that saw the new head to the recorded launch.
    seen_to_launched: f64,
    /// From the poll to the formula's first line.
    seen_to_first_line: f64,
    /// From the poll to the request in the journal: fetching and comparing trees.
    seen_to_recorded: f64,
    /// From there to the verdict.
    recorded_to_admitted: f64,
    /// From the verdict to the launch.
    admitted_to_launched: f64,
    git_processes: f64,
}

/// At a short poll for the parts, at a poll of one second for the whole.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let short = actions(0.2, effort.of(5, 20));
    let whole = actions(1.0, effort.of(5, 20));
    let of = |taken: &[Taken], part: fn(&Taken) -> f64| taken.iter().map(part).collect::<Vec<f64>>();
    let explain = |what: &str, unit, part| Row::new(what, unit, Goal::None, of(&short, part));
    vec![
        Row::new("new head seen → launched", "ms", Goal::AtMost(150.0), of(&short, |taken| taken.seen_to_launched)),
        explain("… of that: fetch, compare, record", "ms", |taken| taken.seen_to_recorded),
        explain("… of that: admission", "ms", |taken| taken.recorded_to_admitted),
        explain("… of that: grant and launch", "ms", |taken| taken.admitted_to_launched),
        explain("… git processes from the head to the published result", "", |taken| taken.git_processes),
        explain("new head seen → the formula's first line", "ms", |taken| taken.seen_to_first_line),
        Row::new(
            "commit on the branch → launched, at a poll of 1 s",
            "s",
            Goal::AverageAtMost(0.5 + 0.6),
            of(&whole, |taken| taken.landed_to_launched / 1000.0),
        ),
    ]
}

fn actions(poll: f64, count: u32) -> Vec<Taken> {
    let world = World::new();
    let mut service = world.serve(Setup { poll, ..Setup::default() }, "");
    service.wait_looked();
    (0..count).map(|number| one(&world, &mut service, number, poll)).collect()
}

fn one(world: &World, service: &mut Service, number: u32, poll: f64) -> Taken {
    let before = service.git_processes();
    // Spread over the time between two polls, by steps that do not fall in with it.
    let offset = std::time::Duration::from_secs_f64(poll).mul_f64(f64::from(number) * 0.37 % 1.0);
    std::thread::sleep(offset);
    let name = format!("act{number}");
    let landed = world.repo.land_actions(&name, 1, "tell");
    service.wait_published(number + 1);
    let events = service.events(&format!("{name}-0@"));
    let (recorded, admitted, launched) = (at(&events, "see"), at(&events, "admit"), at(&events, "start"));
    let seen = service.fetches().into_iter().filter(|fetch| *fetch <= recorded).max().unwrap();
    let result = world.repo.show(&format!("vault/actions/{name}-0.result.json"));
    Taken {
        landed_to_launched: between(landed, launched),
        seen_to_launched: between(seen, launched),
        seen_to_first_line: between(seen, first_line(&result)),
        seen_to_recorded: between(seen, recorded),
        recorded_to_admitted: between(recorded, admitted),
        admitted_to_launched: between(admitted, launched),
        git_processes: crate::process::float(service.git_processes() - before),
    }
}

/// When the first step of that kind was recorded.
pub(crate) fn at(events: &[Event], kind: &str) -> Timestamp {
    events.iter().find(|event| event.kind == kind).unwrap_or_else(|| panic!("no `{kind}` in {events:?}")).at
}

/// When the formula began, as it says itself.
pub(crate) fn first_line(result: &str) -> Timestamp {
    let result: serde_json::Value = serde_json::from_str(result).unwrap();
    let (seconds, micros) = result["logs"].as_str().unwrap().trim().split_once('.').unwrap();
    Timestamp::new(seconds.parse().unwrap(), micros.parse::<i32>().unwrap() * 1000).unwrap()
}

/// Milliseconds.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1000.0
}
