//! Starting: what a dispatcher needs is opened in this order, and each failure says what to do.
//!
//! The state directory is ours alone, then the journal (a damaged one is set aside and made anew, and compared with the backends
//! before anything begins), then the ops repo, the secrets and the backends, which must be able to work.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::crew::{Crew, Wakes};
use super::judge::Judge;
use super::lease::{self, Lease};
use super::lock::{LockError, StateLock};
use super::nomad::{self, NomadError};
use super::outbox::Outbox;
use super::pickup::{HEAD, Line, Pickup};
use super::reach::Reach;
use super::rebuild::REBUILDING;
use super::secrets::{secrets, together};
use super::settings::Settings;
use super::telling::Teller;
use super::{Dispatcher, Troubles};
use crate::action::result::DispatcherRef;
use crate::admission::gather::{Chain, FormulaSource, Gatherer, Requests};
use crate::backend::Backend;
use crate::backend::local::{LocalBackend, LocalSettings};
use crate::config::Config;
use crate::config::types::ApprovalMode;
use crate::forge::ForgeError;
use crate::grant::SecretProvider;
use crate::ops::{Mirror, OpsError};
use crate::run::journal::{Journal, JournalError};
use crate::run::life::{Hindered, World};
use crate::run::log::LogStore;
use crate::run::settle::ResultPaths;
use crate::support::checkup::{self, Finding, Standing};
use crate::support::clock::{Clock, rfc3339_seconds};
use crate::support::tenure::Tenure;
use crate::support::{chain, durable, fault};

/// The journal's name in the state directory.
pub const JOURNAL: &str = "journal.db";

