//! An ops repo, a config and the binary, with a Vault set up as `docs/vault.md` says: by `dispatch policies apply`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use dispatch::grant::VaultProvider;
use dispatch::run::journal::Reader;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::child::{Ended, Running, until};
use crate::ops_repo::OpsRepo;
use crate::testbed::{Api, Testbed, unique};

/// What every secret's value begins with: searched for afterwards.
pub(crate) const CANARY: &str = "canary7f3a-for-a-search-";

/// Prints nothing but writes which secrets are in its environment, outside of everything that is searched.
const SHOW: &str =
    "env | grep -o '^T[0-9A-F]*_[A-Z]*' | sort > SEEN/$1\nfor n in $(cat SEEN/$1); do printf '%s\\n' \"${#n}\"; done\n";
const HOLD: &str =
    "touch SEEN/$1\nfor n in $(seq 1 2000); do [ -e \"GATES/$1\" ] && exit 0; sleep 0.05; done\nexit 9\n";

pub(crate) struct World {
    pub(crate) repo: OpsRepo,
    pub(crate) vault: Api,
    /// Tables of the config beside those of Vault, such as `[backends]`.
    pub(crate) backends: String,
    /// Tables of the config below that of Vault.
    pub(crate) identity: String,
    /// What the names of this world's secrets begin with.
    stem: String,
    audit: PathBuf,
    seen: tempfile::TempDir,
}

impl World {
    /// With the testbed's Vault and a login by a token file.
    pub(crate) fn new() -> Self {
        let testbed = Testbed::get();
        Self::at(testbed.vault(), testbed.variable("TESTBED_VAULT_AUDIT").into())
    }

