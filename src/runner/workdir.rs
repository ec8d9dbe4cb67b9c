//! The run's directory: what the formula reads lies beside where it works.
//!
//! ```text
//! <root>/           0700
//!   work/           where the formula starts
//!   home/           its HOME
//!   bundle/         read-only files: <formula>.sh, <id>.toml, context/…
//!   redact.sock     for `dispatch redact add`
//! ```

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::envelope::Envelope;

/// A step that failed while the directory was made.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be {step}", path.display())]
pub struct WorkdirError {
    step: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The places in a run's directory, all absolute.
#[derive(Debug)]
pub struct Workdir {
    /// Where the formula starts.
    pub work: PathBuf,
    /// Its `HOME`.
    pub home: PathBuf,
    /// The formula.
    pub script: PathBuf,
    /// The action.
    pub action: PathBuf,
    /// The context files, by their path in the ops repo.
    pub context: PathBuf,
    /// The socket for `dispatch redact add`.
    pub redact_socket: PathBuf,
}

impl Workdir {
    /// Makes the directory, which must not exist or be empty, and writes the envelope's files.
    ///
    /// # Errors
    /// The step that failed; what was made until then stays.
    pub fn prepare(root: &Path, envelope: &Envelope) -> Result<Self, WorkdirError> {
        fresh(root).map_err(|source| WorkdirError { step: "made or is not empty", path: root.to_owned(), source })?;
        let root = fs::canonicalize(root).map_err(|source| WorkdirError {
            step: "resolved",
            path: root.to_owned(),
            source,
        })?;
        let bundle = root.join("bundle");
        let places = Self {
            work: root.join("work"),
            home: root.join("home"),
            script: bundle.join(format!("{}.sh", envelope.formula)),
            action: bundle.join(format!("{}.toml", envelope.action_id())),
            context: bundle.join("context"),
            redact_socket: root.join("redact.sock"),
        };
        for folder in [&places.work, &places.home, &places.context] {
            make_folder(folder)?;
        }
        write(&places.script, &envelope.script.bytes)?;
        write(&places.action, &envelope.action.bytes)?;
        for (path, file) in &envelope.context_files {
            let path = places.context.join(path);
            path.parent().map_or(Ok(()), make_folder)?;
            write(&path, &file.bytes)?;
        }
        Ok(places)
    }
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// An existing directory is taken when it is empty: some backends make the place themselves.
fn fresh(root: &Path) -> io::Result<()> {
    match private().create(root) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read_dir(root)?.next().is_some() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            fs::set_permissions(root, fs::Permissions::from_mode(0o700))
        }
        other => other,
    }
}

fn make_folder(path: &Path) -> Result<(), WorkdirError> {
    let made = private().recursive(true).create(path);
    made.map_err(|source| WorkdirError { step: "made", path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), WorkdirError> {
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o400).open(path).and_then(|mut f| f.write_all(bytes));
    written.map_err(|source| WorkdirError { step: "written", path: path.to_owned(), source })
}
