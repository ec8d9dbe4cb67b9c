//! The protection of the primary branch that an ops repo needs, and how far the one that is there is from it. Pure.
//!
//! Nothing above the low tier depends on it: admission compares what was approved with what stands on the branch, whoever put it
//! there. It keeps honest people from running into that, and is the whole approval of the low tier.

use crate::config::Config;
use crate::config::types::Layout;
use crate::forge::Protection;
use crate::run::settle::ResultPaths;

/// What is wanted of it beside what follows from the config.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// How many approvals a merge needs, at least.
    pub(super) approvals: u32,
    /// Whose approvals count.
    pub(super) approvers: Vec<String>,
}

/// The protection that `current` becomes: what is stricter in it stays, and what is not ours stays as it is.
pub(super) fn wanted(config: &Config, wish: &Wish, current: Option<&Protection>) -> Protection {
    let mut protection = current.cloned().unwrap_or_default();
    protection.rule_name.clone_from(&config.ops.branch);
    // Nobody but the dispatcher pushes, and it pushes results alone: those need no place on the list.
    protection.enable_push = true;
    protection.enable_push_whitelist = true;
    protection.push_whitelist_usernames = Vec::new();
    protection.unprotected_file_patterns = results(config);
    protection.required_approvals = protection.required_approvals.max(i64::from(wish.approvals));
    if !wish.approvers.is_empty() {
        protection.enable_approvals_whitelist = true;
        protection.approvals_whitelist_username.clone_from(&wish.approvers);
    }
    protection.block_on_rejected_reviews = true;
    protection.dismiss_stale_approvals = true;
    protection.ignore_stale_approvals = true;
    protection.block_admin_merge_override = true;
    protection
}

/// The paths of results as the forge's patterns: there one `*` stops at a dot too, and ids may have dots.
fn results(config: &Config) -> String {
    match config.results.layout {
        Layout::Flat => format!("{}/**.result.json", config.ops.actions),
        Layout::Dated => format!("{}/**.result.json", ResultPaths::DATED_FOLDER),
    }
}

/// What changes from `current` to `wanted`, a line each; empty: nothing.
pub(super) fn changes(current: Option<&Protection>, wanted: &Protection) -> Vec<String> {
    let fields = |protection: &Protection| match serde_json::to_value(protection) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let before = fields(&current.cloned().unwrap_or_default());
    let rule = &wanted.rule_name;
    let changed = fields(wanted).into_iter().filter(|(name, value)| before.get(name) != Some(value));
    let line = |(name, value): (String, serde_json::Value)| match current {
        Some(_) => {
            format!("protection of {rule}: {name}: {} -> {value}", before.get(&name).cloned().unwrap_or_default())
        }
        None => format!("protection of {rule}: {name}: {value}"),
    };
    changed.filter(|(name, _)| name != "rule_name").map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        serde_json::from_value(serde_json::json!({ "ops": { "remote": "/x" } })).unwrap()
    }

    #[test]
    fn what_is_stricter_already_stays_and_what_is_as_wanted_is_no_change() {
        let wish = Wish { approvals: 1, approvers: vec!["ann".to_owned()] };
        let first = wanted(&config(), &wish, None);
        assert_eq!(first.unprotected_file_patterns, "vault/actions/**.result.json");
        assert!(changes(None, &first).iter().any(|line| line == "protection of main: required_approvals: 1"));
        let stricter = Protection { required_approvals: 3, enable_status_check: true, ..first.clone() };
        assert_eq!(changes(Some(&stricter), &wanted(&config(), &wish, Some(&stricter))), Vec::<String>::new());
        let weaker = Protection { push_whitelist_usernames: vec!["eve".to_owned()], ..first };
        assert_eq!(
            changes(Some(&weaker), &wanted(&config(), &wish, Some(&weaker))),
            ["protection of main: push_whitelist_usernames: [\"eve\"] -> []"]
        );
    }
}
