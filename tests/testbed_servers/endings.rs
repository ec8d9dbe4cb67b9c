//! Whoever dies, and however: afterwards no process of the testbed runs and its folder is gone.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::json;
use tempfile::TempDir;

use super::{SOON, job};
use crate::testbed::{Api, eventually, processes_naming, script};

/// A testbed of this test's own: Nomad and Vault only, for speed.
struct Bed {
    up: Child,
    folder: PathBuf,
    _parent: TempDir,
}

impl Bed {
    /// In a process group of its own, as a shell starts what a person types.
    fn up(arguments: &[&str]) -> Self {
        let parent = tempfile::Builder::new().prefix("bed").tempdir().unwrap();
        let folder = parent.path().join("b");
        // Where the tests run in the background, Ctrl-C is ignored, and a shell cannot change that for itself.
        let mut command = Command::new("env");
        command
            .arg("--default-signal=INT")
            .arg(script("up"))
            .args(arguments)
            .arg(&folder)
            .env("ONLY", "nomad vault")
            .env_remove("DISPATCH_TESTBED");
        let up = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
        Self { up, folder, _parent: parent }
    }

    fn ready(self) -> Self {
        eventually("the testbed is up", Duration::from_secs(120), || self.folder.join("env").exists().then_some(()));
        self
    }

    /// A task that clears its environment and outlives its executor: nothing but its control group tells whose it is.
    fn with_a_task(self) -> Self {
        let text = fs::read_to_string(self.folder.join("env")).unwrap();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("export {name}="))).unwrap();
        let nomad = Api::nomad(value("NOMAD_ADDR"), value("NOMAD_TOKEN"));
        let script = "cd / && env -i setsid sleep 100000 & wait";
        nomad.must("POST", "/v1/jobs", Some(&job("task", "/bin/sh", &["-c", script])));
        eventually("the task runs", SOON, || {
            let allocations = nomad.must("GET", "/v1/job/task/allocations", None);
            (allocations[0]["ClientStatus"] == json!("running")).then_some(())
        });
        self
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.up)
    }

    /// Waits until nothing of it is left, and says what is when that does not come true.
    fn expect_gone(mut self, grouped: &[i32]) {
        eventually("the folder is gone", Duration::from_secs(60), || (!self.folder.exists()).then_some(()));
        self.up.wait().unwrap();
        eventually("no process names it", SOON, || processes_naming(&self.folder).is_empty().then_some(()));
        assert!(grouped.iter().all(|pid| !crate::testbed::is_alive(*pid)), "tasks are left: {grouped:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.folder.to_str().unwrap()), "{mounts}");
    }

    /// The processes in the control groups of its allocations.
    fn tasks(&self) -> Vec<i32> {
        let allocations = names(&self.folder.join("nomad/data/alloc"));
        let processes = names(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok());
        let grouped = |pid: &i32| {
            let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            allocations.iter().any(|allocation| groups.contains(allocation))
        };
        let found: Vec<i32> = processes.filter(grouped).collect();
        assert!(found.len() >= 2, "the shell and its child: {found:?}");
        found
    }
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[test]
fn ctrl_c_leaves_no_process_behind() {
    let bed = Bed::up(&["--foreground"]).ready().with_a_task();
    let tasks = bed.tasks();
    rustix::process::kill_process_group(bed.pid(), Signal::INT).unwrap();
    bed.expect_gone(&tasks);
}

#[test]
fn ctrl_c_half_way_up_leaves_no_process_behind() {
    let bed = Bed::up(&[]);
    eventually("Nomad has been started", SOON, || bed.folder.join("nomad/pid").exists().then_some(()));
    rustix::process::kill_process_group(bed.pid(), Signal::INT).unwrap();
    bed.expect_gone(&[]);
}

#[test]
fn kill_9_half_way_up_leaves_no_process_behind() {
    let bed = Bed::up(&[]);
    eventually("Nomad has been started", SOON, || bed.folder.join("nomad/pid").exists().then_some(()));
    rustix::process::kill_process_group(bed.pid(), Signal::KILL).unwrap();
    bed.expect_gone(&[]);
}

#[test]
fn kill_9_of_the_owner_leaves_no_process_behind() {
    let mut owner = Command::new("tail").args(["-f", "/dev/null"]).spawn().unwrap();
    let bed = Bed::up(&["--owner", &owner.id().to_string()]).ready().with_a_task();
    let tasks = bed.tasks();
    owner.kill().unwrap();
    owner.wait().unwrap();
    bed.expect_gone(&tasks);
}

#[test]
fn down_after_kill_9_of_every_server_and_executor_leaves_no_process_behind() {
    let bed = Bed::up(&[]).ready().with_a_task();
    let tasks = bed.tasks();
    let unmarked = |pid: &i32| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| environment.is_empty());
    let orphan = *tasks.iter().find(|pid| unmarked(pid)).expect("the child with a cleared environment");
    for pid in processes_naming(&bed.folder).into_iter().chain(tasks.clone()).filter(|pid| *pid != orphan) {
        let _ = rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
    }
    let down = || Command::new(script("down")).arg(&bed.folder).status().unwrap();
    assert!(down().success());
    assert!(down().success(), "a second time is no mistake");
    bed.expect_gone(&tasks);
}

#[test]
fn down_does_not_touch_a_folder_that_is_no_testbed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious"), "").unwrap();
    assert!(!Command::new(script("down")).arg(folder.path()).stderr(Stdio::null()).status().unwrap().success());
    assert!(folder.path().join("precious").exists());
}
