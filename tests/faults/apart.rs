//! What a run on this machine is kept apart from: what the dispatcher was started with, and more than it may use.

use std::fs;
use std::process::Command;

use crate::child::Running;
use crate::world::World;

/// A world whose formula `work` does `script`, with what that prints in `seen`, and one action of it.
fn world_of(script: &str) -> World {
    let world = World::new();
    let script = format!("exec > {}\n{script}\n", world.path("seen").display());
    world.repo.write("formulas/work.sh", &script);
    world.repo.commit("a formula that looks around");
    world.action("ok-1", "work", "");
    world.publish("one");
    world
}

fn seen(world: &World) -> Vec<String> {
    fs::read_to_string(world.path("seen")).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_run_gets_no_descriptor_that_the_dispatcher_was_started_with() {
    let world = world_of("ls /proc/self/fd");
    let plain = world.command("once");
    let mut command = Command::new("bash");
    command.args(["-c", "exec 9< /dev/null && exec \"$@\"", "bash"]).arg(plain.get_program()).args(plain.get_args());
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(world.repo.path());
    let ended = Running::start(command, world.path("once.log")).end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    // The last one is that of the folder which `ls` reads.
    assert_eq!(seen(&world), ["0", "1", "2", "3"]);
}

#[test]
fn a_run_may_use_as_much_as_the_config_says_and_cannot_raise_it() {
    let world =
        world_of("ulimit -n; ulimit -u; ulimit -v; ulimit -f; ulimit -Hn; head -c 4M /dev/zero > big || echo over");
    world.configure("[backends.local.limits]\nopen_files = 100\nprocesses = 1000\nmemory_mib = 4096\nfile_mib = 3\n");
    let ended = world.call("once", &[]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    assert_eq!(seen(&world), ["100", "1000", "4194304", "3072", "100", "over"]);
}
