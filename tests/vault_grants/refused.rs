//! What a start refuses, and `dispatch doctor` names: a dispatcher that could read a secret itself.

use std::fs;

use serde_json::json;

use crate::testbed::{PrivateServer, Testbed, unique};
use crate::world::World;

/// `run` and `once` stop before anything is done, with words that hold `part`.
fn is_refused(world: &World, part: &str) {
    for verb in ["run", "once"] {
        let ended = world.call(verb, &[]);
        assert_eq!(ended.status.code(), Some(1), "{verb}: {}", ended.said);
        assert!(ended.said.contains(part), "{verb}: {part}: {}", ended.said);
    }
    let doctor = world.call("doctor", &[]);
    assert!(!doctor.status.success() && doctor.said.contains(part), "{part}: {}", doctor.said);
}

fn log_in_with(world: &World, policies: &[&str]) {
    let body = json!({ "policies": policies, "no_default_policy": true, "no_parent": true, "ttl": "1h" });
    let made = world.vault.must("POST", "/v1/auth/token/create", Some(&body));
    fs::write(world.path("token"), made["auth"]["client_token"].as_str().unwrap()).unwrap();
}

#[test]
fn a_token_that_reads_one_secret_of_runs_is_refused_whatever_its_policy_is_called() {
    let world = World::new();
    world.put_all();
    let runner = format!("runner-{}", world.secret("C").to_lowercase());
    log_in_with(&world, &["service-dispatcher", &runner]);
    is_refused(&world, &format!("`{runner}`"));
    let (other, path) = (unique("other"), format!("kv/data/disinto/runner/{}", world.secret("C")));
    let text = json!({ "policy": format!("path \"{path}\" {{ capabilities = [\"read\"] }}") });
    world.vault.must("POST", &format!("/v1/sys/policies/acl/{other}"), Some(&text));
    log_in_with(&world, &["service-dispatcher", &other]);
    is_refused(&world, &format!("may do more than grants need: read on `{path}`"));
    log_in_with(&world, &["service-dispatcher"]);
    let once = world.call("once", &[]);
    assert!(once.status.success(), "{}", once.said);
}

/// A Vault of its own, whose policy of the dispatcher forgets to force the wrapping.
fn lax() -> (PrivateServer, World) {
    let server = Testbed::get().private_vault(&[]);
    let world = World::at(server.api(), server.variable("TESTBED_VAULT_AUDIT").into());
    let path = "/v1/sys/policies/acl/service-dispatcher";
    let text = world.vault.must("GET", path, None)["data"]["policy"].as_str().unwrap().to_owned();
    let lax = text.replace("min_wrapping_ttl = \"1s\"", "").replace("max_wrapping_ttl = \"300s\"", "");
    world.vault.must("POST", path, Some(&json!({ "policy": lax })));
    (server, world)
}

#[test]
fn where_a_mint_in_the_clear_is_allowed_nothing_starts_and_the_token_that_it_made_is_dead() {
    let (_server, world) = lax();
    world.put_all();
    world.action("never", "show", &["A"]);
    world.publish();
    is_refused(&world, "without a wrapping");
    assert!(world.result("never").is_none() && !world.begun("never"));
    let minted = world.audited("auth/token/create/runner");
    let made: Vec<&str> = minted.iter().filter_map(|line| line["response"]["auth"]["accessor"].as_str()).collect();
    assert_eq!(made.len(), 3, "each start has tried: {minted:?}");
    for accessor in made {
        assert!(!world.lives(accessor), "{accessor}");
    }
}
