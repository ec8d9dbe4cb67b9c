//! A sealed world: a bare ops repo whose formulas append a line to a tally outside of every run directory, a state directory, a
//! config, and the binary.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use dispatch::grant::{generate_identity, seal_for};
use secrecy::ExposeSecret as _;

use crate::child::{Ended, Running, until};
use crate::ops_repo::OpsRepo;

/// Each says in the tally that it began: `<id>`, one line each time.
const FORMULAS: [(&str, &str); 6] = [
    ("work", "echo \"$1\" >> TALLY\necho done\n"),
    ("fail", "echo \"$1\" >> TALLY\nexit 3\n"),
    ("secret", "echo \"$1\" >> TALLY\n[ \"${#TOKEN}\" = 18 ]\n"),
    // Waits until its gate is open, and prints while it does; a bound keeps a test that fails from leaving it behind.
    (
        "hold",
        "echo \"$1\" >> TALLY\nfor n in $(seq 1 2000); do [ -e \"GATES/$1\" ] && exit 0; echo \"line $n\"; sleep 0.05; done\nexit 9\n",
    ),
    (
        "stubborn",
        "trap '' TERM\necho \"$1\" >> TALLY\nfor n in $(seq 1 2000); do [ -e \"GATES/$1\" ] && exit 0; sleep 0.05; done\nexit 9\n",
    ),
    // A grandchild in a session of its own goes on after its parent's word.
    (
        "tree",
        "echo \"$1\" >> TALLY\nbash -c 'while [ ! -e \"GATES/'\"$1\"'\" ]; do sleep 0.05; done; echo \"'\"$1\"' end\" >> ENDS'\n",
    ),
];

/// The value of the secret that actions may name.
const SECRET: &[u8] = b"canary-0123456789a";

/// One of them to a test.
pub(crate) struct World {
    pub(crate) repo: OpsRepo,
}

impl World {
    pub(crate) fn new() -> Self {
        let repo = OpsRepo::empty();
        let this = Self { repo };
        fs::create_dir(this.path("gates")).unwrap();
        this.write_formulas();
        this.write_secret();
        this.configure("");
        this.repo.commit("formulas");
        this.repo.push();
        this
    }

    /// A world with one action of each of the formulas `work`, `fail`, `secret`, and one that is refused.
    pub(crate) fn with_a_bit_of_everything() -> Self {
        let world = Self::new();
        world.action("ok-1", "work", "");
        world.action("bad-1", "fail", "");
        world.action("rej-1", "work", "colour = 'blue'");
        world.action("sec-1", "secret", "");
        world.publish("everything");
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.repo.path().join(name)
    }

    fn write_formulas(&self) {
        for (name, script) in FORMULAS {
            let script = script.replace("TALLY", &self.path("tally").display().to_string());
            let script = script.replace("ENDS", &self.path("ends").display().to_string());
            let script = script.replace("GATES", &self.path("gates").display().to_string());
            self.repo.write(&format!("formulas/{name}.sh"), &script);
        }
        let tiers: Vec<String> = FORMULAS.iter().map(|(name, _)| format!("{name} = 'low'")).collect();
        self.repo.write("vault/policy.toml", &format!("[tiers]\n{}\n", tiers.join("\n")));
    }

