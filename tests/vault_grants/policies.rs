//! The shipped policies on a real server: how they get there, and what they keep the dispatcher from.

use serde_json::{Value, json};

use crate::testbed::{Api, Testbed};
use crate::world::World;

/// On a Vault of its own: what is changed here is everybody's.
fn alone() -> (crate::testbed::PrivateServer, World) {
    let server = Testbed::get().private_vault(&[]);
    let world = World::at(server.api(), server.variable("TESTBED_VAULT_AUDIT").into());
    (server, world)
}

fn objects(said: &str) -> Vec<Value> {
    let answer: Value = serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {said}"));
    answer["data"]["objects"].as_array().unwrap().clone()
}

#[test]
fn policies_are_written_once_and_drift_is_named_and_set_right() {
    let (_server, world) = alone();
    let again = world.administer("policies apply --output json");
    assert!(objects(&again.said).iter().all(|object| object["change"] == "unchanged"), "{}", again.said);
    assert!(world.administer("policies check").status.success());

    let wide = json!({ "policy": "path \"kv/data/*\" { capabilities = [\"read\"] }" });
    let name = format!("runner-{}", world.secret("A").to_lowercase());
    world.vault.must("POST", &format!("/v1/sys/policies/acl/{name}"), Some(&wide));
    world.vault.must(
        "POST",
        "/v1/auth/token/roles/runner",
        Some(&json!({ "allowed_policies": ["root"], "token_num_uses": 7 })),
    );
    let check = world.administer("policies check");
    assert_eq!(check.status.code(), Some(1), "{}", check.said);
    for words in ["`kv/data/*`: read", "allowed_policies, token_num_uses", "`allowed_policies` is not []"] {
        assert!(check.said.contains(words), "{words}: {}", check.said);
    }
    let dry = world.administer("policies apply --dry-run");
    assert!(dry.status.success() && world.administer("policies check").status.code() == Some(1));
    assert!(world.administer("policies apply").status.success());
    assert!(world.administer("policies check").status.success());
}

#[test]
fn a_policy_of_the_folder_that_asks_for_more_is_named_and_not_written() {
    let (_server, world) = alone();
    let added = world.administer(&format!("policies add {} --dir own", world.secret("A")));
    assert!(added.status.success(), "{}", added.said);
    let file = world.path("own").join(format!("runner-{}.hcl", world.secret("A")));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[\"read\"]", "[\"read\", \"list\"]")).unwrap();
    for name in ["B", "C", "D", "E", "F", "GONE"] {
        assert!(world.administer(&format!("policies add {} --dir own", world.secret(name))).status.success());
    }
    let applied = world.administer("policies apply --dir own");
    assert_eq!(applied.status.code(), Some(1), "{}", applied.said);
    assert!(applied.said.contains("asks for more") && applied.said.contains(": list"), "{}", applied.said);
}

#[test]
fn without_an_administrators_token_nothing_is_written_and_the_next_step_is_named() {
    let world = World::new();
    let nobody = world.call("policies apply", &[]);
    assert!(nobody.said.contains("VAULT_TOKEN") && nobody.status.code() == Some(2), "{}", nobody.said);
    let token = std::fs::read_to_string(world.path("token")).unwrap();
    let dispatcher = world.call("policies apply", &[("VAULT_TOKEN", &token)]);
    assert!(dispatcher.said.contains("administrator's token"), "{}", dispatcher.said);
    assert!(!dispatcher.said.contains(&token));
}

/// Asks with the dispatcher's token, with or without a wrapping header.
pub(crate) fn ask(api: &Api, method: &str, path: &str, body: &Value, wrap: Option<&str>) -> u16 {
    let mut asked = request(api, method, path);
    if let Some(wrap) = wrap {
        asked = asked.header("X-Vault-Wrap-TTL", wrap);
    }
    let asked = if body.is_null() { asked } else { asked.json(body) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { asked.send().await.unwrap().status().as_u16() })
}

fn request(api: &Api, method: &str, path: &str) -> reqwest::RequestBuilder {
    let times = dispatch::support::http::Times {
        connect: std::time::Duration::from_secs(5),
        request: std::time::Duration::from_secs(30),
    };
    let client = dispatch::support::http::client(&api.address, times, None).unwrap();
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    client.request(method, format!("{}/v1/{path}", api.address)).header("X-Vault-Token", &api.token)
}

