//! Finds formulas: in the tree of a commit of the ops repo first, then in the sources of the config, in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::action::formula::FormulaFiles;
use crate::action::source::MAX_BYTES;
use crate::action::{AgentFormula, FormulaKind};
use crate::admission::snapshot::{Bundle, FormulaAnswer, Shared, Source};
use crate::config::types as config;
use crate::ops::{Blob, Entry, Mirror, OpsError};
use crate::support::ids::{CommitId, FormulaName, sha256_hex};

/// The folder of formulas in the ops repo.
pub(super) const FOLDER: &str = "formulas";
/// The most bytes of a script, a prompt or a context file: it travels in one envelope.
const LIMIT: u64 = 1 << 20;

/// A git repository that has formulas, at the commit that its ref named when it was last fetched; `None`: it never was.
#[derive(Debug, Clone)]
pub struct Tree {
    mirror: Mirror,
    reference: String,
    /// Its address, for people.
    remote: String,
    commit: Option<CommitId>,
    folder: String,
}

/// One entry of `formulas.sources`.
#[derive(Debug, Clone)]
pub enum FormulaSource {
    /// A directory on this host.
    Directory(PathBuf),
    /// Another git repository.
    Git(Tree),
}

impl FormulaSource {
    /// Makes an entry of the config usable: a git repository gets a mirror of its own below `state_dir`. It is asked for what it
    /// has with the next [`super::Gatherer::refresh_sources`]; until then what might be in it is unavailable, never missing.
    pub async fn open(config: &config::FormulaSource, state_dir: &Path) -> Result<Self, OpsError> {
        let (git, reference, folder) = match config {
            config::FormulaSource::Directory { directory } => return Ok(Self::Directory(directory.clone())),
            config::FormulaSource::Git { git, reference, folder } => (git, reference, folder),
        };
        let place = state_dir.join("formulas").join(sha256_hex(git.as_bytes()));
        let mirror = Mirror::open(&config::Ops::reading(git), &place).await?;
        let (reference, remote, folder) = (reference.clone(), git.clone(), folder.trim_matches('/').to_owned());
        Ok(Self::Git(Tree { mirror, reference, remote, commit: None, folder }))
    }

    /// Fetches a git repository again. When that fails, it stays where it was.
    pub(super) async fn refresh(&mut self) -> Result<(), OpsError> {
        if let Self::Git(tree) = self {
            tree.commit = Some(tree.mirror.fetch_named(&tree.reference).await?);
        }
        Ok(())
    }
}

/// By name: what was found in one place; a name that the place does not have is left out.
pub(super) type Answers = BTreeMap<FormulaName, FormulaAnswer>;

/// The formulas of the tree of `commit`.
pub(super) async fn in_ops(
    mirror: &Mirror,
    commit: &CommitId,
    names: &BTreeSet<FormulaName>,
) -> Result<Answers, OpsError> {
    let mut found = in_tree(mirror, commit, FOLDER, names, &Source::Ops { commit: commit.clone() }).await?;
    for answer in found.values_mut() {
        if let FormulaAnswer::Found(bundle) = answer
            && bundle.kind == FormulaKind::Agent
        {
            *answer = with_context(mirror, commit, bundle).await?;
        }
    }
    Ok(found)
}

/// A prompt together with the files that it wants to be read, from the same tree.
async fn with_context(mirror: &Mirror, commit: &CommitId, bundle: &Bundle) -> Result<FormulaAnswer, OpsError> {
    let mut bundle = bundle.clone();
    // What does not parse is reported by the check of the form.
    let wanted =
        AgentFormula::parse(&bundle.path, &bundle.script).map(|prompt| prompt.context_files).unwrap_or_default();
    let entries = match mirror.lookup(commit, &wanted).await {
        Err(wrong @ OpsError::Path { .. }) => return Ok(FormulaAnswer::Unfit { detail: wrong.to_string() }),
        found => found?,
    };
    for (path, entry) in wanted.into_iter().zip(entries) {
        let Some(entry) = entry.filter(|entry| entry.mode.is_file()) else {
            return Ok(FormulaAnswer::Unfit {
                detail: format!("the context file {path} is not there as a plain file"),
            });
        };
        match mirror.blobs(std::slice::from_ref(&entry.object), LIMIT).await?.remove(&entry.object) {
            Some(Blob::Whole(bytes)) => bundle.context_files.insert(path, bytes.into()),
            Some(Blob::TooLarge { .. }) | None => {
                return Ok(FormulaAnswer::Unfit { detail: format!("the context file {path} is over {LIMIT} bytes") });
            }
        };
    }
    Ok(FormulaAnswer::Found(Arc::new(bundle)))
}

/// The formulas of the configured sources.
pub(super) async fn in_sources(sources: &[FormulaSource], names: &BTreeSet<FormulaName>) -> Result<Answers, OpsError> {
    let mut found = Answers::new();
    for source in sources {
        let open: BTreeSet<FormulaName> = names.iter().filter(|name| !found.contains_key(*name)).cloned().collect();
        if open.is_empty() {
            break;
        }
        found.extend(match source {
            FormulaSource::Directory(folder) => {
                open.into_iter().filter_map(|name| Some((name.clone(), in_directory(folder, &name)?))).collect()
            }
            FormulaSource::Git(tree) => in_repository(tree, open).await?,
        });
    }
    Ok(found)
}