    fn write_secret(&self) {
        let identity = generate_identity();
        fs::create_dir(self.path("secrets")).unwrap();
        fs::write(self.path("secrets/TOKEN.enc"), seal_for(&identity.recipient, SECRET).unwrap()).unwrap();
        fs::write(self.path("identity"), identity.file.expose_secret()).unwrap();
        fs::set_permissions(self.path("identity"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes the config, with `more` at its end.
    pub(crate) fn configure(&self, more: &str) {
        self.configure_at(&format!("file://{}", self.repo.bare().display()), more);
    }

    /// The same, for another address of the ops repo.
    pub(crate) fn configure_at(&self, remote: &str, more: &str) {
        let root = self.repo.path().display();
        let config = format!(
            "state_dir = '{root}/state'\n[ops]\nremote = '{remote}'\npoll_seconds = 0.2\n\
             [secrets]\nallow = ['TOKEN']\nfile = {{ directory = '{root}/secrets', identity = '{root}/identity' }}\n{more}"
        );
        fs::write(self.path("dispatch.toml"), config).unwrap();
    }

    /// Writes an action; `more` are further lines of it.
    pub(crate) fn action(&self, id: &str, formula: &str, more: &str) {
        let secrets = if formula == "secret" { "'TOKEN'" } else { "" };
        let text = format!("id = '{id}'\nformula = '{formula}'\ncontext = 'a test'\nsecrets = [{secrets}]\n{more}\n");
        self.repo.write(&format!("vault/actions/{id}.toml"), &text);
    }

    /// Commits what was written, on top of what the dispatcher has pushed meanwhile.
    pub(crate) fn publish(&self, message: &str) {
        self.repo.commit(message);
        if !self.repo.remote_git(&["branch"]).is_empty() {
            self.repo.git(&["pull", "--quiet", "--no-edit", "--no-rebase", "origin", "main"]);
        }
        self.repo.push();
    }

    /// The binary in this world's environment and nothing else's.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
        command.args(line.split_whitespace()).current_dir(self.repo.path());
        command.env_clear().env("HOME", self.repo.path()).env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    /// Starts a call; `environment` is where faults are asked for.
    pub(crate) fn start(&self, line: &str, environment: &[(&str, &str)]) -> Running {
        let name = format!("{}.log", line.split_whitespace().next().unwrap());
        let mut command = self.command(line);
        command.envs(environment.iter().copied());
        Running::start(command, self.path(&name))
    }

    pub(crate) fn call(&self, line: &str, environment: &[(&str, &str)]) -> Ended {
        self.start(line, environment).end()
    }

    /// Starts `dispatch run` and waits until it can be spoken to.
    pub(crate) fn serve(&self, environment: &[(&str, &str)]) -> Running {
        let mut running = self.start("run", environment);
        until("the control socket", || {
            let status = self.command("status --output json").output().unwrap();
            let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
            (running.is_over() || status["data"]["running"] == true).then_some(())
        });
        running
    }

    /// Lets the formula of `id` come to its end.
    pub(crate) fn open_gate(&self, id: &str) {
        fs::write(self.path("gates").join(id), "").unwrap();
    }

    /// How often the formula of `id` has begun.
    pub(crate) fn begun(&self, id: &str) -> usize {
        self.tally().iter().filter(|line| *line == id).count()
    }

    /// Who began, in order.
    pub(crate) fn tally(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("tally")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn wait_until_begun(&self, id: &str) {
        until(&format!("{id} to begin"), || (self.begun(id) > 0).then_some(()));
    }

    /// The result of `id` in the head of the remote.
    pub(crate) fn result(&self, id: &str) -> Option<serde_json::Value> {
        let paths = self.result_paths(id);
        assert!(paths.len() <= 1, "{id} has more results than one: {paths:?}");
        Some(serde_json::from_str(&self.repo.remote_git(&["show", &format!("main:{}", paths.first()?)])).unwrap())
    }

    /// Where results of `id` stand in the head of the remote.
    pub(crate) fn result_paths(&self, id: &str) -> Vec<String> {
        let names = self.repo.remote_git(&["ls-tree", "-r", "--name-only", "main", "--", "vault"]);
        let file = format!("/{id}.result.json");
        names.lines().filter(|path| path.ends_with(&file)).map(str::to_owned).collect()
    }

    pub(crate) fn wait_for_result(&self, id: &str) -> serde_json::Value {
        until(&format!("the result of {id}"), || self.result(id))
    }

    /// `dispatch once` without faults, until two in a row find nothing to do.
    pub(crate) fn recover(&self) {
        let mut before = -1;
        for _ in 0..5 {
            let ended = self.call("once", &[]);
            assert!(ended.status.code().is_some_and(|code| code != 4), "{}", ended.said);
            assert!(self.path("state/journal.db").exists(), "{:?}: {}", ended.status, ended.said);
            let events = self.events();
            if events == before {
                return;
            }
            before = events;
        }
        panic!("the world does not come to rest: {:#?}", self.runs());
    }
}