/// A wrapping that an administrator has made.
fn foreign_wrapping(vault: &Api) -> Value {
    let asked =
        request(vault, "POST", "sys/wrapping/wrap").header("X-Vault-Wrap-TTL", "60s").json(&json!({ "x": "y" }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer: Value = runtime.block_on(async { asked.send().await.unwrap().json().await.unwrap() });
    answer["wrap_info"]["token"].clone()
}

#[test]
fn the_server_refuses_the_dispatcher_everything_that_grants_do_not_need() {
    let world = World::new();
    world.put_all();
    let token = std::fs::read_to_string(world.path("token")).unwrap();
    let api = Api::vault(&world.vault.address, &token);
    let (a, policy) = (world.secret("A"), format!("runner-{}", world.secret("A")));
    let mint = |policies: Value| json!({ "policies": policies, "ttl": "60s" });
    let good = mint(json!([policy]));
    let create = "auth/token/create/runner";
    let foreign = foreign_wrapping(&world.vault);
    let refused = [
        ("GET", format!("kv/data/disinto/runner/{a}"), json!(null), None),
        ("GET", format!("kv/subkeys/disinto/runner/{a}"), json!(null), None),
        ("POST", format!("kv/data/disinto/runner/{a}"), json!({ "data": { "value": "x" } }), None),
        ("DELETE", format!("kv/metadata/disinto/runner/{a}"), json!(null), None),
        ("LIST", "kv/metadata/disinto/runner".to_owned(), json!(null), None),
        ("GET", "kv/config".to_owned(), json!(null), None),
        ("POST", create.to_owned(), good.clone(), None),
        ("POST", create.to_owned(), good.clone(), Some("301s")),
        ("POST", create.to_owned(), good.clone(), Some("0")),
        ("POST", create.to_owned(), mint(json!(["root"])), Some("60s")),
        ("POST", create.to_owned(), mint(json!(["default"])), Some("60s")),
        ("POST", create.to_owned(), mint(json!(["service-dispatcher"])), Some("60s")),
        ("POST", create.to_owned(), mint(json!([policy, "default"])), Some("60s")),
        ("POST", create.to_owned(), mint(json!([])), Some("60s")),
        ("POST", create.to_owned(), json!({ "policies": [policy] }), Some("60s")),
        ("POST", create.to_owned(), json!({ "policies": [policy], "ttl": "60s", "period": "1h" }), Some("60s")),
        ("POST", "auth/token/create".to_owned(), good.clone(), Some("60s")),
        ("POST", "auth/token/create-orphan".to_owned(), good.clone(), Some("60s")),
        ("POST", "auth/token/create/other".to_owned(), good, Some("60s")),
        ("POST", "auth/token/roles/runner".to_owned(), json!({ "orphan": false }), None),
        ("GET", "auth/token/roles/runner".to_owned(), json!(null), None),
        ("LIST", "auth/token/accessors".to_owned(), json!(null), None),
        ("POST", "auth/token/lookup".to_owned(), json!({ "token": world.vault.token }), None),
        ("POST", "auth/token/revoke".to_owned(), json!({ "token": world.vault.token }), None),
        ("GET", "sys/policies/acl/service-dispatcher".to_owned(), json!(null), None),
        ("POST", format!("sys/policies/acl/{policy}"), json!({ "policy": "" }), None),
        ("GET", "sys/mounts".to_owned(), json!(null), None),
        ("POST", "sys/wrapping/wrap".to_owned(), json!({ "nonce": "x" }), None),
        ("GET", "cubbyhole/x".to_owned(), json!(null), None),
        // Other people's secrets, and other people's versions of these.
        ("GET", "kv/data/disinto/other".to_owned(), json!(null), None),
        ("GET", "kv/metadata/disinto/other".to_owned(), json!(null), None),
        ("POST", format!("kv/metadata/disinto/runner/{a}"), json!({ "max_versions": 1 }), None),
        ("POST", format!("kv/undelete/disinto/runner/{a}"), json!({ "versions": [1] }), None),
        ("POST", format!("kv/destroy/disinto/runner/{a}"), json!({ "versions": [1] }), None),
        ("DELETE", format!("kv/data/disinto/runner/{a}"), json!(null), None),
        // Other ways to a token, or to more of one.
        ("POST", create.to_owned(), json!({ "policies": [policy], "ttl": "60s", "num_uses": 0 }), Some("60s")),
        ("POST", create.to_owned(), json!({ "policies": [policy], "ttl": "60s", "id": "chosen" }), Some("60s")),
        ("POST", create.to_owned(), json!({ "policies": "default", "ttl": "60s" }), Some("60s")),
        ("POST", create.to_owned(), mint(json!([""])), Some("60s")),
        ("POST", "auth/token/renew".to_owned(), json!({ "token": world.vault.token }), None),
        ("POST", "auth/token/renew-accessor".to_owned(), json!({ "accessor": "x" }), None),
        ("POST", "auth/token/revoke-orphan".to_owned(), json!({ "token": world.vault.token }), None),
        ("POST", "auth/token/tidy".to_owned(), json!({}), None),
        ("POST", "auth/approle/role/dispatcher".to_owned(), json!({ "token_policies": "root" }), None),
        ("POST", "auth/approle/role/dispatcher/secret-id".to_owned(), json!({}), None),
        ("POST", "auth/jwt/role/dispatcher".to_owned(), json!({ "token_policies": "root" }), None),
        ("POST", "identity/entity".to_owned(), json!({ "name": "x", "policies": ["root"] }), None),
        // Other people's wrappings.
        ("POST", "sys/wrapping/rewrap".to_owned(), json!({ "token": foreign }), None),
        ("POST", "sys/wrapping/unwrap".to_owned(), json!({ "token": foreign }), None),
        // The server itself.
        ("LIST", "sys/policies/acl".to_owned(), json!(null), None),
        ("DELETE", "sys/policies/acl/service-dispatcher".to_owned(), json!(null), None),
        ("POST", "sys/capabilities".to_owned(), json!({ "token": world.vault.token, "paths": ["kv"] }), None),
        ("POST", "sys/mounts/other".to_owned(), json!({ "type": "kv" }), None),
        ("GET", "sys/auth".to_owned(), json!(null), None),
        ("GET", "sys/audit".to_owned(), json!(null), None),
        ("DELETE", "sys/audit/file".to_owned(), json!(null), None),
        ("POST", "sys/seal".to_owned(), json!(null), None),
        ("POST", "sys/quotas/rate-limit/x".to_owned(), json!({ "rate": 1 }), None),
    ];
    for (method, path, body, wrap) in refused {
        assert_eq!(ask(&api, method, &path, &body, wrap), 403, "{method} {path} {body} {wrap:?}");
    }
    // What grants need is not.
    assert_eq!(ask(&api, "POST", create, &mint(json!([policy])), Some("60s")), 200);
    assert_eq!(ask(&api, "GET", &format!("kv/metadata/disinto/runner/{a}"), &json!(null), None), 200);
}

#[test]
fn the_doctor_finds_a_dispatchers_token_that_may_read_secrets_and_a_role_that_drifted() {
    let (_server, world) = alone();
    let doctor = |environment: &[(&str, &str)]| world.call("doctor", environment).said;
    let good = doctor(&[]);
    for subject in
        ["vault: server", "vault: login", "vault: mount kv", "vault: wrapping is forced", "vault: token role runner"]
    {
        assert!(good.contains(subject), "{subject}: {good}");
    }
    world.vault.must("POST", "/v1/auth/token/roles/runner", Some(&json!({ "orphan": false })));
    assert!(doctor(&[]).contains("it is no orphan"), "{}", doctor(&[]));
    world.administer("policies apply");
    // A policy that forgets to force the wrapping.
    let text = world.vault.must("GET", "/v1/sys/policies/acl/service-dispatcher", None)["data"]["policy"]
        .as_str()
        .unwrap()
        .to_owned();
    let lax = text.replace("min_wrapping_ttl = \"1s\"", "").replace("max_wrapping_ttl = \"300s\"", "");
    world.vault.must("POST", "/v1/sys/policies/acl/service-dispatcher", Some(&json!({ "policy": lax })));
    assert!(doctor(&[]).contains("without a wrapping"), "{}", doctor(&[]));
    let wide = format!("{text}\npath \"kv/data/*\" {{ capabilities = [\"read\"] }}\n");
    world.vault.must("POST", "/v1/sys/policies/acl/service-dispatcher", Some(&json!({ "policy": wide })));
    let said = doctor(&[]);
    assert!(said.contains("may do more than grants need"), "{said}");
}
