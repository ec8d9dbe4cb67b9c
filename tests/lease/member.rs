//! One of several dispatchers: the binary with a state directory of its own in a world that they share.

use std::fs;
use std::path::PathBuf;

use dispatch::run::journal::{read, store};
use dispatch::run::record::Run;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::child::{Ended, Running, until};
use crate::world::World;

/// A dispatcher that was started. It is ended with the test.
pub(crate) struct Member<'a> {
    world: &'a World,
    name: &'static str,
    running: Running,
    _log: Log,
}

/// Shows what a member said when its test fails.
struct Log(PathBuf);

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.0.display(), fs::read_to_string(&self.0).unwrap_or_default());
        }
    }
}

/// A world with a lease that lasts so many seconds, and tokens of the shipped policies.
pub(crate) fn world(ttl: u32) -> World {
    let world = World::new().with(&format!("[lease]\nttl_seconds = {ttl}\n"));
    fs::write(world.path("token"), world.token(&["nomad-dispatcher.hcl", "nomad-lease.hcl"])).unwrap();
    world
}

/// How the lock stands, as only a management token sees it.
pub(crate) fn is_locked(world: &World) -> bool {
    world.nomad("GET", "/v1/var/dispatch/lease", None)["Lock"].is_object()
}

/// The child jobs in Nomad that are runs of `id`.
pub(crate) fn children(world: &World, id: &str) -> usize {
    let jobs = world.nomad("GET", "/v1/jobs?prefix=vault-runner/dispatch-&meta=true", None);
    let is_run = |job: &&Value| job["Meta"]["run_id"] == json!(format!("{id}@1"));
    jobs.as_array().unwrap().iter().filter(is_run).count()
}

/// The run of `id` was begun once and has this one result, in one commit.
pub(crate) fn assert_once(world: &World, id: &str, exit: i32) {
    let (state, reason) = if exit == 0 { ("succeeded", "succeeded") } else { ("failed", "exit_nonzero") };
    let wrong = world.wrong_with_result(id, state, reason, &json!(exit));
    assert!(wrong.is_empty(), "{wrong:#?}\ntally: {:?}", world.tally());
    assert_eq!(children(world, id), 1, "{id}");
}

impl<'a> Member<'a> {
    pub(crate) fn start(world: &'a World, name: &'static str) -> Self {
        Self::start_with(world, name, &[])
    }

    /// With further variables of its environment.
    pub(crate) fn start_with(world: &'a World, name: &'static str, environment: &[(&str, &str)]) -> Self {
        let mut command = world.command("run");
        command.env("DISPATCH_STATE_DIR", world.path(name)).env("DISPATCH_LOG", "dispatch=debug");
        command.envs(environment.iter().copied());
        let log = world.path(&format!("{name}.log"));
        Self { world, name, running: Running::start(command, log.clone()), _log: Log(log) }
    }

    /// What another verb answers for its state directory.
    pub(crate) fn call(&self, line: &str) -> Ended {
        let mut command = self.world.command(line);
        command.env("DISPATCH_STATE_DIR", self.world.path(self.name));
        Running::start(command, self.world.path(&format!("{}.call", self.name))).end()
    }

    pub(crate) fn status(&self) -> Value {
        let mut command = self.world.command("status --output json");
        let said = command.env("DISPATCH_STATE_DIR", self.world.path(self.name)).output().unwrap().stdout;
        serde_json::from_slice::<Value>(&said).unwrap_or_default()["data"].take()
    }

    pub(crate) fn said(&self) -> String {
        self.running.said()
    }

    fn wait(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{} {what}", self.name), || {
            assert!(!self.running.is_over(), "{} ended:\n{}", self.name, self.running.said());
            let status = self.status();
            (status["running"] == true && is_so(&status["lease"])).then(|| status["lease"].clone())
        })
    }

    /// Waits until it leads; answers its term.
    pub(crate) fn wait_until_it_leads(&mut self) -> u64 {
        self.wait("to lead", |lease| lease["leads"] == true)["term"].as_u64().unwrap()
    }

    /// Waits until it says that another leads; answers what it says.
    pub(crate) fn wait_until_it_stands_by(&mut self) -> Value {
        self.wait("to stand by", |lease| lease["leads"] == false && lease["leader"].is_string())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    pub(crate) fn stop(self, signal: Signal) -> Ended {
        self.running.signal(signal);
        self.running.end()
    }

    /// Waits for the end that it comes to by itself.
    pub(crate) fn end(self) -> Ended {
        self.running.end()
    }

    /// The runs of its journal.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let journal = store::open_to_read(&self.world.path(self.name).join("journal.db")).unwrap();
        read::recent(&journal, None, 1000).unwrap()
    }

    /// Its row of the run of `id`.
    pub(crate) fn run(&self, id: &str) -> Option<Run> {
        self.runs().into_iter().find(|run| run.id.action().as_str() == id)
    }
}
