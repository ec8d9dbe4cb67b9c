//! Names in Nomad: which parameterized job a run is a dispatch of, the id that its child gets, and the token of its dispatch. Pure.
//!
//! A child's id is `<job>/dispatch-<prefix>-<seconds>-<8 hex>`, where the prefix is ours. It begins with the launch key, so that the
//! children of a key are found by a prefix of their ids, which costs the server nothing however many there are; then says what the
//! child is.

use std::collections::BTreeMap;

use crate::support::ids::{LaunchKey, MountName, RunId};

/// Digits of the launch key in a child's id: enough to find it by; its meta has the whole.
const DIGITS: usize = 16;

/// Characters of the action's id in a child's id, for people.
const SLUG: usize = 40;

/// What stands in the place of the key for a tidemark.
const TIDEMARK: &str = "tidemark";

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is a run: the launch of this generation.
    Run(u32),
    /// It takes up the token of this generation, so that no run can come of it. What it carries cannot run.
    Seal(u32),
}

/// Meta that every child of ours has.
pub(super) const META_RUN: &str = "run_id";
/// The launch key, in full.
pub(super) const META_KEY: &str = "launch_key";
/// From 1.
pub(super) const META_ATTEMPT: &str = "attempt";
/// SHA-256 of the action's bytes.
pub(super) const META_ACTION: &str = "action_sha256";

/// The job for a set of mounts: `vault-runner`, `vault-runner-ssh`, `vault-runner-gpg-ssh`. `dispatch jobs` registers them under these
/// names.
pub fn variant<'a>(job: &str, mounts: impl IntoIterator<Item = &'a MountName>) -> String {
    let mut names: Vec<&str> = mounts.into_iter().map(MountName::as_str).collect();
    names.sort_unstable();
    names.into_iter().fold(job.to_owned(), |job, name| job + "-" + name)
}

/// The jobs for all sets of `mounts`, the one without any first.
pub fn variants<'a>(job: &str, mounts: impl IntoIterator<Item = &'a MountName>) -> Vec<String> {
    let mut sets: Vec<Vec<&MountName>> = vec![Vec::new()];
    for mount in mounts {
        let with: Vec<Vec<&MountName>> = sets.iter().map(|set| [set.as_slice(), &[mount]].concat()).collect();
        sets.extend(with);
    }
    sets.into_iter().map(|set| variant(job, set)).collect()
}

/// The token of a dispatch. The first launch under a key has the key itself; each one after a seal the next number.
pub(super) fn token(key: &LaunchKey, generation: u32) -> String {
    if generation == 1 { key.to_string() } else { format!("{key}.{generation}") }
}

fn digits(key: &LaunchKey) -> &str {
    key.as_str().get(..DIGITS).unwrap_or(key.as_str())
}

/// What the ids of all children of `key` under `job` begin with.
pub(super) fn children(job: &str, key: &LaunchKey) -> String {
    format!("{job}/dispatch-{}-", digits(key))
}

/// What the ids of all tidemarks under `job` begin with.
pub(super) fn tidemarks(job: &str) -> String {
    format!("{job}/dispatch-{TIDEMARK}-")
}

/// The `IdPrefixTemplate` of a tidemark.
pub(super) fn tidemark_prefix() -> String {
    TIDEMARK.to_owned()
}

/// The `IdPrefixTemplate` of a child. The server takes anything; what is sent is `[a-z0-9-]`.
pub(super) fn prefix(key: &LaunchKey, purpose: Purpose, run: Option<&RunId>) -> String {
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let slug: String = run.map(|run| run.action().as_str()).unwrap_or_default().chars().take(SLUG).map(plain).collect();
    let (word, generation) = match purpose {
        Purpose::Run(generation) => ("run", generation),
        Purpose::Seal(generation) => ("seal", generation),
    };
    format!("{}-{word}-{generation}-{slug}", digits(key)).trim_end_matches('-').to_owned()
}

/// What the child of this id is for; `None` for a child that is not of this dispatcher's making.
pub(super) fn purpose(child: &str, key: &LaunchKey) -> Option<Purpose> {
    let (_, rest) = child.split_once("/dispatch-")?;
    let rest = rest.strip_prefix(digits(key))?.strip_prefix('-')?;
    let (word, rest) = rest.split_once('-')?;
    let generation = rest.split('-').next()?.parse().ok()?;
    match word {
        "run" => Some(Purpose::Run(generation)),
        "seal" => Some(Purpose::Seal(generation)),
        _ => None,
    }
}

/// The launch key and run that a child's meta names.
pub(super) fn identity(meta: Option<&BTreeMap<String, String>>) -> Option<(LaunchKey, RunId)> {
    let meta = meta?;
    Some((meta.get(META_KEY)?.parse().ok()?, meta.get(META_RUN)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> LaunchKey {
        "0123456789abcdef0123456789abcdef01234567".parse().unwrap()
    }

    #[test]
    fn a_childs_id_is_found_by_its_key_and_says_what_it_is_for() {
        let run: RunId = "publish.skill_2@1".parse().unwrap();
        let prefix = prefix(&key(), Purpose::Run(1), Some(&run));
        assert_eq!(prefix, "0123456789abcdef-run-1-publish-skill-2");
        let id = format!("vault-runner/dispatch-{prefix}-1795249840-dc2ea590");
        assert!(id.starts_with(&children("vault-runner", &key())));
        assert_eq!(purpose(&id, &key()), Some(Purpose::Run(1)));
    }

    #[test]
    fn an_action_named_like_a_seal_is_still_a_run() {
        let run: RunId = "seal-3@1".parse().unwrap();
        let run = prefix(&key(), Purpose::Run(2), Some(&run));
        assert_eq!(purpose(&format!("j/dispatch-{run}-1-a"), &key()), Some(Purpose::Run(2)));
        let seal = prefix(&key(), Purpose::Seal(3), None);
        assert_eq!(purpose(&format!("j/dispatch-{seal}-1-a"), &key()), Some(Purpose::Seal(3)));
        assert_eq!(purpose("j/dispatch-1795249840-dc2ea590", &key()), None);
    }

    #[test]
    fn the_variants_are_all_sets_of_mounts_in_the_order_of_their_names() {
        let mounts: [MountName; 2] = ["ssh", "gpg"].map(|name| name.parse().unwrap());
        assert_eq!(variants("r", &mounts), ["r", "r-ssh", "r-gpg", "r-gpg-ssh"]);
    }

    #[test]
    fn the_first_token_is_the_key_itself() {
        assert_eq!((token(&key(), 1), token(&key(), 2)), (key().to_string(), format!("{}.2", key())));
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_action_is_called_the_prefix_is_plain(id in "[a-z0-9][a-z0-9._-]{0,60}[a-z0-9]") {
            if let Ok(run) = format!("{id}@1").parse::<RunId>() {
                let prefix = prefix(&key(), Purpose::Run(1), Some(&run));
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                proptest::prop_assert!(prefix.chars().all(plain) && prefix.len() < 80);
            }
        }
    }
}
