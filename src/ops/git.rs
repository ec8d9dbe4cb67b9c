//! The only place that starts `git`: one builder of command lines, one environment, a deadline and a bound for each answer.
//!
//! Each process leads a group of its own, which is killed as a whole when the deadline passes or the caller goes away, so that
//! no transport helper outlives its git.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::credential::Login;
use super::environment::{self, Setting, Variables};
use super::error::OpsError;
use super::reader::Reader;

/// How long one git process may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Reads and writes of the mirror itself.
    pub local: Duration,
    /// Asking a server for a ref.
    pub ask: Duration,
    /// Fetching and pushing.
    pub transfer: Duration,
    /// How long a git that answers questions is kept without one.
    pub idle: Duration,
}

impl Default for Deadlines {
    /// A first fetch of a large ops repo over a slow line takes minutes; everything else is a matter of milliseconds.
    fn default() -> Self {
        let [local, ask, transfer, idle] = [120, 30, 600, 2].map(Duration::from_secs);
        Self { local, ask, transfer, idle }
    }
}

/// The oldest git whose `cat-file` takes commands; it also verifies SSH signatures at the time of the commit.
const NEEDED: (u32, u32) = (2, 36);
/// The bound of an answer where nothing else is said: a listing of a million files stays under it.
pub(super) const ANSWER_LIMIT: usize = 256 << 20;
/// How much of stderr is kept, from its end.
const STDERR_LIMIT: usize = 4096;

/// git, in one bare repository.
#[derive(Debug)]
pub(super) struct Git {
    /// With its folder: a program that has to be looked for in a changed `PATH` is started by a full `fork`, which costs the more
    /// the more memory this process has.
    program: PathBuf,
    folder: PathBuf,
    environment: Variables,
    deadlines: Deadlines,
    started: AtomicU64,
    reader: Reader,
}

/// One call of git, being put together.
#[derive(Debug)]
pub(super) struct Call<'a> {
    verb: &'static str,
    arguments: Vec<OsString>,
    input: Vec<u8>,
    settings: Vec<Setting>,
    variables: Variables,
    login: Option<&'a Login>,
    deadline: fn(&Deadlines) -> Duration,
    limit: usize,
}

/// What a git process that ended by itself left behind.
#[derive(Debug)]
pub(super) struct Output {
    verb: &'static str,
    code: Option<i32>,
    /// All of it.
    pub(super) stdout: Vec<u8>,
    /// The end of it, without any login.
    pub(super) stderr: String,
}

impl<'a> Call<'a> {
    /// `git <verb>`
    pub(super) fn new(verb: &'static str) -> Self {
        Self {
            verb,
            arguments: Vec::new(),
            input: Vec::new(),
            settings: environment::settings(),
            variables: Vec::new(),
            login: None,
            deadline: |deadlines| deadlines.local,
            limit: ANSWER_LIMIT,
        }
    }

    /// Adds arguments.
    pub(super) fn args<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// What git reads from its stdin.
    pub(super) fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = bytes;
        self
    }

    /// A git setting for this process.
    pub(super) fn setting(mut self, setting: Setting) -> Self {
        self.settings.push(setting);
        self
    }

    /// More variables.
    pub(super) fn variables(mut self, variables: Variables) -> Self {
        self.variables.extend(variables);
        self
    }

    /// A login for `address`, in the environment and kept out of every message.
    pub(super) fn login(mut self, address: &str, login: Option<&'a Login>) -> Self {
        use secrecy::ExposeSecret as _;
        if let Some(login) = login {
            let header = format!("Authorization: {}", login.header().expose_secret());
            self.settings.push(Setting::new(format!("http.{address}.extraHeader"), header));
        }
        self.login = login;
        self
    }

    /// Which of the deadlines holds.
    pub(super) fn deadline(mut self, which: fn(&Deadlines) -> Duration) -> Self {
        self.deadline = which;
        self
    }

    /// The bound of stdout.
    pub(super) fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

impl Output {
    /// The output of a git that succeeded.
    pub(super) fn success(self) -> Result<Vec<u8>, OpsError> {
        if self.succeeded() { Ok(self.stdout) } else { Err(self.failure()) }
    }

    /// Whether git said that it succeeded.
    pub(super) fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Its exit code; none when a signal ended it.
    pub(super) fn code(&self) -> Option<i32> {
        self.code
    }

    /// The error that this output is.
    pub(super) fn failure(self) -> OpsError {
        let detail = match (self.stderr.trim(), self.code) {
            ("", Some(code)) => format!("exit {code} without a word"),
            ("", None) => "ended by a signal".to_owned(),
            (text, _) => text.to_owned(),
        };
        OpsError::Git { verb: self.verb, detail }
    }
}

