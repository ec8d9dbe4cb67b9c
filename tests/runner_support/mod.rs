//! Drives `dispatch runner`: makes an envelope and a directory, starts the binary, reads its events.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "a module of several tests, of which each uses a part and none is reached by others"
)]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use dispatch::runner::envelope::{Envelope, FormulaKind, Handover, Limits, PROTOCOL, Sealed};
use dispatch::support::ids::sha256_hex;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::SecretString;
use serde_json::Value;

/// One run to be, in a temporary folder: `run/` is its directory, `fence` its fence.
pub struct Case {
    folder: tempfile::TempDir,
    envelope: Envelope,
    flags: Vec<OsString>,
    fault: Option<String>,
    place: Place,
}

/// Where the runner is executed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    /// As the first process of a namespace of its own.
    Namespace,
}

fn sealed(text: &str) -> Sealed {
    Sealed { sha256: sha256_hex(text.as_bytes()), bytes: text.as_bytes().to_vec() }
}

impl Case {
    pub fn new(script: &str) -> Self {
        let envelope = Envelope {
            protocol: PROTOCOL,
            run: "deploy-1@2".parse().unwrap(),
            key: "a".repeat(40).parse().unwrap(),
            slot: 3,
            action: sealed("id = \"deploy-1\"\n"),
            formula: "deploy".parse().unwrap(),
            kind: FormulaKind::Mechanical,
            script: sealed(script),
            context_files: [].into(),
            params: [].into(),
            mounts: [].into(),
            environment: [].into(),
            handover: Handover::Values([].into()),
            limits: Limits { timeout_seconds: 120, grace_seconds: 5 },
            working_directory: Some("/srv/checkout".to_owned()),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        };
        Self { folder: tempfile::tempdir().unwrap(), envelope, flags: Vec::new(), fault: None, place: Place::Here }
    }

    pub fn secret(mut self, name: &str, value: &str) -> Self {
        let Handover::Values(values) = &mut self.envelope.handover else { panic!("values are handed over here") };
        values.insert(name.parse().unwrap(), SecretString::from(value));
        self
    }

    pub fn handover(mut self, handover: Handover) -> Self {
        self.envelope.handover = handover;
        self
    }

    /// Kills the runner at this point.
    pub fn killed_at(mut self, point: &str) -> Self {
        self.fault = Some(format!("kill:{point}"));
        self
    }

    /// Lets it live again.
    pub fn unharmed(mut self) -> Self {
        self.fault = None;
        self
    }

    /// As process 1, as in a container. What is started is then `unshare`, and the runner its only child.
    pub fn being_process_1(mut self) -> Self {
        self.place = Place::Namespace;
        self
    }

    /// A flag of `dispatch runner`, with its value.
    pub fn flag(mut self, flag: &str, value: Option<&Path>) -> Self {
        self.flags.push(flag.into());
        self.flags.extend(value.map(Into::into));
        self
    }

    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.envelope.params.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn mount(mut self, name: &str, place: &str) -> Self {
        self.envelope.mounts.insert(name.parse().unwrap(), place.to_owned());
        self
    }

