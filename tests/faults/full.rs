//! A disk that is full until somebody frees it: every step of a kind fails for as long; and a real one, small, that is filled. Runs
//! wait, nothing is lost, nothing runs twice, and it goes on by itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, geteuid};

use crate::check::Strictness;
use crate::child::until;
use crate::world::World;

/// How many steps have come to a point whose name begins so.
fn tried(world: &World, kind: &str) -> usize {
    let trace = fs::read_to_string(world.path("trace")).unwrap_or_default();
    trace.lines().filter(|point| point.starts_with(kind)).count()
}

/// A round in which one run is under way, and others come, while nothing of `kind` can be written.
fn round(kind: &str) -> World {
    let world = World::with_a_bit_of_everything();
    world.action("hold-1", "hold", "");
    world.publish("one that takes long");
    let full = world.path("full");
    let environment = [
        ("DISPATCH_FAULT", format!("full:{kind}:{}", full.display())),
        ("DISPATCH_FAULT_TRACE", world.path("trace").display().to_string()),
    ];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let serving = world.serve(&environment);
    world.wait_until_begun("hold-1");
    until("it to be known", || (world.run("hold-1@1")?.state.word() == "running").then_some(()));
    for id in ["ok-1", "bad-1", "rej-1", "sec-1"] {
        world.wait_for_result(id);
    }
    fs::write(&full, "").unwrap();
    let before = tried(&world, kind);
    world.action("ok-2", "work", "");
    world.action("sec-2", "secret", "");
    world.publish("while the disk is full");
    world.open_gate("hold-1");
    until(&format!("some vain tries at {kind}"), || (tried(&world, kind) > before + 3).then_some(()));
    fs::remove_file(&full).unwrap();
    for id in ["hold-1", "ok-2", "sec-2"] {
        world.wait_for_result(id);
    }
    serving.signal(Signal::TERM);
    let ended = serving.end();
    assert_eq!(ended.status.code(), Some(0), "{kind}: {}", ended.said);
    world.recover();
    world
}

#[test]
fn a_full_disk_under_the_journal_holds_everything_up_until_it_is_freed() {
    round("journal.").assert_sound(Strictness::Exact);
}

#[test]
fn a_full_disk_under_the_mirror_holds_results_up_until_it_is_freed() {
    round("ops.").assert_sound(Strictness::Exact);
}

#[test]
fn a_full_disk_under_the_run_directories_holds_launches_up_until_it_is_freed() {
    for kind in ["local.mkdir.", "local.launchfile.", "local.spawn."] {
        round(kind).assert_sound(Strictness::Exact);
    }
}

#[test]
fn a_full_disk_under_the_logs_holds_ends_up_until_it_is_freed() {
    round("log.").assert_sound(Strictness::Exact);
}

#[test]
fn a_full_disk_under_everything_even_the_runs_themselves_repeats_nothing() {
    round("").assert_sound(Strictness::AtMostOnce);
}

/// Says to [`a_round_on_a_small_disk`] that it has a mount namespace of its own.
const INSIDE: &str = "DISPATCH_TEST_SMALL_DISK";

/// A file system in memory, until this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(folder: PathBuf) -> Self {
        fs::create_dir(&folder).unwrap();
        // A start wants 64 MiB to be free.
        let mount = ["-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(&folder).status().unwrap();
        assert!(mounted.success(), "a small disk cannot be mounted: {mounted}");
        Self(folder)
    }

    /// Fills it but for `left` bytes.
    fn fill(&self, left: u64) {
        let mut file = File::create(self.filler()).unwrap();
        while file.write_all(&[b'x'; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length - left).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_really_full_holds_everything_up_until_it_is_freed() {
    let mut command = Command::new("unshare");
    // Mounting takes root, or a namespace in which one is it.
    command.args(["--mount", "--propagation", "private"]);
    command.args((!geteuid().is_root()).then_some("--map-root-user"));
    command.arg(std::env::current_exe().unwrap()).args(["--exact", "full::a_round_on_a_small_disk", "--nocapture"]);
    let ended = command.env(INSIDE, "1").output().unwrap();
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(ended.status.success() && said.contains("1 passed"), "{}: {said}", ended.status);
}

/// Not a test of its own: what the one above starts. A run is under way and others come while nothing, or next to nothing, can be
/// written below the state directory.
#[test]
fn a_round_on_a_small_disk() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let world = World::with_a_bit_of_everything();
    let disk = SmallDisk::at(world.path("state"));
    let trace = world.path("trace");
    let serving = world.serve(&[("DISPATCH_FAULT_TRACE", trace.to_str().unwrap())]);
    for id in ["ok-1", "bad-1", "rej-1", "sec-1"] {
        world.wait_for_result(id);
    }
    for (number, left) in [(2, 0), (3, 64 << 10), (4, 512 << 10)] {
        fill_while_runs_go_on(&world, &disk, number, left);
    }
    serving.signal(Signal::TERM);
    let ended = serving.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    world.recover();
    world.assert_sound(Strictness::AtMostOnce);
    assert!(!Path::new(&disk.filler()).exists());
}

fn fill_while_runs_go_on(world: &World, disk: &SmallDisk, number: u32, left: u64) {
    let [hold, work] = ["hold", "ok"].map(|kind| format!("{kind}-{number}"));
    world.action(&hold, "hold", "");
    world.publish("one that takes long");
    world.wait_until_begun(&hold);
    until("it to be known", || (world.run(&format!("{hold}@1"))?.state.word() == "running").then_some(()));
    disk.fill(left);
    let before = tried(world, "");
    world.action(&work, "work", "");
    world.publish("while the disk is full");
    world.open_gate(&hold);
    let both = || [&hold, &work].iter().all(|id| world.result(id).is_some());
    until("vain tries", || (tried(world, "") > before + 12 || both()).then_some(()));
    disk.free();
    // Its supervisor tries for half a minute to say how it ended.
    assert_eq!(world.wait_for_result(&hold)["state"], "succeeded", "{left}");
    world.wait_for_result(&work);
}
