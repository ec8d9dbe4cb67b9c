//! Clients that stay away, for a while or for good, that are drained, and that are purged while a run goes on there.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::child::{Running, until};
use crate::testbed::{Api, PrivateServer, Testbed, is_alive, processes_naming};
use crate::world::World;

/// A minute of a time limit lasts a second: it is over while the client is away.
const SHORT_MINUTES: [(&str, &str); 1] = [("DISPATCH_FAULT_MINUTE", "1")];

/// A server that misses a client after three seconds, and clients of it.
struct Cluster {
    // Before the server, whose clients they are.
    clients: Vec<PrivateServer>,
    server: PrivateServer,
}

impl Cluster {
    fn with_clients(count: usize) -> Self {
        let testbed = Testbed::get();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("heartbeats.json");
        let server = json!({ "server": { "min_heartbeat_ttl": "2s", "heartbeat_grace": "1s" } });
        fs::write(&config, server.to_string()).unwrap();
        let server = testbed.private_nomad(&["--no-client", "--config", config.to_str().unwrap()]);
        let place = server.folder.to_str().unwrap();
        let clients = (0..count).map(|_| testbed.private_nomad(&["--server-of", place])).collect();
        Self { clients, server }
    }

    fn api(&self) -> Api {
        self.server.api()
    }

    fn node(&self, client: &PrivateServer) -> Value {
        let name = name_of(client);
        let nodes = self.api().must("GET", "/v1/nodes", None);
        nodes.as_array().unwrap().iter().find(|node| node["Name"] == name).cloned().unwrap_or_default()
    }

    fn wait_for(&self, client: &PrivateServer, status: &str) {
        until(&format!("the client to be {status}"), || (self.node(client)["Status"] == status).then_some(()));
    }
}

fn name_of(client: &PrivateServer) -> &str {
    client.folder.file_name().and_then(|name| name.to_str()).unwrap()
}

/// A world whose run `run` has begun and is watched.
fn begun(api: &Api, more: &str, environment: &[(&str, &str)]) -> (World, Running) {
    let world = World::on(api);
    world.ask("run", "hold", more);
    let serving = world.serve(environment);
    world.wait_until_begun("run");
    world.wait_for_state("run", "running");
    // A client that goes away before the server knows that the run goes on there is not waited for: "lost" and not "unknown".
    until("the server to know", || (world.allocations("run")[0]["ClientStatus"] == "running").then_some(()));
    (world, serving)
}

fn stop(serving: Running) {
    serving.signal(Signal::TERM);
    serving.end();
}

#[test]
fn a_client_that_is_away_is_waited_for_until_the_runs_own_time_is_over() {
    let cluster = Cluster::with_clients(1);
    let client = &cluster.clients[0];

    // Away for longer than the server waits, and back in time.
    let (world, serving) = begun(&cluster.api(), "", &[]);
    client.signal(Signal::STOP);
    cluster.wait_for(client, "disconnected");
    until("the run to be out of sight", || (world.allocations("run")[0]["ClientStatus"] == "unknown").then_some(()));
    assert_eq!(world.result("run"), None);
    client.signal(Signal::CONT);
    cluster.wait_for(client, "ready");
    world.open_gate("run");
    assert_eq!(world.wait_for_result("run")["logs"], "done\n");
    stop(serving);
    world.assert_ended("run", "failed", "exit_nonzero", &json!(3));
    assert_eq!(world.allocations("run").len(), 1);

    // Away for longer than the run may take.
    let (world, serving) = begun(&cluster.api(), "timeout_minutes = 1", &SHORT_MINUTES);
    client.signal(Signal::STOP);
    let result = world.wait_for_result("run");
    assert!(result["message"].as_str().unwrap().contains("went away and had not come back"), "{result}");
    client.signal(Signal::CONT);
    cluster.wait_for(client, "ready");
    until("the task to be ended there", || world.are_all_over("run", 1).then_some(()));
    stop(serving);
    world.assert_ended("run", "lost", "node_lost", &Value::Null);
}

#[test]
fn a_client_that_is_drained_ends_the_run_and_no_other_begins_it_again() {
    let cluster = Cluster::with_clients(2);
    let (world, serving) = begun(&cluster.api(), "", &[]);
    let node = world.allocations("run")[0]["NodeID"].as_str().unwrap().to_owned();
    let drain = json!({ "DrainSpec": { "Deadline": -1 }, "MarkEligible": false });
    cluster.api().must("PUT", &format!("/v1/node/{node}/drain"), Some(&drain));
    world.wait_for_result("run");
    stop(serving);
    world.assert_ended("run", "cancelled", "drained", &json!(143));
    assert_eq!(world.allocations("run").len(), 1);
}

#[test]
fn a_run_of_a_client_that_is_purged_is_lost_at_once_and_its_second_placement_taken_back() {
    let mut cluster = Cluster::with_clients(2);
    let (world, serving) = begun(&cluster.api(), "", &[]);
    let first = world.allocations("run")[0].clone();
    let (node, name) = (first["NodeID"].as_str().unwrap(), first["NodeName"].as_str().unwrap());
    let place = cluster.clients.iter().position(|client| name_of(client) == name).unwrap();
    cluster.clients[place].end(Signal::KILL);
    cluster.api().must("PUT", &format!("/v1/node/{node}/purge"), None);
    world.wait_for_result("run");
    stop(serving);
    let second = world.allocations("run")[1].clone();
    assert_ne!(second["NodeName"], first["NodeName"]);
    assert_eq!(second["DesiredStatus"], "stop", "{second}");
    // The first execution goes on until its client is back and hears that it is not wanted any more.
    let client = &mut cluster.clients[place];
    let tasks = processes_naming(&client.folder);
    assert!(tasks.len() > 1, "runner and formula: {tasks:?}");
    client.start_again(&[]);
    until("the first execution to end", || (!tasks.iter().any(|task| is_alive(*task))).then_some(()));
    world.assert_ended("run", "lost", "node_lost", &Value::Null);
}
