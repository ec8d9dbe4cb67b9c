//! Servers of a test's own, which it may kill, seal, starve and start again. They stand in the testbed's folder, so that its
//! `down` ends them even when the test was killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::{Api, Testbed, eventually, script, unique, variables};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nomad,
    Vault,
    Gitea,
}

/// Ended at drop, with tasks, mounts and folder.
#[derive(Debug)]
pub(crate) struct PrivateServer {
    kind: Kind,
    /// Its folder: `log`, `config.json`, `data`, ….
    pub(crate) folder: PathBuf,
    variables: BTreeMap<String, String>,
}

impl PrivateServer {
    pub(crate) fn start(testbed: &Testbed, kind: Kind, options: &[&str]) -> Self {
        let folder = testbed.folder().join("private").join(unique("p"));
        let mut this = Self { kind, folder, variables: BTreeMap::new() };
        this.start_again(options);
        this
    }

    /// Starts it on the data and ports that it had, after it was ended. A Nomad keeps its first options.
    pub(crate) fn start_again(&mut self, options: &[&str]) {
        let kind = match self.kind {
            Kind::Nomad => "nomad",
            Kind::Vault => "vault",
            Kind::Gitea => "gitea",
        };
        let mut command = Command::new(script("start"));
        let output =
            command.arg(kind).arg(&self.folder).args(options).stderr(Stdio::inherit()).output().expect("start");
        assert!(output.status.success(), "the private {kind} did not start: see above");
        self.variables = variables(&String::from_utf8_lossy(&output.stdout));
    }

    /// A variable that `start` printed.
    pub(crate) fn variable(&self, name: &str) -> &str {
        &self.variables[name]
    }

    /// The server with all rights. Of a Nomad that is only a client: its server.
    pub(crate) fn api(&self) -> Api {
        match self.kind {
            Kind::Nomad => Api::nomad(self.variable("NOMAD_ADDR"), self.variable("NOMAD_TOKEN")),
            Kind::Vault => Api::vault(self.variable("VAULT_ADDR"), self.variable("VAULT_TOKEN")),
            Kind::Gitea => Api::forge(self.variable("FORGE_URL"), self.variable("FORGE_TOKEN")),
        }
    }

    /// The process of the server itself.
    pub(crate) fn pid(&self) -> i32 {
        self.variable("TESTBED_PID").parse().unwrap()
    }

    /// Sends the server's own process a signal. What it started (executors, tasks) goes on.
    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// Ends the server's own process with this signal, and returns when it is gone.
    pub(crate) fn end(&self, signal: Signal) {
        self.signal(signal);
        eventually("the server has ended", Duration::from_secs(20), || (!is_alive(self.pid())).then_some(()));
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the end of the private server's log:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        let ended = Command::new(script("down")).arg(&self.folder).status().is_ok_and(|status| status.success());
        assert!(ended || thread::panicking(), "{} could not be taken down", self.folder.display());
    }
}

/// Whether the process runs: a zombie that nobody has waited for does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// The living processes that have this path in their arguments, environment, working folder or open files.
pub(crate) fn processes_naming(path: &Path) -> Vec<i32> {
    let needle = path.to_str().unwrap().as_bytes();
    let within = |bytes: Vec<u8>| bytes.windows(needle.len()).any(|window| window == needle);
    let points_to = |link: PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(path));
    let open =
        |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().any(|file| points_to(file.path()));
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let names =
            ["cmdline", "environ"].into_iter().any(|file| within(fs::read(proc.join(file)).unwrap_or_default()));
        *pid != i32::try_from(std::process::id()).unwrap()
            && is_alive(*pid)
            && (names || points_to(proc.join("cwd")) || open(proc.join("fd")))
    })
    .collect()
}
