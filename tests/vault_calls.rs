//! Each call of the Vault client against a real server: that it is asked as the server wants it, and understood.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "tests"
)]

#[path = "common/testbed.rs"]
#[allow(dead_code, unused_imports, reason = "shared with other tests")]
mod testbed;

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dispatch::support::http::Times;
use dispatch::vault::kv::{Absence, Current};
use dispatch::vault::token::{Mint, Revoked};
use dispatch::vault::{Session, Settings, Token, Trust, Vault, Why};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use testbed::{Api, Testbed, eventually, unique};

fn server(address: &str, trust: Trust<'_>) -> Vault {
    let times = Times { connect: Duration::from_secs(5), request: Duration::from_secs(30) };
    Vault::new(Settings { addresses: &[address.to_owned()], namespace: None, trust, times }).unwrap()
}

fn session(api: &Api) -> Session {
    let token = Token::new(&SecretString::from(api.token.as_str())).unwrap();
    server(&api.address, Trust::System(None)).session(token)
}

/// With a token that may do only what `policy` says.
fn with_policy(api: &Api, policy: &str) -> Session {
    let name = unique("t");
    api.must("PUT", &format!("/v1/sys/policies/acl/{name}"), Some(&json!({ "policy": policy })));
    let body = json!({ "policies": [name], "no_default_policy": true, "ttl": "20m", "explicit_max_ttl": "1h" });
    let answer = api.must("POST", "/v1/auth/token/create", Some(&body));
    session(&Api::vault(&api.address, answer["auth"]["client_token"].as_str().unwrap()))
}

#[tokio::test]
async fn the_health_tells_version_seal_and_the_servers_clock() {
    let api = Testbed::get().vault();
    let health = session(&api).vault().health().await.unwrap();
    assert!(health.initialized && !health.sealed && health.trouble().is_none() && !health.version.is_empty());
    assert!(health.now().unwrap().as_second() > 1_700_000_000);
}

#[tokio::test]
async fn a_sealed_server_says_so_to_its_health_and_to_each_call() {
    let private = Testbed::get().private_vault(&["--sealed"]);
    let api = private.api();
    let health = session(&api).vault().health().await.unwrap();
    assert!(health.sealed && health.trouble().unwrap().contains("sealed"));
    let error = session(&api).lookup_self().await.unwrap_err();
    assert!(matches!(error.why, Why::Sealed), "{error:?}");
}

#[tokio::test]
async fn a_token_looks_at_itself_renews_itself_and_dies_with_its_accessor() {
    let api = Testbed::get().vault();
    let own = with_policy(
        &api,
        "path \"auth/token/lookup-self\" { capabilities = [\"read\"] } path \"auth/token/renew-self\" { capabilities = [\"update\"] }",
    );
    let lookup = own.lookup_self().await.unwrap();
    assert_eq!((lookup.kind.as_str(), lookup.creation_ttl, lookup.renewable), ("service", 1200, true));
    let renewed = own.renew_self().await.unwrap();
    assert_eq!((renewed.lease_duration, renewed.accessor == lookup.accessor), (1200, true));
    let error = own.capabilities_self(&["kv/data/x".to_owned()]).await.unwrap_err();
    assert!(matches!(error.why, Why::Denied { capability: "update", .. }), "{error:?}");

    let root = session(&api);
    assert_eq!(root.lookup_accessor(&lookup.accessor).await.unwrap().policies, lookup.policies);
    assert_eq!(root.revoke_accessor(&lookup.accessor).await.unwrap(), Revoked::Now);
    assert_eq!(root.revoke_accessor(&lookup.accessor).await.unwrap(), Revoked::AlreadyGone);
    assert!(matches!(root.lookup_accessor(&lookup.accessor).await.unwrap_err().why, Why::NoSuchAccessor));
    assert!(matches!(own.lookup_self().await.unwrap_err().why, Why::TokenDead));
}

#[tokio::test]
async fn capabilities_come_by_path_also_for_one_path_alone() {
    let own = with_policy(
        &Testbed::get().vault(),
        "path \"sys/capabilities-self\" { capabilities = [\"update\"] } path \"kv/data/a\" { capabilities = [\"read\"] }",
    );
    let (a, b) = ("kv/data/a".to_owned(), "kv/data/b".to_owned());
    let both = own.capabilities_self(&[a.clone(), b.clone()]).await.unwrap();
    assert_eq!((both[&a][0].as_str(), both[&b][0].as_str()), ("read", "deny"));
    let one = own.capabilities_self(std::slice::from_ref(&a)).await.unwrap();
    assert_eq!((one.len(), one[&a][0].as_str()), (1, "read"));
}

