//! Many runs that go on at the same time, and what the dispatcher needs to follow them.

use std::process::Command;

use crate::Effort;
use crate::process::{float, memory};
use crate::repo::run;
use crate::table::{Goal, Row};
use crate::world::{Setup, World};

/// Runs that wait for somebody to open a pipe: nothing of them costs anything while they do.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let count = effort.of(100, 1000);
    let world = World::new();
    let gate = world.path().join("gate");
    run(Command::new("mkfifo").arg(&gate));
    world.repo.land(&[
        ("formulas/hold.sh".to_owned(), format!("read -r word < '{}'\ntrue\n", gate.display())),
        ("vault/policy.toml".to_owned(), "[tiers]\nhold = \"low\"\n".to_owned()),
    ]);
    let mut service = world.serve(Setup { concurrent: count, ..Setup::default() }, "");
    service.wait_looked();
    world.repo.land_actions("hold", count, "hold");
    service.wait_running(count);
    let (resident, _) = memory(service.pid());
    let threads = std::fs::read_dir(format!("/proc/{}/task", service.pid())).unwrap().count();
    // Whoever waits at the pipe goes on once it was opened and closed.
    drop(std::fs::OpenOptions::new().write(true).open(&gate).unwrap());
    service.wait_published(count);
    let (later, most) = memory(service.pid());
    let row = |what: &str, goal, value| Row::new(format!("{count} runs in flight: {what}"), "MiB", goal, vec![value]);
    vec![
        row("resident memory", Goal::AtMost(60.0), resident),
        row("resident memory at most", Goal::None, most),
        row("resident memory after their end", Goal::None, later),
        Row::new(format!("{count} runs in flight: threads"), "", Goal::None, vec![float(threads.try_into().unwrap())]),
    ]
}