/// Why a dispatcher could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error("the state directory {} cannot be used", .path.display())]
    StateDirectory {
        /// It.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another dispatcher has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ops repo.
    #[error("the ops repo cannot be used")]
    Ops(#[from] OpsError),
    /// Nomad cannot be called at all: an address, certificate or key that is none.
    #[error("Nomad cannot be called as [backends.nomad] says")]
    Nomad(#[from] NomadError),
    /// The forge, as the config names it.
    #[error("the forge cannot be used")]
    Forge(#[from] ForgeError),
    /// Something that runs depend on does not hold.
    #[error("{}", words(.findings))]
    Dependencies {
        /// Everything that was looked at, in order; at least one of them does not hold.
        findings: Vec<Finding>,
    },
}

/// Those that do not hold.
fn words(findings: &[Finding]) -> String {
    let bad = findings.iter().filter(|finding| finding.standing >= Standing::Unreachable);
    let each = bad.map(|finding| format!("{}: {}", finding.subject, finding.evidence));
    each.collect::<Vec<_>>().join("; ")
}

/// What a start does about a server that does not answer. Whatever is wrong stops it either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// It starts; what needs the server waits for it.
    WaitFor,
    /// It does not start: nobody would be there to wait.
    Stop,
}

/// What a start is given beside the config.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The date.
    pub clock: Arc<dyn Clock>,
    /// This machine's name, for results.
    pub host: String,
    /// This binary: the local backend runs it as supervisor and runner.
    pub executable: PathBuf,
    /// The environment, of which the config may name parts to pass on.
    pub environment: BTreeMap<String, String>,
}

impl Dispatcher {
    /// Opens everything.
    ///
    /// # Errors
    /// [`StartError`]; nothing is going then.
    pub async fn start(
        config: &Config,
        surroundings: Surroundings,
        unanswered: Unanswered,
    ) -> Result<Arc<Self>, StartError> {
        let state_dir = &config.state_dir;
        make_folder(state_dir)?;
        let since = surroundings.clock.now();
        let holder =
            format!("process {} on {} since {}", std::process::id(), surroundings.host, rfc3339_seconds(since));
        let lock = StateLock::take(state_dir, &holder)?;
        let journal = open_journal(&state_dir.join(JOURNAL), &surroundings.clock).await?;
        for run in journal.count_unrecorded().await? {
            tracing::error!(run, "a token may have been minted for it that nobody holds; it ends by itself");
        }
        let mirror = Mirror::open(&config.ops, state_dir).await?;
        let troubles = Troubles::default();
        let teller = teller(config, &surroundings, &journal, &mirror, &troubles);
        let lease = Lease::of(config, &surroundings)?.map(Arc::new);
        let tenure = lease.as_ref().map_or_else(Tenure::unlimited, |lease| lease.tenure());
        let world = Arc::new(world(config, &journal, surroundings, tenure)?);
        let reach = Arc::new(check(&world, config, unanswered).await?);
        let wakes = Arc::new(Wakes::default());
        let line = Line::of(config);
        let (paths, recording) = (world.paths.clone(), Arc::default());
        let pickup = Pickup { mirror: mirror.clone(), journal: journal.clone(), paths, line, recording };
        let judge = Judge::new(gatherer(config, &mirror, state_dir).await?, Arc::clone(&world), Arc::clone(&reach));
        let aside = state_dir.join("kept-aside");
        Ok(Arc::new(Self {
            pickup,
            judge,
            outbox: tokio::sync::Mutex::new(Outbox::new(mirror, journal, aside)),
            crew: Crew::new(world, Arc::clone(&wakes), Arc::clone(&reach)),
            wakes,
            settings: watch::Sender::new(Arc::new(Settings::from(config))),
            draining: watch::Sender::new(false),
            looked: watch::Sender::new(false),
            looked_at: watch::Sender::new(None),
            reach,
            troubles,
            teller,
            lease,
            since,
            remote: config.ops.remote.clone(),
            branch: config.ops.branch.clone(),
            _lock: lock,
        }))
    }
}

/// Who tells the forge, where that is wanted; that nobody can is trouble, and no reason not to run.
fn teller(
    config: &Config,
    surroundings: &Surroundings,
    journal: &Journal,
    mirror: &Mirror,
    troubles: &Troubles,
) -> Option<Arc<Teller>> {
    let teller = Teller::of(config, surroundings, journal, mirror)?;
    teller.inspect_err(|error| troubles.set("telling", chain::words(error))).ok()
}

/// What admission looks through; the mirrors of formula sources are kept below `place`.
///
/// # Errors
/// The mirror of a formula source cannot be made, or the forge's address is refused.
pub async fn gatherer(config: &Config, mirror: &Mirror, place: &Path) -> Result<Gatherer, StartError> {
    let chain = match config.approval.mode {
        Some(ApprovalMode::Signature) => {
            Chain::Signed(config.approval.trust_root.as_ref().and_then(|root| root.parse().ok()))
        }
        Some(ApprovalMode::PullRequest) | None => Chain::AsItStands,
    };
    let mut sources = Vec::new();
    for source in &config.formulas.sources {
        sources.push(FormulaSource::open(source, place).await?);
    }
    let gatherer = Gatherer::new(mirror.clone(), &config.ops.actions, chain, sources);
    Ok(match config.approval.mode {
        Some(ApprovalMode::PullRequest) => gatherer.with_requests(Requests::open(config, mirror.clone())?),
        Some(ApprovalMode::Signature) | None => gatherer,
    })
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StartError::StateDirectory { path: path.to_owned(), source })
}

/// A missing journal is made; a damaged one is set aside, with its name saying when, and made anew.
async fn open_journal(path: &Path, clock: &Arc<dyn Clock>) -> Result<Journal, StartError> {
    let journal = match Journal::open(path, Arc::clone(clock)) {
        Err(JournalError::Corrupt { detail, .. }) => {
            let aside = set_aside(path, clock.as_ref())?;
            tracing::error!(kept = %aside.display(), detail, "the journal is damaged; it is set aside and made anew");
            let journal = Journal::open(path, Arc::clone(clock))?;
            let data = serde_json::json!({ "detail": detail, "kept": aside.display().to_string() });
            journal.note("journal_damaged", data).await?;
            journal
        }
        other => other?,
    };
    // Not asked of the file: a start that was cut short leaves one behind that knows nothing either.
    if journal.get(HEAD).await?.is_none() {
        journal.set(REBUILDING, Some("new".to_owned())).await?;
    }
    Ok(journal)
}