impl Git {
    /// git in `folder`; its home is a folder in there, so that nobody's settings apply.
    pub(super) fn new(folder: &Path, deadlines: Deadlines) -> Self {
        let environment = environment::base(&folder.join("home"), &|name| std::env::var_os(name));
        let program = find_program("git").unwrap_or_else(|| PathBuf::from("git"));
        Self {
            program,
            folder: folder.to_owned(),
            environment,
            deadlines,
            started: AtomicU64::new(0),
            reader: Reader::default(),
        }
    }

    /// The repository.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(super) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// How many processes were started so far.
    pub(super) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Fails when there is no git, or one too old.
    pub(super) async fn check_version(&self) -> Result<(), OpsError> {
        let answer = self.run(Call::new("version")).await?.success()?;
        let text = String::from_utf8_lossy(&answer);
        let found = text.split_whitespace().nth(2).unwrap_or_default();
        let mut numbers = found.split('.').map_while(|n| n.parse::<u32>().ok());
        if (numbers.next(), numbers.next()) < (Some(NEEDED.0), Some(NEEDED.1)) {
            return Err(OpsError::TooOld { found: found.to_owned(), needed: "2.36" });
        }
        Ok(())
    }

    /// Runs one call to its end; a git that fails is an answer too.
    pub(super) async fn run(&self, call: Call<'_>) -> Result<Output, OpsError> {
        let after = (call.deadline)(&self.deadlines);
        let verb = call.verb;
        let mut child = self.spawn(&call)?;
        let group = Group::of(&child);
        let ended = tokio::time::timeout(after, talk(&mut child, &call)).await;
        let output = ended.map_err(|_| OpsError::Deadline { verb, after })??;
        group.release();
        Ok(output)
    }

    pub(super) fn spawn(&self, call: &Call<'_>) -> Result<Child, OpsError> {
        self.started.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(verb = call.verb, "git");
        Command::new(&self.program)
            .arg("--git-dir")
            .arg(&self.folder)
            .arg(call.verb)
            .args(&call.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(environment::as_variables(&call.settings))
            .envs(call.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| OpsError::Start { program: "git", source })
    }
}

/// Where `name` stands in the search path that git and its helpers are started with; `None`: nowhere.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let variables = environment::base(Path::new("/"), &|name| std::env::var_os(name));
    let path = variables.into_iter().find(|(variable, _)| variable == "PATH").map(|(_, path)| path).unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    let runs = |place: &PathBuf| place.is_absolute() && place.is_file() && access(place, Access::EXEC_OK).is_ok();
    places.find(runs)
}

/// Feeds and reads at the same time: git may answer before it has read everything.
async fn talk(child: &mut Child, call: &Call<'_>) -> Result<Output, OpsError> {
    let verb = call.verb;
    let pipe = |source| OpsError::Pipe { verb, source };
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A git that fails early closes its stdin; its exit code and stderr say more than the broken pipe.
            let _ = stdin.write_all(&call.input).await;
        }
        Ok(())
    };
    let (stdout, stderr, ()) = tokio::try_join!(whole(stdout, call), end_of(stderr, verb), feed)?;
    let status = child.wait().await.map_err(pipe)?;
    let text = String::from_utf8_lossy(&stderr);
    let stderr = call.login.map_or_else(|| text.clone().into_owned(), |login| login.scrub(&text));
    Ok(Output { verb, code: status.code(), stdout, stderr })
}

async fn whole(from: Option<impl AsyncRead + Unpin>, call: &Call<'_>) -> Result<Vec<u8>, OpsError> {
    let mut bytes = Vec::new();
    let Some(from) = from else { return Ok(bytes) };
    let bound = u64::try_from(call.limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = from.take(bound).read_to_end(&mut bytes).await;
    read.map_err(|source| OpsError::Pipe { verb: call.verb, source })?;
    if bytes.len() > call.limit {
        return Err(OpsError::TooLarge { verb: call.verb, limit: call.limit });
    }
    Ok(bytes)
}

pub(super) async fn end_of(from: Option<impl AsyncRead + Unpin>, verb: &'static str) -> Result<Vec<u8>, OpsError> {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return Ok(kept) };
    let mut buffer = [0; 1024];
    loop {
        let n = from.read(&mut buffer).await.map_err(|source| OpsError::Pipe { verb, source })?;
        if n == 0 {
            return Ok(kept);
        }
        kept.extend(buffer.iter().take(n));
        kept.drain(..kept.len().saturating_sub(STDERR_LIMIT));
    }
}

/// The process group of a running git; killed when it is dropped before it is known to be over.
pub(super) struct Group(Option<u32>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id())
    }

    /// Its leader has ended, and the number may be given to another.
    pub(super) fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
