//! The mirror: a bare copy of the primary branch; how it is made, brought up to date, published from and kept tidy.
//!
//! What is asked of it without a word to the remote stands in [`questions`].

mod questions;

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::credential::Login;
use super::environment::{self, Variables};
use super::error::{OpsError, PublishError};
use super::git::{Call, Deadlines, Git};
use super::local_refs::{self, Read};
use super::poll::{Asked, Server};
use super::publish::{self, Committer, NewFile, Route};
use super::push::Pushed;
use super::remote::{self, Remote, Transport};
use crate::config::types::{Credential, Ops};
use crate::support::fault;
use crate::support::ids::CommitId;

/// The head of the primary branch as last fetched.
const HEAD: &str = "refs/dispatch/head";

/// The ops repo as seen from here. Cheap to clone; all clones are one mirror.
///
/// # Guarantees
/// - Nothing of the ops repo is checked out, and no configuration but the dispatcher's own counts.
/// - No credential is in a command line, an address, an error or a `Debug` print.
/// - Every git process has a deadline, after which its whole group is killed.
///
/// # Assumptions
/// One dispatcher per `state_dir`; reads may run at the same time, fetches and imports take turns by themselves.
#[derive(Debug, Clone)]
pub struct Mirror(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    git: Git,
    ops: Ops,
    remote: Remote,
    reference: String,
    committer: Committer,
    server: Option<Server>,
    /// Fetches and imports write refs of the mirror; git would fail where two do so at once.
    writing: tokio::sync::Mutex<()>,
    /// Fetches and imports since the mirror was tidied.
    written: AtomicU64,
}

/// How much fetches and commits have left behind unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clutter {
    /// Not worth a process.
    Little,
    /// Worth packing at a quiet moment.
    Much,
    /// Worth packing also where there is no quiet moment.
    Overdue,
}

/// Fetches and imports after which packing is worth its while, and is due at any moment.
const MANY: u64 = 100;
const OVERDUE: u64 = 2_000;
/// Loose objects in one of the 256 folders, of which git's own housekeeping would pack them (`gc.auto` is 6,700).
const MANY_LOOSE: usize = 27;

impl Mirror {
    /// Opens `state_dir/mirror.git`, and makes it if it is not there.
    ///
    /// # Errors
    /// A setting that is refused (an address with a login in it, a strange branch), no git or one too old, a folder that cannot be made.
    pub async fn open(settings: &Ops, state_dir: &Path) -> Result<Self, OpsError> {
        Self::open_with(settings, state_dir, Deadlines::default()).await
    }