fn set_aside(path: &Path, clock: &dyn Clock) -> Result<PathBuf, StartError> {
    let aside = path.with_extension(format!("db.damaged-{}", clock.now().as_second()));
    let failed = |source| StartError::StateDirectory { path: path.to_owned(), source };
    fault::point("journal.set_aside.before").map_err(failed)?;
    // The database goes first: cut short here, the files beside it are of no database, and SQLite removes them. Without them it
    // might open as the older journal that it was before its last steps.
    for suffix in ["", "-wal", "-shm"] {
        let with = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        match std::fs::rename(with(path), with(&aside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fault::point("journal.set_aside.after").map_err(failed)?;
    }
    durable::sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    Ok(aside)
}

/// Everything that the life of a run needs, from the config; nothing is launched once `tenure` is over.
///
/// # Errors
/// A backend cannot be set up.
pub fn world(
    config: &Config,
    journal: &Journal,
    surroundings: Surroundings,
    tenure: Tenure,
) -> Result<World, StartError> {
    let backends = backends(config, &surroundings.executable, &tenure)?;
    let passed = surroundings.environment.into_iter().filter(|(name, _)| config.pass_environment.contains(name));
    Ok(World {
        journal: journal.clone(),
        backends,
        secrets: secrets(config)?,
        logs: LogStore::new(config.state_dir.join("logs")),
        clock: surroundings.clock,
        grace: Duration::from_secs(u64::from(config.limits.grace_seconds)),
        environment: passed.collect(),
        dispatcher: DispatcherRef { version: env!("CARGO_PKG_VERSION").to_owned(), host: surroundings.host },
        paths: ResultPaths { actions: config.ops.actions.clone(), layout: config.results.layout },
        tenure,
        hindered: Hindered::default(),
    })
}

/// The backends by name; `executable` is this binary, and Nomad dispatches nothing once `tenure` is over.
///
/// # Errors
/// One cannot be set up.
pub fn backends(
    config: &Config,
    executable: &Path,
    tenure: &Tenure,
) -> Result<BTreeMap<String, Arc<dyn Backend>>, StartError> {
    let local = LocalBackend::new(LocalSettings {
        runs_dir: config.state_dir.join("runs"),
        executable: executable.to_owned(),
        mounts: config.mounts.iter().filter_map(|(name, mount)| Some((name.clone(), mount.local.clone()?))).collect(),
        limits: config.backends.local.limits.clone(),
    })
    .map_err(|source| StartError::StateDirectory { path: config.state_dir.join("runs"), source })?;
    let mut all: Vec<Arc<dyn Backend>> = vec![Arc::new(local)];
    if let Some(settings) = &config.backends.nomad {
        all.push(Arc::new(nomad::backend(settings, config, tenure)?));
    }
    Ok(all.into_iter().map(|backend| (backend.name().to_owned(), backend)).collect())
}

/// What a look at everything that runs depend on found.
#[derive(Debug, Default)]
pub struct Looked {
    /// The secrets.
    pub secrets: Vec<Finding>,
    /// Each backend, by name.
    pub backends: BTreeMap<String, Vec<Finding>>,
}

impl Looked {
    /// All findings, in the order in which they were made.
    pub fn into_all(self) -> Vec<Finding> {
        self.secrets.into_iter().chain(self.backends.into_values().flatten()).collect()
    }
}

/// Looks at everything that runs depend on.
pub async fn look(secrets: &dyn SecretProvider, backends: &BTreeMap<String, Arc<dyn Backend>>) -> Looked {
    let mut looked = Looked { secrets: secrets.check().await, ..Looked::default() };
    for (name, backend) in backends {
        let mut findings = backend.check().await;
        findings.extend(together(secrets, backend.as_ref()));
        looked.backends.insert(name.clone(), findings);
    }
    looked
}

async fn check(world: &World, config: &Config, unanswered: Unanswered) -> Result<Reach, StartError> {
    let looked = look(world.secrets.as_ref(), &world.backends).await;
    let reach = Reach::new(world.backends.clone());
    for (name, findings) in &looked.backends {
        reach.note(name, findings);
    }
    let mut findings = looked.into_all();
    findings.extend(lease::finding(config).await);
    findings.extend(crate::forge::findings_at_start(config).await);
    let least = match unanswered {
        Unanswered::WaitFor => Standing::Wrong,
        Unanswered::Stop => Standing::Unreachable,
    };
    if checkup::worst(&findings) >= least {
        return Err(StartError::Dependencies { findings });
    }
    for finding in findings.iter().filter(|finding| finding.standing > Standing::Good) {
        let fix = finding.fix.as_deref().unwrap_or_default();
        tracing::warn!(subject = finding.subject, fix, "{}", finding.evidence);
    }
    Ok(reach)
}
