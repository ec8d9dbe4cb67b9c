//! Runs that wait for a place for longer than they may take: the wait is no part of their time.

use serde_json::{Value, json};

use crate::testbed::Testbed;
use crate::world::World;

/// A minute of a limit lasts a second; so long may a run wait for a place, in minutes. Longer than any that may take one minute is
/// given, with its grace and the margin on top.
const SCALED: [(&str, &str); 2] = [("DISPATCH_FAULT_MINUTE", "1"), ("DISPATCH_BACKENDS_NOMAD_PLACEMENT_MINUTES", "16")];

#[test]
fn a_run_that_no_client_has_room_for_is_never_placed_however_short_its_limit_is() {
    let runner = format!(
        "driver = 'raw_exec'\ncommand = '{}'\ncpu = 20\nmemory = 9000000\ndisk = 110\n",
        env!("CARGO_BIN_EXE_dispatch")
    );
    let world = World::new().with_runner(&runner);
    world.ask("roomy", "fail", "timeout_minutes = 1");
    world.call("once", &SCALED);
    let result = world.result("roomy").unwrap();
    assert_eq!((&result["state"], &result["reason"]), (&json!("not_started"), &json!("never_placed")), "{result:#}");
    assert!(result["message"].as_str().unwrap().contains("no client has enough memory"), "{result:#}");
    assert_eq!((&result["started_at"], world.begun("roomy")), (&Value::Null, 0));
    world.assert_nothing_wrong();
}

#[test]
fn a_run_that_was_placed_late_has_its_whole_limit() {
    let nomad = Testbed::get().private_nomad(&[]);
    let node = nomad.api().must("GET", "/v1/nodes", None)[0]["ID"].as_str().unwrap().to_owned();
    let let_it_work = |may: &str| {
        let wish = json!({ "NodeID": node, "Eligibility": may });
        nomad.api().must("PUT", &format!("/v1/node/{node}/eligibility"), Some(&wish));
    };
    let world = World::on(&nomad.api());
    // What takes longer than the other's limit, grace and margin together.
    world.formula("work", "echo \"$1\" >> TALLY\nsleep 20\n");
    world.ask("first", "work", "timeout_minutes = 100");
    let serving = world.serve(&[SCALED[0], ("DISPATCH_BACKENDS_NOMAD_PLACEMENT_MINUTES", "100")]);
    world.wait_until_begun("first");
    let_it_work("ineligible");
    world.ask("late", "brief", "timeout_minutes = 1");
    world.wait_for_state("late", "running");
    world.wait_for_result("first");
    let_it_work("eligible");
    world.wait_for_result("late");
    serving.signal(rustix::process::Signal::TERM);
    serving.end();
    world.assert_ended("late", "failed", "exit_nonzero", &json!(3));
}
