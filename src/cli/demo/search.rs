//! Looks for a text in every file of the demo's folder and in every git object, plain and in the encodings in which values are
//! found in logs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::super::error::CliError;
use super::folder::hex;
use super::stopped;
use crate::ops::workshop::every_object;

/// Everything that is searched, read once.
#[derive(Debug)]
pub(super) struct Haystack {
    files: Vec<(PathBuf, Vec<u8>)>,
    /// How many files there are.
    pub(super) file_count: usize,
    /// How many bytes of unpacked git objects there are.
    pub(super) object_bytes: usize,
}

impl Haystack {
    /// Reads all files below `folder`, and the objects of the git repositories `repositories` in it.
    ///
    /// # Errors
    /// A file or repository that cannot be read: what was not looked at proves nothing.
    pub(super) async fn gather(folder: &Path, repositories: &[&str]) -> Result<Self, CliError> {
        let mut files = Vec::new();
        read_all(folder, &mut files).map_err(|error| stopped(&error).place(folder.display()))?;
        let file_count = files.len();
        let mut object_bytes = 0;
        for name in repositories {
            let repository = folder.join(name);
            let objects = every_object(&repository).await.map_err(|error| stopped(&error))?;
            object_bytes += objects.len();
            files.push((repository.join("objects"), objects));
        }
        Ok(Self { files, file_count, object_bytes })
    }

    /// Where `value` stands, in any encoding that is looked for.
    ///
    /// # Errors
    /// The searcher cannot be built.
    pub(super) fn find(&self, value: &str) -> Result<Vec<&Path>, CliError> {
        let searcher = AhoCorasick::new(forms(value)).map_err(|error| stopped(&error))?;
        let found = self.files.iter().filter(|(_, bytes)| searcher.is_match(bytes));
        Ok(found.map(|(path, _)| path.as_path()).collect())
    }
}

/// Files that go away while they are being listed hold nothing that stays; links are followed nowhere.
fn read_all(folder: &Path, into: &mut Vec<(PathBuf, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_all(&entry.path(), into)?;
        } else if kind.is_file() {
            match fs::read(entry.path()) {
                Ok(bytes) => into.push((entry.path(), bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// The value plain, in hex, and in base64 at each of the three ways in which it can lie between other bytes.
fn forms(value: &str) -> Vec<String> {
    let hex = hex(value.as_bytes());
    let mut forms = vec![value.to_owned(), hex.to_uppercase(), hex];
    for before in 0..3_usize {
        let encoded = STANDARD_NO_PAD.encode([&vec![b'x'; before][..], value.as_bytes()].concat());
        // The digits at both ends also hold bits of the neighbours.
        let first = (before * 8).div_ceil(6);
        let last = (before + value.len()) * 8 / 6;
        forms.extend(encoded.get(first..last).map(str::to_owned));
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: Vec<u8>) -> bool {
        let haystack = Haystack { files: vec![("x".into(), bytes)], file_count: 1, object_bytes: 0 };
        !haystack.find("canary-0123456789").unwrap().is_empty()
    }

    #[test]
    fn a_value_is_found_in_every_encoding_and_position() {
        use base64::engine::general_purpose::STANDARD;
        for around in ["", "a", "ab", "abc", "token=\n"] {
            let text = format!("{around}canary-0123456789{around}");
            assert!(found(text.clone().into_bytes()));
            assert!(found(STANDARD.encode(&text).into_bytes()), "base64 amid {around:?}");
            assert!(found(hex(text.as_bytes()).to_uppercase().into_bytes()));
        }
        assert!(!found(b"canary-012345678".to_vec()));
    }
}
