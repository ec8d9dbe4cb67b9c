//! A Nomad that does not answer at a start with a new journal, beside a backend that does.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::child::{BOUND, until};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::serving::{Serving, end, result};
use crate::testbed::{Namespace, Testbed, eventually};
use crate::world::{World, raw_exec};

/// Writes a line to the tally, and goes on until the gate of that name is open.
fn formula(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "echo \"$1\" >> {folder}/tally\nfor n in $(seq 1 1000); do [ -e {folder}/open-$1 ] && exit 7; sleep 0.1; done\n"
    )
}

/// Nomad behind a proxy, and the local backend; where an action names none it runs in Nomad.
fn world(proxy: &FaultProxy) -> (Namespace, World) {
    let testbed = Testbed::get();
    let namespace = testbed.namespace();
    let world = World::new(&testbed.nomad().at(&proxy.url()), &namespace.name);
    world.configure(&raw_exec(), "[limits]\ngrace_seconds = 2\n");
    let config = fs::read_to_string(world.path("dispatch.toml")).unwrap();
    fs::write(world.path("dispatch.toml"), config.replace("default = 'nomad'", "default = 'nomad'\nallow = ['local']"))
        .unwrap();
    (namespace, world)
}

fn tally(world: &World, id: &str) -> usize {
    fs::read_to_string(world.path("tally")).unwrap_or_default().lines().filter(|line| *line == id).count()
}

fn silence(proxy: &FaultProxy) {
    proxy.spoil(usize::MAX, "*", Fault::DropBefore);
}

fn queue(world: &World) -> Value {
    world.call("status --output json").data()
}

#[test]
fn a_first_start_does_the_work_of_the_backend_that_answers_and_later_that_of_the_other() {
    let proxy = FaultProxy::start(&Testbed::get().nomad().address);
    let (_namespace, world) = world(&proxy);
    assert_eq!(world.operate("jobs apply").code, Some(0));
    silence(&proxy);
    let serving = Serving::start_as_it_is(&world);
    for id in ["here", "there"] {
        fs::write(world.path(&format!("open-{id}")), "").unwrap();
    }
    serving.land(&formula(&world.path("")), &[("here", "backend = 'local'"), ("there", "")]);
    assert_eq!(end(&serving.result("here")), ("failed", "exit_nonzero", Some(7)));
    let status = queue(&world);
    assert!(status.to_string().contains("nomad"), "{status:#}");
    assert_eq!((tally(&world, "there"), result(&world, "there")), (0, None));
    proxy.heal();
    let there = serving.result("there");
    assert_eq!((end(&there).0, &there["backend"]), ("failed", &"nomad".into()), "{there:#}");
    assert_eq!((tally(&world, "here"), tally(&world, "there")), (1, 1));
    let fine = || queue(&world)["problems"].as_array().unwrap().is_empty().then_some(());
    until("no problem to be left", fine);
}

#[test]
fn what_runs_in_a_silent_nomad_is_not_run_again_after_the_journal_was_lost_and_the_others_do_not_wait() {
    let proxy = FaultProxy::start(&Testbed::get().nomad().address);
    let (_namespace, world) = world(&proxy);
    {
        let serving = Serving::start(&world);
        serving.land(&formula(&world.path("")), &[("there", "timeout_minutes = 300")]);
        eventually("it to run", BOUND, || (tally(&world, "there") == 1).then_some(()));
        serving.kill();
    }
    for file in fs::read_dir(world.path("state")).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("journal.db") {
            fs::remove_file(file.path()).unwrap();
        }
    }
    silence(&proxy);
    let serving = Serving::start_as_it_is(&world);
    fs::write(world.path("open-here"), "").unwrap();
    serving.land(&formula(&world.path("")), &[("here", "backend = 'local'")]);
    assert_eq!(end(&serving.result("here")).0, "failed");
    assert_eq!((tally(&world, "there"), result(&world, "there")), (1, None));
    proxy.heal();
    fs::write(world.path("open-there"), "").unwrap();
    let there = serving.result("there");
    assert_eq!((end(&there), tally(&world, "there")), (("failed", "exit_nonzero", Some(7)), 1), "{there:#}");
}