    pub fn pass(mut self, name: &str, value: &str) -> Self {
        self.envelope.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn context(mut self, path: &str, text: &str) -> Self {
        self.envelope.context_files.insert(path.to_owned(), sealed(text));
        self
    }

    pub fn timeout(mut self, seconds: u64) -> Self {
        self.envelope.limits.timeout_seconds = seconds;
        self
    }

    pub fn grace(mut self, seconds: u64) -> Self {
        self.envelope.limits.grace_seconds = seconds;
        self
    }

    pub fn kind(mut self, kind: FormulaKind) -> Self {
        self.envelope.kind = kind;
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn workdir(&self) -> PathBuf {
        self.folder().join("run")
    }

    pub fn fence(&self) -> PathBuf {
        self.folder().join("fence")
    }

    /// The envelope's document, to tamper with.
    pub fn document(&self) -> Value {
        serde_json::from_slice(&self.envelope.to_handover().unwrap()).unwrap()
    }

    /// The envelope, encrypted.
    pub fn sealed_for(&self, recipient: &str) -> Vec<u8> {
        self.envelope.to_sealed_handover(recipient).unwrap()
    }

    pub fn run(&self) -> Finished {
        self.start().finish()
    }

    /// Once more, with the same fence and another directory.
    pub fn run_in(&self, workdir: &str) -> Finished {
        self.start_with(&self.envelope.to_handover().unwrap(), &self.folder().join(workdir)).finish()
    }

    /// Once more as a second copy elsewhere: with another directory and another fence.
    pub fn run_elsewhere(&self) -> Finished {
        let folder = self.folder().join("elsewhere");
        fs::create_dir(&folder).unwrap();
        self.start_at(&self.envelope.to_handover().unwrap(), &folder.join("run"), &folder.join("fence")).finish()
    }

    pub fn run_with(&self, envelope: &[u8]) -> Finished {
        self.start_with(envelope, &self.workdir()).finish()
    }

    pub fn start(&self) -> Running {
        self.start_with(&self.envelope.to_handover().unwrap(), &self.workdir())
    }

    fn start_with(&self, envelope: &[u8], workdir: &Path) -> Running {
        self.start_at(envelope, workdir, &self.fence())
    }

    fn start_at(&self, envelope: &[u8], workdir: &Path, fence: &Path) -> Running {
        let mut child = self
            .place
            .command(env!("CARGO_BIN_EXE_dispatch"))
            .args(["runner", "--workdir"])
            .arg(workdir)
            .arg("--fence")
            .arg(fence)
            .args(&self.flags)
            .envs(self.fault.as_ref().map(|fault| ("DISPATCH_FAULT", fault)))
            .env("CANARY_OF_THE_RUNNER", "must not be seen by a formula")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(envelope).unwrap();
        let output = child.stdout.take().map(BufReader::new);
        Running { child, output, raw: String::new() }
    }
}

impl Place {
    fn command(self, program: &str) -> Command {
        if self == Self::Here {
            return Command::new(program);
        }
        let mut command = Command::new("unshare");
        command.args(namespace()).arg(program);
        command
    }
}

/// Flags of `unshare` for a namespace of processes: by a user namespace where this user may have one, else as root.
fn namespace() -> &'static [&'static str] {
    const WAYS: [&[&str]; 2] = [
        &["-r", "--pid", "--fork", "--mount-proc", "--kill-child"],
        &["--pid", "--fork", "--mount-proc", "--kill-child"],
    ];
    let works = |way: &&&[&str]| {
        Command::new("unshare")
            .args(**way)
            .arg("true")
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    WAYS.iter().find(works).expect("unshare (package util-linux), and user namespaces or root")
}

/// A runner at work.
pub struct Running {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    raw: String,
}

impl Running {
    /// Reads events until the formula has printed `text` as a line or a part of one; the runner's own time limit bounds the wait.
    pub fn wait_for_line(&mut self, text: &str) {
        self.wait_for(text, |event| event["kind"] == "log" && event["text"] == text);
    }

    /// Reads events until the runner has said so of itself.
    pub fn wait_for_status(&mut self, state: &str) {
        self.wait_for(state, |event| event["kind"] == "status" && event["state"] == state);
    }

    fn wait_for(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) {
        loop {
            let mut line = String::new();
            let length = self.output.as_mut().unwrap().read_line(&mut line).unwrap();
            assert!(length > 0, "it ended before {what:?}: {}", self.raw);
            self.raw += &line;
            if is_it(&serde_json::from_str(&line).unwrap()) {
                return;
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Signals the runner where that is process 1 of a namespace: from outside, as whoever started the container does.
    pub fn signal_process_1(&self, signal: Signal) {
        let [runner] = self.children()[..] else { panic!("unshare has one child: {:?}", self.children()) };
        kill_process(Pid::from_raw(runner.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    pub fn close_output(&mut self) {
        self.output = None;
    }

    /// The processes that the runner has started.
    pub fn children(&self) -> Vec<u32> {
        let own = self.child.id();
        let tasks = fs::read_dir(format!("/proc/{own}/task")).unwrap();
        let lists = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
        lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()).collect()
    }

    pub fn exit_code(mut self, bound: Duration) -> i32 {
        let end = Instant::now() + bound;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(Instant::now() < end, "the runner does not end");
            std::thread::yield_now();
        }
    }

    pub fn finish(mut self) -> Finished {
        std::io::Read::read_to_string(self.output.as_mut().unwrap(), &mut self.raw).unwrap();
        let status = self.child.wait().unwrap();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        let events = self.raw.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        Finished { code, raw: self.raw, events }
    }
}

/// What a runner left.
pub struct Finished {
    pub code: i32,
    pub raw: String,
    pub events: Vec<Value>,
}

impl Finished {
    pub fn logs(&self, stream: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["kind"] == "log" && event["stream"] == stream).collect()
    }

    /// The formula's lines on stdout.
    pub fn lines(&self) -> Vec<String> {
        self.logs("stdout").iter().map(|log| log["text"].as_str().unwrap().to_owned()).collect()
    }

    pub fn has_status(&self, state: &str) -> bool {
        self.events.iter().any(|event| event["kind"] == "status" && event["state"] == state)
    }

    pub fn started(&self) -> bool {
        self.has_status("started")
    }

    pub fn errors(&self) -> Vec<String> {
        let errors = self.events.iter().filter(|event| event["kind"] == "error");
        errors.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }
}

/// Waits until none of the processes is there.
pub fn wait_until_gone(pids: &[u32], bound: Duration) {
    assert!(!pids.is_empty());
    let end = Instant::now() + bound;
    while pids.iter().any(|pid| fs::exists(format!("/proc/{pid}")).unwrap()) {
        assert!(Instant::now() < end, "{pids:?} are still there");
        std::thread::yield_now();
    }
}
