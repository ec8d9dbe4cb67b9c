//! The Vault of the testbed with one secret that every action here asks for, and the dispatcher's own token for each scenario: its
//! audit log says what was minted with that token.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::testbed::{Api, Testbed};

/// The name of the secret; of this process, so that two do not write over each other's.
pub(crate) fn secret() -> String {
    format!("FORGE_TEST_{}", std::process::id())
}

/// A dispatcher's login to Vault.
#[derive(Debug)]
pub(crate) struct Minter {
    accessor: String,
}

impl Minter {
    /// Makes a token and puts it into `folder`; answers what the config says of it.
    pub(crate) fn new(folder: &Path) -> (Self, String) {
        let vault = prepared();
        let body =
            json!({ "policies": ["service-dispatcher"], "no_default_policy": true, "no_parent": true, "ttl": "1h" });
        let made = vault.must("POST", "/v1/auth/token/create", Some(&body))["auth"].clone();
        fs::write(folder.join("vault.token"), made["client_token"].as_str().unwrap()).unwrap();
        (Self { accessor: made["accessor"].as_str().unwrap().to_owned() }, settings(vault))
    }

    /// How many tokens were minted with it, by the server's own record.
    pub(crate) fn minted(&self) -> usize {
        let log = fs::read_to_string(Testbed::get().variable("TESTBED_VAULT_AUDIT")).unwrap();
        let mine = log.lines().filter(|line| line.contains(&self.accessor));
        let lines = mine.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let is_mint = |line: &Value| {
            let answered = line["type"] == "response" && line["error"].is_null();
            // At each start a token with a policy that does not exist is made and thrown away, to see that the server's rules hold.
            let probe = line["response"]["warnings"].to_string().contains("runner-dispatch-probe");
            answered && line["request"]["path"] == "auth/token/create/runner" && !probe
        };
        lines.filter(is_mint).count()
    }
}

fn settings(vault: &Api) -> String {
    format!(
        "[secrets]\nallow = ['{}']\n[secrets.vault]\naddress = '{}'\ntoken_file = 'vault.token'\n",
        secret(),
        vault.address
    )
}

/// The policies and the secret, once for all scenarios.
fn prepared() -> &'static Api {
    static VAULT: OnceLock<Api> = OnceLock::new();
    VAULT.get_or_init(|| {
        let vault = Testbed::get().vault();
        let folder = tempfile::tempdir().unwrap();
        let config = format!("state_dir = 'state'\n[ops]\nremote = '/nowhere/ops.git'\n{}", settings(&vault));
        fs::write(folder.path().join("dispatch.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
        command.args(["policies", "apply"]).current_dir(folder.path()).env_clear().env("VAULT_TOKEN", &vault.token);
        let applied = command.output().unwrap();
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        let value = json!({ "data": { "value": "the-value-of-a-test" } });
        vault.must("POST", &format!("/v1/kv/data/disinto/runner/{}", secret()), Some(&value));
        vault
    })
}
