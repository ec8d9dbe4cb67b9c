//! A world for one scenario: a repository, a server in front of it, and `dispatch run` as a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::git_http::GitHttp;
use crate::repo::{Layout, Repo};

/// How long anything here may take before the bench gives up on it.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// How the dispatcher of a scenario is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// `ops.poll_seconds`
    pub(crate) poll: f64,
    /// `limits.max_concurrent`
    pub(crate) concurrent: u32,
    /// `results.layout`
    pub(crate) layout: Layout,
}

impl Default for Setup {
    fn default() -> Self {
        Self { poll: 0.2, concurrent: 10, layout: Layout::Flat }
    }
}

/// The folder of a scenario; gone with it.
pub(crate) struct World {
    folder: TempDir,
    /// The ops repo.
    pub(crate) repo: Repo,
    /// Serves it over HTTP.
    server: GitHttp,
}

impl World {
    /// With a fresh ops repo.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("remote")).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let repo = Repo::new(&folder.path().join("remote/ops.git"));
        run_git(&repo, &["config", "http.receivepack", "true"]);
        let server = GitHttp::start(&folder.path().join("remote"));
        Self { folder, repo, server }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the ops repo is served.
    pub(crate) fn url(&self) -> String {
        self.server.url("ops.git")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Puts a `git` before the real one that writes a line for each process, to the file that is answered.
    pub(crate) fn count_git(&self) -> PathBuf {
        let counted = self.path().join("git.count");
        let real = which("git");
        let script = format!("#!/bin/sh\necho 1 >> '{}'\nexec '{}' \"$@\"\n", counted.display(), real.display());
        let wrapper = self.path().join("bin/git");
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        counted
    }

    /// Starts `dispatch run`; `more` is added to its configuration.
    pub(crate) fn serve(&self, setup: Setup, more: &str) -> Service {
        let config = self.path().join("dispatch.toml");
        let Setup { poll, concurrent, layout } = setup;
        let text = format!(
            "state_dir = \"{}\"\n[ops]\nremote = \"{}\"\npoll_seconds = {poll:?}\n[limits]\nmax_concurrent = {concurrent}\n\
             [results]\nlayout = \"{}\"\n{more}",
            self.state().display(),
            self.url(),
            layout.word()
        );
        fs::write(&config, text).unwrap();
        let log = self.path().join("log");
        let path = std::env::var("PATH").unwrap();
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_dispatch"))
            .args(["run", "--log-format", "json", "--config"])
            .arg(&config)
            .env_clear()
            .env("PATH", format!("{}:{path}", self.path().join("bin").display()))
            .env("HOME", self.path())
            .env("DISPATCH_LOG", "warn,dispatch::ops=debug")
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Service { child, journal: self.state().join("journal.db"), log, started }
    }
}

/// A dispatcher that serves; it is told to stop, and waited for, when this is dropped.
pub(crate) struct Service {
    child: Child,
    journal: PathBuf,
    log: PathBuf,
    /// When its process was started.
    pub(crate) started: Instant,
}

/// When what happened to a run.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) at: Timestamp,
}

impl Service {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let journal = Connection::open_with_flags(&self.journal, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        question(&journal)
    }

    /// The head of the branch that is dealt with; none while the journal is being made.
    pub(crate) fn head(&self) -> Option<String> {
        self.ask(|journal| journal.query_row("SELECT value FROM meta WHERE key = 'head'", [], |row| row.get(0))).ok()
    }

    fn in_state(&self, state: &str) -> u32 {
        let count = "SELECT count(*) FROM runs WHERE state = ?1";
        self.ask(|journal| journal.query_row(count, [state], |row| row.get(0))).unwrap_or(0)
    }

    /// All that happened to runs whose id begins with `prefix`.
    pub(crate) fn events(&self, prefix: &str) -> Vec<Event> {
        let read = |journal: &Connection| {
            let mut statement = journal.prepare("SELECT kind, at FROM events WHERE run LIKE ?1 || '%' ORDER BY seq")?;
            let rows = statement.query_map([prefix], |row| {
                Ok(Event { kind: row.get(0)?, at: row.get::<_, String>(1)?.parse().unwrap() })
            })?;
            rows.collect()
        };
        self.ask(read).unwrap()
    }

    /// Waits until so many results are in the ops repo, all runs of this journal counted.
    pub(crate) fn wait_published(&mut self, count: u32) {
        self.wait("results", |service| service.in_state("published") >= count);
    }

    /// Waits until so many runs go on at the same time.
    pub(crate) fn wait_running(&mut self, count: u32) {
        self.wait("runs that go on", |service| service.in_state("running") >= count);
    }

    /// Waits until the branch was looked at for the first time, and answers how long after the start that was.
    pub(crate) fn wait_looked(&mut self) -> Duration {
        self.wait("the first look", |service| service.head().is_some());
        self.started.elapsed()
    }

    /// Waits until a commit that was just put on the branch is dealt with.
    pub(crate) fn wait_head(&mut self, repo: &Repo) {
        let head = run_git(repo, &["rev-parse", "main"]).trim().to_owned();
        self.wait("the new head", |service| service.head().as_ref() == Some(&head));
    }

    /// Looks until it is so; the bench fails where the dispatcher has ended or nothing comes.
    pub(crate) fn wait(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            let ended = self.child.try_wait().unwrap();
            let log = || fs::read_to_string(&self.log).unwrap_or_default();
            assert!(ended.is_none(), "the dispatcher ended while the bench waited for {what}:\n{}", log());
            assert!(begun.elapsed() < PATIENCE, "waited too long for {what}:\n{}", log());
            std::thread::sleep(LOOK);
        }
    }

    /// When git was called to fetch: that is when a new head had just been seen.
    pub(crate) fn fetches(&self) -> Vec<Timestamp> {
        let log = fs::read_to_string(&self.log).unwrap();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines
            .filter(|line| line["verb"] == "fetch")
            .map(|line| line["timestamp"].as_str().unwrap().parse().unwrap())
            .collect()
    }

    /// How many git processes it has started.
    pub(crate) fn git_processes(&self) -> u64 {
        let log = fs::read_to_string(&self.log).unwrap();
        log.lines().filter(|line| line.contains("\"verb\":")).count().try_into().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn run_git(repo: &Repo, arguments: &[&str]) -> String {
    crate::repo::run(Command::new("git").arg("--git-dir").arg(repo.path()).args(arguments))
}

fn which(program: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.exists()).unwrap()
}