#[tokio::test]
async fn policies_roles_and_mounts_are_written_and_read_back() {
    let api = Testbed::get().vault();
    let (root, name) = (session(&api), unique("t"));
    assert_eq!(root.policy(&name).await.unwrap(), None);
    let text = "# a comment\npath \"kv/data/x\" { capabilities = [\"read\"] }\n";
    root.write_policy(&name, text).await.unwrap();
    assert_eq!(root.policy(&name).await.unwrap().as_deref(), Some(text));
    assert!(root.policies().await.unwrap().contains(&name));
    let error = root.write_policy(&name, "path {").await.unwrap_err();
    assert!(matches!(&error.why, Why::Refused { status: 400, words } if words.contains("failed to parse policy")));

    let role = format!("auth/token/roles/{name}");
    assert!(root.read(&role).await.unwrap().is_none());
    root.write(&role, json!({ "orphan": true })).await.unwrap();
    assert_eq!(root.read(&role).await.unwrap().unwrap().data.unwrap()["orphan"], true);
    root.delete(&role).await.unwrap();
    root.delete(&role).await.unwrap();

    let mount = root.mount("kv").await.unwrap();
    assert_eq!((mount.kind.as_str(), mount.options.unwrap().version.as_deref()), ("kv", Some("2")));
    assert!(matches!(root.mount(&name).await.unwrap_err().why, Why::Denied { .. } | Why::Refused { .. }));
    let error = root.read_field(&format!("{name}/data/x"), "value").await;
    assert!(error.is_ok_and(|field| matches!(field, dispatch::vault::kv::Field::Unusable(Absence::Missing))));
}

#[tokio::test]
async fn the_metadata_tell_the_current_version_and_its_end() {
    let api = Testbed::get().vault();
    let (root, name) = (session(&api), unique("t"));
    let now = root.vault().health().await.unwrap().now().unwrap();
    assert_eq!(root.current_version("kv", &name, now).await.unwrap(), Current::Absent(Absence::Missing));
    root.write(&format!("kv/data/{name}"), json!({ "data": { "value": "v" } })).await.unwrap();
    assert_eq!(root.current_version("kv", &name, now).await.unwrap(), Current::Version(1));
    root.delete(&format!("kv/data/{name}")).await.unwrap();
    let later = root.vault().health().await.unwrap().now().unwrap() + jiff::SignedDuration::from_secs(1);
    assert_eq!(root.current_version("kv", &name, later).await.unwrap(), Current::Absent(Absence::Deleted));
}

#[tokio::test]
async fn a_wrapping_that_was_wrapped_anew_counts_as_dead_although_the_server_keeps_its_accessor() {
    let api = Testbed::get().vault();
    let root = session(&api);
    let nonce = serde_json::Map::from_iter([("nonce".to_owned(), json!("n"))]);
    let info = root.wrap(nonce, 60).await.unwrap();
    let token = info.token.secret().expose_secret();
    api.must("POST", "/v1/sys/wrapping/rewrap", Some(&json!({ "token": token })));
    let kept = api.must("POST", "/v1/auth/token/lookup-accessor", Some(&json!({ "accessor": info.accessor })));
    assert_eq!(kept["data"]["num_uses"], -1, "what this is about: {kept}");
    assert!(matches!(root.lookup_accessor(&info.accessor).await.unwrap_err().why, Why::NoSuchAccessor));
    assert_eq!(root.revoke_accessor(&info.accessor).await.unwrap(), Revoked::AlreadyGone);
}

#[tokio::test]
async fn a_wrapping_is_looked_at_opened_once_and_taken_back() {
    let root = session(&Testbed::get().vault());
    let content = || json!({ "nonce": "n" }).as_object().unwrap().clone();
    let info = root.wrap(content(), 60).await.unwrap();
    let found = root.vault().wrapping_lookup(&info.token).await.unwrap();
    assert_eq!((&found.creation_path, &found.creation_time), (&info.creation_path, &info.creation_time));
    assert_eq!((found.creation_ttl, info.ttl, info.wrapped_accessor), (60, 60, None));
    assert_eq!(root.lookup_accessor(&info.accessor).await.unwrap().policies, ["response-wrapping"]);
    assert_eq!(root.vault().unwrap(&info.token).await.unwrap().data.unwrap()["nonce"], "n");
    assert!(matches!(root.vault().unwrap(&info.token).await.err().unwrap().why, Why::WrappingGone));
    assert!(matches!(root.vault().wrapping_lookup(&info.token).await.unwrap_err().why, Why::WrappingGone));

    let info = root.wrap(content(), 60).await.unwrap();
    assert_eq!(root.revoke_accessor(&info.accessor).await.unwrap(), Revoked::Now);
    assert!(matches!(root.vault().unwrap(&info.token).await.err().unwrap().why, Why::WrappingGone));
}

