//! The one folder that the demo writes to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::super::error::{CliError, Kind};

/// A folder of the demo's own: with nothing in it, and for this user alone.
#[derive(Debug)]
pub(super) enum Folder {
    /// A person named it; it stays.
    Kept(PathBuf),
    /// Removed when this is dropped.
    Temporary(PathBuf),
}

impl Folder {
    /// Makes it: `wanted`, which may exist when it is empty, or a new one where temporary files go.
    ///
    /// # Errors
    /// `wanted` is not empty, or no folder can be made.
    pub(super) fn make(wanted: Option<PathBuf>, environment: &BTreeMap<String, String>) -> Result<Self, CliError> {
        if let Some(path) = wanted {
            refuse_used(&path)?;
            make(&path, Existing::Fine).map_err(|error| unusable(&path, &error))?;
            let path = fs::canonicalize(&path).map_err(|error| unusable(&path, &error))?;
            return Ok(Self::Kept(path));
        }
        let parent = environment.get("TMPDIR").filter(|text| !text.is_empty()).map_or("/tmp", String::as_str);
        let path = Path::new(parent).join(format!("dispatch-demo-{}", random_hex()?));
        make(&path, Existing::Refused).map_err(|error| unusable(&path, &error))?;
        Ok(Self::Temporary(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Temporary(path) => path,
        }
    }

    /// Where it is, if it stays.
    pub(super) fn kept(&self) -> Option<PathBuf> {
        match self {
            Self::Kept(path) => Some(path.clone()),
            Self::Temporary(_) => None,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Self::Temporary(path) = self
            && let Err(error) = fs::remove_dir_all(&*path)
        {
            tracing::warn!(path = %path.display(), %error, "the demo's folder could not be removed");
        }
    }
}

/// What to do where the folder is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Fine,
    Refused,
}

fn make(path: &Path, existing: Existing) -> io::Result<()> {
    DirBuilder::new().recursive(existing == Existing::Fine).mode(0o700).create(path)
}

fn refuse_used(path: &Path) -> Result<(), CliError> {
    match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let words = CliError::new(Kind::Usage, "the folder is not empty, and the demo overwrites nothing");
            Err(words.place(path.display()).hint("name one that does not exist yet, or an empty one"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn unusable(path: &Path, error: &io::Error) -> CliError {
    let words = CliError::new(Kind::Failed, "the demo's folder cannot be used").caused_by(error);
    words.place(path.display()).hint("name another one with --dir")
}

/// Sixteen random bytes in hex: for names that nobody can guess, and for values that stand nowhere else.
///
/// # Errors
/// The kernel has no randomness.
pub(super) fn random_hex() -> Result<String, CliError> {
    let mut bytes = [0_u8; 16];
    let random = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    random.map_err(|error| CliError::new(Kind::Failed, "the kernel gives no random bytes").caused_by(&error))?;
    Ok(hex(&bytes))
}

/// Bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_goes_with_the_demo_and_a_named_one_stays() {
        let place = tempfile::tempdir().unwrap();
        let environment = BTreeMap::from([("TMPDIR".to_owned(), place.path().to_str().unwrap().to_owned())]);
        let temporary = Folder::make(None, &environment).unwrap();
        let path = temporary.path().to_owned();
        assert!(path.starts_with(place.path()) && path.is_dir() && temporary.kept().is_none());
        drop(temporary);
        assert!(!path.exists());
        let named = place.path().join("a/b");
        drop(Folder::make(Some(named.clone()), &environment).unwrap());
        assert!(named.is_dir());
    }
}
