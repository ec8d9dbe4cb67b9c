//! The dispatcher's own login: each way, renewal, and what is refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dispatch::config::types::Vault as Configured;
use dispatch::grant::{Presence, SecretProvider as _, VaultProvider};
use dispatch::support::checkup::Standing;
use dispatch::support::ids::SecretName;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::testbed::{Api, Testbed, unique};
use crate::world::World;

pub(crate) fn configured(address: &str, login: &Value) -> Configured {
    let mut all = json!({ "address": address });
    all.as_object_mut().unwrap().extend(login.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn enable(vault: &Api, kind: &str) -> String {
    let mount = unique(kind);
    vault.must("POST", &format!("/v1/sys/auth/{mount}"), Some(&json!({ "type": kind })));
    mount
}

pub(crate) async fn worst(provider: &VaultProvider) -> (Standing, String) {
    let findings = provider.check().await;
    let last = findings.iter().max_by_key(|finding| finding.standing).unwrap();
    (last.standing, format!("{findings:?}"))
}

fn approle(vault: &Api, folder: &Path, fields: &Value) -> (String, Value) {
    let mount = enable(vault, "approle");
    let role = format!("/v1/auth/{mount}/role/dispatcher");
    vault.must("POST", &role, Some(fields));
    let role_id = vault.must("GET", &format!("{role}/role-id"), None)["data"]["role_id"].clone();
    let secret_id = vault.must("POST", &format!("{role}/secret-id"), None)["data"]["secret_id"].clone();
    fs::write(folder.join("secret-id"), secret_id.as_str().unwrap()).unwrap();
    let login =
        json!({ "approle": { "mount": mount, "role_id": role_id, "secret_id_file": folder.join("secret-id") } });
    (mount, login)
}

const ROLE: &str = "service-dispatcher";

#[tokio::test]
async fn an_approle_logs_in_is_renewed_and_logs_in_anew_when_its_lease_shrinks() {
    let world = World::new();
    world.put_all();
    let folder = tempfile::tempdir().unwrap();
    let fields =
        json!({ "token_policies": [ROLE], "token_no_default_policy": true, "token_ttl": "6s", "token_max_ttl": "14s" });
    let (mount, login) = approle(&world.vault, folder.path(), &fields);
    let provider = VaultProvider::open(&configured(&world.vault.address, &login)).unwrap();
    let (standing, findings) = worst(&provider).await;
    assert_eq!(standing, Standing::Good, "{findings}");
    let secret = world.secret("A").parse().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    // Nobody logs in by hand: two logins and a renewal between them come of time alone.
    while world.audited(&format!("auth/{mount}/login")).len() < 2 {
        assert!(Instant::now() < end, "no second login came");
        assert!(matches!(provider.presence(&secret).await, Presence::Present { .. }));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let accessor = world.audited(&format!("auth/{mount}/login"))[0]["auth"]["accessor"].clone();
    let renewals = world.audited("auth/token/renew-self");
    assert!(renewals.iter().any(|line| line["auth"]["accessor"] == accessor), "the first token was renewed before");
}

#[tokio::test]
async fn a_wrong_secret_id_a_batch_token_and_a_root_token_are_refused_in_words() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let address = &world.vault.address;
    let (_, login) = approle(&world.vault, folder.path(), &json!({ "token_policies": [ROLE], "token_type": "batch" }));
    let batch = VaultProvider::open(&configured(address, &login)).unwrap();
    let (standing, words) = worst(&batch).await;
    assert!(standing == Standing::Wrong && words.contains("batch token"), "{words}");

    fs::write(folder.path().join("secret-id"), "00000000-0000-0000-0000-000000000000").unwrap();
    let (standing, words) = worst(&VaultProvider::open(&configured(address, &login)).unwrap()).await;
    assert!(standing == Standing::Wrong && words.contains("invalid role or secret ID"), "{words}");
    assert!(!words.contains("00000000-0000"), "{words}");

    fs::write(folder.path().join("root"), &world.vault.token).unwrap();
    let root = VaultProvider::open(&configured(address, &json!({ "token_file": folder.path().join("root") }))).unwrap();
    let (standing, words) = worst(&root).await;
    assert!(
        standing == Standing::Wrong && words.contains("root token") && !words.contains(&world.vault.token),
        "{words}"
    );
}

#[tokio::test]
async fn a_token_file_is_read_again_when_its_token_is_dead() {
    let world = World::new();
    world.put_all();
    let file = world.path("token");
    let provider =
        VaultProvider::open(&configured(&world.vault.address, &json!({ "token_file": file.clone() }))).unwrap();
    let secret = world.secret("A").parse().unwrap();
    assert!(matches!(provider.presence(&secret).await, Presence::Present { .. }));
    let old = fs::read_to_string(&file).unwrap();
    world.vault.must("POST", "/v1/auth/token/revoke", Some(&json!({ "token": old })));
    let Presence::Unknown { evidence } = provider.presence(&secret).await else { panic!("it is dead") };
    assert!(evidence.contains("expired, revoked"), "{evidence}");
    fs::write(&file, world.dispatcher_token() + "\n").unwrap();
    assert!(matches!(provider.presence(&secret).await, Presence::Present { .. }));
}

/// What the login finding says, and what to do.
async fn refused(vault: &Api, login: &Value) -> String {
    let provider = VaultProvider::open(&configured(&vault.address, login)).unwrap();
    let findings = provider.check().await;
    let last = findings.last().unwrap();
    assert_eq!((last.subject.as_str(), last.standing), ("vault: login", Standing::Wrong), "{findings:?}");
    format!("{}; {}", last.evidence, last.fix.as_deref().unwrap_or_default())
}

#[tokio::test]
async fn a_login_that_no_waiting_helps_says_what_to_do() {
    let world = World::new();
    let (vault, folder) = (&world.vault, tempfile::tempdir().unwrap());
    let file = folder.path().join("token");
    let by_file = json!({ "token_file": file });
    let token = |body: &Value| {
        let made = vault.must("POST", "/v1/auth/token/create", Some(body));
        fs::write(&file, made["auth"]["client_token"].as_str().unwrap()).unwrap();
    };
    fs::write(&file, "hvs.never-was").unwrap();
    let dead = refused(vault, &by_file).await;
    assert!(dead.contains("expired, revoked") && dead.contains("put a new token into"), "{dead}");
    token(&json!({ "policies": ["none"], "no_default_policy": true, "no_parent": true, "ttl": "1h" }));
    let denied = refused(vault, &by_file).await;
    assert!(denied.contains("`read` on `auth/token/lookup-self`") && denied.contains("policies apply"), "{denied}");
    let (role, body) = (unique("bound"), json!({ "orphan": true, "token_bound_cidrs": ["10.9.8.7/32"] }));
    vault.must("POST", &format!("/v1/auth/token/roles/{role}"), Some(&body));
    let made = vault.must("POST", &format!("/v1/auth/token/create/{role}"), Some(&json!({ "policies": [ROLE] })));
    fs::write(&file, made["auth"]["client_token"].as_str().unwrap()).unwrap();
    let elsewhere = refused(vault, &by_file).await;
    assert!(elsewhere.contains("token_bound_cidrs"), "{elsewhere}");

    fs::write(folder.path().join("id"), "x").unwrap();
    let (mount, id) = (unique("nowhere"), folder.path().join("id"));
    for (kind, login) in [
        ("approle", json!({ "approle": { "mount": mount, "role_id": "x", "secret_id_file": id } })),
        ("jwt", json!({ "jwt": { "mount": mount, "file": id } })),
    ] {
        let absent = refused(vault, &login).await;
        assert!(absent.contains(&format!("is `{kind}` enabled at `{mount}`")), "{absent}");
        assert!(absent.contains("`vault auth list`"), "{absent}");
    }
}

/// A token of the shipped policy that dies after four seconds unless it is renewed; its accessor.
fn of_four_seconds(world: &World) -> String {
    let body = json!({ "policies": [ROLE], "no_default_policy": true, "no_parent": true, "period": "4s" });
    let made = world.vault.must("POST", "/v1/auth/token/create", Some(&body));
    fs::write(world.path("token"), made["auth"]["client_token"].as_str().unwrap()).unwrap();
    made["auth"]["accessor"].as_str().unwrap().to_owned()
}

/// When this token was renewed.
fn renewals(world: &World, accessor: &str) -> Vec<Timestamp> {
    let lines = world.audited("auth/token/renew-self");
    let ours = lines.iter().filter(|line| line["auth"]["accessor"] == accessor && line["error"].is_null());
    ours.map(|line| line["time"].as_str().unwrap().parse().unwrap()).collect()
}

/// In seconds.
fn between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Nothing announces a renewal but the server's log.
async fn wait_for_renewals(world: &World, accessor: &str, count: usize) -> Vec<Timestamp> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let all = renewals(world, accessor);
        if all.len() >= count {
            return all;
        }
        assert!(Instant::now() < end, "only {all:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_nobody_uses_is_renewed_before_two_thirds_of_its_life_are_over() {
    let world = World::new();
    world.put_all();
    let accessor = of_four_seconds(&world);
    let provider = world.provider(&world.vault.address);
    let secret = world.secret("A").parse().unwrap();
    assert!(matches!(provider.presence(&secret).await, Presence::Present { .. }));
    let all = wait_for_renewals(&world, &accessor, 5).await;
    let gaps: Vec<f64> = all.windows(2).map(|two| between(two[0], two[1])).collect();
    assert!(gaps.iter().all(|gap| *gap <= 2.7), "before 4 s times two thirds: {gaps:?}");
    assert!(world.lives(&accessor), "after {:.0} s", between(all[0], all[4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_use_a_token_it_is_renewed_once_in_its_time() {
    let world = World::new();
    world.put_all();
    let accessor = of_four_seconds(&world);
    let provider = Arc::new(world.provider(&world.vault.address));
    let secret: SecretName = world.secret("A").parse().unwrap();
    let users: Vec<_> = (0..4)
        .map(|_| {
            let (provider, secret) = (provider.clone(), secret.clone());
            tokio::spawn(async move {
                loop {
                    assert!(matches!(provider.presence(&secret).await, Presence::Present { .. }));
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
        })
        .collect();
    let all = wait_for_renewals(&world, &accessor, 5).await;
    users.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(between(all[0], all[4]) >= 4.0 * 2.2, "five renewals of 2.4 s each: {all:?}");
}

#[test]
fn a_token_in_the_environment_logs_in_under_the_name_that_every_client_of_vault_uses() {
    let world = World::new();
    world.put_all();
    world.configure(&world.vault.address, "login\n");
    world.action("one", "show", &["A"]);
    world.publish();
    let nothing = world.call("once", &[]);
    assert!(nothing.status.code() == Some(2) && nothing.said.contains("VAULT_TOKEN"), "{}", nothing.said);
    let once = world.call("once", &[("VAULT_TOKEN", &world.dispatcher_token())]);
    assert_eq!(world.result("one").unwrap_or_else(|| panic!("{}", once.said))["state"], "succeeded");
}

#[test]
fn address_token_and_ca_come_from_the_variables_of_openbao_too() {
    let server = Testbed::get().private_vault(&["--tls"]);
    let world = World::at(server.api(), server.variable("TESTBED_VAULT_AUDIT").into());
    world.put_all();
    world.configure("ADDRESS", "login\n");
    let config = fs::read_to_string(world.path("dispatch.toml")).unwrap();
    fs::write(world.path("dispatch.toml"), config.replace("address = 'ADDRESS'\n", "")).unwrap();
    world.action("one", "show", &["A"]);
    world.publish();
    let variables = [
        ("BAO_ADDR", server.variable("TESTBED_VAULT_TLS")),
        ("BAO_CACERT", server.variable("TESTBED_VAULT_CA")),
        ("BAO_TOKEN", &world.dispatcher_token()),
    ];
    let once = world.call("once", &variables);
    assert_eq!(world.result("one").unwrap_or_else(|| panic!("{}", once.said))["state"], "succeeded");
    let untrusted = world.call("once", &[variables[0], variables[2]]);
    assert!(!untrusted.status.success() && untrusted.said.contains("certificate"), "{}", untrusted.said);
}

#[tokio::test]
async fn a_json_web_token_logs_in() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let (public, token) = signed_token(folder.path());
    let mount = enable(&world.vault, "jwt");
    let config = json!({ "jwt_validation_pubkeys": [public], "jwt_supported_algs": ["ES256"] });
    world.vault.must("POST", &format!("/v1/auth/{mount}/config"), Some(&config));
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["dispatch"], "bound_subject": "dispatch",
        "token_policies": [ROLE], "token_no_default_policy": true, "token_ttl": "1m",
    });
    world.vault.must("POST", &format!("/v1/auth/{mount}/role/dispatcher"), Some(&role));
    fs::write(folder.path().join("jwt"), token).unwrap();
    let login = json!({ "jwt": { "mount": mount, "file": folder.path().join("jwt") } });
    let provider = VaultProvider::open(&configured(&world.vault.address, &login)).unwrap();
    let (standing, words) = worst(&provider).await;
    assert_eq!(standing, Standing::Good, "{words}");
}

/// A key made by `openssl`, and a token for `dispatch` signed with it.
pub(crate) fn signed_token(folder: &Path) -> (String, String) {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    openssl(&["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", "key"]);
    let public = String::from_utf8(openssl(&["ec", "-in", "key", "-pubout"])).unwrap();
    let claims = json!({ "sub": "dispatch", "aud": "dispatch", "nbf": 1_700_000_000_u64, "iat": 1_700_000_000_u64, "exp": 4_000_000_000_u64 });
    let text = format!("{}.{}", encode(br#"{"alg":"ES256"}"#), encode(claims.to_string().as_bytes()));
    fs::write(folder.join("text"), &text).unwrap();
    let der = openssl(&["dgst", "-sha256", "-sign", "key", "text"]);
    (public, format!("{text}.{}", encode(&raw_signature(&der))))
}

/// The two numbers of a DER signature, each in 32 bytes.
fn raw_signature(der: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number: Vec<u8> = rest[2..2 + length].iter().copied().skip_while(|byte| *byte == 0).collect();
        raw.extend(std::iter::repeat_n(0, 32 - number.len()));
        raw.extend(number);
        rest = &rest[2 + length..];
    }
    raw
}