    /// [`Self::open`] with deadlines of the caller's.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(settings: &Ops, state_dir: &Path, deadlines: Deadlines) -> Result<Self, OpsError> {
        let remote = Remote::parse(&settings.remote)?;
        if !remote::branch_is_valid(&settings.branch) {
            return Err(OpsError::Setting { key: "ops.branch", why: "it is not a branch name".to_owned() });
        }
        let committer = Committer::new(&settings.committer_name, &settings.committer_email)?;
        let state_dir = std::path::absolute(state_dir).map_err(OpsError::io("finding `state_dir`"))?;
        let git = Git::new(&state_dir.join("mirror.git"), deadlines);
        std::fs::create_dir_all(git.folder().join("home")).map_err(OpsError::io("making the mirror's folder"))?;
        git.check_version().await?;
        // Harmless where there is one already, and it completes one whose making was cut short.
        git.run(Call::new("init").args(["--bare", "--quiet", "--template="])).await?.success()?;
        let server = remote
            .is_web()
            .then(|| Server::new(remote.address(), deadlines.ask, settings.ca_file.as_deref()))
            .transpose()?;
        let reference = format!("refs/heads/{}", settings.branch);
        let (ops, writing, written) = (settings.clone(), tokio::sync::Mutex::default(), AtomicU64::default());
        Ok(Self(Arc::new(Inner { git, ops, remote, reference, committer, server, writing, written })))
    }

    /// Opens a mirror of its own in `scratch`, which reads what the mirror of the dispatcher in `state_dir` already has, and
    /// writes nothing there: for looking at the ops repo beside a running dispatcher.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_beside(settings: &Ops, state_dir: &Path, scratch: &Path) -> Result<Self, OpsError> {
        let mirror = Self::open(settings, scratch).await?;
        let lender =
            std::path::absolute(state_dir.join("mirror.git/objects")).map_err(OpsError::io("finding `state_dir`"))?;
        if lender.is_dir() {
            let line = [lender.as_os_str().as_bytes(), b"\n"].concat();
            let place = mirror.0.git.folder().join("objects/info");
            std::fs::create_dir_all(&place)
                .and_then(|()| std::fs::write(place.join("alternates"), line))
                .map_err(OpsError::io("making the mirror's folder"))?;
        }
        Ok(mirror)
    }

    /// How many git processes this mirror has started so far.
    pub fn processes(&self) -> u64 {
        self.0.git.started()
    }

    /// Where the primary branch is on the remote now; `None`: it does not exist. Over HTTP, and for a repository on this
    /// machine, no process is started.
    pub async fn remote_head(&self) -> Result<Option<CommitId>, OpsError> {
        let this = &*self.0;
        if let Some(server) = &this.server {
            let login = this.login(this.ops.credential.as_ref())?;
            if let Asked::Head(head) = server.ask(&this.reference, login.as_ref()).await? {
                return Ok(head);
            }
        }
        if let Transport::Local(folder) = this.remote.transport() {
            match local_refs::read(folder, &this.reference) {
                Read::At(head) => return Ok(Some(head)),
                Read::Absent => return Ok(None),
                Read::AskGit => {}
            }
        }
        this.ls_remote().await
    }

    /// Brings the primary branch into the mirror, and answers its head.
    ///
    /// # Errors
    /// `NoBranch`, or whatever git said.
    pub async fn fetch(&self) -> Result<CommitId, OpsError> {
        self.bring(&self.0.reference, HEAD).await
    }

    /// Brings in the head of a pull request as the forge keeps it, `refs/pull/N/head`, and answers it. Unlike the branch that it
    /// came from, it stays as it was when the request was merged.
    ///
    /// # Errors
    /// Whatever git said; also where the remote has no such ref.
    pub async fn fetch_request(&self, number: u64) -> Result<CommitId, OpsError> {
        self.bring(&format!("refs/pull/{number}/head"), &format!("refs/dispatch/pull/{number}")).await
    }

    /// Brings in what a branch, a tag or a full commit id names, instead of the primary branch: for a repository that only
    /// lends its files. A server may refuse to be asked for a bare commit.
    ///
    /// # Errors
    /// `NoBranch`, or whatever git said.
    pub async fn fetch_named(&self, name: &str) -> Result<CommitId, OpsError> {
        if !remote::branch_is_valid(name) {
            return Err(OpsError::Setting {
                key: "formulas.sources.ref",
                why: "it is not the name of a ref".to_owned(),
            });
        }
        self.bring(name, HEAD).await
    }

    /// Fetches `reference` of the remote as `name` of the mirror.
    async fn bring(&self, reference: &str, name: &str) -> Result<CommitId, OpsError> {
        let this = &*self.0;
        let _turn = this.turn_for(name).await?;
        fault::point("ops.fetch.before").map_err(OpsError::io("fetching"))?;
        let login = this.login(this.ops.credential.as_ref())?;
        let call = || {
            Call::new("fetch")
                .args(["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"])
                .args(["--no-auto-maintenance", "--", this.remote.address()])
                .args([format!("+{reference}:{name}")])
                .variables(this.network())
                .login(this.remote.address(), login.as_ref())
                .deadline(|deadlines| deadlines.transfer)
        };
        if fault::twice("ops.fetch") {
            this.git.run(call()).await?;
        }
        let output = this.git.run(call()).await?;
        if !output.succeeded() && output.stderr.contains("couldn't find remote ref") {
            let branch = reference.trim_start_matches("refs/heads/").to_owned();
            return Err(OpsError::NoBranch { branch });
        }
        output.success()?;
        fault::point("ops.fetch.after").map_err(OpsError::io("fetching"))?;
        this.resolve(name).await
    }

    /// Makes one commit of `files` on top of `base` and pushes it, if the branch is still there.
    ///
    /// # Errors
    /// See [`PublishError`]; after `Unknown`, fetch and look before trying again.
    pub async fn publish(&self, base: &CommitId, files: &[NewFile], message: &str) -> Result<CommitId, PublishError> {
        let this = &*self.0;
        let turn = this.turn().await?;
        let commit = publish::import(&this.git, &this.committer, Some(base), files, message).await?;
        drop(turn);
        fault::point("ops.push.before").map_err(OpsError::io("pushing"))?;
        let login = this.login(this.ops.push_credential.as_ref().or(this.ops.credential.as_ref()))?;
        let (address, reference) = (this.remote.address(), this.reference.as_str());
        let route = || Route { address, reference, variables: this.network(), login: login.as_ref() };
        if fault::twice("ops.push") {
            publish::push(&this.git, route(), &commit, base).await?;
        }
        let pushed = publish::push(&this.git, route(), &commit, base).await?;
        fault::point("ops.push.after").map_err(|error| PublishError::Unknown { detail: error.to_string() })?;
        let now = match pushed {
            Pushed::Declined(_) | Pushed::Unclear(_) => self.remote_head().await.ok().flatten(),
            Pushed::Accepted | Pushed::Moved | Pushed::NoAccess(_) => None,
        };
        publish::settle(pushed, now.as_ref(), &commit, base).map(|()| commit)
    }

    /// Whether [`Self::tidy`] is worth its while.
    pub fn clutter(&self) -> Clutter {
        let written = self.0.written.load(Ordering::Relaxed);
        let loose = std::fs::read_dir(self.0.git.folder().join("objects/17")).map_or(0, Iterator::count);
        match (written, loose) {
            (OVERDUE.., _) => Clutter::Overdue,
            (MANY.., _) | (_, MANY_LOOSE..) => Clutter::Much,
            _ => Clutter::Little,
        }
    }

    /// Packs what fetches and commits have left behind. Those may go on meanwhile: no ref is touched, and git looks again for an
    /// object that was moved while it was looked for.
    ///
    /// In a folder of 100,000 files each new head leaves a tree of megabytes; packed, they are stored as differences.
    ///
    /// # Errors
    /// Whatever git said.
    pub async fn tidy(&self) -> Result<(), OpsError> {
        self.0.written.store(0, Ordering::Relaxed);
        let call = Call::new("repack").args(["--quiet", "--geometric=2", "-d"]);
        self.0.git.run(call.deadline(|deadlines| deadlines.transfer)).await?.success()?;
        Ok(())
    }

    /// Goes as far as a push goes without pushing: the server is asked whether we may, with the login that pushes use.
    pub(super) async fn push_nothing(&self) -> Result<Pushed, OpsError> {
        let this = &*self.0;
        let head = this.resolve(HEAD).await?;
        let login = this.login(this.ops.push_credential.as_ref().or(this.ops.credential.as_ref()))?;
        let (address, reference) = (this.remote.address(), this.reference.as_str());
        let route = Route { address, reference, variables: this.network(), login: login.as_ref() };
        publish::push_dry(&this.git, route, &head).await
    }

    /// The programs that reaching the remote needs, besides git.
    pub fn programs(&self) -> &'static [&'static str] {
        super::check::programs_of(self.0.remote.transport())
    }

    /// The address, which never holds a login.
    pub(super) fn address(&self) -> &str {
        self.0.remote.address()
    }

    /// The primary branch.
    pub(super) fn branch(&self) -> &str {
        &self.0.ops.branch
    }

    pub(super) fn git(&self) -> &Git {
        &self.0.git
    }
}

