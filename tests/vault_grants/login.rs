//! The dispatcher's own login: each way, renewal, and what is refused.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dispatch::config::types::Vault as Configured;
use dispatch::grant::{Presence, SecretProvider as _, VaultProvider};
use dispatch::support::checkup::Standing;
use serde_json::{Value, json};

use crate::testbed::{Api, unique};
use crate::world::World;

fn configured(address: &str, login: &Value) -> Configured {
    let mut all = json!({ "address": address });
    all.as_object_mut().unwrap().extend(login.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn enable(vault: &Api, kind: &str) -> String {
    let mount = unique(kind);
    vault.must("POST", &format!("/v1/sys/auth/{mount}"), Some(&json!({ "type": kind })));
    mount
}

async fn worst(provider: &VaultProvider) -> (Standing, String) {
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
        json!({ "token_policies": [ROLE], "token_no_default_policy": true, "token_ttl": "3s", "token_max_ttl": "7s" });
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
fn signed_token(folder: &Path) -> (String, String) {
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
