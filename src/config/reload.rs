//! SIGHUP: what changed between two configurations, and whether a running dispatcher may take it over.

use super::keys::is_live;
use super::load::Loaded;
use super::types::Config;

/// The keys whose values differ.
pub fn changed(old: &Loaded, new: &Loaded) -> Vec<String> {
    let differs = |a: &Loaded, b: &Loaded| -> Vec<String> {
        let missing = |key: &str| b.settings.iter().all(|other| other.key != key);
        let other = |key: &str| b.settings.iter().find(|other| other.key == key).map(|other| other.value.clone());
        a.settings
            .iter()
            .filter(|one| missing(&one.key) || other(&one.key).is_some_and(|value| value != one.value))
            .map(|one| one.key.clone())
            .collect()
    };
    let mut keys = differs(new, old);
    keys.extend(differs(old, new).into_iter().filter(|key| new.settings.iter().all(|one| one.key != *key)));
    keys
}

/// The configuration to go on with.
///
/// # Errors
/// The changed keys that a running dispatcher cannot take over; the old configuration then stays in force as a whole.
pub fn reload(old: &Loaded, new: &Loaded) -> Result<Config, Vec<String>> {
    let blocked: Vec<String> = changed(old, new).into_iter().filter(|key| !is_live(key)).collect();
    if blocked.is_empty() { Ok(new.config.clone()) } else { Err(blocked) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::Sources;

    fn loaded(folder: &Path, text: &str) -> Loaded {
        fs::write(folder.join("dispatch.toml"), text).unwrap();
        let sources = Sources { working_directory: folder.to_owned(), ..Sources::default() };
        Config::load(&sources).unwrap()
    }

    #[test]
    fn a_limit_is_taken_over_and_another_remote_needs_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let old = loaded(folder.path(), "[ops]\nremote = '/a'\n[limits.formula]\nx = 1\n");
        let limit = loaded(folder.path(), "[ops]\nremote = '/a'\n[limits]\nmax_concurrent = 9\nformula.y = 2\n");
        assert_eq!(changed(&old, &limit), ["limits.max_concurrent", "limits.formula.y", "limits.formula.x"]);
        assert_eq!(reload(&old, &limit).unwrap().limits.max_concurrent, 9);
        let moved = loaded(folder.path(), "state_dir = '/elsewhere'\n[ops]\nremote = '/b'\n");
        assert_eq!(reload(&old, &moved).unwrap_err(), ["state_dir", "ops.remote"]);
        let stricter =
            loaded(folder.path(), "[ops]\nremote = '/a'\n[limits.formula]\nx = 1\n[approval]\nmode = 'signature'\n");
        assert_eq!(
            reload(&old, &stricter).unwrap_err(),
            ["approval.mode"],
            "trust is followed from the start, or not at all"
        );
    }
}
