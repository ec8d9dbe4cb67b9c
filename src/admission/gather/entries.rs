//! Entries of the tree with their bytes, as admission looks at them.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::source::MAX_BYTES;
use crate::admission::snapshot::{Content, Entry};
use crate::ops::{self, Blob, Mirror, Mode, OpsError};
use crate::support::ids::BlobId;

/// Entries with their bytes: one question for all of them.
pub(super) async fn read_entries(
    mirror: &Mirror,
    folder: &str,
    entries: &[ops::Entry],
) -> Result<Vec<Entry>, OpsError> {
    let files: Vec<BlobId> =
        entries.iter().filter(|entry| entry.mode.is_file()).map(|entry| entry.object.clone()).collect();
    let blobs = mirror.blobs(&files, u64::try_from(MAX_BYTES).unwrap_or(u64::MAX)).await?;
    entries.iter().map(|entry| read_entry(folder, entry, &blobs)).collect()
}

fn read_entry(folder: &str, entry: &ops::Entry, blobs: &BTreeMap<BlobId, Blob>) -> Result<Entry, OpsError> {
    let content = match (entry.mode, blobs.get(&entry.object)) {
        (Mode::File | Mode::Executable, Some(Blob::Whole(bytes))) => Content::File(bytes.as_slice().into()),
        (Mode::File | Mode::Executable, Some(Blob::TooLarge { size })) => Content::TooLarge { size: *size },
        (Mode::File | Mode::Executable, None) => {
            return Err(OpsError::Missing { what: format!("{} ({})", entry.path, entry.object) });
        }
        (Mode::Submodule, _) => Content::Submodule,
        (Mode::Symlink | Mode::Folder | Mode::Other, _) => Content::Symlink,
    };
    let path = entry.path.as_str().map_or_else(|| entry.path.to_string(), str::to_owned);
    Ok(Entry { path, folder: folder.to_owned(), blob: entry.object.clone(), content, alike: BTreeSet::new() })
}

/// A file of this machine, named as it would be in the ops repo. Its id is the one that git would give it with SHA-256.
pub(super) fn local_entry(folder: &str, name: &str, bytes: &[u8]) -> Entry {
    let content = if bytes.len() > MAX_BYTES {
        Content::TooLarge { size: u64::try_from(bytes.len()).unwrap_or(u64::MAX) }
    } else {
        Content::File(bytes.into())
    };
    let (path, blob) = (format!("{folder}/{name}"), BlobId::of_bytes(bytes));
    Entry { path, folder: folder.to_owned(), blob, content, alike: BTreeSet::new() }
}