async fn in_repository(tree: &Tree, names: BTreeSet<FormulaName>) -> Result<Answers, OpsError> {
    if let Some(commit) = &tree.commit {
        let source = Source::Git { remote: tree.remote.clone(), commit: commit.clone() };
        return in_tree(&tree.mirror, commit, &tree.folder, &names, &source).await;
    }
    let detail = format!("the formula source {} could not be fetched yet", tree.remote);
    Ok(names.into_iter().map(|name| (name, FormulaAnswer::Unavailable { detail: detail.clone() })).collect())
}

/// Where a formula that nobody has was looked for.
pub(super) fn looked_in(sources: &[FormulaSource]) -> Vec<String> {
    let others = sources.iter().map(|source| match source {
        FormulaSource::Directory(folder) => folder.display().to_string(),
        FormulaSource::Git(tree) => format!("{} ({})", tree.remote, tree.folder),
    });
    std::iter::once(format!("{FOLDER}/ of the ops repo")).chain(others).collect()
}

/// The same formula as part of another commit that has the same formulas.
pub(super) fn as_of(answer: &FormulaAnswer, commit: &CommitId) -> FormulaAnswer {
    match answer {
        FormulaAnswer::Found(bundle) if matches!(bundle.source, Source::Ops { .. }) => {
            let source = Source::Ops { commit: commit.clone() };
            FormulaAnswer::Found(Arc::new(Bundle { source, ..Bundle::clone(bundle) }))
        }
        other => other.clone(),
    }
}

async fn in_tree(
    mirror: &Mirror,
    commit: &CommitId,
    folder: &str,
    names: &BTreeSet<FormulaName>,
    source: &Source,
) -> Result<Answers, OpsError> {
    let files = names.iter().flat_map(|name| FormulaFiles::names(name).into_iter().flatten());
    let paths: Vec<String> = files.map(|file| format!("{folder}/{file}")).collect();
    let entries: BTreeMap<String, Entry> = mirror
        .lookup(commit, &paths)
        .await?
        .into_iter()
        .flatten()
        .filter_map(|entry| Some((entry.path.as_str()?.to_owned(), entry)))
        .collect();
    let ids: Vec<_> = entries.values().filter(|entry| entry.mode.is_file()).map(|entry| entry.object.clone()).collect();
    let blobs = mirror.blobs(&ids, LIMIT).await?;
    let read = |path: &str| {
        let entry =
            entries.get(path).filter(|entry| entry.mode.is_file()).ok_or(format!("{path} is not a plain file"))?;
        match blobs.get(&entry.object) {
            Some(Blob::Whole(bytes)) => Ok(Shared::from(bytes.as_slice())),
            Some(Blob::TooLarge { size }) => Err(format!("{path} has {size} bytes; at most {LIMIT} are allowed")),
            None => Err(format!("{path} cannot be read")),
        }
    };
    let mut found = Answers::new();
    for name in names {
        let chosen = FormulaFiles::choose(name, |file| entries.contains_key(&format!("{folder}/{file}")));
        let Some(files) = chosen else { continue };
        let path = |file: &str| format!("{folder}/{file}");
        found.insert(name.clone(), assemble(&files, &path, &read, source));
    }
    Ok(found)
}

fn in_directory(folder: &Path, name: &FormulaName) -> Option<FormulaAnswer> {
    let files = FormulaFiles::choose(name, |file| folder.join(file).exists())?;
    let read = |file: &str| {
        let path = folder.join(file);
        let wrong = |what: String| format!("{}: {what}", path.display());
        let about = std::fs::metadata(&path).map_err(|error| wrong(error.to_string()))?;
        if !about.is_file() || about.len() > LIMIT {
            return Err(wrong(format!("it is not a file of at most {LIMIT} bytes")));
        }
        std::fs::read(&path).map(Shared::from).map_err(|error| wrong(error.to_string()))
    };
    let source = Source::Directory { directory: folder.display().to_string() };
    Some(assemble(&files, &str::to_owned, &read, &source))
}

/// Puts a formula together from its files; one that is there and cannot be taken is unfit, and is not skipped over in favour
/// of a later source.
fn assemble(
    files: &FormulaFiles,
    path: &dyn Fn(&str) -> String,
    read: &dyn Fn(&str) -> Result<Shared, String>,
    source: &Source,
) -> FormulaAnswer {
    let (script_path, meta_path) = (path(&files.script), files.meta.as_deref().map(path));
    let meta = meta_path.map(|path| read(&path).map(|bytes| (path, bytes))).transpose();
    match (read(&script_path), meta) {
        (Ok(script), Ok(meta)) if meta.as_ref().is_none_or(|(_, bytes)| bytes.len() <= MAX_BYTES) => {
            let (source, kind) = (source.clone(), files.kind);
            FormulaAnswer::Found(Arc::new(Bundle {
                source,
                kind,
                path: script_path,
                script,
                meta,
                context_files: BTreeMap::new(),
            }))
        }
        (Ok(_), Ok(_)) => {
            FormulaAnswer::Unfit { detail: format!("the metadata of {script_path} is over {MAX_BYTES} bytes") }
        }
        (Err(detail), _) | (_, Err(detail)) => FormulaAnswer::Unfit { detail },
    }
}
