//! What an ops repo costs that has settled thousands of actions before: the first look without a journal, each poll, each new
//! head.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::Effort;
use crate::idle::Polls;
use crate::process::{Used, memory};
use crate::repo::{Layout, run};
use crate::table::{Goal, Row};
use crate::world::{Service, Setup, World};

/// Without history, with some, with much; in both layouts.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let much = effort.of(10_000, 100_000);
    let sizes =
        [(0, Layout::Flat), (1000, Layout::Flat), (1000, Layout::Dated), (much, Layout::Flat), (much, Layout::Dated)];
    sizes.into_iter().flat_map(|(count, layout)| of_size(count, layout, effort)).collect()
}

fn of_size(count: u32, layout: Layout, effort: Effort) -> Vec<Row> {
    let name = format!("{count} settled, {}", layout.word());
    eprintln!("measuring: {name}");
    let world = World::new();
    world.repo.settle(count, layout);
    let setup = Setup { layout, ..Setup::default() };
    let begun = Instant::now();
    run(Command::new("git").args(["clone", "--quiet", "--bare", &world.url()]).arg(world.path().join("clone.git")));
    let clone = begun.elapsed().as_secs_f64();

    let mut service = world.serve(setup, "");
    let all = service.wait_looked().as_secs_f64();
    drop(service);
    let (again, mut service) = without_journal(&world, setup, effort);
    let (resident, most) = memory(service.pid());
    let polls = Polls::watch(&service, effort);
    let heads = heads(&world, &mut service, effort);
    let (later, _) = memory(service.pid());

    let row = |what: &str, unit, goal, samples| Row::new(format!("{name}: {what}"), unit, goal, samples);
    vec![
        row("first start of all, with its clone", "s", Goal::None, vec![all]),
        row("… a `git clone --bare` alone", "s", Goal::None, vec![clone]),
        row("cold start without a journal", "s", Goal::AtMost(2.0), again),
        row("memory after it: resident", "MiB", Goal::AtMost(20.0), vec![resident]),
        row("memory during it: at most", "MiB", Goal::None, vec![most]),
        row("memory after some heads: resident", "MiB", Goal::AtMost(20.0), vec![later]),
        row("idle poll, processor time", "ms", Goal::AtMost(2.0), polls.own_ms),
        row("new head, processor time with git's", "ms", Goal::None, heads),
    ]
}

/// Cold starts with a mirror and no journal; the last service goes on.
fn without_journal(world: &World, setup: Setup, effort: Effort) -> (Vec<f64>, Service) {
    let mut taken = Vec::new();
    loop {
        for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
            // The last two go by themselves where the service ended well.
            drop(fs::remove_file(world.state().join(name)));
        }
        let mut service = world.serve(setup, "");
        taken.push(service.wait_looked().as_secs_f64());
        if taken.len() == effort.of(1, 3) {
            return (taken, service);
        }
    }
}

/// Milliseconds of processor time, git's included, for each of some commits that bring no action.
fn heads(world: &World, service: &mut Service, effort: Effort) -> Vec<f64> {
    let rounds = 5;
    let mut taken = Vec::new();
    for round in 0..effort.of(2, 4) {
        let before = Used::by(service.pid());
        for number in 0..rounds {
            world.repo.land(&[("README.md".to_owned(), format!("{round} {number}\n"))]);
            service.wait_head(&world.repo);
        }
        let used = Used::by(service.pid()).since(before);
        taken.push((used.own_ms + used.children_ms) / f64::from(rounds));
    }
    taken
}
