//! The files of a new ops repo, by the folder of actions that the config names. Pure.

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skeleton {
    pub(super) path: String,
    pub(super) text: String,
}

/// All of them, in the order in which they are made.
pub(super) fn skeleton(actions: &str) -> Vec<Skeleton> {
    let file = |path: &str, text: &str| Skeleton { path: path.to_owned(), text: text.to_owned() };
    vec![
        file("README.md", &include_str!("skeleton/README.md").replace("vault/actions", actions)),
        file("vault/policy.toml", include_str!("skeleton/policy.toml")),
        // git keeps no empty folder.
        file(&format!("{actions}/.gitkeep"), ""),
        file("formulas/hello.sh", include_str!("skeleton/hello.sh")),
        file("formulas/hello.meta.toml", include_str!("skeleton/hello.meta.toml")),
        file(".gitea/workflows/dispatch-check.yml", include_str!("skeleton/dispatch-check.yml")),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::action::review::{File, review};

    #[test]
    fn what_is_made_holds_by_our_own_checks() {
        let files: BTreeMap<String, File> = skeleton("vault/actions")
            .into_iter()
            .map(|one| (one.path, File { mode: 0o100_644, bytes: one.text.into_bytes() }))
            .collect();
        let wanted: BTreeSet<String> =
            files.keys().filter(|path| crate::action::review::belongs(path)).cloned().collect();
        assert_eq!(wanted.len(), 3, "{wanted:?}");
        let reviewed = review(&files, &wanted);
        assert!(reviewed.wrong.is_empty(), "{:?}", reviewed.wrong);
    }
}
