//! The one command, `./test`: a step that fails ends it, and whatever ends it takes the servers with it.
//!
//! What its steps do is not run here: each test takes the command's own parts and gives them other work.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::SOON;
use crate::testbed::{eventually, processes_naming};

/// `./test` with `steps` in place of its own, in a process group of its own, with temporary files in `folder`.
fn with_steps(folder: &Path, steps: &str) -> Command {
    // Where the tests run in the background, Ctrl-C is ignored, and a shell cannot change that for itself.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT", "bash", "-c", &format!("source ./test\n{steps}")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TMPDIR", folder)
        .env("ONLY", "vault")
        .env_remove("DISPATCH_TESTBED")
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// The command's own way to bring servers up, and `after` them.
fn servers_then(after: &str) -> String {
    format!(
        "logs=\"$TMPDIR/logs\"; testbed=\"$TMPDIR/bed\"; mkdir \"$testbed\"; step servers servers; touch \"$TMPDIR/ready\"\n{after}"
    )
}

fn expect_gone(folder: &Path) {
    eventually("the testbed's folder is gone", Duration::from_secs(60), || {
        (!folder.join("bed").exists()).then_some(())
    });
    eventually("no process names it", SOON, || processes_naming(&folder.join("bed")).is_empty().then_some(()));
}

#[test]
fn a_command_that_fails_ends_its_step_and_a_step_that_fails_ends_everything() {
    let folder = tempfile::tempdir().unwrap();
    let steps = "good() { true; echo the good step; }
        bad() { echo the bad step; false; echo went on behind a failure; }
        step 'a good one' good
        step 'a bad one' bad
        step 'another' good; echo the end";
    let ended = with_steps(folder.path(), steps).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(1), "{out}{error}");
    assert!(out.contains("the bad step") && error.contains("== a bad one FAILED"), "{out}{error}");
    assert!(!out.contains("went on") && !out.contains("another") && !out.contains("the end"), "{out}");
}

#[test]
fn servers_that_do_not_come_up_end_everything() {
    let folder = tempfile::tempdir().unwrap();
    let steps = "testbed=\"$TMPDIR/bed\"; mkdir \"$testbed\"; touch \"$testbed/in-the-way\"
        step servers servers
        echo the end";
    let ended = with_steps(folder.path(), steps).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(1), "{out}{error}");
    assert!(error.contains("is not empty") && error.contains("== servers FAILED"), "{error}");
    assert!(!out.contains("the end"), "{out}");
}

#[test]
fn ctrl_c_during_a_step_leaves_no_server_behind() {
    let folder = tempfile::tempdir().unwrap();
    let steps = servers_then("step 'what takes long' sleep 100000");
    let mut running = with_steps(folder.path(), &steps).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the servers are up", Duration::from_secs(120), || folder.path().join("ready").exists().then_some(()));
    assert!(!processes_naming(&folder.path().join("bed")).is_empty(), "a server runs");
    rustix::process::kill_process_group(Pid::from_child(&running), Signal::INT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(130));
    expect_gone(folder.path());
}

#[test]
fn the_logs_of_servers_are_kept_after_a_step_that_fails_and_the_servers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let ended = with_steps(folder.path(), &servers_then("step 'a bad one' false")).output().unwrap();
    let error = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{error}");
    assert!(error.contains("== end of the log of vault") && error.contains("the servers' logs are in"), "{error}");
    assert!(!fs::read(folder.path().join("logs/vault/log")).unwrap().is_empty());
    expect_gone(folder.path());
}
