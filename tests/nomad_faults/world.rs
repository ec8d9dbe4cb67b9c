//! A bare ops repo whose formulas append a line to a tally outside of every run's directory, a namespace of Nomad with the job that
//! `dispatch jobs apply` has registered there, a config, and the binary.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::check::Strictness;
use crate::child::{Ended, Running, until};
use crate::ops_repo::OpsRepo;
use crate::testbed::{Api, Namespace, Testbed, exit_code_is_lost, unique};

/// Each says in the tally that it began: `<id>`, one line each time.
const FORMULAS: [(&str, &str); 4] = [
    ("work", "echo \"$1\" >> TALLY\necho done\n"),
    // Long enough to be followed while it goes on.
    ("brief", "echo \"$1\" >> TALLY\nsleep 0.7\necho done\nexit 3\n"),
    ("fail", "echo \"$1\" >> TALLY\necho done\nexit 3\n"),
    // Waits until its gate is open; a bound keeps a test that fails from leaving it behind.
    (
        "hold",
        "echo \"$1\" >> TALLY\nfor n in $(seq 1 1200); do [ -e \"GATES/$1\" ] && { echo done; exit 3; }; sleep 0.05; done\nexit 9\n",
    ),
];

/// Where the runs go.
enum Place {
    /// A namespace of the shared Nomad.
    Shared(Namespace),
    /// One of a Nomad that ends with the test.
    Private(String),
}

/// One of them to a scenario.
pub(crate) struct World {
    pub(crate) repo: OpsRepo,
    pub(crate) api: Api,
    place: Place,
    address: String,
    runner: String,
    more: String,
}

impl World {
    /// On the testbed's Nomad.
    pub(crate) fn new() -> Self {
        let testbed = Testbed::get();
        Self::made(testbed.nomad(), Place::Shared(testbed.namespace()))
    }

    /// On a Nomad of the test's own.
    pub(crate) fn on(api: &Api) -> Self {
        let name = unique("t");
        api.must("PUT", &format!("/v1/namespace/{name}"), Some(&json!({ "Name": name })));
        Self::made(api.clone(), Place::Private(name))
    }

    fn made(api: Api, place: Place) -> Self {
        let runner = format!(
            "driver = 'raw_exec'\ncommand = '{}'\ncpu = 20\nmemory = 20\ndisk = 110\nkill_timeout_seconds = 3\n",
            env!("CARGO_BIN_EXE_dispatch")
        );
        let address = api.address.clone();
        let world = Self { repo: OpsRepo::empty(), api, place, address, runner, more: String::new() };
        fs::create_dir(world.path("gates")).unwrap();
        fs::write(world.path("token"), world.token(&["nomad-dispatcher.hcl"])).unwrap();
        world.write_config();
        for (name, script) in FORMULAS {
            world.formula(name, script);
        }
        let tiers: Vec<String> = FORMULAS.iter().map(|(name, _)| format!("{name} = 'low'")).collect();
        world.repo.write("vault/policy.toml", &format!("[tiers]\n{}\n", tiers.join("\n")));
        world.repo.commit("formulas");
        world.repo.push();
        world.register();
        world
    }

    pub(crate) fn register(&self) {
        let applied = self.call("jobs apply", &[("NOMAD_TOKEN", &self.api.token)]);
        assert!(applied.status.success(), "{}", applied.said);
    }

    /// A new token with these of the shipped policies. The management token is for the test's own hands.
    pub(crate) fn token(&self, policies: &[&str]) -> String {
        self.token_of(&policies.iter().map(|file| self.shipped(file)).collect::<Vec<_>>())
    }

    /// A shipped policy, for this world's namespace.
    pub(crate) fn shipped(&self, file: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(file);
        let namespace = format!("namespace \"{}\"", self.namespace());
        fs::read_to_string(path).unwrap().replace("namespace \"dispatch\"", &namespace)
    }

    /// A new token with policies of these rules.
    pub(crate) fn token_of(&self, policies: &[String]) -> String {
        let put = |path: &str, body: Value| self.api.must("PUT", path, Some(&body));
        let named = policies.iter().map(|rules| {
            let name = unique("p");
            put(&format!("/v1/acl/policy/{name}"), json!({ "Name": name, "Rules": rules }));
            name
        });
        let body = json!({ "Name": "test", "Type": "client", "Policies": named.collect::<Vec<_>>() });
        put("/v1/acl/token", body)["SecretID"].as_str().unwrap().to_owned()
    }

