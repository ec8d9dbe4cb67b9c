//! Entries, blobs and commits by id. The parsers are pure, over bytes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::error::OpsError;
use super::git::{Call, Git};
use super::reader::Object;
use super::tree::{self, Entry, Mode, RepoPath};
use crate::support::ids::{BlobId, CommitId};

/// The content of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blob {
    /// All of it.
    Whole(Vec<u8>),
    /// Longer than was asked for; not read.
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
}

/// A name in a commit, as its maker wrote it: a claim, not a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The e-mail.
    pub email: String,
    /// The time, in whole seconds.
    pub at: Timestamp,
}

/// What a commit says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// The commit.
    pub id: CommitId,
    /// Its parents; the first is the line of the branch.
    pub parents: Vec<CommitId>,
    /// Who wrote the change.
    pub author: Person,
    /// Who made the commit.
    pub committer: Person,
    /// The first line of the message.
    pub subject: String,
}

/// Fails for a path that git would read as something else: absolute, relative, or more than one line.
pub(super) fn check_path(path: &str) -> Result<(), OpsError> {
    let part = |part: &str| !matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git");
    if path.split('/').all(part) && !path.chars().any(char::is_control) {
        return Ok(());
    }
    Err(OpsError::Path { path: path.to_owned() })
}

/// Every entry under `folder`, at any depth; nothing when there is no such folder.
pub(super) async fn entries(git: &Git, commit: &CommitId, folder: &str) -> Result<Vec<Entry>, OpsError> {
    check_path(folder)?;
    let call =
        Call::new("ls-tree").args(["-r", "-z", "--full-tree", commit.as_str(), "--"]).args([format!("{folder}/")]);
    tree::listing(&git.run(call).await?.success()?)
}

/// Up to so many paths git looks for them itself in a large folder: one of a flat layout holds a hundred thousand entries, and
/// then most of what it costs to read it here is to hand it over. git compares each entry with each path, so it must not be many.
const FEW: usize = 16;

/// Bytes of a tree up to which handing it over costs less than a process: some thousand entries.
const SMALL: u64 = 256 << 10;

/// Paths by the folder that they stand in: the name there, and the whole path.
type Folders<'a> = BTreeMap<&'a str, BTreeMap<&'a [u8], &'a str>>;

/// The entry at each path, in the order asked.
pub(super) async fn lookup(git: &Git, commit: &CommitId, paths: &[String]) -> Result<Vec<Option<Entry>>, OpsError> {
    paths.iter().try_for_each(|path| check_path(path))?;
    let mut folders = Folders::new();
    for path in paths {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        folders.entry(folder).or_default().insert(name.as_bytes(), path);
    }
    let mut found = BTreeMap::new();
    let large = read_small(git, commit, folders, &mut found).await?;
    let in_large: Vec<&str> = large.values().flat_map(|wanted| wanted.values().copied()).collect();
    if in_large.len() > FEW || nested(&in_large) {
        read_folders(git, commit, &large, &mut found).await?;
    } else if !in_large.is_empty() {
        let call = Call::new("ls-tree").args(["-z", "--full-tree", commit.as_str(), "--"]).args(in_large);
        let entries = tree::listing(&git.run(call).await?.success()?)?;
        found.extend(entries.into_iter().map(|entry| (entry.path.as_bytes().to_owned(), entry)));
    }
    Ok(paths.iter().map(|path| found.get(path.as_bytes()).cloned()).collect())
}

/// Of a folder and a path inside it, `git ls-tree` names only the latter.
fn nested(paths: &[&str]) -> bool {
    let inside = |path: &str, other: &str| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    paths.iter().any(|path| paths.iter().any(|other| inside(path, other)))
}

/// Reads those folders that are small, and answers the others.
async fn read_small<'a>(
    git: &Git,
    commit: &CommitId,
    mut folders: Folders<'a>,
    found: &mut BTreeMap<Vec<u8>, Entry>,
) -> Result<Folders<'a>, OpsError> {
    // Without the commit every path in it would look as if it were not there.
    let names = std::iter::once(format!("{commit}^{{tree}}")).chain(folders.keys().map(|name| tree_name(commit, name)));
    let mut infos = git.infos(names.collect()).await?.into_iter();
    if infos.next().flatten().is_none() {
        return Err(OpsError::Missing { what: format!("the commit {commit}") });
    }
    let sizes: Vec<Option<u64>> =
        infos.map(|info| info.filter(|info| info.kind == "tree").map(|info| info.size)).collect();
    let mut large = Folders::new();
    let mut sizes = sizes.into_iter();
    folders.retain(|name, wanted| match sizes.next().flatten() {
        Some(size) if size > SMALL => {
            large.insert(name, std::mem::take(wanted));
            false
        }
        size => size.is_some(),
    });
    read_folders(git, commit, &folders, found).await?;
    Ok(large)
}

async fn read_folders(
    git: &Git,
    commit: &CommitId,
    folders: &Folders<'_>,
    found: &mut BTreeMap<Vec<u8>, Entry>,
) -> Result<(), OpsError> {
    let trees = git.contents(folders.keys().map(|folder| tree_name(commit, folder)).collect()).await?;
    for (tree, wanted) in trees.into_iter().zip(folders.values()) {
        if let Some(tree) = tree.filter(|object| object.kind == "tree") {
            pick(&tree.content, commit.as_str().len() / 2, wanted, found);
        }
    }
    Ok(())
}

fn tree_name(commit: &CommitId, folder: &str) -> String {
    format!("{commit}:{folder}")
}

