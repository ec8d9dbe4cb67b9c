//! The roles by which the dispatcher logs in, on a real server: applied, compared, logged in with, and drifted.

use std::fs;

use dispatch::grant::VaultProvider;
use dispatch::support::checkup::Standing;
use serde_json::{Value, json};

use crate::login::{configured, signed_token, worst};
use crate::testbed::{PrivateServer, Testbed};
use crate::world::World;

/// On a Vault of its own, with this login method enabled and the configuration naming it.
fn with_method(kind: &str) -> (PrivateServer, World) {
    let server = Testbed::get().private_vault(&[]);
    let world = World::at(server.api(), server.variable("TESTBED_VAULT_AUDIT").into());
    world.vault.must("POST", &format!("/v1/sys/auth/{kind}"), Some(&json!({ "type": kind })));
    (server, world)
}

fn configure(world: &World, login: &str) {
    world.configure(&world.vault.address, &format!("login\n{login}"));
}

fn changes(world: &World, name: &str) -> Vec<String> {
    let applied = world.administer("policies apply --output json");
    let answer: Value = serde_json::from_str(&applied.said).unwrap_or_else(|error| panic!("{error}: {}", applied.said));
    let objects = answer["data"]["objects"].as_array().unwrap().iter();
    let ours = objects.filter(|object| name.is_empty() || object["name"] == name);
    ours.map(|object| object["change"].as_str().unwrap().to_owned()).collect()
}

/// Applied twice, compared, and set right after each of these fields has drifted.
fn is_applied_and_compared(world: &World, name: &str, drift: &[(&str, Value)]) {
    let path = format!("/v1/auth/{}", name.replace('/', "/role/"));
    assert_eq!(changes(world, name), ["created"]);
    assert!(changes(world, "").iter().all(|change| change == "unchanged"), "{:?}", changes(world, ""));
    let check = world.administer("policies check");
    assert!(check.status.success() && check.said.contains(name), "{}", check.said);
    for (field, value) in drift {
        // Without its type a role of `jwt` would become one of OIDC.
        let body = if name.starts_with("jwt") {
            json!({ "role_type": "jwt", *field: value })
        } else {
            json!({ *field: value })
        };
        world.vault.must("POST", &path, Some(&body));
        let check = world.administer("policies check");
        assert!(check.status.code() == Some(1) && check.said.contains(field), "{field}: {}", check.said);
        assert_eq!(changes(world, name), ["updated"], "{field}");
        let check = world.administer("policies check");
        assert!(check.status.success(), "{field}: {}", check.said);
    }
    every_field_is_said(world, &path, name);
}

/// A field that the server has, and that the shipped role does not say, would keep whatever stands there.
fn every_field_is_said(world: &World, path: &str, name: &str) {
    let kind = name.split('/').next().unwrap();
    let roles: Value = toml::from_str(include_str!("../../policies/roles.toml")).unwrap();
    let said = roles[kind]["dispatcher"].as_object().unwrap();
    let role = world.vault.must("GET", path, None)["data"].clone();
    let left: Vec<&String> = role.as_object().unwrap().keys().filter(|field| !said.contains_key(*field)).collect();
    let known: &[&str] = if kind == "approle" { &["local_secret_ids"] } else { &[] };
    assert_eq!(left, known, "{name}");
}

async fn logs_in(world: &World, login: &Value) {
    let provider = VaultProvider::open(&configured(&world.vault.address, login)).unwrap();
    let (standing, findings) = worst(&provider).await;
    assert_eq!(standing, Standing::Good, "{findings}");
}

#[tokio::test]
async fn the_role_of_an_approle_login_is_applied_compared_and_logs_in() {
    let (_server, world) = with_method("approle");
    let table = |role_id: &str| format!("[secrets.vault.approle]\nrole_id = '{role_id}'\nsecret_id_file = 'id'\n");
    configure(&world, &table("not known yet"));
    let drift = [
        ("token_policies", json!(["root"])),
        ("token_no_default_policy", json!(false)),
        ("secret_id_bound_cidrs", json!(["10.0.0.0/8"])),
        ("token_ttl", json!(7)),
    ];
    is_applied_and_compared(&world, "approle/dispatcher", &drift);
    let role = "/v1/auth/approle/role/dispatcher";
    let role_id = world.vault.must("GET", &format!("{role}/role-id"), None)["data"]["role_id"].clone();
    let id = world.vault.must("POST", &format!("{role}/secret-id"), None)["data"]["secret_id"].clone();
    fs::write(world.path("id"), id.as_str().unwrap()).unwrap();
    logs_in(&world, &json!({ "approle": { "role_id": role_id, "secret_id_file": world.path("id") } })).await;
}

#[tokio::test]
async fn the_role_of_a_json_web_tokens_login_is_applied_compared_and_logs_in() {
    let (_server, world) = with_method("jwt");
    let (public, token) = signed_token(world.repo.path());
    let config = json!({ "jwt_validation_pubkeys": [public], "jwt_supported_algs": ["ES256"] });
    world.vault.must("POST", "/v1/auth/jwt/config", Some(&config));
    fs::write(world.path("jwt"), token).unwrap();
    configure(&world, "[secrets.vault.jwt]\nfile = 'jwt'\n");
    let drift = [
        ("token_policies", json!(["root"])),
        ("bound_subject", json!("")),
        ("bound_claims", json!({ "groups": "x" })),
        ("claim_mappings", json!({ "sub": "name" })),
        ("groups_claim", json!("groups")),
        ("expiration_leeway", json!(3600)),
        ("verbose_oidc_logging", json!(true)),
    ];
    is_applied_and_compared(&world, "jwt/dispatcher", &drift);
    logs_in(&world, &json!({ "jwt": { "file": world.path("jwt") } })).await;
}

#[test]
fn a_role_of_the_folder_that_gives_more_than_the_shipped_one_is_named_and_not_written() {
    let (_server, world) = with_method("approle");
    configure(&world, "[secrets.vault.approle]\nrole_id = 'x'\nsecret_id_file = 'id'\n");
    for name in ["A", "B", "C", "D", "E", "F", "GONE"] {
        let added = world.administer(&format!("policies add {} --dir own", world.secret(name)));
        assert!(added.status.success(), "{}", added.said);
    }
    let shipped = include_str!("../../policies/roles.toml");
    let wide = shipped.replace("token_policies = [\"service-dispatcher\"]", "token_policies = [\"root\"]");
    fs::write(world.path("own").join("roles.toml"), wide).unwrap();
    let applied = world.administer("policies apply --dir own");
    assert_eq!(applied.status.code(), Some(1), "{}", applied.said);
    let words = "the auth role `approle/dispatcher` asks for more than the shipped one: `token_policies` is not";
    assert!(applied.said.contains(words), "{}", applied.said);
    assert_eq!(world.vault.ask("GET", "/v1/auth/approle/role/dispatcher", None).status, 404, "nothing was written");
    let check = world.administer("policies check --dir own");
    assert!(check.status.code() == Some(1) && check.said.contains("token_policies"), "{}", check.said);
}