    pub(crate) fn formula(&self, name: &str, script: &str) {
        let script = script.replace("TALLY", &self.path("tally").display().to_string());
        let script = script.replace("GATES", &self.path("gates").display().to_string());
        self.repo.write(&format!("formulas/{name}.sh"), &script);
    }

    pub(crate) fn namespace(&self) -> &str {
        match &self.place {
            Place::Shared(namespace) => &namespace.name,
            Place::Private(name) => name,
        }
    }

    /// From now on the dispatcher reaches Nomad at `address`.
    pub(crate) fn through(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self.write_config();
        self
    }

    /// With further lines at the config's end.
    pub(crate) fn with(mut self, more: &str) -> Self {
        more.clone_into(&mut self.more);
        self.write_config();
        self
    }

    /// With grants from this Vault, set up as `docs/vault.md` says.
    pub(crate) fn with_vault(self, vault: &Api) -> Self {
        let more = format!("[secrets.vault]\naddress = '{}'\ntoken_file = 'vault-token'\n", vault.address);
        let world = self.with(&more);
        let mut applying = world.command("policies apply");
        applying.env("VAULT_TOKEN", &vault.token);
        let applied = Running::start(applying, world.path("policies.log")).end();
        assert!(applied.status.success(), "{}", applied.said);
        let wish =
            json!({ "policies": ["service-dispatcher"], "no_default_policy": true, "no_parent": true, "ttl": "1h" });
        let made = vault.must("POST", "/v1/auth/token/create", Some(&wish));
        fs::write(world.path("vault-token"), made["auth"]["client_token"].as_str().unwrap()).unwrap();
        world
    }

    /// With other lines in [backends.nomad.runner].
    pub(crate) fn with_runner(mut self, runner: &str) -> Self {
        runner.clone_into(&mut self.runner);
        self.write_config();
        self.register();
        self
    }

    fn write_config(&self) {
        let (root, address, namespace) = (self.repo.path().display(), &self.address, self.namespace());
        let config = format!(
            "state_dir = '{root}/state'\n[ops]\nremote = 'file://{}'\npoll_seconds = 0.2\n[limits]\ngrace_seconds = 1\nmax_concurrent = 100\n\
             [backends]\ndefault = 'nomad'\n[backends.nomad]\naddress = '{address}'\nnamespace = '{namespace}'\n\
             token_file = 'token'\n[backends.nomad.runner]\n{}\n{}",
            self.repo.bare().display(),
            self.runner,
            self.more
        );
        fs::write(self.path("dispatch.toml"), config).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.repo.path().join(name)
    }

    /// Writes an action; `more` are further lines of it.
    pub(crate) fn write_action(&self, id: &str, formula: &str, more: &str) {
        let text = format!("id = '{id}'\nformula = '{formula}'\ncontext = 'a test'\nsecrets = []\n{more}\n");
        self.repo.write(&format!("vault/actions/{id}.toml"), &text);
    }

    /// Writes an action and publishes it.
    pub(crate) fn ask(&self, id: &str, formula: &str, more: &str) {
        self.write_action(id, formula, more);
        self.publish();
    }

    /// Commits what was written, on top of what the dispatcher has pushed meanwhile.
    pub(crate) fn publish(&self) {
        self.repo.commit("actions");
        self.repo.git(&["pull", "--quiet", "--no-edit", "--no-rebase", "origin", "main"]);
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
        command.env("DISPATCH_LOG", "dispatch=debug").envs(environment.iter().copied());
        Running::start(command, self.path(&name))
    }

    pub(crate) fn call(&self, line: &str, environment: &[(&str, &str)]) -> Ended {
        self.start(line, environment).end()
    }

    /// Starts `dispatch run` and waits until it can be spoken to.
    pub(crate) fn serve(&self, environment: &[(&str, &str)]) -> Running {
        let mut running = self.start("run", environment);
        until("the control socket", || (running.is_over() || self.status()["running"] == true).then_some(()));
        running
    }

