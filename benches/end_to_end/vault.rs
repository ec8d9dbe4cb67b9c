//! What a grant from Vault adds to a launch, in the dispatcher and in the runner, and how many can be made at once: against the
//! testbed's server, where one is up (`tests/testbed/up`); without it there are no rows.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dispatch::config::types::Vault as Configured;
use dispatch::grant::{Ask, SecretProvider as _, VaultProvider};
use dispatch::vault::{Session, Token};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::Effort;
use crate::pickup::{at, between, first_line};
use crate::repo::action;
use crate::table::{Goal, Row};
use crate::world::{Setup, World};

/// Granted in every scenario with Vault.
pub(crate) const SECRET: &str = "BENCH_TOKEN";
/// So many grants are made at the same time for the second row.
const AT_ONCE: usize = 16;

/// One after the other, then many at once; each is revoked afterwards, outside of what is measured.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let Some((address, root)) = server() else { return Vec::new() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = runtime.block_on(prepare(folder.path(), &address, &root));
    let mut rows = runtime.block_on(async {
        let provider = Arc::new(VaultProvider::open(&settings).unwrap());
        let mut each = Vec::new();
        for _ in 0..effort.of(20, 200) {
            each.push(grant(&provider).await.as_secs_f64() * 1000.0);
        }
        let mut rates = Vec::new();
        for _ in 0..effort.of(2, 10) {
            rates.push(rate(&provider).await);
        }
        vec![
            Row::new("a grant from Vault, minted and proven", "ms", Goal::None, each),
            Row::new("grants from Vault, 16 at once", "/s", Goal::None, rates),
        ]
    });
    rows.extend(launches(effort, &settings));
    rows
}

/// From the verdict to the formula's first line: the grant, and in the runner opening it and reading what is in it, are in between.
fn launches(effort: Effort, settings: &Configured) -> [Row; 3] {
    let vault = format!(
        "[secrets]\nallow = [\"{SECRET}\"]\n[secrets.vault]\naddress = \"{}\"\ntoken_file = \"{}\"\n",
        settings.address,
        settings.token_file.as_ref().unwrap().display()
    );
    let secret = format!("[\"{SECRET}\"]");
    let of = |what: &str, config: &str, secrets: &str| {
        let taken = first_lines(effort.of(6, 20), config, secrets);
        Row::new(format!("admitted → the formula's first line, {what}"), "ms", Goal::None, taken)
    };
    [
        of("without a grant", "", "[]"),
        of("with Vault, no secret (the fence alone)", &vault, "[]"),
        of("with Vault, one secret", &vault, &secret),
    ]
}

fn first_lines(count: u32, config: &str, secrets: &str) -> Vec<f64> {
    let world = World::new();
    let mut service = world.serve(Setup::default(), config);
    service.wait_looked();
    (0..count)
        .map(|number| {
            let id = format!("act-{number}");
            world.repo.land(&[action(&id, "tell", secrets)]);
            service.wait_published(number + 1);
            let result = world.repo.show(&format!("vault/actions/{id}.result.json"));
            between(at(&service.events(&format!("{id}@")), "admit"), first_line(&result))
        })
        .collect()
}

/// The address of the testbed's server and its root token.
pub(crate) fn server() -> Option<(String, String)> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let found = variable("DISPATCH_TESTBED").and_then(|_| Some((variable("VAULT_ADDR")?, variable("VAULT_TOKEN")?)));
    if found.is_none() {
        eprintln!("no testbed is up, so nothing is said of Vault");
    }
    found
}

fn apply(folder: &Path, address: &str, root: &str) {
    let config = format!(
        "state_dir = 'state'\n[ops]\nremote = '/nowhere/ops.git'\n[secrets]\nallow = ['{SECRET}']\n\
         [secrets.vault]\naddress = '{address}'\ntoken_file = 'token'\n"
    );
    fs::write(folder.join("dispatch.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
    command.args(["policies", "apply"]).current_dir(folder).env_clear().env("VAULT_TOKEN", root);
    let applied = command.output().unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}

/// Policies, roles, [`SECRET`], and a dispatcher's token in a file of this folder; answers the settings for it.
pub(crate) async fn prepare(folder: &Path, address: &str, root: &str) -> Configured {
    apply(folder, address, root);
    let token = folder.join("token");
    let settings: Configured = serde_json::from_value(json!({ "address": address, "token_file": token })).unwrap();
    let root = Token::new(&SecretString::from(root)).unwrap();
    let admin: Session = dispatch::grant::vault::client(&settings).unwrap().session(root);
    let write = async |path: &str, body: Value| admin.write(path, body).await.unwrap();
    write(&format!("kv/data/disinto/runner/{SECRET}"), json!({ "data": { "value": "value of a bench" } })).await;
    let body = json!({ "policies": ["service-dispatcher"], "no_default_policy": true, "ttl": "1h" });
    let made = write("auth/token/create", body).await.auth.unwrap();

    fs::write(&token, made.client_token.secret().expose_secret()).unwrap();
    settings
}

/// How long one grant takes.
async fn grant(provider: &VaultProvider) -> Duration {
    let (run, secrets) = ("bench@1".parse().unwrap(), [SECRET.parse().unwrap()].into());
    let begun = Instant::now();
    let grant = provider.mint(Ask { run: &run, secrets: &secrets, life: Duration::from_secs(60) }).await.unwrap();
    let took = begun.elapsed();
    provider.revoke(&grant.record).await.unwrap();
    took
}

/// Grants in a second, with as many under way as there are slots in a busy dispatcher; revoking them is part of it.
async fn rate(provider: &Arc<VaultProvider>) -> f64 {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let provider = Arc::clone(provider);
            tokio::spawn(async move { grant(&provider).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    16.0 / begun.elapsed().as_secs_f64()
}
