//! Many actions that land together, and the same work by the shell script that a person would write.

use std::process::Command;
use std::time::Instant;

use crate::Effort;
use crate::pickup::between;
use crate::process::{Used, float, memory};
use crate::repo::{action, run};
use crate::table::{Goal, Row};
use crate::world::{Service, Setup, World};

/// Ten actions of one second each.
pub(crate) fn ten(effort: Effort) -> Vec<Row> {
    let rounds = effort.of(2, 5);
    let mut rows = Vec::new();
    for poll in [0.2, 1.0] {
        let goal = if poll < 1.0 { Goal::AtMost(2.6) } else { Goal::None };
        let what = format!("ten one-second actions land → last result on the branch, at a poll of {poll} s");
        rows.push(Row::new(what, "s", goal, (0..rounds).map(|_| ten_once(poll)).collect()));
    }
    let by_hand = (0..rounds).map(|_| by_hand(10, "sleep 1 & ")).collect();
    rows.push(Row::new("… by hand: fetch, all ten at once, one commit, push", "s", Goal::None, by_hand));
    rows
}

fn ten_once(poll: f64) -> f64 {
    let world = World::new();
    let mut service = world.serve(Setup { poll, ..Setup::default() }, "");
    service.wait_looked();
    let landed = world.repo.land_actions("second", 10, "second");
    service.wait_published(10);
    let events = service.events("second-");
    between(landed, events.iter().filter(|event| event.kind == "publish").map(|event| event.at).max().unwrap()) / 1000.0
}

/// A thousand actions of one line each.
pub(crate) fn thousand(effort: Effort) -> Vec<Row> {
    let count = effort.of(200, 1000);
    let mut rows = Vec::new();
    for concurrent in [16, 64] {
        rows.extend(many(count, concurrent));
    }
    let each = by_hand(count, "bash -c true; ") / f64::from(count) * 1000.0;
    rows.push(Row::new("… by hand, one commit for all: each action", "ms", Goal::None, vec![each]));
    rows
}

fn many(count: u32, concurrent: u32) -> Vec<Row> {
    let world = World::new();
    let mut service = world.serve(Setup { concurrent, ..Setup::default() }, "");
    service.wait_looked();
    let files: Vec<_> = (0..count).map(|number| action(&format!("many-{number}"), "quick", "[]")).collect();
    whole(&world, &mut service, &files, &format!("{count} actions, {concurrent} at once"), Goals::default())
}

/// What is wanted of a burst.
#[derive(Default, Clone, Copy)]
pub(crate) struct Goals {
    /// Launches a second.
    pub(crate) rate: Goal,
    /// Resident memory at most, in MiB.
    pub(crate) memory: Goal,
}

/// Lands `files`, actions whose ids begin with `many-`, and waits for all of their results.
pub(crate) fn whole(
    world: &World,
    service: &mut Service,
    files: &[(String, String)],
    what: &str,
    goals: Goals,
) -> Vec<Row> {
    let count = u32::try_from(files.len()).unwrap();
    let before = Used::by(service.pid());
    let landed = world.repo.land(files);
    let commits = world.repo.commits();
    service.wait_published(count);
    let used = Used::by(service.pid()).since(before);
    let events = service.events("many-");
    let of = |kind: &str| events.iter().filter(|event| event.kind == kind).map(|event| event.at).collect::<Vec<_>>();
    let (starts, published) = (of("start"), of("publish"));
    let (first, latest) = (starts.iter().min().unwrap(), starts.iter().max().unwrap());
    let rate = float(starts.len().try_into().unwrap()) / (between(*first, *latest) / 1000.0);
    let last = between(landed, *published.iter().max().unwrap()) / 1000.0;
    let admitted = between(landed, *of("admit").iter().max().unwrap()) / 1000.0;
    let each = |ms: f64| ms / f64::from(count);
    let (resident, most) = memory(service.pid());
    let row = |part: &str, unit, value| Row::new(format!("{what}: {part}"), unit, Goal::None, vec![value]);
    vec![
        Row::new(format!("{what}: launches a second"), "/s", goals.rate, vec![rate]),
        row("land → all admitted", "s", admitted),
        row("land → last result on the branch", "s", last),
        row("result commits", "", float(world.repo.commits() - commits)),
        row("processor time of the dispatcher, each", "ms", each(used.own_ms)),
        row("processor time of what it starts, each", "ms", each(used.children_ms)),
        row("resident memory afterwards", "MiB", resident),
        Row::new(format!("{what}: resident memory at most"), "MiB", goals.memory, vec![most]),
    ]
}

/// Seconds for `count` actions that each do `work`, in a clone: fetch, work, one commit of the results, push.
fn by_hand(count: u32, work: &str) -> f64 {
    let world = World::new();
    let clone = world.path().join("clone");
    run(Command::new("git").args(["clone", "--quiet", &world.url()]).arg(&clone));
    let files: Vec<_> = (0..count).map(|number| action(&format!("hand-{number}"), "quick", "[]")).collect();
    let begun = Instant::now();
    world.repo.land(&files);
    let script = format!(
        "set -e; git pull --quiet; for action in vault/actions/hand-*.toml; do {work}\
         echo '{{}}' > ${{action%.toml}}.result.json; done; wait; git add --all; \
         git -c user.name=a -c user.email=a@example.com commit --quiet -m results; git push --quiet"
    );
    run(Command::new("bash").args(["-c", &script]).current_dir(&clone));
    begun.elapsed().as_secs_f64()
}
