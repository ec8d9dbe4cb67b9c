//! The local backend with the shipped binary: real supervisors, real runners, real kills. What a formula did is read from the
//! tally file that it writes itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod backend_contract;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use backend_contract as contract;
use backend_contract::observe;
use dispatch::backend::local::{LocalBackend, LocalSettings};
use dispatch::backend::{Backend as _, BackendError, Cursor, End, Found, Observation};
use dispatch::config::types::LocalLimits;
use dispatch::runner::envelope::{Envelope, FormulaKind, Handover, Limits, PROTOCOL, Sealed};
use dispatch::support::checkup::{Standing, worst};
use dispatch::support::ids::{BlobId, LaunchKey, sha256_hex};
use dispatch::support::watch::Watcher;

const DISPATCH: &str = env!("CARGO_BIN_EXE_dispatch");

/// A folder with runs, and a tally that formulas append to.
struct World {
    folder: PathBuf,
    _owned: Option<tempfile::TempDir>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder: folder.path().to_owned(), _owned: Some(folder) }
    }

    /// The world of another process.
    fn at(folder: PathBuf) -> Self {
        Self { folder, _owned: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts a dispatcher in a process of its own, which launches `script` and then waits until it is killed.
    fn dispatcher(&self, script: &str, fault: &str) -> std::process::Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_dispatcher_in_a_process_of_its_own", "--nocapture"])
            .env("DISPATCH_TEST_WORLD", &self.folder)
            .env("DISPATCH_TEST_SCRIPT", script)
            .env("DISPATCH_FAULT", fault)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn settings(&self) -> LocalSettings {
        let mounts = BTreeMap::from([("ssh".parse().unwrap(), self.path("ssh"))]);
        let limits = LocalLimits::default();
        LocalSettings { runs_dir: self.path("runs"), executable: DISPATCH.into(), mounts, limits }
    }

    fn backend(&self) -> LocalBackend {
        LocalBackend::new(self.settings()).unwrap()
    }

    /// An envelope whose formula first writes a line into the tally and then does `script`.
    fn envelope(&self, script: &str) -> Envelope {
        let script = format!("echo ran >> {}\n{script}\n", self.path("tally").display());
        let seal = |bytes: &[u8]| Sealed { sha256: sha256_hex(bytes), bytes: bytes.to_vec() };
        Envelope {
            protocol: PROTOCOL,
            run: "a@1".parse().unwrap(),
            key: key(),
            slot: 0,
            action: seal(b"id = \"a\"\n"),
            formula: "f".parse().unwrap(),
            kind: FormulaKind::Mechanical,
            script: seal(script.as_bytes()),
            context_files: BTreeMap::new(),
            params: BTreeMap::new(),
            mounts: BTreeMap::new(),
            environment: BTreeMap::new(),
            handover: Handover::Values(BTreeMap::new()),
            limits: Limits { timeout_seconds: 100, grace_seconds: 1 },
            working_directory: None,
            traceparent: None,
        }
    }

    fn executions(&self) -> usize {
        fs::read_to_string(self.path("tally")).unwrap_or_default().lines().count()
    }

    fn launch_dir(&self, number: u32) -> PathBuf {
        self.path("runs").join(key().as_str()).join(number.to_string())
    }

    fn supervisor_pid(&self) -> i32 {
        let bytes = fs::read(self.launch_dir(1).join("supervisor.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["pid"].as_i64().unwrap().try_into().unwrap()
    }
}

fn key() -> LaunchKey {
    LaunchKey::of_action(&"a".parse().unwrap(), &BlobId::try_from("0".repeat(40)).unwrap(), 1)
}

/// Waits until `path` is there, woken by the folder's changes.
async fn appears(path: &Path) {
    let watcher = Watcher::new().unwrap();
    let mut growth = watcher.watch(path.parent().unwrap()).unwrap();
    let wait = async {
        while !path.exists() {
            growth.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn is_gone(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

/// Not a test by itself: what [`World::dispatcher`] starts.
#[tokio::test]
async fn a_dispatcher_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os("DISPATCH_TEST_WORLD") else { return };
    let world = World::at(folder.into());
    let launch = world.backend().launch(&key(), &world.envelope(&std::env::var("DISPATCH_TEST_SCRIPT").unwrap())).await;
    fs::write(world.path("answer"), format!("{launch:?}")).unwrap();
    fs::rename(world.path("answer"), world.path("answered")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_run_outlives_its_dispatcher_and_is_adopted() {
    let world = World::new();
    let (began, go) = (world.path("began"), world.path("go"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let script = format!("touch {}; read line < {}; echo after; exit 5", began.display(), go.display());
    let mut dispatcher = world.dispatcher(&script, "");
    appears(&began).await;
    dispatcher.kill().unwrap();
    dispatcher.wait().unwrap();

    let backend = world.backend();
    let Found::Launched(handle) = backend.find(&key()).await.unwrap() else { panic!("the run is not found") };
    let opened = tokio::task::spawn_blocking(move || fs::write(go, "go\n").unwrap());
    let told = observe(&backend, &handle, &Cursor::default()).await;
    opened.await.unwrap();
    assert_eq!((told.ended.how, world.executions()), (End::Exited(5), 1));
    assert!(told.events.contains("after"));
}

/// Takes up what a dead dispatcher left: launches only where `find` says that nothing was launched.
#[cfg(feature = "fault-points")]
async fn recover(world: &World) -> End {
    let backend = world.backend();
    let handle = match backend.find(&key()).await.unwrap() {
        Found::Launched(handle) => handle,
        Found::NotLaunched => backend.launch(&key(), &world.envelope(HELLO)).await.unwrap(),
        Found::Unknown(words) => panic!("{words}"),
    };
    observe(&backend, &handle, &Cursor::default()).await.ended.how
}

#[cfg(feature = "fault-points")]
const STEPS: [&str; 5] = ["local.mkdir", "local.launchfile", "local.spawn", "local.handover", "local.ack"];

#[cfg(feature = "fault-points")]
#[tokio::test]
async fn a_dispatcher_killed_at_any_step_of_a_launch_leaves_one_execution_and_its_exit() {
    for point in STEPS.iter().flat_map(|step| [format!("{step}.before"), format!("{step}.after")]) {
        let world = World::new();
        let status = world.dispatcher(HELLO, &format!("kill:{point}")).wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{point} was not reached");
        assert_eq!((recover(&world).await, world.executions()), (End::Exited(7), 1), "{point}");
    }
}

#[cfg(feature = "fault-points")]
#[tokio::test]
async fn a_disk_that_is_full_at_any_step_of_a_launch_leaves_one_execution_and_its_exit() {
    for point in STEPS.iter().flat_map(|step| [format!("{step}.before"), format!("{step}.after")]) {
        let world = World::new();
        let mut dispatcher = world.dispatcher(HELLO, &format!("error:{point}"));
        appears(&world.path("answered")).await;
        dispatcher.kill().unwrap();
        dispatcher.wait().unwrap();
        assert!(fs::read_to_string(world.path("answered")).unwrap().starts_with("Err("), "{point} was not reached");
        assert_eq!((recover(&world).await, world.executions()), (End::Exited(7), 1), "{point}");
    }
}

#[cfg(feature = "fault-points")]
#[tokio::test]
async fn an_exit_is_recorded_when_the_disk_has_room_again_and_unknown_when_the_supervisor_was_killed_before() {
    let cases = [
        ("error:local.exit.before:1", End::Exited(7)),
        ("error:local.exit.after:1", End::Exited(7)),
        ("kill:local.exit.before", End::Unknown),
        ("kill:local.exit.after", End::Exited(7)),
    ];
    for (fault, expected) in cases {
        let world = World::new();
        let mut dispatcher = world.dispatcher(HELLO, fault);
        appears(&world.path("answered")).await;
        dispatcher.kill().unwrap();
        dispatcher.wait().unwrap();
        assert_eq!((recover(&world).await, world.executions()), (expected, 1), "{fault}");
    }
}

#[tokio::test]
async fn observing_that_is_dropped_and_taken_up_again_repeats_nothing_and_loses_nothing() {
    let world = World::new();
    let go = world.path("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let backend = world.backend();
    let script = format!("seq -f n%g. 1 500; read line < {}; seq -f n%g. 501 1000", go.display());
    let handle = backend.launch(&key(), &world.envelope(&script)).await.unwrap();

    let (sender, mut news) = tokio::sync::mpsc::channel(1);
    let (beginning, mut seen, mut cursor) = (Cursor::default(), String::new(), Cursor::default());
    let first_part = async {
        while !seen.contains("n500.") {
            if let Some(Observation::Events { bytes, cursor: behind }) = news.recv().await {
                seen += std::str::from_utf8(&bytes).unwrap();
                cursor = behind;
            }
        }
    };
    tokio::select! {
        ended = backend.observe(&handle, &beginning, sender) => panic!("ended while the formula waits: {ended:?}"),
        () = first_part => {}
    }
    let opened = tokio::task::spawn_blocking(move || fs::write(go, "go\n").unwrap());
    let told = observe(&backend, &handle, &cursor).await;
    opened.await.unwrap();
    let all = seen + &told.events;
    let numbers: Vec<u32> = all.split("\"n").skip(1).filter_map(|rest| rest.split('.').next()?.parse().ok()).collect();
    assert_eq!(numbers, (1..=1000).collect::<Vec<u32>>());
}

#[tokio::test]
async fn a_killed_runner_is_told_from_a_killed_supervisor_and_leaves_nothing_running() {
    let world = World::new();
    let pid_file = world.path("pid");
    // A grandchild of the runner: it comes to the supervisor only when its own parent has been ended.
    let script = format!("sleep 1000 & echo $! > {0}.tmp; mv {0}.tmp {0}; wait", pid_file.display());
    let backend = world.backend();
    let handle = backend.launch(&key(), &world.envelope(&script)).await.unwrap();
    appears(&pid_file).await;
    let fence = fs::read_to_string(world.launch_dir(1).join("fence")).unwrap();
    let runner = fence.trim().rsplit(' ').next().unwrap().parse().unwrap();
    signal(runner, rustix::process::Signal::KILL);
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!(told.ended.how, End::Signalled(9));
    assert!(told.ended.detail.unwrap().contains("killed by somebody else"));
    assert!(is_gone(&fs::read_to_string(pid_file).unwrap()));
}

const HELLO: &str = "echo hello; exit 7";

#[tokio::test]
async fn the_contract_holds_from_launch_to_exit() {
    let world = World::new();
    let (backend, envelope) = (world.backend(), world.envelope(HELLO));
    assert_eq!(worst(&backend.check().await), Standing::Good);
    contract::a_run_is_followed_to_its_exit_and_again_from_its_last_cursor(&backend, &key(), &envelope).await;
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn the_contract_holds_for_a_second_launch() {
    let world = World::new();
    contract::a_second_launch_answers_the_first(&world.backend(), &key(), &world.envelope(HELLO)).await;
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn the_contract_holds_for_find() {
    let world = World::new();
    contract::find_tells_before_during_and_after(&world.backend(), &key(), &world.envelope(HELLO)).await;
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn the_contract_holds_for_cancel_remove_and_list() {
    let world = World::new();
    let envelope = world.envelope("mkdir locked; touch locked/file; chmod 0 locked; exit 7");
    contract::what_is_over_may_be_cancelled_and_removed_twice(&world.backend(), &key(), &envelope).await;
    assert_eq!(fs::read_dir(world.path("runs")).unwrap().count(), 0);
}

#[tokio::test]
async fn another_instance_adopts_a_run_that_is_going_on() {
    let world = World::new();
    let go = world.path("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let envelope = world.envelope(&format!("echo first; read line < {}; echo second; exit 3", go.display()));
    let handle = world.backend().launch(&key(), &envelope).await.unwrap();

    let adopting = world.backend();
    assert_eq!(adopting.find(&key()).await.unwrap(), Found::Launched(handle.clone()));
    let opened = tokio::task::spawn_blocking(move || fs::write(go, "go\n").unwrap());
    let told = observe(&adopting, &handle, &Cursor::default()).await;
    opened.await.unwrap();
    assert_eq!(told.ended.how, End::Exited(3));
    assert!(told.events.contains("first") && told.events.contains("second"));
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn a_supervisor_that_comes_after_the_seal_runs_nothing() {
    let world = World::new();
    let (backend, envelope) = (world.backend(), world.envelope(HELLO));
    // As after a dispatcher that died between making the directory and starting the supervisor.
    fs::create_dir_all(world.launch_dir(1)).unwrap();
    let launch = serde_json::json!({ "key": key(), "run": "a@1", "executable": DISPATCH, "grace_seconds": 1 });
    fs::write(world.launch_dir(1).join("launch.json"), launch.to_string()).unwrap();
    assert_eq!(backend.find(&key()).await.unwrap(), Found::NotLaunched);

    let mut supervisor = Command::new(DISPATCH)
        .args(["local-supervise", "--dir"])
        .arg(world.launch_dir(1))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let document = envelope.to_handover().unwrap();
    let framed = [&(document.len() as u64).to_be_bytes()[..], &document].concat();
    supervisor.stdin.take().unwrap().write_all(&framed).unwrap();
    let output = supervisor.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("sealed before the supervisor came"));
    assert_eq!(world.executions(), 0);

    let handle = backend.launch(&key(), &envelope).await.unwrap();
    assert_eq!(observe(&backend, &handle, &Cursor::default()).await.ended.how, End::Exited(7));
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn a_runner_that_comes_to_a_sealed_fence_runs_nothing_and_its_exit_is_no_launch() {
    let world = World::new();
    let (backend, envelope) = (world.backend(), world.envelope(HELLO));
    fs::create_dir_all(world.launch_dir(1)).unwrap();
    assert_eq!(backend.find(&key()).await.unwrap(), Found::NotLaunched);
    let mut runner = Command::new(DISPATCH)
        .args(["runner", "--workdir"])
        .arg(world.launch_dir(1).join("work"))
        .arg("--fence")
        .arg(world.launch_dir(1).join("fence"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    runner.stdin.take().unwrap().write_all(&envelope.to_handover().unwrap()).unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(65));
    assert_eq!(world.executions(), 0);
}

#[tokio::test]
async fn a_handover_that_breaks_off_starts_nothing_and_the_launch_can_be_made_again() {
    let world = World::new();
    fs::create_dir_all(world.launch_dir(1)).unwrap();
    let launch = serde_json::json!({ "key": key(), "run": "a@1", "executable": DISPATCH, "grace_seconds": 1 });
    fs::write(world.launch_dir(1).join("launch.json"), launch.to_string()).unwrap();
    let mut supervisor = Command::new(DISPATCH)
        .args(["local-supervise", "--dir"])
        .arg(world.launch_dir(1))
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    supervisor.stdin.take().unwrap().write_all(&[0, 0, 0, 0, 0, 0, 1, 0, b'{']).unwrap();
    assert!(!supervisor.wait().unwrap().success());
    assert_eq!(world.backend().find(&key()).await.unwrap(), Found::NotLaunched);
    contract::a_second_launch_answers_the_first(&world.backend(), &key(), &world.envelope(HELLO)).await;
    assert_eq!(world.executions(), 1);
}

#[tokio::test]
async fn a_killed_supervisor_leaves_an_unknown_end_and_nothing_running() {
    let world = World::new();
    let pid_file = world.path("pid");
    let script = format!(
        "setsid sleep 1000 & echo $! > {0}.tmp; echo $$ >> {0}.tmp; mv {0}.tmp {0}; sleep 1000",
        pid_file.display()
    );
    let backend = world.backend();
    let handle = backend.launch(&key(), &world.envelope(&script)).await.unwrap();
    appears(&pid_file).await;
    signal(world.supervisor_pid(), rustix::process::Signal::KILL);
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!(told.ended.how, End::Unknown);
    assert!(told.ended.detail.unwrap().contains("supervisor ended without recording an exit"));
    let pids = fs::read_to_string(pid_file).unwrap();
    assert!(pids.lines().count() == 2 && pids.lines().all(is_gone), "{pids}");
    assert_eq!(backend.find(&key()).await.unwrap(), Found::Launched(handle));
}

#[tokio::test]
async fn a_run_of_before_a_reboot_says_so() {
    let world = World::new();
    let backend = world.backend();
    let handle = backend.launch(&key(), &world.envelope(HELLO)).await.unwrap();
    observe(&backend, &handle, &Cursor::default()).await;
    let dir = world.launch_dir(1);
    fs::remove_file(dir.join("exit.json")).unwrap();
    let text = fs::read_to_string(dir.join("supervisor.json")).unwrap();
    let mut identity: serde_json::Value = serde_json::from_str(&text).unwrap();
    identity["boot"] = "another".into();
    fs::write(dir.join("supervisor.json"), identity.to_string()).unwrap();
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!(told.ended.how, End::Unknown);
    assert!(told.ended.detail.unwrap().contains("started anew"));
}

#[tokio::test]
async fn a_polite_formula_stops_when_asked_and_a_stubborn_one_is_killed() {
    for (trap, farewell) in [("trap 'echo bye; exit 0' TERM", Some("bye")), ("trap '' TERM", None)] {
        let world = World::new();
        let ready = world.path("ready");
        let script = format!("{trap}\ntouch {}\nwhile true; do sleep 0.05; done", ready.display());
        let backend = world.backend();
        let handle = backend.launch(&key(), &world.envelope(&script)).await.unwrap();
        appears(&ready).await;
        let removal = backend.remove(&handle).await;
        assert!(matches!(removal, Err(BackendError::Refused { .. })), "{removal:?}");
        backend.cancel(&handle).await.unwrap();
        let told = observe(&backend, &handle, &Cursor::default()).await;
        assert!(farewell.is_none_or(|word| told.events.contains(word)), "{told:?}");
        assert_eq!(told.ended.how, End::Exited(143));
        assert!(is_gone(&world.supervisor_pid().to_string()));
    }
}

#[tokio::test]
async fn what_a_formula_leaves_in_the_background_is_ended_with_it() {
    let world = World::new();
    let pid_file = world.path("pid");
    let script = format!("setsid sleep 1000 & echo $! > {}; exit 0", pid_file.display());
    let backend = world.backend();
    let handle = backend.launch(&key(), &world.envelope(&script)).await.unwrap();
    assert_eq!(observe(&backend, &handle, &Cursor::default()).await.ended.how, End::Exited(0));
    assert!(is_gone(&fs::read_to_string(pid_file).unwrap()));
}

#[tokio::test]
async fn a_mount_is_there_while_the_formula_runs_and_gone_after_it() {
    let world = World::new();
    fs::create_dir(world.path("ssh")).unwrap();
    fs::write(world.path("ssh/id"), "the key").unwrap();
    let mut envelope = world.envelope("cat $DISPATCH_MOUNT_SSH/id; echo; exit 7");
    envelope.mounts = BTreeMap::from([("ssh".parse().unwrap(), String::new())]);
    let backend = world.backend();
    let handle = backend.launch(&key(), &envelope).await.unwrap();
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert!(told.events.contains("the key"), "{told:?}");
    assert!(!world.launch_dir(1).join("mounts").exists());
}

#[tokio::test]
async fn of_a_mount_that_cannot_be_given_no_copy_stays() {
    let world = World::new();
    fs::create_dir_all(world.path("ssh/inner")).unwrap();
    fs::write(world.path("ssh/key"), "a key").unwrap();
    std::os::unix::fs::symlink("/etc/hostname", world.path("ssh/inner/link")).unwrap();
    let mut envelope = world.envelope("true");
    envelope.mounts = BTreeMap::from([("ssh".parse().unwrap(), String::new())]);
    let refusal = world.backend().launch(&key(), &envelope).await.unwrap_err().to_string();
    assert!(refusal.contains("symbolic link"), "{refusal}");
    assert!(!world.launch_dir(1).join("mounts").exists());
}

#[tokio::test]
async fn a_mount_that_is_not_configured_refuses_the_launch_and_nothing_ran() {
    let world = World::new();
    let mut envelope = world.envelope(HELLO);
    envelope.mounts = BTreeMap::from([("gpg".parse().unwrap(), String::new())]);
    let backend = world.backend();
    let refusal = backend.launch(&key(), &envelope).await.unwrap_err().to_string();
    assert!(refusal.contains("the mount gpg is not in the config"), "{refusal}");
    assert_eq!(backend.find(&key()).await.unwrap(), Found::NotLaunched);
    assert_eq!(world.executions(), 0);
}

#[tokio::test]
async fn of_forty_mebibytes_of_output_nothing_goes_uncounted() {
    let world = World::new();
    let line = "x".repeat(1023);
    let backend = world.backend();
    let envelope = world.envelope(&format!("yes {line} | head -n 40960"));
    let handle = backend.launch(&key(), &envelope).await.unwrap();
    let exit = world.launch_dir(1).join("exit.json");
    appears(&exit).await;
    // Read late, so that the middle has been dropped by then.
    let told = observe(&backend, &handle, &Cursor::default()).await;
    assert_eq!(told.ended.how, End::Exited(0));
    let on_disk: u64 = segments(&world.launch_dir(1)).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(on_disk <= 48 << 20, "{on_disk}");
    assert_eq!(told.events.len() as u64, on_disk);
    let whole = told.events.len() as u64 + told.dropped;
    assert!(whole >= 40 << 20, "{whole}");
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "ndjson")).collect()
}

#[tokio::test]
async fn a_binary_that_is_not_there_is_found_by_check_and_starts_nothing() {
    let world = World::new();
    let settings = LocalSettings { executable: world.path("none"), ..world.settings() };
    let backend = LocalBackend::new(settings).unwrap();
    let findings = backend.check().await;
    let wrong: Vec<_> = findings.iter().filter(|finding| finding.standing == Standing::Wrong).collect();
    assert_eq!((wrong.len(), wrong[0].fix.as_deref()), (1, Some("reinstall it")));
    assert!(matches!(backend.launch(&key(), &world.envelope(HELLO)).await, Err(BackendError::Io { .. })));
    assert_eq!(backend.find(&key()).await.unwrap(), Found::NotLaunched);
}
