//! Paths, entries and changes of trees, and the parsers of what git prints about them; pure, over bytes.

use std::fmt;

use super::error::OpsError;
use crate::support::ids::BlobId;

/// A path inside the repo, as git has it: any bytes but NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Vec<u8>);

impl RepoPath {
    /// The path as text; `None` when it is not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for RepoPath {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_owned())
    }
}

impl From<&str> for RepoPath {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_owned())
    }
}

/// For people: control characters and bytes that are not UTF-8 are escaped.
impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// What a tree says an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 100644, and the 100664 of very old repositories.
    File,
    /// 100755
    Executable,
    /// 120000
    Symlink,
    /// 160000
    Submodule,
    /// 040000
    Folder,
    /// Anything else.
    Other,
}

impl Mode {
    /// From the octal digits.
    pub fn from_octal(digits: &[u8]) -> Self {
        match digits {
            b"100644" | b"100664" => Self::File,
            b"100755" => Self::Executable,
            b"120000" => Self::Symlink,
            b"160000" => Self::Submodule,
            b"040000" | b"40000" => Self::Folder,
            _ => Self::Other,
        }
    }

    /// Whether there is a file's content behind it.
    pub fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Executable)
    }
}

/// An entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From the root of the repo.
    pub path: RepoPath,
    /// What it is.
    pub mode: Mode,
    /// Its object; for a submodule the id of a commit elsewhere.
    pub object: BlobId,
}

/// One path that differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// From the root of the repo.
    pub path: RepoPath,
    /// What was there; `None`: nothing.
    pub old: Option<(Mode, BlobId)>,
    /// What is there now; `None`: nothing.
    pub new: Option<(Mode, BlobId)>,
}

/// What differs between two commits, as git printed it. It is read in portions, since a listing of all that ever happened is
/// long, and few of its entries matter.
#[derive(Debug)]
pub enum Changes {
    /// Everything is new: `ls-tree -r -z`.
    Added(Vec<u8>),
    /// `diff-tree --raw -r -z --no-renames`: `:<mode> <mode> <id> <id> <letter> NUL <path> NUL`.
    Differing(Vec<u8>),
}

impl Changes {
    /// All changes in order, at most `size` at a time.
    ///
    /// # Errors
    /// For a portion that git printed in another form than documented.
    pub fn portions(&self, size: usize) -> impl Iterator<Item = Result<Vec<Change>, OpsError>> + '_ {
        let (Self::Added(printed) | Self::Differing(printed)) = self;
        let mut fields = printed.split(|b| *b == 0).filter(|field| !field.is_empty());
        std::iter::from_fn(move || {
            let next = || fields.next().map(|field| self.change(field, &mut fields));
            let portion: Result<Vec<Change>, OpsError> = std::iter::from_fn(next).take(size).collect();
            portion.map(|changes| (!changes.is_empty()).then_some(changes)).transpose()
        })
    }

    /// The change that begins with `field`; where its path is a field of its own, it is taken from `rest`.
    fn change<'a>(&self, field: &'a [u8], rest: &mut impl Iterator<Item = &'a [u8]>) -> Result<Change, OpsError> {
        match self {
            Self::Added(_) => {
                let entry = listed(field).ok_or_else(|| not_understood("ls-tree", field))?;
                Ok(Change { path: entry.path, old: None, new: Some((entry.mode, entry.object)) })
            }
            Self::Differing(_) => {
                let change = rest.next().and_then(|path| raw_change(field, path));
                change.ok_or_else(|| not_understood("diff-tree", field))
            }
        }
    }
}

pub(super) fn raw_change(about: &[u8], path: &[u8]) -> Option<Change> {
    let mut words = about.strip_prefix(b":")?.split(|b| *b == b' ');
    let (old_mode, new_mode) = (words.next()?, words.next()?);
    let (old_id, new_id) = (words.next()?, words.next()?);
    words.next()?;
    Some(Change { path: path.into(), old: side(old_mode, old_id)?, new: side(new_mode, new_id)? })
}

/// One side of a change; the inner `None` is mode 000000: nothing there.
#[expect(clippy::option_option, reason = "the outer one is a parser's failure")]
fn side(mode: &[u8], id: &[u8]) -> Option<Option<(Mode, BlobId)>> {
    let id = object_id(id)?;
    Some((mode != b"000000").then(|| (Mode::from_octal(mode), id)))
}

/// Reads `ls-tree -r -z`: `<mode> SP <type> SP <id> TAB <path> NUL`.
pub(super) fn listing(bytes: &[u8]) -> Result<Vec<Entry>, OpsError> {
    let lines = bytes.split(|b| *b == 0).filter(|line| !line.is_empty());
    lines.map(|line| listed(line).ok_or_else(|| not_understood("ls-tree", line))).collect()
}

fn listed(line: &[u8]) -> Option<Entry> {
    let tab = line.iter().position(|b| *b == b'\t')?;
    let (about, path) = line.split_at_checked(tab)?;
    let mut words = about.split(|b| *b == b' ');
    let (mode, _kind, id) = (words.next()?, words.next()?, words.next()?);
    Some(Entry { path: path.get(1..)?.into(), mode: Mode::from_octal(mode), object: object_id(id)? })
}

