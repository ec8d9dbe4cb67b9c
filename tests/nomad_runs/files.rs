//! `dispatch once --action FILE` in the Nomad that the dispatcher uses too.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::child::{Running, until};
use crate::serving::{Serving, end, land, result};
use crate::testbed::Testbed;
use crate::world::{World, raw_exec};

#[test]
fn a_file_with_the_bytes_of_an_action_is_a_run_of_its_own_each_time_and_never_that_actions() {
    let testbed = Testbed::get();
    let namespace = testbed.namespace();
    let world = World::new(&testbed.nomad(), &namespace.name);
    world.configure(&raw_exec(), "[limits]\ngrace_seconds = 2\n[debug]\nallow_unapproved = true\n");
    let tally = || fs::read_to_string(world.path("tally")).unwrap_or_default().lines().count();
    let formula = format!("echo ran >> {}\nexit 4\n", world.path("tally").display());
    {
        let serving = Serving::start(&world);
        serving.land(&formula, &[("twin", "")]);
        assert_eq!(end(&serving.result("twin")), ("failed", "exit_nonzero", Some(4)));
    }
    fs::copy(world.ops.work().join("vault/actions/twin.toml"), world.path("twin.toml")).unwrap();
    // A result in the ops repo does not stand in the way of a file of the same name.
    let before = world.ops.remote_git(&["rev-parse", "main"]);
    for times in 2..4 {
        let once = world.call("--output json once --action twin.toml");
        assert_eq!((once.code, &once.data()["exit"]), (Some(1), &4.into()), "{}", once.all());
        assert_eq!(tally(), times, "it ran anew: {}", once.all());
    }
    assert_eq!(world.ops.remote_git(&["rev-parse", "main"]), before, "nothing of it is published");
}

#[test]
fn a_dispatcher_does_not_take_up_a_file_that_still_runs_in_its_nomad() {
    let testbed = Testbed::get();
    let namespace = testbed.namespace();
    let world = World::new(&testbed.nomad(), &namespace.name);
    world.configure(&raw_exec(), "[limits]\ngrace_seconds = 2\n[debug]\nallow_unapproved = true\n");
    assert_eq!(world.operate("jobs apply").code, Some(0));
    let (begun, gate) = (world.path("begun"), world.path("gate"));
    let formula = format!(
        "[ $1 = next ] && exit 0\ntouch {}\nfor n in $(seq 1 600); do [ -e {} ] && exit 4; sleep 0.1; done\n",
        begun.display(),
        gate.display()
    );
    land(&world, &formula, &[]);
    fs::write(world.path("loose.toml"), "id = \"loose\"\nformula = \"look\"\ncontext = \"x\"\nsecrets = []\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
    command.args(["once", "--action", "loose.toml"]).current_dir(world.path("")).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", world.path(""));
    let once = Running::start(command, world.path("once.log"));
    until("the file's run to begin", || begun.exists().then_some(()));
    once.signal(Signal::KILL);
    once.end();
    let serving = Serving::start_as_it_is(&world);
    serving.land(&formula, &[("next", "")]);
    assert_eq!(end(&serving.result("next")).0, "succeeded");
    fs::write(gate, "").unwrap();
    let runs = world.call("list --output json");
    assert!(!runs.stdout.contains("loose"), "{}", runs.all());
    assert_eq!(result(&world, "loose"), None);
}