#[tokio::test]
async fn a_mint_with_a_role_that_is_not_there_or_not_allowed_is_told_apart() {
    let api = Testbed::get().vault();
    let policies = BTreeSet::from(["none".to_owned()]);
    let mint = Mint { role: "norole", policies: &policies, ttl_seconds: 60, wrap_seconds: 60, meta: [].into() };
    let error = session(&api).mint_wrapped(&mint).await.err().unwrap();
    assert!(matches!(&error.why, Why::Refused { status: 400, words } if words.contains("unknown role")), "{error:?}");
    let weak = with_policy(&api, "path \"kv/data/x\" { capabilities = [\"read\"] }");
    let error = weak.mint_wrapped(&mint).await.err().unwrap();
    let words = dispatch::support::chain::words(&error);
    assert!(words.contains("`update` on `auth/token/create/norole`"), "{words}");
}

#[tokio::test]
async fn an_approle_logs_in_and_a_wrong_secret_id_is_refused_without_being_shown() {
    let api = Testbed::get().vault();
    let mount = unique("approle");
    api.must("POST", &format!("/v1/sys/auth/{mount}"), Some(&json!({ "type": "approle" })));
    api.must("POST", &format!("/v1/auth/{mount}/role/d"), Some(&json!({ "token_ttl": "20m" })));
    let role_id = api.must("GET", &format!("/v1/auth/{mount}/role/d/role-id"), None)["data"]["role_id"].clone();
    let secret_id = api.must("POST", &format!("/v1/auth/{mount}/role/d/secret-id"), None)["data"]["secret_id"].clone();
    let secret_id = SecretString::from(secret_id.as_str().unwrap());
    let vault = server(&api.address, Trust::System(None));
    let auth = vault.login_approle(&mount, role_id.as_str().unwrap(), &secret_id).await.unwrap();
    assert_eq!((auth.lease_duration, auth.renewable), (1200, true));
    assert_eq!(vault.session(auth.client_token).lookup_self().await.unwrap().accessor, auth.accessor);
    let wrong = SecretString::from("11111111-2222-3333-4444-555555555555");
    let error = vault.login_approle(&mount, role_id.as_str().unwrap(), &wrong).await.err().unwrap();
    let words = format!("{error:?}");
    assert!(words.contains("invalid role or secret ID") && !words.contains(wrong.expose_secret()), "{words}");
}

#[tokio::test]
async fn a_jwt_that_does_not_fit_is_refused_with_the_servers_reason() {
    let api = Testbed::get().vault();
    let mount = unique("jwt");
    api.must("POST", &format!("/v1/sys/auth/{mount}"), Some(&json!({ "type": "jwt" })));
    let jwt = SecretString::from("eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJlLWNhbmFyeQ");
    let error = server(&api.address, Trust::System(None)).login_jwt(&mount, "nope", &jwt).await.err().unwrap();
    let words = format!("{error:?}");
    assert!(matches!(error.why, Why::Refused { .. }) && !words.contains("c2lnbmF0dXJl"), "{words}");
}

/// A Vault with a certificate of its own authority.
struct Tls {
    server: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Tls {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new(Testbed::get().variable("TESTBED_VAULT"))
            .args(["server", "-dev", "-dev-no-store-token", "-dev-tls"])
            .arg(format!("-dev-tls-cert-dir={}", folder.path().display()))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .env("HOME", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = format!("https://127.0.0.1:{port}");
        eventually("the server listens", Duration::from_secs(60), || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { server, address, folder }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[tokio::test]
async fn a_server_is_trusted_by_the_given_certificates_and_by_no_others() {
    let (tls, other) = (Tls::start(), Tls::start());
    let ca = |of: &Tls| fs::read_to_string(of.folder.path().join("vault-ca.pem")).unwrap();
    assert!(server(&tls.address, Trust::Only(&ca(&tls))).health().await.unwrap().initialized);
    let file = tls.folder.path().join("vault-ca.pem");
    assert!(server(&tls.address, Trust::System(Some(&file))).health().await.unwrap().initialized);
    let error = server(&tls.address, Trust::Only(&ca(&other))).health().await.unwrap_err();
    assert!(matches!(error.why, Why::Unreachable(_)), "{error:?}");
    assert!(dispatch::support::chain::words(&error).contains("certificate"), "{error:?}");
}
