//! What stands in Vault where runs take their grants by their own identity: how it gets there, what it keeps the dispatcher from, and what
//! the doctor says of each part that is missing.

use serde_json::{Value, json};

use crate::policies::ask;
use crate::testbed::{Api, PrivateServer, Testbed};
use crate::world::World;

/// On a Vault of its own, with the auth method enabled and told whose keys it trusts.
fn with_identities() -> (PrivateServer, World) {
    let server = Testbed::get().private_vault(&[]);
    let mut world = World::at(server.api(), server.variable("TESTBED_VAULT_AUDIT").into());
    world.put_all();
    world.identity.push_str("[secrets.vault.workload_identity]\n");
    let nomad = Testbed::get().nomad();
    world.backends = format!(
        "[backends]\ndefault = 'nomad'\n[backends.nomad]\naddress = '{}'\nnamespace = 'runs'\n[backends.nomad.runner]\n",
        nomad.address
    );
    world.configure(&world.vault.address, "");
    let missing = world.administer("policies plan");
    assert_eq!(missing.status.code(), Some(1), "{}", missing.said);
    assert!(missing.said.contains("vault auth enable -path=jwt-nomad jwt"), "{}", missing.said);
    world.vault.must("POST", "/v1/sys/auth/jwt-nomad", Some(&json!({ "type": "jwt" })));
    let keys = json!({ "jwks_url": format!("{}/.well-known/jwks.json", nomad.address) });
    world.vault.must("POST", "/v1/auth/jwt-nomad/config", Some(&keys));
    let applied = world.administer("policies apply");
    assert!(applied.status.success(), "{}", applied.said);
    (server, world)
}

const ROLE: &str = "/v1/auth/jwt-nomad/role/dispatch-run";
const POLICY: &str = "/v1/sys/policies/acl/dispatch-handover";

#[test]
fn policy_and_role_of_runs_are_written_once_and_drift_is_named_and_set_right() {
    let (_server, world) = with_identities();
    let check = world.administer("policies check");
    assert!(check.status.success() && check.said.contains("jwt-nomad/dispatch-run"), "{}", check.said);
    let role = world.vault.must("GET", ROLE, None)["data"].clone();
    assert_eq!(role["bound_claims"], json!({ "nomad_namespace": "runs", "nomad_task": "runner" }));
    let drifted =
        json!({ "role_type": "jwt", "user_claim": "nomad_job_id", "token_ttl": 30, "bound_audiences": ["any"] });
    world.vault.must("POST", ROLE, Some(&drifted));
    let wide = json!({ "policy": "path \"kv/data/disinto/*\" { capabilities = [\"read\"] }" });
    world.vault.must("PUT", POLICY, Some(&wide));
    let check = world.administer("policies check");
    assert_eq!(check.status.code(), Some(1), "{}", check.said);
    for words in ["`kv/data/disinto/*`: read", "user_claim", "token_ttl", "bound_audiences"] {
        assert!(check.said.contains(words), "{words}: {}", check.said);
    }
    assert!(world.administer("policies apply").status.success());
    assert!(world.administer("policies check").status.success());
}