/// Puts the wanted entries of one tree object into `found`; of two with one name, which git's own checks refuse, the first.
fn pick(mut tree: &[u8], raw_len: usize, wanted: &BTreeMap<&[u8], &str>, found: &mut BTreeMap<Vec<u8>, Entry>) {
    while let Some((named, rest)) = tree::next_in_tree(tree, raw_len) {
        tree = rest;
        let Some(path) = wanted.get(named.name) else { continue };
        let Some(object) = named.id() else { continue };
        found.entry(path.as_bytes().to_owned()).or_insert(Entry {
            path: RepoPath::from(*path),
            mode: named.mode,
            object,
        });
    }
}

/// The blobs that exist among `ids`; those over `limit` bytes with their size only.
pub(super) async fn blobs(git: &Git, ids: &[BlobId], limit: u64) -> Result<BTreeMap<BlobId, Blob>, OpsError> {
    let unique: BTreeSet<&BlobId> = ids.iter().collect();
    let infos = git.infos(unique.iter().map(ToString::to_string).collect()).await?;
    let present = infos.into_iter().flatten().filter(|info| info.kind == "blob");
    let (small, large): (Vec<Object>, Vec<Object>) = present.partition(|info| info.size <= limit);
    let contents = git.contents(small.iter().map(|info| info.id.to_string()).collect()).await?;
    let whole = contents.into_iter().flatten().map(|object| (object.id, Blob::Whole(object.content)));
    Ok(whole.chain(large.into_iter().map(|info| (info.id, Blob::TooLarge { size: info.size }))).collect())
}

/// The bytes of a commit object.
pub(super) async fn raw_commit(git: &Git, id: &CommitId) -> Result<Vec<u8>, OpsError> {
    let object = git.contents(vec![id.to_string()]).await?.pop().flatten().filter(|object| object.kind == "commit");
    object.map(|object| object.content).ok_or_else(|| OpsError::Missing { what: format!("the commit {id}") })
}

/// The parents of those commits that are there, the first one of each first.
pub(super) async fn parents(git: &Git, ids: &[CommitId]) -> Result<Vec<Vec<CommitId>>, OpsError> {
    let commits = git.contents(ids.iter().map(ToString::to_string).collect()).await?;
    let commits = commits.into_iter().flatten().filter(|object| object.kind == "commit");
    Ok(commits.map(|commit| parents_in(&String::from_utf8_lossy(&commit.content))).collect())
}

/// As git reads them: directly behind the tree, and nowhere else. A header of that name further down is none to git, and believing it
/// would join two lines of history that have nothing to do with each other.
fn parents_in(raw: &str) -> Vec<CommitId> {
    let parents = raw.lines().skip(1).map_while(|line| line.strip_prefix("parent "));
    parents.filter_map(|id| id.parse().ok()).collect()
}

/// Reads a commit object.
pub(super) fn commit_info(id: &CommitId, raw: &[u8]) -> Result<CommitInfo, OpsError> {
    let text = String::from_utf8_lossy(raw);
    let (headers, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let all = |name: &'static str| headers.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '));
    let person =
        |name| all(name).next().and_then(person).ok_or_else(|| OpsError::answer("cat-file", format!("no {name}")));
    Ok(CommitInfo {
        id: id.clone(),
        parents: parents_in(&text),
        author: person("author")?,
        committer: person("committer")?,
        subject: message.lines().next().unwrap_or_default().to_owned(),
    })
}

/// `Name <email> seconds zone`; a time that is no time becomes the epoch, since old tools wrote such.
fn person(line: &str) -> Option<Person> {
    let (name, rest) = line.split_once('<')?;
    let (email, rest) = rest.rsplit_once('>')?;
    let seconds = rest.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    Some(Person { name: name.trim().to_owned(), email: email.to_owned(), at })
}

/// Whether an entry holds exactly these bytes as a plain file.
pub(super) fn is_file_of(side: Option<&(Mode, BlobId)>, blob: &BlobId) -> bool {
    side.is_some_and(|(mode, id)| mode.is_file() && id == blob)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn a_commit_with_a_signature_and_a_strange_name_is_read() {
        let raw = format!(
            "tree {A}\nparent {A}\nparent {A}\nauthor A <b> <a@x> 1700000000 +0100\ncommitter C <c@x> 1 +0000\n\
             gpgsig -----BEGIN SSH SIGNATURE-----\n author Evil <e@x> 1 +0000\n -----END\n\nsubject\n\nauthor no <n@x> 1 +0000\n"
        );
        let info = commit_info(&A.parse().unwrap(), raw.as_bytes()).unwrap();
        assert_eq!((info.parents.len(), info.subject.as_str()), (2, "subject"));
        assert_eq!((info.committer.email.as_str(), info.author.at.as_second()), ("c@x", 1_700_000_000));
    }

    #[test]
    fn a_parent_that_does_not_stand_behind_the_tree_is_none() {
        let raw = format!("tree {A}\nauthor A <a@x> 1 +0000\ncommitter C <c@x> 1 +0000\nparent {A}\n\nsubject");
        assert_eq!(parents_in(&raw), []);
        let raw = format!("tree {A}\nparent {A}\nauthor A <a@x> 1 +0000\nparent {A}\n\nsubject");
        assert_eq!(parents_in(&raw).len(), 1);
    }

    #[test]
    fn a_path_that_leaves_the_repo_or_the_line_is_refused() {
        for bad in ["", "/a", "a//b", "../a", "a/.", "a\nb", "a\0b", ".git/config", "a/.GIT/x", "a/"] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
        assert!(check_path("vault/actions/a b-ü.toml").is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = commit_info(&A.parse().unwrap(), &bytes);
        }
    }
}
