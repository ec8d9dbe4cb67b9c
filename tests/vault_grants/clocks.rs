//! Clocks an hour apart, in both directions: the dispatcher's and the runner's on one side, Vault's on the other.
//!
//! A time that Vault tells is compared in these places, and in each with the server's own clock or with a stretch of time:
//!
//! | where | what | with | here |
//! | --- | --- | --- | --- |
//! | `runner::grant`, a wrapping that is gone | `creation_time` + `ttl` | `sys/health` of the server | `expired`, `stolen` |
//! | `grant::vault`, the fate of a wrapping | the same, as it was journalled | the same | `expired`, `stolen` |
//! | `grant::vault`, whether a secret is there | `deletion_time` of its version | the same | `dying`, `deleted` |
//! | `grant::vault::login`, when to renew | `lease_duration` | a stretch of time | all: the login lives for 6 s |
//! | `grant::vault::proof`, the life of a token | `creation_ttl` | what was asked for | `with` |
//! | `runner::grant`, patience | `ttl` of the wrapping | a stretch of time | `expired` |
//!
//! The shift stands in for a server whose clock is wrong: only the distance is seen by either side.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::child::until;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::world::World;

const LOOKUP: &str = "POST /v1/sys/wrapping/lookup*";

#[test]
fn with_clocks_an_hour_apart_grants_open_expire_and_are_missed_all_the_same() {
    for off in ["3600", "-3600"] {
        grants_with_a_clock_that_is(off);
    }
}

/// A login that lives for seconds, unless it is renewed.
fn short_login(world: &World) {
    let token =
        json!({ "policies": ["service-dispatcher"], "no_default_policy": true, "no_parent": true, "period": "6s" });
    let made = world.vault.must("POST", "/v1/auth/token/create", Some(&token));
    fs::write(world.path("token"), made["auth"]["client_token"].as_str().unwrap()).unwrap();
}

fn grants_with_a_clock_that_is(off: &str) {
    let world = World::new();
    world.put_all();
    let metadata = |name: &str| format!("/v1/kv/metadata/disinto/runner/{}", world.secret(name));
    // Half an hour from now by the server's clock.
    world.vault.must("POST", &metadata("B"), Some(&json!({ "delete_version_after": "1800s" })));
    world.put("B", &json!({ "value": "canary-that-dies" }));
    world.vault.must("DELETE", &metadata("C").replace("/metadata/", "/data/"), None);
    short_login(&world);
    let proxy = FaultProxy::start(&world.vault.address);
    world.configure(&world.vault.address, &format!("runner_address = '{}'\nwrap_ttl_seconds = 5\n", proxy.url()));
    let running = world.serve_with(&[("DISPATCH_FAULT_CLOCK", off)]);
    for (id, secrets, state) in [
        ("with", &["A"][..], "succeeded"),
        ("without", &[], "succeeded"),
        ("dying", &["B"], "succeeded"),
        ("deleted", &["C"], "rejected"),
    ] {
        world.action(id, "show", secrets);
        world.publish();
        let result = world.wait_for_result(id);
        assert_eq!(result["state"], state, "{off}: {result}");
        if state == "succeeded" {
            world.wait_until_revoked(&format!("{id}@1"));
        } else {
            assert_eq!(result["reason"], "secret_absent", "{off}: {result}");
        }
    }
    proxy.spoil(1, LOOKUP, Fault::DelayBefore(Duration::from_secs(2)));
    world.action("stolen", "show", &["A"]);
    world.publish();
    let record = until("the grant", || world.grants("stolen@1").pop());
    let wrapping = json!({ "accessor": record["wrapping"]["accessor"] });
    world.vault.must("POST", "/v1/auth/token/revoke-accessor", Some(&wrapping));
    assert_eq!(world.wait_for_result("stolen")["reason"], "grant_intercepted", "{off}: {}", running.said());
    proxy.spoil(1000, LOOKUP, Fault::Refuse(503));
    world.action("expired", "show", &["A"]);
    world.publish();
    assert_eq!(world.wait_for_result("expired")["reason"], "grant_expired", "{off}: {}", running.said());
    assert_eq!(world.alarms("grant_intercepted"), 1, "{off}: {}", running.said());
}
