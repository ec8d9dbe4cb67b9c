//! Which commit of the branch brought what. The branch is the line of first parents: what a merge brought counts as brought by
//! the merge.

use std::collections::BTreeSet;

use super::error::OpsError;
use super::git::{Call, Git};
use super::objects::{self, check_path, is_file_of};
use super::tree::{Change, Changes};
use crate::support::ids::{BlobId, CommitId};

/// A commit on the line, and the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) commit: CommitId,
    pub(super) parent: Option<CommitId>,
}

/// Commits behind a head that are looked through here, before git is asked to search: a branch moves by a few at a time.
const NEAR: usize = 64;

/// How a line is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Along {
    AllParents,
    FirstParents,
}

/// Whether `old` is `new`, or found not far behind it; what is not found may still stand further back.
async fn is_near(git: &Git, old: &CommitId, new: &CommitId, along: Along) -> Result<bool, OpsError> {
    let (mut edge, mut seen) = (vec![new.clone()], BTreeSet::new());
    while !edge.is_empty() && seen.len() < NEAR {
        if edge.contains(old) {
            return Ok(true);
        }
        let behind = objects::parents(git, &edge).await?;
        seen.extend(edge);
        let followed = behind.into_iter().flat_map(|parents| match along {
            Along::AllParents => parents,
            Along::FirstParents => parents.into_iter().take(1).collect(),
        });
        edge = followed.filter(|commit| !seen.contains(commit)).collect();
    }
    Ok(false)
}

/// Whether `old` is `new`, or reachable from it.
pub(super) async fn is_ancestor(git: &Git, old: &CommitId, new: &CommitId) -> Result<bool, OpsError> {
    if is_near(git, old, new, Along::AllParents).await? {
        return Ok(true);
    }
    let output = git.run(Call::new("merge-base").args(["--is-ancestor", old.as_str(), new.as_str()])).await?;
    match output.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        // A commit that was never fetched is not in the history of one that was.
        _ if !has_commit(git, old).await? => Ok(false),
        _ => Err(output.failure()),
    }
}

/// Whether there is such a commit.
pub(super) async fn has_commit(git: &Git, id: &CommitId) -> Result<bool, OpsError> {
    Ok(git.infos(vec![format!("{id}^{{commit}}")]).await?.into_iter().flatten().next().is_some())
}

/// Whether `old` is `new` or stands on the line of first parents that leads to it.
pub(super) async fn continues(git: &Git, old: &CommitId, new: &CommitId) -> Result<bool, OpsError> {
    if is_near(git, old, new, Along::FirstParents).await? {
        return Ok(true);
    }
    if !is_ancestor(git, old, new).await? {
        return Ok(false);
    }
    Ok(match steps(git, Some(old), new, &[]).await?.first() {
        None => true,
        Some(oldest) => oldest.parent.as_ref() == Some(old),
    })
}

/// What differs between two commits under `folders` (none: anywhere); without an old one, everything is new.
pub(super) async fn changes(
    git: &Git,
    old: Option<&CommitId>,
    new: &CommitId,
    folders: &[&str],
) -> Result<Vec<Change>, OpsError> {
    let printed = printed_changes(git, old, new, folders).await?;
    let portions = printed.portions(usize::MAX).collect::<Result<Vec<_>, _>>()?;
    Ok(portions.into_iter().flatten().collect())
}

/// The same, as git printed it, to be read in portions.
pub(super) async fn printed_changes(
    git: &Git,
    old: Option<&CommitId>,
    new: &CommitId,
    folders: &[&str],
) -> Result<Changes, OpsError> {
    folders.iter().try_for_each(|folder| check_path(folder))?;
    let Some(old) = old else {
        let call = Call::new("ls-tree").args(["-r", "-z", "--full-tree", new.as_str(), "--"]);
        let printed = git.run(call.args(folders.iter().copied())).await?.success()?;
        return Ok(Changes::Added(printed));
    };
    let call = Call::new("diff-tree").args(["-r", "-z", "--raw", "--no-renames", "--no-abbrev"]);
    let call = call.args([old.as_str(), new.as_str(), "--"]).args(folders.iter().copied());
    Ok(Changes::Differing(git.run(call).await?.success()?))
}

