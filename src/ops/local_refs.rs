//! Reading one branch of a repository on this machine without a process: the loose file, else the packed list.
//!
//! Only the plain layout is understood; for anything else (a work tree's `.git` file, the reftable format, a symbolic branch) the
//! answer is [`Read::AskGit`]. git packs refs by writing the list first and removing the loose file afterwards, so that
//! looking in this order finds the branch at any moment.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::support::ids::CommitId;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// The branch is here.
    At(CommitId),
    /// There is no such branch.
    Absent,
    /// This has to be left to git.
    AskGit,
}

/// Where `reference` points in the repository at `folder`.
pub(super) fn read(folder: &Path, reference: &str) -> Read {
    let Some(folder) = git_folder(folder) else { return Read::AskGit };
    match text(&folder.join(reference)) {
        Ok(Some(loose)) => loose.trim_end().parse().map_or(Read::AskGit, Read::At),
        Ok(None) => match text(&folder.join("packed-refs")) {
            Ok(Some(packed)) => packed_ref(&packed, reference),
            Ok(None) => Read::Absent,
            Err(_) => Read::AskGit,
        },
        Err(_) => Read::AskGit,
    }
}

/// The folder that holds `HEAD` and `refs/heads/`; in the reftable format the latter is a file.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let candidates = [folder.join(".git"), folder.to_owned()];
    candidates
        .into_iter()
        .find(|folder| folder.join("HEAD").is_file())
        .filter(|folder| folder.join("refs/heads").is_dir())
}

fn text(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn packed_ref(packed: &str, reference: &str) -> Read {
    let found = packed.lines().find_map(|line| line.strip_suffix(reference)?.strip_suffix(' '));
    found.map_or(Read::Absent, |id| id.parse().map_or(Read::AskGit, Read::At))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("refs/heads")).unwrap();
        fs::write(folder.path().join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(folder.path().join("packed-refs"), format!("# pack-refs with: peeled\n{B} refs/heads/main\n^{A}\n"))
            .unwrap();
        folder
    }

    #[test]
    fn a_loose_branch_wins_over_the_packed_list() {
        let folder = repository();
        assert_eq!(read(folder.path(), "refs/heads/main"), Read::At(B.parse().unwrap()));
        fs::write(folder.path().join("refs/heads/main"), format!("{A}\n")).unwrap();
        assert_eq!(read(folder.path(), "refs/heads/main"), Read::At(A.parse().unwrap()));
    }

    #[test]
    fn a_branch_that_only_ends_alike_is_not_taken_for_it() {
        assert_eq!(read(repository().path(), "refs/heads/ain"), Read::Absent);
        assert_eq!(read(repository().path(), "heads/main"), Read::Absent);
    }

    #[test]
    fn a_symbolic_branch_a_strange_layout_and_no_repository_are_left_to_git() {
        let folder = repository();
        fs::write(folder.path().join("refs/heads/main"), "ref: refs/heads/other\n").unwrap();
        assert_eq!(read(folder.path(), "refs/heads/main"), Read::AskGit);
        fs::remove_dir_all(folder.path().join("refs")).unwrap();
        assert_eq!(read(folder.path(), "refs/heads/main"), Read::AskGit);
        assert_eq!(read(Path::new("/does/not/exist"), "refs/heads/main"), Read::AskGit);
    }
}
