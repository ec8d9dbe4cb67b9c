//! Many actions at once.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::connections::Connections;
use crate::serving::{Serving, end, results};
use crate::testbed::{Testbed, eventually};
use crate::world::{World, raw_exec};

const ACTIONS: usize = 200;

/// The times at which the dispatcher said this of its runs.
fn times(said: &str, what: &str) -> Vec<Timestamp> {
    let lines = said.lines().filter(|line| line.ends_with(what));
    lines.map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

#[test]
fn two_hundred_actions_that_land_together_run_once_each_over_ten_connections_at_the_most() {
    let testbed = Testbed::get();
    let (namespace, api) = (testbed.namespace(), testbed.nomad());
    let world = World::new(&api, &namespace.name);
    // The client, whose million MHz are made up, has room for 24 processes at a time: the rest of them waits in Nomad.
    let runner = raw_exec().replace("cpu = 20", "cpu = 41000");
    world.configure(&runner, &format!("[limits]\nmax_concurrent = {ACTIONS}\n"));
    // For as long as this test waits for all of them: on a busy machine the last ones find their place late.
    assert_eq!(world.operate("jobs apply").code, Some(0));
    let serving = Serving::start_placing_within(&world, 240);
    let connections = Connections::count(serving.pid(), &api.address);
    let tally = world.path("tally");
    let ids: Vec<String> = (0..ACTIONS).map(|n| format!("one-of-many-{n}")).collect();
    let actions: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "timeout_minutes = 300")).collect();
    let begun = Instant::now();
    serving.land(&format!("echo \"$1\" >> {}\necho \"this was $1\"\n", tally.display()), &actions);
    let done = || results(&world).is_superset(&ids.iter().cloned().collect()).then_some(());
    eventually("the results of all", Duration::from_secs(240), done);
    let took = begun.elapsed();

    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    fs::read_to_string(&tally).unwrap().lines().for_each(|id| *ran.entry(id.to_owned()).or_default() += 1);
    assert_eq!(ran, ids.iter().map(|id| (id.clone(), 1)).collect());
    for id in &ids {
        let result = serving.result(id);
        assert_eq!(end(&result), ("succeeded", "succeeded", Some(0)), "{result:#}");
        assert_eq!(result["logs"], format!("this was {id}\n"));
    }
    let children = namespace.must("GET", "/v1/jobs?prefix=vault-runner/dispatch-", None);
    let is_run = |job: &&serde_json::Value| job["ID"].as_str().unwrap().contains("-run-");
    assert_eq!(children.as_array().unwrap().iter().filter(is_run).count(), ACTIONS);
    let most = connections.stop();
    assert!((2..=10).contains(&most), "{most} connections");

    let said = serving.said();
    let (asked, launched) = (times(&said, ": launching on nomad"), times(&said, ": begins"));
    assert_eq!(launched.len(), ACTIONS, "each launch is said once");
    let span = launched[ACTIONS - 1].duration_since(asked[0]).as_secs_f64();
    eprintln!(
        "{ACTIONS} launches in {span:.2} s: {:.0} a second; all results after {:.1} s; {most} connections at the most",
        200.0 / span,
        took.as_secs_f64()
    );
}
