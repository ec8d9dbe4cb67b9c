//! Where the files of a new ops repo go: into a folder of this machine, or as one commit onto the primary branch. A file that is
//! there already is never written over.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Mode;
use super::skeleton::Skeleton;
use crate::cli::args::InitArgs;
use crate::cli::error::{CliError, Kind};
use crate::cli::invocation::Invocation;
use crate::cli::view::SetUpView;
use crate::config::Config;
use crate::ops::{Mirror, NewFile, OpsError};
use crate::support::ids::CommitId;

/// Where.
pub(super) enum Target<'c> {
    Folder(PathBuf),
    Remote(&'c Config),
}

impl<'c> Target<'c> {
    /// `None`: the files are not asked for.
    pub(super) fn of(args: &InitArgs, config: &'c Config, invocation: &Invocation) -> Option<Self> {
        match (&args.folder, args.remote) {
            (Some(folder), _) => Some(Self::Folder(invocation.path(folder))),
            (None, true) => Some(Self::Remote(config)),
            (None, false) => None,
        }
    }

    /// Adds those of `files` that are missing.
    pub(super) async fn fill(&self, files: &[Skeleton], mode: Mode, view: &mut SetUpView) -> Result<(), CliError> {
        match self {
            Self::Folder(folder) => fill_folder(folder, files, mode, view).map_err(|(path, error)| {
                CliError::new(Kind::Failed, "the file cannot be written").place(path.display()).caused_by(&error)
            }),
            Self::Remote(config) => fill_remote(config, files, mode, view).await,
        }
    }
}

fn fill_folder(
    folder: &Path,
    files: &[Skeleton],
    mode: Mode,
    view: &mut SetUpView,
) -> Result<(), (PathBuf, io::Error)> {
    for file in files {
        let path = folder.join(&file.path);
        if fs::symlink_metadata(&path).is_ok() {
            view.kept.push(file.path.clone());
            continue;
        }
        if mode == Mode::Apply {
            write(&path, file).map_err(|error| (path, error))?;
        }
        view.created.push(file.path.clone());
    }
    Ok(())
}

fn write(path: &Path, file: &Skeleton) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Nobody's file is written over, also not one that has come up in this moment.
    fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(file.text.as_bytes())
}

async fn fill_remote(config: &Config, files: &[Skeleton], mode: Mode, view: &mut SetUpView) -> Result<(), CliError> {
    let scratch = tempfile::tempdir()
        .map_err(|error| CliError::new(Kind::Failed, "no temporary folder can be made").caused_by(&error))?;
    let mirror = Mirror::open(&config.ops, scratch.path()).await.map_err(|error| unreachable(&error))?;
    let base = mirror.fetch().await.map_err(|error| unreachable(&error))?;
    let missing = missing(&mirror, &base, files, view).await.map_err(|error| unreachable(&error))?;
    if mode == Mode::DryRun || missing.is_empty() {
        return Ok(());
    }
    let pushed = mirror.publish(&base, &missing, "the files of an ops repo\n").await;
    pushed.map(drop).map_err(|error| {
        let words = CliError::new(Kind::Failed, "the ops repo does not take the files").caused_by(&error);
        words.hint("a protected branch refuses them: use `dispatch ops init DIR` in a clone, and open a pull request")
    })
}

async fn missing(
    mirror: &Mirror,
    base: &CommitId,
    files: &[Skeleton],
    view: &mut SetUpView,
) -> Result<Vec<NewFile>, OpsError> {
    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let mut missing = Vec::new();
    for (file, entry) in files.iter().zip(mirror.lookup(base, &paths).await?) {
        if entry.is_some() {
            view.kept.push(file.path.clone());
        } else {
            view.created.push(file.path.clone());
            missing.push(NewFile { path: file.path.clone(), bytes: file.text.clone().into_bytes() });
        }
    }
    Ok(missing)
}

fn unreachable(error: &OpsError) -> CliError {
    let hint = match error {
        OpsError::NoBranch { .. } => "the repo needs a first commit on its primary branch",
        _ => "check `[ops]` in the configuration",
    };
    CliError::from_error(Kind::Unreachable, error).hint(hint)
}
