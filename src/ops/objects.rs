//! Entries, blobs and commits by id: one process for any number of them. The parsers are pure, over bytes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::error::OpsError;
use super::git::{Call, Git};
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

/// Up to so many paths git looks for them itself: a folder of a flat layout holds a hundred thousand entries, and then most of
/// what it costs to read it here is to hand it over. git compares each entry with each path, so it must not be many.
const FEW: usize = 16;

/// The entry at each path, in the order asked.
pub(super) async fn lookup(git: &Git, commit: &CommitId, paths: &[String]) -> Result<Vec<Option<Entry>>, OpsError> {
    paths.iter().try_for_each(|path| check_path(path))?;
    // Of a folder and a path inside it, `git ls-tree` names only the latter.
    let nested =
        |path: &String| paths.iter().any(|other| other.strip_prefix(path.as_str()).is_some_and(|r| r.starts_with('/')));
    if (1..=FEW).contains(&paths.len()) && !paths.iter().any(nested) {
        lookup_few(git, commit, paths).await
    } else {
        lookup_many(git, commit, paths).await
    }
}

async fn lookup_few(git: &Git, commit: &CommitId, paths: &[String]) -> Result<Vec<Option<Entry>>, OpsError> {
    let call = Call::new("ls-tree").args(["-z", "--full-tree", commit.as_str(), "--"]).args(paths);
    let entries = tree::listing(&git.run(call).await?.success()?)?;
    let found = |path: &String| entries.iter().find(|entry| entry.path.as_bytes() == path.as_bytes()).cloned();
    Ok(paths.iter().map(found).collect())
}

/// Reads each folder named once.
async fn lookup_many(git: &Git, commit: &CommitId, paths: &[String]) -> Result<Vec<Option<Entry>>, OpsError> {
    let mut folders: BTreeMap<&str, BTreeMap<&[u8], &str>> = BTreeMap::new();
    for path in paths {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        folders.entry(folder).or_default().insert(name.as_bytes(), path);
    }
    if folders.is_empty() {
        return Ok(Vec::new());
    }
    let asked = lines(folders.keys().map(|folder| format!("{commit}:{folder}")));
    let answer = git.run(Call::new("cat-file").args(["--batch", "--buffer"]).input(asked)).await?.success()?;
    let trees = batch(&answer)?;
    if trees.len() != folders.len() {
        return Err(OpsError::answer("cat-file", "it is short of a tree"));
    }
    let mut found = BTreeMap::new();
    for (tree, wanted) in trees.into_iter().zip(folders.values()) {
        if let Some(tree) = tree.filter(|object| object.kind == "tree") {
            pick(tree.content, commit.as_str().len() / 2, wanted, &mut found);
        }
    }
    Ok(paths.iter().map(|path| found.get(path.as_str()).cloned()).collect())
}

/// Puts the wanted entries of one tree object into `found`; of two with one name, which git's own checks refuse, the first.
fn pick<'a>(mut tree: &[u8], raw_len: usize, wanted: &BTreeMap<&[u8], &'a str>, found: &mut BTreeMap<&'a str, Entry>) {
    while let Some((named, rest)) = tree::next_in_tree(tree, raw_len) {
        tree = rest;
        let Some(path) = wanted.get(named.name) else { continue };
        let Some(object) = named.id() else { continue };
        found.entry(path).or_insert(Entry { path: RepoPath::from(*path), mode: named.mode, object });
    }
}

/// The blobs that exist among `ids`; those over `limit` bytes with their size only.
pub(super) async fn blobs(git: &Git, ids: &[BlobId], limit: u64) -> Result<BTreeMap<BlobId, Blob>, OpsError> {
    let unique: BTreeSet<&BlobId> = ids.iter().collect();
    if unique.is_empty() {
        return Ok(BTreeMap::new());
    }
    let asked = lines(unique.iter().map(ToString::to_string));
    let answer = git.run(Call::new("cat-file").args(["--batch-check", "--buffer"]).input(asked)).await?.success()?;
    let mut found = BTreeMap::new();
    let mut small = String::new();
    for line in answer.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let Some((id, "blob", size)) = header(line)? else { continue };
        if size <= limit {
            small.push_str(id.as_str());
            small.push('\n');
        } else {
            found.insert(id, Blob::TooLarge { size });
        }
    }
    if small.is_empty() {
        return Ok(found);
    }
    let answer =
        git.run(Call::new("cat-file").args(["--batch", "--buffer"]).input(small.into_bytes())).await?.success()?;
    found.extend(
        batch(&answer)?.into_iter().flatten().map(|object| (object.id, Blob::Whole(object.content.to_owned()))),
    );
    Ok(found)
}