/// The steps of the line behind `from` up to `to` that change one of `paths` (none: all of them), oldest first.
pub(super) async fn steps(
    git: &Git,
    from: Option<&CommitId>,
    to: &CommitId,
    paths: &[&str],
) -> Result<Vec<Step>, OpsError> {
    let except = from.map(|from| format!("^{from}"));
    let call = Call::new("log").args(["--first-parent", "--full-history", "--reverse", "--format=tformat:%H %P"]);
    let call = call.args([to.as_str()]).args(except).args(["--"]).args(paths.iter().copied());
    read_steps(&git.run(call).await?.success()?)
}

fn read_steps(bytes: &[u8]) -> Result<Vec<Step>, OpsError> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(|line| step(line).ok_or_else(|| OpsError::answer("log", line))).collect()
}

fn step(line: &str) -> Option<Step> {
    let mut ids = line.split(' ').filter(|id| !id.is_empty());
    let commit = ids.next()?.parse().ok()?;
    let parent = ids.next().map(str::parse).transpose().ok()?;
    Some(Step { commit, parent })
}

async fn newest_step(git: &Git, at: &CommitId, path: &str) -> Result<Option<Step>, OpsError> {
    let call = Call::new("log").args(["--first-parent", "--full-history", "-n1", "--format=tformat:%H %P"]);
    let answer = git.run(call.args([at.as_str(), "--", path])).await?.success()?;
    Ok(read_steps(&answer)?.pop())
}

/// The newest `limit` commits known here that carry the trailer `key`, newest first, each with its value.
pub(super) async fn trailers(git: &Git, key: &str, limit: u32) -> Result<Vec<(CommitId, String)>, OpsError> {
    let call = Call::new("log").args([
        "--glob=refs/dispatch/*".to_owned(),
        format!("--max-count={limit}"),
        format!("--grep=^{key}: "),
        format!("--format=tformat:%H %(trailers:key={key},valueonly,separator=%x20)"),
    ]);
    let answer = git.run(call).await?.success()?;
    let text = String::from_utf8_lossy(&answer);
    let line = |line: &str| {
        let (commit, value) = line.split_once(' ')?;
        Some((commit.parse().ok()?, value.trim().to_owned()))
    };
    Ok(text.lines().filter_map(line).filter(|(_, value): &(_, String)| !value.is_empty()).collect())
}

/// The step that put `blob` at `path` as a plain file, where it has been ever since; `None` when it is not there at `head`.
pub(super) async fn introduced(
    git: &Git,
    head: &CommitId,
    path: &str,
    blob: &BlobId,
) -> Result<Option<CommitId>, OpsError> {
    check_path(path)?;
    let mut at = head.clone();
    while let Some(step) = newest_step(git, &at, path).await? {
        let changes = changes(git, step.parent.as_ref(), &step.commit, &[path]).await?;
        let change = changes.into_iter().find(|change| change.path.as_str() == Some(path));
        let Some(change) = change.filter(|change| is_file_of(change.new.as_ref(), blob)) else { return Ok(None) };
        match step.parent {
            // Only its mode changed here: the bytes are older.
            Some(parent) if is_file_of(change.old.as_ref(), blob) => at = parent,
            _ => return Ok(Some(step.commit)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_has_no_parent_and_a_merge_its_first() {
        let (a, b, c) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let steps = read_steps(format!("{a} \n{b} {a} {c}\n").as_bytes()).unwrap();
        assert_eq!(steps[0].parent, None);
        assert_eq!(steps[1].parent, Some(a.parse().unwrap()));
        assert!(read_steps(b"warning: x\n").is_err());
    }
}
