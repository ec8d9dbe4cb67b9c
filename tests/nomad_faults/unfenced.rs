//! What an operator is told where no wrapping fences the runs.

use serde_json::Value;

use crate::testbed::Testbed;
use crate::world::World;

fn finding(world: &World) -> Option<Value> {
    let said = world.command("doctor --output json").output().unwrap().stdout;
    let findings = serde_json::from_slice::<Value>(&said).unwrap()["data"]["findings"].clone();
    findings.as_array().unwrap().iter().find(|one| one["subject"] == "nomad: second execution").cloned()
}

#[test]
fn without_vault_doctor_and_start_warn_that_on_another_client_only_a_marker_stops_a_second_execution() {
    let world = World::new();
    let warned = finding(&world).unwrap();
    assert_eq!(warned["standing"], "warning", "{warned}");
    let has = |field: &str, words: &str| assert!(warned[field].as_str().unwrap().contains(words), "{words}: {warned}");
    has("evidence", "a second execution on another client is stopped only by a marker");
    has("fix", "[secrets.vault]");

    world.ask("one", "work", "");
    let once = world.call("once", &[]);
    assert!(once.said.contains("a second execution on another client"), "{}", once.said);
    assert_eq!(world.result("one").unwrap()["state"], "succeeded", "it is a warning and no more");

    assert_eq!(finding(&world.with_vault(&Testbed::get().vault())), None);
}
