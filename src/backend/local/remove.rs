//! Removing a directory tree that a run has had in its hands: read-only folders in it must not stop it, and no link in it
//! leads anywhere.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

/// Deeper trees are left to a person: each level costs a descriptor and stack.
const MAX_DEPTH: u32 = 200;

/// Removes what stands at `path`; nothing there is fine.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(CWD, path, MAX_DEPTH)?;
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Gives the owner all rights on every folder of the tree. Each is opened without following links, and changed through its
/// descriptor, so that a name that changes meanwhile changes nothing else.
fn unlock(parent: impl AsFd, name: &Path, depth: u32) -> io::Result<()> {
    let depth = depth.checked_sub(1).ok_or_else(|| io::Error::other("the tree is too deep; remove it by hand"))?;
    let by_path = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder: OwnedFd = openat(parent, name, by_path, Mode::empty())?;
    fs::set_permissions(format!("/proc/self/fd/{}", folder.as_raw_fd()), Permissions::from_mode(0o700))?;
    for inner in folders(&folder)? {
        unlock(&folder, &inner, depth)?;
    }
    Ok(())
}

fn folders(folder: &OwnedFd) -> io::Result<Vec<PathBuf>> {
    let readable = openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut found = Vec::new();
    for entry in Dir::new(readable)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_folder = match entry.file_type() {
            FileType::Unknown => {
                let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            }
            other => other == FileType::Directory,
        };
        if is_folder && !matches!(name.to_bytes(), b"." | b"..") {
            found.push(PathBuf::from(OsStr::from_bytes(name.to_bytes())));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_any_rights_and_links_to_elsewhere_are_removed_and_elsewhere_stays() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join("keep"), "x").unwrap();
        let tree_path = root.path().join("tree");
        fs::create_dir_all(tree_path.join("a/b")).unwrap();
        fs::write(tree_path.join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), tree_path.join("a/link")).unwrap();
        for locked in ["a/b", "a"] {
            fs::set_permissions(tree_path.join(locked), Permissions::from_mode(0o000)).unwrap();
        }
        // As root the rights would not matter to the removal itself, so that this part is asked for by name.
        unlock(CWD, &tree_path, MAX_DEPTH).unwrap();
        assert_eq!(fs::metadata(tree_path.join("a/b")).unwrap().permissions().mode() & 0o777, 0o700);
        tree(&tree_path).unwrap();
        assert!(!tree_path.exists() && elsewhere.path().join("keep").exists());
        tree(&tree_path).unwrap();
    }

    #[test]
    fn a_tree_that_is_too_deep_is_refused_in_words() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("1/2/3")).unwrap();
        assert!(unlock(CWD, root.path(), 2).unwrap_err().to_string().contains("too deep"));
    }
}