    pub(crate) fn status(&self) -> Value {
        let said = self.command("status --output json").output().unwrap().stdout;
        serde_json::from_slice::<Value>(&said).unwrap_or_default()["data"].take()
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

    /// Waits until the journal has the run of `id` in this state.
    pub(crate) fn wait_for_state(&self, id: &str, state: &str) {
        let run = format!("{id}@1");
        until(&format!("{id} to be {state}"), || (self.run(&run)?.state.word() == state).then_some(()));
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

    /// `dispatch once` without faults, until two in a row find nothing to do.
    pub(crate) fn recover(&self) {
        let mut before = -1;
        for _ in 0..5 {
            let ended = self.call("once", &[]);
            assert!(ended.status.code().is_some_and(|code| code != 4), "{}", ended.said);
            let events = self.events();
            if events == before {
                return;
            }
            before = events;
        }
        panic!("the world does not come to rest: {:#?}", self.runs());
    }

    /// Asks Nomad in this world's namespace, past the dispatcher and past any proxy.
    pub(crate) fn nomad(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let separator = if path.contains('?') { '&' } else { '?' };
        self.api.must(method, &format!("{path}{separator}namespace={}", self.namespace()), body)
    }

    /// The child job that is the run of `id`.
    pub(crate) fn child(&self, id: &str) -> String {
        let run = self.run(&format!("{id}@1")).unwrap();
        run.handle.unwrap().0["job"].as_str().unwrap().to_owned()
    }

    /// The allocations of the run of `id`, the first one first.
    pub(crate) fn allocations(&self, id: &str) -> Vec<Value> {
        let answer = self.nomad("GET", &format!("/v1/job/{}/allocations", self.child(id)), None);
        let mut all = answer.as_array().unwrap().clone();
        all.sort_by_key(|one| one["CreateIndex"].as_u64());
        all
    }

    pub(crate) fn allocation(&self, id: &str) -> String {
        self.allocations(id)[0]["ID"].as_str().unwrap().to_owned()
    }

    /// Whether the run of `id` has so many allocations, none of which goes on.
    pub(crate) fn are_all_over(&self, id: &str, count: usize) -> bool {
        let all = self.allocations(id);
        let over =
            |one: &Value| ["complete", "failed", "lost"].contains(&one["ClientStatus"].as_str().unwrap_or_default());
        all.len() == count && all.iter().all(over)
    }

    /// What is wrong with the result of `id`, which should be so: the run once begun, and one result, in one commit.
    pub(crate) fn wrong_with_result(&self, id: &str, state: &str, reason: &str, exit: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let result = self.result(id).unwrap_or_default();
        let lost = *exit == json!(143) && self.allocations(id).first().is_some_and(exit_code_is_lost);
        let exit = if lost { &Value::Null } else { exit };
        if (&result["state"], &result["reason"], &result["exit"]) != (&json!(state), &json!(reason), exit) {
            wrong.push(format!("{id} was to be {state}, {reason}, exit {exit}: {result:#}"));
        }
        if self.begun(id) != 1 {
            wrong.push(format!("{id} has begun {} times", self.begun(id)));
        }
        let path = format!("vault/actions/{id}.result.json");
        let commits = self.repo.remote_git(&["log", "--format=%h", "main", "--", &path]).lines().count();
        if commits != 1 {
            wrong.push(format!("the result of {id} stands in {commits} commits"));
        }
        wrong
    }

    /// The same, and what else is wrong in this world.
    pub(crate) fn wrong_with_end(&self, id: &str, state: &str, reason: &str, exit: &Value) -> Vec<String> {
        [self.wrong_with_result(id, state, reason, exit), self.faults(Strictness::AtMostOnce)].concat()
    }

    /// The run of `id` ended so; see [`Self::wrong_with_end`].
    pub(crate) fn assert_ended(&self, id: &str, state: &str, reason: &str, exit: &Value) {
        let wrong = self.wrong_with_end(id, state, reason, exit);
        assert!(wrong.is_empty(), "{wrong:#?}\ntally: {:?}\n{}", self.tally(), self.logged());
    }

    /// Journal, results and processes agree.
    pub(crate) fn assert_nothing_wrong(&self) {
        self.recover();
        self.assert_sound(Strictness::AtMostOnce);
    }

    /// What the dispatcher printed, for a test that fails.
    pub(crate) fn logged(&self) -> String {
        ["once.log", "run.log"].map(|log| fs::read_to_string(self.path(log)).unwrap_or_default()).join("\n---\n")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the dispatcher said:\n{}", self.logged());
            let path = format!("/v1/allocations?namespace={}", self.namespace());
            eprintln!("the allocations: {}", self.api.ask("GET", &path, None).text);
        }
    }
}

/// Attempts that wait for servers more than they work.
const AT_ONCE: usize = 8;

/// Makes an attempt at each of `cases`, several at a time; answers what was wrong, a panic included.
pub(crate) fn side_by_side<T: Send>(cases: Vec<T>, attempt: impl Fn(T) -> Option<String> + Sync) -> Vec<String> {
    let (queue, wrong) = (Mutex::new(cases), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some(case) = queue.lock().unwrap().pop() else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| attempt(case)));
            wrong.lock().unwrap().extend(outcome.unwrap_or_else(|_| Some("a scenario panicked: see above".to_owned())));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    wrong.into_inner().unwrap()
}