/// The bytes of a commit object.
pub(super) async fn raw_commit(git: &Git, id: &CommitId) -> Result<Vec<u8>, OpsError> {
    let call = Call::new("cat-file").args(["--batch"]).input(format!("{id}\n").into_bytes());
    let answer = git.run(call).await?.success()?;
    let object = batch(&answer)?.into_iter().next().flatten().filter(|object| object.kind == "commit");
    object.map(|object| object.content.to_owned()).ok_or_else(|| OpsError::Missing { what: format!("the commit {id}") })
}

/// What `cat-file` reads: one name on each line.
fn lines(names: impl Iterator<Item = String>) -> Vec<u8> {
    names.flat_map(|name| (name + "\n").into_bytes()).collect()
}

/// What `cat-file --batch` says about one object.
#[derive(Debug, PartialEq, Eq)]
struct Object<'a> {
    id: BlobId,
    kind: &'a str,
    content: &'a [u8],
}

/// Reads `<id> SP <type> SP <size> LF <content> LF`, and `<name> SP missing LF` as `None`, for as long as there is more.
fn batch(mut bytes: &[u8]) -> Result<Vec<Option<Object<'_>>>, OpsError> {
    let mut objects = Vec::new();
    while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
        let (line, rest) =
            bytes.split_at_checked(end).and_then(|(line, rest)| Some((line, rest.get(1..)?))).unwrap_or_default();
        bytes = rest;
        let Some((id, kind, size)) = header(line)? else {
            objects.push(None);
            continue;
        };
        let content = usize::try_from(size).ok().and_then(|size| bytes.split_at_checked(size));
        let Some((content, [b'\n', rest @ ..])) = content else {
            return Err(OpsError::answer("cat-file", "it is cut short"));
        };
        bytes = rest;
        objects.push(Some(Object { id, kind, content }));
    }
    if bytes.is_empty() { Ok(objects) } else { Err(OpsError::answer("cat-file", "its last line has no end")) }
}

fn header(line: &[u8]) -> Result<Option<(BlobId, &str, u64)>, OpsError> {
    if line.ends_with(b" missing") || line.ends_with(b" ambiguous") {
        return Ok(None);
    }
    let text = std::str::from_utf8(line).unwrap_or_default();
    let mut words = text.split(' ');
    let parts =
        words.next().and_then(|id| id.parse().ok()).zip(words.next()).zip(words.next().and_then(|n| n.parse().ok()));
    let ((id, kind), size) =
        parts.ok_or_else(|| OpsError::answer("cat-file", text.chars().take(200).collect::<String>()))?;
    Ok(Some((id, kind, size)))
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
        parents: all("parent").filter_map(|parent| parent.parse().ok()).collect(),
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
    fn objects_are_told_apart_by_their_size_and_not_by_their_lines() {
        let answer = format!("{A} blob 8\nab\ncd\n\n\n\nvault/x y missing\n{A} tree 0\n\n");
        let objects = batch(answer.as_bytes()).unwrap();
        assert_eq!(objects[0].as_ref().unwrap().content, b"ab\ncd\n\n\n");
        assert!(objects[1].is_none());
        assert_eq!(objects[2].as_ref().unwrap().kind, "tree");
    }

    #[test]
    fn an_answer_that_is_cut_short_is_an_error() {
        let answer = format!("{A} blob 6\nabcdef\n");
        for end in 1..answer.len() {
            assert!(batch(&answer.as_bytes()[..end]).is_err(), "{end}");
        }
    }

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
    fn a_path_that_leaves_the_repo_or_the_line_is_refused() {
        for bad in ["", "/a", "a//b", "../a", "a/.", "a\nb", "a\0b", ".git/config", "a/.GIT/x", "a/"] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
        assert!(check_path("vault/actions/a b-ü.toml").is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = (batch(&bytes), commit_info(&A.parse().unwrap(), &bytes));
        }
    }
}
