//! Which entries of the folder of actions are actions: by path and mode alone, before any bytes are read.
//!
//! Told by `ops` about each entry of the tree, at any depth (git lists a tree recursively with `-r`).

use super::reason::Reason;

/// Git's mode of a plain file.
const PLAIN: u32 = 0o100_644;
/// Git's mode of an executable file: taken as a plain one.
const EXECUTABLE: u32 = 0o100_755;
/// How very old git versions wrote a plain file that the group may write.
const GROUP_WRITABLE: u32 = 0o100_664;
/// Git's mode of a folder.
const FOLDER: u32 = 0o040_000;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An action; its bytes are to be read.
    Action {
        /// The file's name without `.toml`.
        stem: String,
    },
    /// None of ours: a result, a README, a folder, a `.gitkeep`.
    Ignored,
    /// It claims to be an action and is refused unread.
    Refused {
        /// The file's name without folders and `.toml`.
        stem: String,
        /// Why.
        reason: Reason,
    },
}

/// Classifies an entry by its path, relative to the folder of actions, and its mode as git has it (`0o100644`). Of two faults the place is
/// named, as admission does.
pub fn classify(path: &str, mode: u32) -> Entry {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some(stem) = name.strip_suffix(".toml").filter(|stem| !stem.is_empty()) else {
        return Entry::Ignored;
    };
    let stem = stem.to_owned();
    match mode {
        FOLDER => Entry::Ignored,
        _ if path.contains('/') => Entry::Refused { stem, reason: Reason::NestedEntry },
        PLAIN | EXECUTABLE | GROUP_WRITABLE => Entry::Action { stem },
        _ => Entry::Refused { stem, reason: Reason::NotAPlainFile },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(stem: &str) -> Entry {
        Entry::Action { stem: stem.to_owned() }
    }

    fn refused(stem: &str, reason: Reason) -> Entry {
        Entry::Refused { stem: stem.to_owned(), reason }
    }

    #[test]
    fn plain_and_executable_toml_files_are_actions() {
        for mode in [0o100_644, 0o100_755, 0o100_664] {
            assert_eq!(classify("release-v1.2.0.toml", mode), action("release-v1.2.0"));
        }
    }

    #[test]
    fn what_is_no_toml_file_is_none_of_ours() {
        for path in [
            "a.result.json",
            ".gitkeep",
            "README.md",
            "README",
            ".toml",
            "a.toml.bak",
            "a.TOML",
            "old/README.md",
            "old",
        ] {
            assert_eq!(classify(path, 0o100_644), Entry::Ignored, "{path}");
        }
        assert_eq!(classify("link", 0o120_000), Entry::Ignored);
        assert_eq!(classify("folder.toml", 0o040_000), Entry::Ignored);
    }

    #[test]
    fn links_and_submodules_in_an_actions_place_are_refused() {
        assert_eq!(classify("a.toml", 0o120_000), refused("a", Reason::NotAPlainFile));
        assert_eq!(classify("a.toml", 0o160_000), refused("a", Reason::NotAPlainFile));
    }

    #[test]
    fn an_action_in_a_folder_is_refused() {
        assert_eq!(classify("2026/a.toml", 0o100_644), refused("a", Reason::NestedEntry));
        assert_eq!(classify("2026/a.toml", 0o120_000), refused("a", Reason::NestedEntry));
    }
}