#[test]
fn the_dispatcher_puts_down_and_removes_and_the_server_refuses_it_everything_else_of_it() {
    let (_server, world) = with_identities();
    let token = std::fs::read_to_string(world.path("token")).unwrap();
    let api = Api::vault(&world.vault.address, &token);
    let own = "disinto/handover/da247605-c1c0-1a7f-1695-d3a2326bd7a5";
    let put = json!({ "data": { "token": "w" } });
    for (method, path, body, status) in [
        ("POST", format!("kv/data/{own}"), put.clone(), 200),
        ("POST", format!("kv/data/{own}"), put.clone(), 200),
        ("GET", format!("kv/data/{own}"), json!(null), 403),
        ("GET", format!("kv/subkeys/{own}"), json!(null), 403),
        ("GET", format!("kv/metadata/{own}"), json!(null), 403),
        ("LIST", "kv/metadata/disinto/handover".to_owned(), json!(null), 403),
        ("DELETE", format!("kv/data/{own}"), json!(null), 403),
        ("POST", format!("kv/metadata/{own}"), json!({ "max_versions": 1 }), 403),
        ("POST", format!("kv/undelete/{own}"), json!({ "versions": [1] }), 403),
        ("POST", "kv/data/disinto/handover".to_owned(), put.clone(), 403),
        ("POST", "kv/data/disinto/other/x".to_owned(), put.clone(), 403),
        ("POST", format!("kv/data/disinto/runner/{}", world.secret("A")), put.clone(), 403),
        ("DELETE", format!("kv/metadata/disinto/runner/{}", world.secret("A")), json!(null), 403),
        (
            "POST",
            "auth/jwt-nomad/role/dispatch-run".to_owned(),
            json!({ "role_type": "jwt", "user_claim": "sub" }),
            403,
        ),
        ("POST", "auth/jwt-nomad/role/another".to_owned(), json!({ "role_type": "jwt", "user_claim": "sub" }), 403),
        ("LIST", "auth/jwt-nomad/role".to_owned(), json!(null), 403),
        ("POST", "auth/jwt-nomad/config".to_owned(), json!({ "jwks_url": "http://127.0.0.1:1" }), 403),
        ("GET", "auth/jwt-nomad/config".to_owned(), json!(null), 403),
        ("PUT", "sys/policies/acl/dispatch-handover".to_owned(), json!({ "policy": "" }), 403),
        ("POST", "identity/entity-alias".to_owned(), json!({ "name": "x" }), 403),
        ("LIST", "identity/entity/id".to_owned(), json!(null), 403),
        // A grant can never be what a run is by its identity.
        (
            "POST",
            "auth/token/create/runner".to_owned(),
            json!({ "policies": ["dispatch-handover"], "ttl": "60s" }),
            403,
        ),
        ("DELETE", format!("kv/metadata/{own}"), json!(null), 204),
    ] {
        let wrap = path.starts_with("auth/token").then_some("60s");
        assert_eq!(ask(&api, method, &path, &body, wrap), status, "{method} {path} {body}");
    }
}

#[test]
fn the_doctor_names_each_part_that_is_missing_for_the_identities_of_runs() {
    let (_server, world) = with_identities();
    let doctor = || world.call("doctor", &[]).said;
    let good = doctor();
    assert!(good.contains("each known by its allocation"), "{good}");
    let spoilt = |words: &str| {
        let said = doctor();
        assert!(said.contains(words) && !said.contains("each known by its allocation"), "{words}: {said}");
    };
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["dispatch-grant"] });
    world.vault.must("POST", ROLE, Some(&role));
    spoilt("is not as it should be: user_claim");
    world.vault.must("DELETE", ROLE, None);
    spoilt("there is no role `auth/jwt-nomad/role/dispatch-run`");
    assert!(world.administer("policies apply").status.success());
    world.vault.must(
        "PUT",
        POLICY,
        Some(&json!({ "policy": "path \"kv/data/disinto/*\" { capabilities = [\"read\"] }" })),
    );
    spoilt("the policy `dispatch-handover` is another than the one that ships");
    world.vault.must("DELETE", POLICY, None);
    spoilt("there is no policy `dispatch-handover`");

    // Another method has another accessor, and at first trusts nobody's keys.
    world.vault.must("DELETE", "/v1/sys/auth/jwt-nomad", None);
    spoilt("no auth method is enabled at `jwt-nomad`");
    world.vault.must("POST", "/v1/sys/auth/jwt-nomad", Some(&json!({ "type": "jwt" })));
    assert!(world.administer("policies apply").status.success());
    spoilt("is not told whose keys it trusts");

    let path = "/v1/sys/policies/acl/service-dispatcher";
    let text: Value = world.vault.must("GET", path, None)["data"]["policy"].clone();
    let wide = text.as_str().unwrap().replace("[\"create\", \"update\"]", "[\"create\", \"update\", \"read\"]");
    world.vault.must("PUT", path, Some(&json!({ "policy": wide })));
    spoilt("may read what it puts down for runs");
    let narrow = text.as_str().unwrap().replace("[\"create\", \"update\"]", "[\"update\"]");
    world.vault.must("PUT", path, Some(&json!({ "policy": narrow })));
    spoilt("no `create` on `kv/data/disinto/handover/PROBE`");
}
