//! `dispatch run` beside a world, the actions that it is given, and the results that it pushes.

use std::collections::BTreeSet;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::child::{Running, until};
use crate::testbed::{Api, script};
use crate::world::World;

/// A dispatcher at work, in a world whose jobs are registered. It has stopped, politely, when this is gone.
pub(crate) struct Serving<'a> {
    world: &'a World,
    running: Option<Running>,
}

impl<'a> Serving<'a> {
    /// Registers the jobs and starts `dispatch run`; a minute of a limit lasts a second.
    pub(crate) fn start(world: &'a World) -> Self {
        let applied = world.operate("jobs apply");
        assert_eq!(applied.code, Some(0), "{}", applied.all());
        Self::start_as_it_is(world)
    }

    /// Starts `dispatch run` and asks nothing of Nomad before.
    pub(crate) fn start_as_it_is(world: &'a World) -> Self {
        Self::start_placing_within(world, 100)
    }

    /// The same; a run may wait for a place for so many seconds.
    pub(crate) fn start_placing_within(world: &'a World, seconds: u32) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
        command.arg("run").current_dir(world.path("")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", world.path(""));
        command.env("DISPATCH_OPS_POLL_SECONDS", "0.2").env("DISPATCH_FAULT_MINUTE", "1");
        command.env("DISPATCH_BACKENDS_NOMAD_PLACEMENT_MINUTES", seconds.to_string());
        let mut running = Running::start(command, world.path("log"));
        until("the dispatcher to answer", || {
            assert!(!running.is_over(), "it ended:\n{}", running.said());
            (world.call("status --output json").code == Some(0)).then_some(())
        });
        Self { world, running: Some(running) }
    }

    /// Puts the formula and these actions on the branch in one commit: each its id, and more lines of its file.
    pub(crate) fn land(&self, formula: &str, actions: &[(&str, &str)]) {
        land(self.world, formula, actions);
    }

    /// The result of `id` in the ops repo, as soon as it is there.
    pub(crate) fn result(&self, id: &str) -> Value {
        until(&format!("the result of {id}"), || result(self.world, id))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().map_or(0, Running::pid)
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) {
        let running = self.running.take().unwrap();
        running.signal(Signal::KILL);
        running.end();
    }

    pub(crate) fn said(&self) -> String {
        self.running.as_ref().map(Running::said).unwrap_or_default()
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        if std::thread::panicking() {
            eprintln!("the dispatcher said:\n{}", running.said());
        }
        running.signal(Signal::TERM);
        let ended = running.end();
        assert!(ended.status.success() || std::thread::panicking(), "{}", ended.said);
    }
}

/// What [`Serving::land`] does.
pub(crate) fn land(world: &World, formula: &str, actions: &[(&str, &str)]) {
    world.ops.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    world.ops.write("formulas/look.sh", formula);
    for (id, more) in actions {
        let text = format!("id = \"{id}\"\nformula = \"look\"\ncontext = \"x\"\nsecrets = []\n{more}\n");
        world.ops.write(&format!("vault/actions/{id}.toml"), &text);
    }
    world.ops.commit("actions");
    world.ops.push();
}

/// The result of `id` that stands in the ops repo now.
pub(crate) fn result(world: &World, id: &str) -> Option<Value> {
    let path = format!("vault/actions/{id}.result.json");
    let there = !world.ops.remote_git(&["ls-tree", "main", "--", &path]).is_empty();
    there.then(|| serde_json::from_str(&world.ops.remote_git(&["show", &format!("main:{path}")])).unwrap())
}

/// The ids of all actions that have a result in the ops repo.
pub(crate) fn results(world: &World) -> BTreeSet<String> {
    let names = world.ops.remote_git(&["ls-tree", "--name-only", "main", "--", "vault/actions/"]);
    let id = |name: &str| Some(name.rsplit('/').next()?.strip_suffix(".result.json")?.to_owned());
    names.lines().filter_map(id).collect()
}

/// State, reason and exit code, as a result says them.
pub(crate) fn end(result: &Value) -> (&str, &str, Option<i64>) {
    (result["state"].as_str().unwrap(), result["reason"].as_str().unwrap(), result["exit"].as_i64())
}

/// The image for `docker`, made of this binary.
pub(crate) fn image() -> String {
    let made = Command::new(script("image")).arg(env!("CARGO_BIN_EXE_dispatch")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// `[backends.nomad.runner]` for `docker`.
pub(crate) fn docker(image: &str) -> String {
    format!("driver = 'docker'\nimage = '{image}'\ncpu = 20\nmemory = 64\ndisk = 110\nnetwork_mode = 'none'")
}

/// The child jobs of `parent` and their allocations' ids agree with what the result says.
pub(crate) fn assert_placed(api: &Api, namespace: &str, result: &Value) {
    let job = result["job"]["id"].as_str().unwrap_or_else(|| panic!("{result}"));
    let answered = api.must("GET", &format!("/v1/job/{job}/allocations?namespace={namespace}"), None);
    let allocations = answered.as_array().unwrap();
    assert_eq!(allocations.len(), 1, "{answered}");
    let (id, node) = (&allocations[0]["ID"], &allocations[0]["NodeName"]);
    assert_eq!((&result["job"]["allocation"], &result["job"]["node"]), (id, node), "{result}");
}