impl Inner {
    /// Waits until nobody else writes. A git that was killed leaves its locks behind, which would stop every later one; in
    /// this turn nobody but a killed one can own them.
    async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, OpsError> {
        self.turn_for(HEAD).await
    }

    /// The same, where a ref of that name is written.
    async fn turn_for(&self, name: &str) -> Result<tokio::sync::MutexGuard<'_, ()>, OpsError> {
        let turn = self.writing.lock().await;
        self.written.fetch_add(1, Ordering::Relaxed);
        for name in [name, HEAD, publish::OUTBOX, "packed-refs"] {
            match std::fs::remove_file(self.git.folder().join(format!("{name}.lock"))) {
                Ok(()) => tracing::warn!(name, "removed a lock that a killed git left behind"),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(OpsError::io("removing a lock that a killed git left behind")(error)),
            }
        }
        Ok(turn)
    }

    fn login(&self, credential: Option<&Credential>) -> Result<Option<Login>, OpsError> {
        credential.filter(|_| self.remote.is_web()).map(Login::read).transpose()
    }

    fn network(&self) -> Variables {
        environment::network(&self.remote, &self.ops, &|name| std::env::var_os(name))
    }

    async fn ls_remote(&self) -> Result<Option<CommitId>, OpsError> {
        let login = self.login(self.ops.credential.as_ref())?;
        let call = Call::new("ls-remote")
            .args(["--quiet", "--", self.remote.address(), &self.reference])
            .variables(self.network())
            .login(self.remote.address(), login.as_ref())
            .deadline(|deadlines| deadlines.ask)
            .limit(1 << 20);
        let answer = self.git.run(call).await?.success()?;
        let text = String::from_utf8_lossy(&answer);
        let id = text.lines().find_map(|line| line.strip_suffix(&self.reference)?.strip_suffix('\t'));
        let Some(id) = id else { return Ok(None) };
        Ok(Some(id.parse().map_err(|_| OpsError::answer("ls-remote", id))?))
    }

    async fn resolve(&self, name: &str) -> Result<CommitId, OpsError> {
        let found = self.git.infos(vec![format!("{name}^{{commit}}")]).await?.pop().flatten();
        let id = found.and_then(|commit| commit.id.as_str().parse().ok());
        id.ok_or_else(|| OpsError::Missing { what: format!("the commit of {name}") })
    }
}