    pub(crate) fn at(vault: Api, audit: PathBuf) -> Self {
        let world = Self {
            repo: OpsRepo::empty(),
            vault,
            backends: String::new(),
            identity: String::new(),
            stem: unique("t").to_uppercase(),
            audit,
            seen: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(world.path("gates")).unwrap();
        for (name, script) in [("show", SHOW), ("hold", HOLD)] {
            let script = script.replace("SEEN", &world.seen.path().display().to_string());
            let script = script.replace("GATES", &world.path("gates").display().to_string());
            world.repo.write(&format!("formulas/{name}.sh"), &script);
        }
        world.repo.write("vault/policy.toml", "[tiers]\nshow = 'low'\nhold = 'low'\nreport = 'low'\nleak = 'low'\n");
        world.configure(&world.vault.address, "");
        let applied = world.administer("policies apply");
        assert!(applied.status.success(), "{}", applied.said);
        fs::write(world.path("token"), world.dispatcher_token()).unwrap();
        world.repo.commit("formulas");
        world.repo.push();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.repo.path().join(name)
    }

    /// The name of one of this world's secrets.
    pub(crate) fn secret(&self, name: &str) -> String {
        format!("{}_{name}", self.stem)
    }

    /// A token of the shipped policy, as an administrator would make it.
    pub(crate) fn dispatcher_token(&self) -> String {
        let body =
            json!({ "policies": ["service-dispatcher"], "no_default_policy": true, "no_parent": true, "ttl": "1h" });
        let made = self.vault.must("POST", "/v1/auth/token/create", Some(&body));
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// The dispatcher's own side of grants, at a Vault that is reached at `address`.
    pub(crate) fn provider(&self, address: &str) -> VaultProvider {
        let settings = json!({ "address": address, "token_file": self.path("token") });
        VaultProvider::open(&serde_json::from_value(settings).unwrap()).unwrap()
    }

    /// Writes the config for a Vault at `address`, with `more` in `[secrets.vault]`.
    pub(crate) fn configure(&self, address: &str, more: &str) {
        let root = self.repo.path().display();
        let allow: Vec<String> =
            ["A", "B", "C", "D", "E", "F", "GONE"].iter().map(|n| format!("'{}'", self.secret(n))).collect();
        let login = if more.contains("login") { "" } else { "token_file = 'token'\n" };
        let config = format!(
            "state_dir = '{root}/state'\n[ops]\nremote = 'file://{}'\npoll_seconds = 0.2\n[limits]\ngrace_seconds = 2\n\
             [secrets]\nallow = [{}]\n[secrets.vault]\naddress = '{address}'\n{login}{}\n{}\n{}",
            self.repo.bare().display(),
            allow.join(", "),
            more.replace("login", ""),
            self.identity,
            self.backends
        );
        fs::write(self.path("dispatch.toml"), config).unwrap();
    }

    /// Gives a secret its value.
    pub(crate) fn put(&self, name: &str, fields: &Value) {
        let path = format!("/v1/kv/data/disinto/runner/{}", self.secret(name));
        self.vault.must("POST", &path, Some(&json!({ "data": fields })));
    }

    pub(crate) fn put_all(&self) {
        for name in ["A", "B", "C", "D", "E", "F"] {
            self.put(name, &json!({ "value": format!("{CANARY}{name}") }));
        }
    }

    pub(crate) fn action(&self, id: &str, formula: &str, secrets: &[&str]) {
        let secrets: Vec<String> = secrets.iter().map(|name| format!("'{}'", self.secret(name))).collect();
        let text =
            format!("id = '{id}'\nformula = '{formula}'\ncontext = 'a test'\nsecrets = [{}]\n", secrets.join(", "));
        self.repo.write(&format!("vault/actions/{id}.toml"), &text);
    }

    pub(crate) fn publish(&self) {
        self.repo.commit("actions");
        self.repo.git(&["pull", "--quiet", "--no-edit", "--no-rebase", "origin", "main"]);
        self.repo.push();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
        command.args(line.split_whitespace()).current_dir(self.repo.path());
        command.env_clear().env("HOME", self.repo.path()).env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    /// Calls the binary with the root token of Vault, as an administrator.
    pub(crate) fn administer(&self, line: &str) -> Ended {
        let mut command = self.command(line);
        command.env("VAULT_TOKEN", &self.vault.token);
        Running::start(command, self.path("administer.log")).end()
    }

    pub(crate) fn start(&self, line: &str, environment: &[(&str, &str)]) -> Running {
        let mut command = self.command(line);
        command.envs(environment.iter().copied());
        Running::start(command, self.path(&format!("{}.log", line.split_whitespace().next().unwrap())))
    }

    pub(crate) fn call(&self, line: &str, environment: &[(&str, &str)]) -> Ended {
        self.start(line, environment).end()
    }

    /// Starts `dispatch run` and waits until it can be spoken to.
    pub(crate) fn serve(&self) -> Running {
        self.serve_with(&[])
    }

    /// The same, with variables in its environment.
    pub(crate) fn serve_with(&self, environment: &[(&str, &str)]) -> Running {
        let running = self.start("run", environment);
        until("the control socket", || (self.status()["running"] == true).then_some(()));
        running
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.command("status --output json").output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()["data"].clone()
    }

    pub(crate) fn open_gate(&self, id: &str) {
        fs::write(self.path("gates").join(id), "").unwrap();
    }

    pub(crate) fn wait_until_begun(&self, id: &str) {
        until(&format!("{id} to begin"), || self.seen.path().join(id).exists().then_some(()));
    }

    pub(crate) fn begun(&self, id: &str) -> bool {
        self.seen.path().join(id).exists()
    }

    /// The names of this world's secrets that the formula of `id` had in its environment, without their stem.
    pub(crate) fn seen(&self, id: &str) -> Vec<String> {
        let text = fs::read_to_string(self.seen.path().join(id)).unwrap();
        text.lines().map(|line| line.strip_prefix(&format!("{}_", self.stem)).unwrap_or(line).to_owned()).collect()
    }

    /// The result of `id` in the head of the remote.
    pub(crate) fn result(&self, id: &str) -> Option<Value> {
        let path = format!("vault/actions/{id}.result.json");
        if self.repo.remote_git(&["ls-tree", "main", "--", &path]).is_empty() {
            return None;
        }
        Some(serde_json::from_str(&self.repo.remote_git(&["show", &format!("main:{path}")])).unwrap())
    }

    pub(crate) fn wait_for_result(&self, id: &str) -> Value {
        until(&format!("the result of {id}"), || self.result(id))
    }

    /// The records of the grants that were made for `run`, in order.
    pub(crate) fn grants(&self, run: &str) -> Vec<Value> {
        let Ok(journal) = Connection::open(self.path("state/journal.db")) else { return Vec::new() };
        let Ok(mut statement) =
            journal.prepare("SELECT data FROM events WHERE run = ?1 AND kind = 'grant' ORDER BY seq")
        else {
            return Vec::new();
        };
        let rows = statement.query_map([run], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|text| serde_json::from_str::<Value>(&text.unwrap()).unwrap()["record"].clone()).collect()
    }

    pub(crate) fn accessors(record: &Value) -> Vec<String> {
        let all = record["accessors"].as_array().cloned().unwrap_or_default();
        all.iter().map(|accessor| accessor.as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn lives(&self, accessor: &str) -> bool {
        let found = self.vault.ask("POST", "/v1/auth/token/lookup-accessor", Some(&json!({ "accessor": accessor })));
        // The server keeps the accessor of a wrapping that was wrapped anew, with -1 uses.
        found.status == 200 && found.json()["data"]["num_uses"].as_i64().is_some_and(|uses| uses >= 0)
    }

    /// Waits until every grant of `run` is dead.
    pub(crate) fn wait_until_revoked(&self, run: &str) {
        let all: BTreeSet<String> = self.grants(run).iter().flat_map(Self::accessors).collect();
        assert!(!all.is_empty(), "{run} had no grant");
        until(&format!("the grants of {run} to be dead"), || all.iter().all(|one| !self.lives(one)).then_some(()));
    }

    /// Waits until the journal, too, holds the grant of `run` for taken back: nothing is asked of Vault about it any more.
    pub(crate) fn wait_until_not_owed(&self, run: &str) {
        until(&format!("the grant of {run} to count as taken back"), || {
            let journal = Connection::open(self.path("state/journal.db")).ok()?;
            let record: String =
                journal.query_row("SELECT record FROM runs WHERE id = ?1", [run], |row| row.get(0)).ok()?;
            serde_json::from_str::<Value>(&record).unwrap()["grant"].is_null().then_some(())
        });
    }

    /// Every token of a run that may read this secret and that the server still has, by the run that it was minted for.
    pub(crate) fn living_tokens(&self, name: &str) -> Vec<String> {
        let all = self.vault.must("GET", "/v1/auth/token/accessors?list=true", None);
        let look = |accessor: &Value| {
            let asked = json!({ "accessor": accessor });
            self.vault.ask("POST", "/v1/auth/token/lookup-accessor", Some(&asked)).json()["data"].clone()
        };
        let ours = format!("runner-{}", self.secret(name).to_lowercase());
        let found = all["data"]["keys"].as_array().unwrap().iter().map(look);
        let found = found.filter(|token| token["policies"].as_array().is_some_and(|all| all.contains(&json!(ours))));
        found.map(|token| token["meta"]["run"].as_str().unwrap().to_owned()).collect()
    }

    /// The lines of Vault's audit log about answers to requests for `path`.
    pub(crate) fn audited(&self, path: &str) -> Vec<Value> {
        let text = fs::read_to_string(&self.audit).unwrap();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["type"] == "response" && line["request"]["path"] == path).collect()
    }

    /// How often there was such an alarm.
    pub(crate) fn alarms(&self, word: &str) -> u64 {
        let output = self.command("status --output json").output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["data"]["alarms"][word].as_u64().unwrap_or(0)
    }

    /// The chain of the journal holds.
    pub(crate) fn verify_journal(&self) {
        assert!(Reader::open(&self.path("state/journal.db")).is_ok());
        let verified = self.call("audit verify", &[]);
        assert!(verified.status.success(), "{}", verified.said);
    }
}
