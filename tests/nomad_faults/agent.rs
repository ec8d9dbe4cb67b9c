//! A Nomad agent that ends and comes back: in good order, killed, together with the machine that it stands for; what it has
//! forgotten by then, and what somebody has removed.

use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::child::{Running, until};
use crate::testbed::{PrivateServer, Testbed, processes_naming};
use crate::world::World;

/// A world on `nomad` whose run `run` has begun and is watched.
fn begun(nomad: &PrivateServer, formula: &str) -> (World, Running) {
    let world = World::on(&nomad.api());
    world.ask("run", formula, "");
    let serving = world.serve(&[]);
    world.wait_until_begun("run");
    world.wait_for_state("run", "running");
    (world, serving)
}

fn stop(serving: Running, signal: Signal) {
    serving.signal(signal);
    serving.end();
}

/// The run comes to its own end and is collected.
fn assert_goes_on(world: &World, serving: Running) {
    let result = world.wait_for_result("run");
    assert_eq!(result["logs"], "done\n", "{result}");
    stop(serving, Signal::TERM);
    world.assert_ended("run", "failed", "exit_nonzero", &json!(3));
}

/// Kills the agent and what it has started: executors, runners and formulas, all of which stand in its folder. Then starts it again.
fn power_off_and_on(nomad: &mut PrivateServer) {
    nomad.end(Signal::KILL);
    until("the tasks to be gone", || {
        let left = processes_naming(&nomad.folder);
        for pid in &left {
            // It may have ended by itself a moment ago.
            let _ = rustix::process::kill_process(Pid::from_raw(*pid).unwrap(), Signal::KILL);
        }
        left.is_empty().then_some(())
    });
    nomad.start_again(&[]);
}

#[test]
fn an_agent_that_is_restarted_or_killed_during_a_run_costs_nothing() {
    let mut nomad = Testbed::get().private_nomad(&[]);

    for signal in [Signal::TERM, Signal::KILL] {
        let (world, serving) = begun(&nomad, "hold");
        nomad.end(signal);
        nomad.start_again(&[]);
        world.open_gate("run");
        assert_goes_on(&world, serving);
    }

    // The run ends while neither agent nor dispatcher is there, and the dispatcher is back first.
    let (world, serving) = begun(&nomad, "hold");
    let child = world.child("run");
    nomad.end(Signal::KILL);
    stop(serving, Signal::KILL);
    world.open_gate("run");
    until("the formula to end", || {
        let holds =
            |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"bash"));
        (!processes_naming(&nomad.folder).iter().any(holds)).then_some(())
    });
    let serving = world.serve(&[]);
    nomad.start_again(&[]);
    assert_goes_on(&world, serving);
    assert_eq!(world.result("run").unwrap()["job"]["id"], json!(child));
}

#[test]
fn a_run_that_nomad_forgot_or_whose_machine_went_down_is_lost_and_not_repeated() {
    let mut nomad = Testbed::get().private_nomad(&[]);

    // It ended, and was collected while the dispatcher was away.
    let (world, serving) = begun(&nomad, "hold");
    stop(serving, Signal::KILL);
    world.open_gate("run");
    until("the run to end", || world.are_all_over("run", 1).then_some(()));
    nomad.api().must("PUT", "/v1/system/gc", None);
    let child = format!("/v1/job/{}?namespace={}", world.child("run"), world.namespace());
    until("the child to be gone", || (nomad.api().ask("GET", &child, None).status == 404).then_some(()));
    world.recover();
    world.assert_ended("run", "lost", "exit_unknown", &Value::Null);

    // Agent, executor and task end together, as with the machine's power.
    for watched in [true, false] {
        let (world, serving) = begun(&nomad, "hold");
        let serving = if watched {
            power_off_and_on(&mut nomad);
            serving
        } else {
            stop(serving, Signal::KILL);
            power_off_and_on(&mut nomad);
            until("the second execution to end", || world.are_all_over("run", 1).then_some(()));
            world.serve(&[])
        };
        let result = world.wait_for_result("run");
        stop(serving, Signal::TERM);
        world.assert_ended("run", "lost", "exit_unknown", &Value::Null);
        let message = result["message"].as_str().unwrap();
        assert!(message.contains("its process") && message.contains("more than once"), "watched {watched}: {message}");
        assert_eq!(world.allocations("run").len(), 1, "watched {watched}");
    }
}

/// The engine's answer to `docker ARGUMENTS`.
fn docker(arguments: &[&str]) -> String {
    let output =
        Command::new("docker").args(arguments).env("DOCKER_HOST", Testbed::get().variable("DOCKER_HOST")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Counts where the container can write: in its own directory on the client, which a second execution has as well.
const COUNTED: &str = "echo begun >> \"$HOME/../../tally\"\necho waiting\nsleep 60\n";

/// A run in a container, which is waited for.
fn in_a_container(nomad: &PrivateServer, image: &str) -> (World, Running, String) {
    let runner = format!(
        "image = '{image}'\nnetwork_mode = 'none'\ncpu = 20\nmemory = 64\ndisk = 110\nkill_timeout_seconds = 3\n"
    );
    let world = World::on(&nomad.api()).with_runner(&runner);
    world.formula("hold", COUNTED);
    world.ask("run", "hold", "");
    let serving = world.serve(&[]);
    world.wait_for_state("run", "running");
    let container = until("the container's formula", || {
        let shown = world.command("logs run").output().unwrap().stdout;
        shown
            .starts_with(b"waiting")
            .then(|| docker(&["ps", "-q", "--filter", &format!("name=runner-{}", world.allocation("run"))]))
    });
    (world, serving, container)
}

fn times_begun(nomad: &PrivateServer, world: &World) -> usize {
    let task = nomad.folder.join("data/alloc").join(world.allocation("run")).join("runner/local/tally");
    std::fs::read_to_string(task).unwrap().lines().count()
}

#[test]
fn a_container_that_is_removed_behind_nomads_back_is_not_begun_again() {
    let mut nomad = Testbed::get().private_nomad(&[]);
    let image = "dispatch-runner:faults";
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/build-image");
    let built = Command::new(script)
        .args(["--offline", "--tag", image, "--binary", env!("CARGO_BIN_EXE_dispatch")])
        .env("DOCKER_HOST", Testbed::get().variable("DOCKER_HOST"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    // While the agent looks on: it learns that the container was killed.
    let (world, serving, container) = in_a_container(&nomad, image);
    docker(&["rm", "--force", &container]);
    let result = world.wait_for_result("run");
    stop(serving, Signal::TERM);
    assert_eq!((&result["state"], &result["exit"]), (&json!("failed"), &json!(137)), "{result}");
    assert_eq!(times_begun(&nomad, &world), 1, "{result}");

    // While the agent is away: it starts the task again, and the fence stops that.
    let (world, serving, container) = in_a_container(&nomad, image);
    nomad.end(Signal::KILL);
    docker(&["rm", "--force", &container]);
    nomad.start_again(&[]);
    let result = world.wait_for_result("run");
    stop(serving, Signal::TERM);
    assert_eq!((&result["state"], &result["reason"]), (&json!("lost"), &json!("exit_unknown")), "{result}");
    assert_eq!(times_begun(&nomad, &world), 1, "{result}");
}
