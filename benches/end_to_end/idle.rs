//! What it costs to wait: processor time and processes for each poll that finds nothing new, and memory.

use std::time::Duration;

use crate::Effort;
use crate::process::{Used, float, memory, wait_at_rest};
use crate::table::{Goal, Row};
use crate::world::{Service, Setup, World};

/// Seconds between two polls where it is measured.
const POLL: f64 = 0.2;
/// Seconds between two polls as shipped.
const SHIPPED_POLL: f64 = 5.0;

/// After some actions were dealt with.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let world = World::new();
    let counted = world.count_git();
    let mut service = world.serve(Setup::default(), "");
    service.wait_looked();
    world.repo.land_actions("before", 5, "quick");
    service.wait_published(5);
    // Also what comes after the last result: clearing up, and the look at the head that we made ourselves.
    std::thread::sleep(Duration::from_secs(1));
    wait_at_rest(service.pid());
    let lines = || float(std::fs::read_to_string(&counted).unwrap().lines().count().try_into().unwrap());
    let (before, polls) = (lines(), Polls::watch(&service, effort));
    let children_started = if polls.children_faults > 0 { (lines() - before).max(1.0) } else { lines() - before };
    let share = polls.own_ms.iter().map(|ms| ms / (SHIPPED_POLL * 1000.0) * 100.0).collect();
    let (resident, _) = memory(service.pid());
    vec![
        Row::new("idle poll over HTTP: processes started", "", Goal::AtMost(0.0), vec![children_started]),
        Row::new("idle poll over HTTP: processor time", "ms", Goal::AtMost(2.0), polls.own_ms),
        Row::new("idle at a poll of 5 s: share of a core", "%", Goal::AtMost(0.1), share),
        Row::new("idle after some actions: resident memory", "MiB", Goal::AtMost(20.0), vec![resident]),
    ]
}

/// What the polls in some windows of time cost.
#[derive(Debug)]
pub(crate) struct Polls {
    /// Milliseconds of processor time for each poll; whatever else goes on in the process counts as well.
    pub(crate) own_ms: Vec<f64>,
    children_faults: u64,
}

impl Polls {
    /// Watches a service that polls every [`POLL`] seconds and has nothing else to do.
    pub(crate) fn watch(service: &Service, effort: Effort) -> Self {
        wait_at_rest(service.pid());
        let window = Duration::from_secs(effort.of(1, 2));
        let first = Used::by(service.pid());
        let mut before = first;
        let mut own_ms = Vec::new();
        for _ in 0..effort.of(3, 5) {
            std::thread::sleep(window);
            let now = Used::by(service.pid());
            own_ms.push(now.since(before).own_ms / (window.as_secs_f64() / POLL));
            before = now;
        }
        Self { own_ms, children_faults: before.since(first).children_faults }
    }
}
