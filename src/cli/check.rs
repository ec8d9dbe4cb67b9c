//! `dispatch check`: files, folders, or what a range of commits changed, checked without running anything. Needs no config.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::CheckArgs;
use super::error::{CliError, Kind};
use super::invocation::{Invocation, interruptible};
use super::output::Paint;
use super::render;
use super::view::{CheckedView, MistakeView};
use crate::action::Diagnostics;
use crate::action::diagnostic::Place;
use crate::action::review::{File, Review, belongs, formulas_beside, review};
use crate::ops::{Blob, Checkout, Mode, OpsError};

/// More of a file is not read: nothing that is checked may be as large.
const LIMIT: u64 = 1 << 20;
const PLAIN: u32 = 0o100_644;
const LINK: u32 = 0o120_000;
/// The folder of formulas in an ops repo.
const FORMULAS: &str = "formulas";

/// The files that were found, and those of them that are to be checked.
#[derive(Debug, Default)]
struct Found {
    files: BTreeMap<String, File>,
    wanted: BTreeSet<String>,
}

/// Prints what is wrong.
///
/// # Errors
/// A file or the range cannot be read.
pub fn run(args: &CheckArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let found = match &args.range {
        Some(range) => interruptible(in_range(range, &invocation.path(Path::new(""))))?,
        None => in_paths(&args.paths, invocation)?,
    };
    let reviewed = review(&found.files, &found.wanted);
    let view = view(&reviewed);
    invocation.output.say("check", &view, |look| render::checked(&view, &shown(&reviewed.wrong, look.paint)))?;
    let wrong = !view.mistakes.is_empty();
    Ok(if wrong { ExitCode::from(Kind::Rejected.exit_code()) } else { ExitCode::SUCCESS })
}

fn view(review: &Review) -> CheckedView {
    let mistakes = review.wrong.iter().flat_map(|wrong| {
        wrong.iter().map(|finding| {
            let seen = wrong.describe(finding);
            let placed = finding.place != Place::File;
            MistakeView {
                path: seen.file.to_owned(),
                line: placed.then_some(seen.line),
                column: placed.then_some(seen.column),
                reason: finding.reason.to_string(),
                message: finding.message.clone(),
                help: finding.help.clone(),
            }
        })
    });
    CheckedView { files: review.files, mistakes: mistakes.collect(), notes: review.notes.clone() }
}

fn shown(wrong: &[Diagnostics], paint: Paint) -> String {
    wrong.iter().map(|wrong| wrong.render(paint.color())).collect::<Vec<_>>().join("\n")
}

fn in_paths(paths: &[PathBuf], invocation: &Invocation) -> Result<Found, CliError> {
    let mut found = Found::default();
    for given in paths {
        let (place, name) = (invocation.path(given), tidy(given));
        let add = if place.is_dir() { found.add_folder(&place, &name) } else { found.add_named(&place, &name) };
        add.map_err(|error| {
            CliError::new(Kind::Usage, "the file cannot be read").place(given.display()).caused_by(&error)
        })?;
    }
    let beside: BTreeSet<String> = found.wanted.iter().filter_map(|path| formulas_beside(path)).collect();
    for folder in beside {
        // That there is none is fine: formulas may come from elsewhere.
        let _ = found.look_up(&invocation.path(Path::new(&folder)), &folder);
    }
    Ok(found)
}

/// The path as it is shown: `./vault` is `vault`, and the current folder is nothing.
fn tidy(path: &Path) -> String {
    let parts: PathBuf = path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect();
    parts.display().to_string()
}

impl Found {
    fn add_named(&mut self, place: &Path, name: &str) -> io::Result<()> {
        self.files.insert(name.to_owned(), read(place)?);
        self.wanted.insert(name.to_owned());
        Ok(())
    }

    fn add_folder(&mut self, place: &Path, name: &str) -> io::Result<()> {
        for entry in fs::read_dir(place)? {
            let entry = entry?;
            let Ok(inner) = entry.file_name().into_string() else { continue };
            let path = if name.is_empty() { inner.clone() } else { format!("{name}/{inner}") };
            if entry.file_type()?.is_dir() {
                if inner != ".git" {
                    self.add_folder(&entry.path(), &path)?;
                }
            } else if belongs(&path) {
                self.add_named(&entry.path(), &path)?;
            }
        }
        Ok(())
    }

    /// Files that are only looked up.
    fn look_up(&mut self, place: &Path, name: &str) -> io::Result<()> {
        for entry in fs::read_dir(place)? {
            let entry = entry?;
            let Ok(inner) = entry.file_name().into_string() else { continue };
            if entry.file_type()?.is_file() {
                self.files.entry(format!("{name}/{inner}")).or_insert(read(&entry.path())?);
            }
        }
        Ok(())
    }
}

/// A link is not followed: as an action it is refused, whatever it leads to.
fn read(place: &Path) -> io::Result<File> {
    use io::Read as _;
    if fs::symlink_metadata(place)?.is_symlink() {
        return Ok(File { mode: LINK, bytes: Vec::new() });
    }
    let mut bytes = Vec::new();
    fs::File::open(place)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(File { mode: PLAIN, bytes })
}

async fn in_range(range: &str, folder: &Path) -> Result<Found, CliError> {
    let Some((old, new)) = range.split_once("..").filter(|(old, new)| !old.is_empty() && !new.is_empty()) else {
        return Err(CliError::new(Kind::Usage, "a range is written `A..B`").hint("for example `origin/main..HEAD`"));
    };
    changed(old, new, folder).await.map_err(|error| {
        let words = CliError::from_error(Kind::Usage, &error).place(range);
        words.hint("call it inside the repository; in CI, fetch enough history for both ends")
    })
}

async fn changed(old: &str, new: &str, folder: &Path) -> Result<Found, OpsError> {
    let checkout = Checkout::around(folder).await?;
    let (old, new) = (checkout.commit(old).await?, checkout.commit(new).await?);
    let changes = checkout.changes(&old, &new).await?;
    let wanted = changes.into_iter().filter_map(|change| {
        let path = change.path.as_str().filter(|path| belongs(path))?.to_owned();
        change.new.map(|(mode, blob)| (path, mode, blob))
    });
    let wanted: Vec<_> = wanted.collect();
    let formulas = checkout.entries(&new, FORMULAS).await?;
    let beside =
        formulas.into_iter().filter_map(|entry| Some((entry.path.as_str()?.to_owned(), entry.mode, entry.object)));
    let all: Vec<_> = wanted.iter().cloned().chain(beside).collect();
    let ids: Vec<_> = all.iter().filter(|(_, mode, _)| mode.is_file()).map(|(_, _, blob)| blob.clone()).collect();
    let blobs = checkout.blobs(&ids, LIMIT).await?;
    let files = all.into_iter().map(|(path, mode, blob)| {
        let bytes = match blobs.get(&blob) {
            Some(Blob::Whole(bytes)) => bytes.clone(),
            Some(Blob::TooLarge { .. }) => vec![0; usize::try_from(LIMIT).unwrap_or(usize::MAX)],
            None => Vec::new(),
        };
        (path, File { mode: octal(mode), bytes })
    });
    Ok(Found { files: files.collect(), wanted: wanted.into_iter().map(|(path, ..)| path).collect() })
}

fn octal(mode: Mode) -> u32 {
    match mode {
        Mode::File | Mode::Executable => PLAIN,
        Mode::Symlink | Mode::Submodule | Mode::Folder | Mode::Other => LINK,
    }
}
