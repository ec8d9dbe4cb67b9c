//! Mounts: copied read-only into the launch directory, where the run may read them and nothing that it does reaches the
//! original.
//!
//! A symbolic link inside a mount is refused. Kept as a link it would point out of the copy, back to the original or to
//! nothing; followed, it would copy something that the config does not name. Sockets, pipes and devices are passed over:
//! they hold no data, and `~/.gnupg` has sockets whenever its agent has run.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::support::ids::MountName;

/// A mount is keys and configuration, not data; more than this is a mistake in the config.
const MAX_BYTES: u64 = 64 << 20;
const MAX_ENTRIES: u32 = 10_000;

/// Why a mount could not be given.
#[derive(Debug, thiserror::Error)]
pub(super) enum MountError {
    #[error("the mount {0} is not in the config: add [mounts.{0}] with `local = \"<path>\"`")]
    Unknown(MountName),
    #[error("the mount {name} holds a symbolic link, {path}: put the file itself there")]
    Link { name: MountName, path: String },
    #[error("the mount {0} holds more than 64 MiB or 10,000 entries: name a smaller directory in the config")]
    TooLarge(MountName),
    #[error("the mount {name} could not be copied from {path}")]
    Copy {
        name: MountName,
        path: String,
        #[source]
        source: io::Error,
    },
}

/// Copies each mount asked for into `folder` and answers where each is.
pub(super) fn copy<'a>(
    asked: impl Iterator<Item = &'a MountName>,
    known: &BTreeMap<MountName, PathBuf>,
    folder: &Path,
) -> Result<BTreeMap<MountName, String>, MountError> {
    let mut given = BTreeMap::new();
    for name in asked {
        let source = known.get(name).ok_or_else(|| MountError::Unknown(name.clone()))?;
        let target = folder.join(name.as_str());
        let failed = |source_path: &Path, source| MountError::Copy {
            name: name.clone(),
            path: source_path.display().to_string(),
            source,
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(folder, error))?;
        // The path that the config names may itself be a link: its owner wrote it there.
        let real = fs::canonicalize(source).map_err(|error| failed(source, error))?;
        Copy { name, entries: 0, bytes: 0 }.entry(&real, &target)?;
        given.insert(name.clone(), target.display().to_string());
    }
    Ok(given)
}

/// One mount being copied, and what it has come to so far.
struct Copy<'a> {
    name: &'a MountName,
    entries: u32,
    bytes: u64,
}

impl Copy<'_> {
    fn entry(&mut self, from: &Path, to: &Path) -> Result<(), MountError> {
        let failed = |source| MountError::Copy { name: self.name.clone(), path: from.display().to_string(), source };
        let kind = fs::symlink_metadata(from).map_err(failed)?;
        self.entries += 1;
        self.bytes += if kind.is_file() { kind.len() } else { 0 };
        if self.entries > MAX_ENTRIES || self.bytes > MAX_BYTES {
            return Err(MountError::TooLarge(self.name.clone()));
        }
        if kind.is_symlink() {
            return Err(MountError::Link { name: self.name.clone(), path: from.display().to_string() });
        }
        if kind.is_dir() {
            return self.folder(from, to);
        }
        if kind.is_file() { file(from, to, kind.permissions().mode()).map_err(failed) } else { Ok(()) }
    }

    fn folder(&mut self, from: &Path, to: &Path) -> Result<(), MountError> {
        let name = self.name.clone();
        let failed = |source| MountError::Copy { name: name.clone(), path: from.display().to_string(), source };
        DirBuilder::new().mode(0o700).create(to).map_err(failed)?;
        for entry in fs::read_dir(from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            self.entry(&entry.path(), &to.join(entry.file_name()))?;
        }
        fs::set_permissions(to, Permissions::from_mode(0o500)).map_err(failed)
    }
}

/// `O_NOFOLLOW`: between the look and the opening the file may have become a link.
fn file(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut source = OpenOptions::new().read(true).custom_flags(no_follow).open(from)?;
    let mode = if mode & 0o100 == 0 { 0o400 } else { 0o500 };
    let mut target = OpenOptions::new().write(true).create_new(true).mode(mode).open(to)?;
    io::copy(&mut source, &mut target).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_copy(source: &Path, into: &Path) -> Result<BTreeMap<MountName, String>, MountError> {
        let ssh: MountName = "ssh".parse().unwrap();
        copy([&ssh].into_iter(), &BTreeMap::from([(ssh.clone(), source.to_owned())]), into)
    }

    #[test]
    fn a_mount_is_copied_with_its_folders_and_can_be_read_only() {
        let (source, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(source.path().join("keys")).unwrap();
        fs::write(source.path().join("keys/id"), "key").unwrap();
        let given = try_copy(source.path(), into.path()).unwrap();
        let copy = PathBuf::from(given.values().next().unwrap());
        assert_eq!(fs::read_to_string(copy.join("keys/id")).unwrap(), "key");
        assert_eq!(fs::metadata(copy.join("keys/id")).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!(fs::metadata(copy.join("keys")).unwrap().permissions().mode() & 0o777, 0o500);
    }

    #[test]
    fn a_link_inside_a_mount_is_refused_by_its_path_and_a_socket_is_passed_over() {
        let (source, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let _socket = std::os::unix::net::UnixListener::bind(source.path().join("S.agent")).unwrap();
        assert!(try_copy(source.path(), &into.path().join("1")).is_ok());
        std::os::unix::fs::symlink("/etc/passwd", source.path().join("config")).unwrap();
        let refused = try_copy(source.path(), &into.path().join("2")).unwrap_err().to_string();
        assert!(refused.contains("/config: put the file itself there"), "{refused}");
    }

    #[test]
    fn a_mount_that_is_too_large_or_not_in_the_config_is_refused() {
        let (source, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::File::create(source.path().join("data")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(matches!(try_copy(source.path(), into.path()), Err(MountError::TooLarge(_))));
        let gpg: MountName = "gpg".parse().unwrap();
        assert!(matches!(copy([&gpg].into_iter(), &BTreeMap::new(), into.path()), Err(MountError::Unknown(_))));
    }
}
