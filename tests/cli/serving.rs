//! A dispatcher that serves a sealed ops repo, whose formulas wait at a gate.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::child::{Running, until};
use crate::ops_repo::OpsRepo;
use crate::world::World;

/// Says that it began, and ends once its gate is open; a bound keeps a test that fails from leaving it behind.
const HOLD: &str =
    "touch BEGUN/$1\nfor n in $(seq 1 2000); do [ -e \"GATES/$1\" ] && exit 0; sleep 0.05; done\nexit 9\n";

/// The world, its ops repo, and where its formulas wait.
pub(crate) struct Serving {
    pub(crate) world: World,
    pub(crate) ops: OpsRepo,
}

impl Serving {
    /// With the formulas `hold` and `alone`, of which the second may run once at a time.
    pub(crate) fn new() -> Self {
        let this = Self { world: World::new(), ops: OpsRepo::empty() };
        for name in ["begun", "gates"] {
            fs::create_dir(this.world.path(name)).unwrap();
        }
        let place = |name: &str| this.world.path(name).display().to_string();
        let script = HOLD.replace("BEGUN", &place("begun")).replace("GATES", &place("gates"));
        for name in ["hold", "alone"] {
            this.ops.write(&format!("formulas/{name}.sh"), &script);
        }
        this.ops.write("formulas/alone.meta.toml", "max_concurrent = 1\n");
        this.ops.write("vault/policy.toml", "[tiers]\nhold = \"low\"\nalone = \"low\"\n");
        this.ops.commit("the rules");
        this.ops.push();
        this.configure("");
        this
    }

    /// Writes the config, with `more` at its end.
    pub(crate) fn configure(&self, more: &str) {
        let remote = self.ops.bare().display().to_string();
        let text = format!("state_dir = 'state'\nops = {{ remote = 'file://{remote}', poll_seconds = 0.2 }}\n{more}");
        fs::write(self.world.path("dispatch.toml"), text).unwrap();
    }

    /// Writes an action; `more` are further lines of it.
    pub(crate) fn action(&self, id: &str, formula: &str, more: &str) {
        let secrets = if more.contains("secrets") { "" } else { "secrets = []\n" };
        let text = format!("id = \"{id}\"\nformula = \"{formula}\"\ncontext = \"for a test\"\n{secrets}{more}\n");
        self.ops.write(&format!("vault/actions/{id}.toml"), &text);
    }

    /// Commits what was written, on top of what the dispatcher has pushed meanwhile.
    pub(crate) fn publish(&self) {
        self.ops.commit("more");
        self.ops.git(&["pull", "--quiet", "--no-edit", "--rebase", "origin", "main"]);
        self.ops.push();
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = self.world.command(line);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    /// Starts a call; what it says is in a file of the world.
    pub(crate) fn start(&self, line: &str, environment: &[(&str, &str)]) -> Running {
        let mut command = self.command(line);
        command.envs(environment.iter().copied());
        Running::start(command, self.log(line))
    }

    fn log(&self, line: &str) -> PathBuf {
        self.world.path(&format!("{}.log", line.replace(' ', "-")))
    }

    /// Starts `dispatch run` and waits until it can be spoken to.
    pub(crate) fn serve(&self) -> Running {
        let mut running = self.start("run", &[]);
        until("the control socket", || (running.is_over() || self.status()["running"] == true).then_some(()));
        running
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.command("status --output json").output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["data"].clone()
    }

    /// Why the run waits, as of now.
    pub(crate) fn waits_for(&self, run: &str) -> Option<String> {
        let status = self.status();
        let one = status["waiting"].as_array()?.iter().find(|one| one["run"] == run)?;
        Some(one["reason"].as_str()?.to_owned())
    }

    pub(crate) fn wait_until_it_waits_for(&self, run: &str, reason: &str) {
        until(&format!("{run} to wait: {reason}"), || (self.waits_for(run)? == reason).then_some(()));
    }

    /// Whether the formula of `id` has begun.
    pub(crate) fn begun(&self, id: &str) -> bool {
        self.world.path("begun").join(id).exists()
    }

    pub(crate) fn wait_until_begun(&self, id: &str) {
        until(&format!("{id} to begin"), || self.begun(id).then_some(()));
    }

    /// The same, and until the dispatcher knows.
    pub(crate) fn wait_until_running(&self, id: &str) {
        self.wait_until_begun(id);
        until(&format!("{id} to run"), || {
            let output = self.command("list --state running --output json").output().unwrap();
            String::from_utf8_lossy(&output.stdout).contains(&format!("\"{id}@1\"")).then_some(())
        });
    }

    /// Lets the formula of `id` come to its end.
    pub(crate) fn open_gate(&self, id: &str) {
        fs::write(self.world.path("gates").join(id), "").unwrap();
    }

    /// The result of `id` in the head of the remote.
    pub(crate) fn result(&self, id: &str) -> Option<Value> {
        let path = format!("vault/actions/{id}.result.json");
        if self.ops.remote_git(&["ls-tree", "main", "--", &path]).is_empty() {
            return None;
        }
        Some(serde_json::from_str(&self.ops.remote_git(&["show", &format!("main:{path}")])).unwrap())
    }

    pub(crate) fn wait_for_result(&self, id: &str) -> Value {
        until(&format!("the result of {id}"), || self.result(id))
    }
}