/// One entry of a tree object.
#[derive(Debug)]
pub(super) struct Named<'a> {
    pub(super) name: &'a [u8],
    pub(super) mode: Mode,
    raw_id: &'a [u8],
}

impl Named<'_> {
    /// Its id; made only when asked for, since a folder may hold a hundred thousand.
    pub(super) fn id(&self) -> Option<BlobId> {
        object_id(hex(self.raw_id).as_bytes())
    }
}

/// Takes one entry from the front of a tree object: `<mode> SP <name> NUL <id, as raw_len bytes>`.
pub(super) fn next_in_tree(bytes: &[u8], raw_len: usize) -> Option<(Named<'_>, &[u8])> {
    let space = bytes.iter().position(|b| *b == b' ')?;
    let (mode, rest) = bytes.split_at_checked(space)?;
    let rest = rest.get(1..)?;
    let nul = rest.iter().position(|b| *b == 0)?;
    let (name, rest) = rest.split_at_checked(nul)?;
    let (raw_id, rest) = rest.get(1..)?.split_at_checked(raw_len)?;
    Some((Named { name, mode: Mode::from_octal(mode), raw_id }, rest))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| DIGITS.get(usize::from(n)).copied().map_or('0', char::from);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn object_id(bytes: &[u8]) -> Option<BlobId> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn not_understood(verb: &'static str, line: &[u8]) -> OpsError {
    let start: Vec<u8> = line.iter().copied().take(200).collect();
    OpsError::answer(verb, RepoPath(start).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw_changes(bytes: &[u8]) -> Result<Vec<Change>, OpsError> {
        Changes::Differing(bytes.to_owned()).portions(usize::MAX).next().unwrap_or_else(|| Ok(Vec::new()))
    }

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const NONE: &str = "0000000000000000000000000000000000000000";

    #[test]
    fn additions_and_removals_have_one_side_only() {
        let raw = format!(":000000 100644 {NONE} {A} A\0new\0:120000 000000 {A} {NONE} D\0gone\0");
        let changes = raw_changes(raw.as_bytes()).unwrap();
        assert_eq!(changes[0].new, Some((Mode::File, A.parse().unwrap())));
        assert_eq!((changes[0].old.clone(), changes[1].new.clone()), (None, None));
        assert_eq!(changes[1].old.as_ref().unwrap().0, Mode::Symlink);
    }

    #[test]
    fn a_path_with_a_newline_a_tab_or_wrong_utf_8_arrives_whole_and_prints_on_one_line() {
        let raw = [format!(":000000 100644 {NONE} {A} A\0").as_bytes(), b"a\nb\tc\xff\0"].concat();
        let path = &raw_changes(&raw).unwrap()[0].path;
        assert_eq!(path.as_bytes(), b"a\nb\tc\xff");
        assert_eq!((path.as_str(), path.to_string().as_str()), (None, "a\\nb\\tc\\xff"));
    }

    #[test]
    fn a_listing_tells_files_links_and_submodules_apart() {
        let text = format!("100644 blob {A}\ta\0100755 blob {A}\tb\0120000 blob {A}\tc\0160000 commit {A}\td\te\0");
        let entries = listing(text.as_bytes()).unwrap();
        let modes: Vec<Mode> = entries.iter().map(|entry| entry.mode).collect();
        assert_eq!(modes, [Mode::File, Mode::Executable, Mode::Symlink, Mode::Submodule]);
        assert_eq!(entries[3].path.as_str(), Some("d\te"));
    }

    #[test]
    fn an_answer_in_another_form_is_an_error_that_shows_its_start() {
        let error = raw_changes(b"warning: x\0y\0").unwrap_err();
        assert_eq!(error.to_string(), "the answer of git diff-tree is not understood: warning: x");
    }

    #[test]
    fn portions_are_the_whole_in_order() {
        let raw = ["f0", "f1", "f2", "f3", "f4"].map(|name| format!(":000000 100644 {NONE} {A} A\0{name}\0")).concat();
        let changes = Changes::Differing(raw.clone().into_bytes());
        let portions: Vec<Vec<Change>> = changes.portions(2).collect::<Result<_, _>>().unwrap();
        assert_eq!(portions.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(portions.concat(), raw_changes(raw.as_bytes()).unwrap());
    }

    #[test]
    fn a_tree_object_is_read_entry_by_entry() {
        let tree = [&b"100644 x y\0"[..], &[0xab; 20], b"40000 z\0", &[1; 20]].concat();
        let (first, rest) = next_in_tree(&tree, 20).unwrap();
        assert_eq!((first.name, first.mode), (&b"x y"[..], Mode::File));
        assert_eq!(first.id().unwrap().as_str(), "ab".repeat(20));
        assert_eq!(next_in_tree(rest, 20).unwrap().0.mode, Mode::Folder);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = (raw_changes(&bytes), listing(&bytes), next_in_tree(&bytes, 20));
        }

        #[test]
        fn any_path_survives(path in proptest::collection::vec(1u8..=255, 1..60)) {
            let raw = [format!(":000000 100644 {NONE} {A} A\0").as_bytes(), &path, b"\0"].concat();
            let changes = raw_changes(&raw).unwrap();
            prop_assert_eq!(changes[0].path.as_bytes(), &path[..]);
        }
    }
}
