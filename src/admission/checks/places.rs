//! Rule 3: the backend may run it, and the mounts and the working directory that it names are declared.

use std::path::Path;

use crate::action::reason::Reason;
use crate::action::request::Action;
use crate::admission::check::{Check, Rule, listed};
use crate::admission::reading::Reading;
use crate::admission::rules::Rules;
use crate::admission::snapshot::{Availability, Snapshot};

const RULE: Rule = Rule { number: 3, name: "mounts and backend" };

/// The backend that is to run an action, and by whose word.
#[derive(Debug, Clone, Copy)]
enum Choice<'a> {
    /// The action names it.
    Action(&'a str),
    /// The config names it.
    Config(&'a str),
}

pub(in crate::admission) fn judge(snapshot: &Snapshot, rules: &Rules, reading: &Reading) -> Check {
    let Ok(action) = &reading.action else { return RULE.not_reached(super::NO_ACTION) };
    let refused = backend_refused(action, rules, reading, snapshot)
        .or_else(|| mounts_refused(action, rules, reading))
        .or_else(|| directory_refused(action, rules));
    if let Some(check) = refused {
        return check;
    }
    let backend = backend(action, rules);
    match snapshot.backends.get(backend) {
        Some(Availability::Ready) => RULE.pass(format!("backend `{backend}` takes it")).because(mount_words(action)),
        Some(Availability::Unreachable { detail }) => {
            RULE.wait(Reason::BackendUnavailable, format!("backend `{backend}` cannot be reached: {detail}"))
        }
        None => RULE
            .wait(Reason::BackendUnavailable, format!("this dispatcher has no backend `{backend}`"))
            .help("set `backends.default` and `backends.formula` in dispatch.toml to backends that it has"),
    }
}

/// The backend that the config and the action choose together.
pub(in crate::admission) fn backend<'a>(action: &'a Action, rules: &'a Rules) -> &'a str {
    match choice(action, rules) {
        Choice::Action(name) | Choice::Config(name) => name,
    }
}

fn choice<'a>(action: &'a Action, rules: &'a Rules) -> Choice<'a> {
    if let Some(fixed) = rules.formula_backends.get(&action.formula) {
        return Choice::Config(fixed);
    }
    match &action.backend {
        Some(named) if *named != rules.default_backend => Choice::Action(named),
        _ => Choice::Config(&rules.default_backend),
    }
}

fn backend_refused(action: &Action, rules: &Rules, reading: &Reading, snapshot: &Snapshot) -> Option<Check> {
    let chosen = choice(action, rules);
    let refuse = |words: String| Some(RULE.fail(Reason::BackendNotAllowed, words));
    if let (Choice::Config(fixed), Some(named)) = (chosen, &action.backend)
        && fixed != named
    {
        return refuse(format!(
            "the config runs formula `{}` on `{fixed}`; the action asks for `{named}`",
            action.formula
        ));
    }
    if let Choice::Action(named) = chosen
        && !(rules.allowed_backends.contains(named) && snapshot.backends.contains_key(named))
    {
        return refuse(format!("actions may not name backend `{named}`"));
    }
    let name = backend(action, rules);
    let limit = reading.formula.as_ref().ok().and_then(|formula| formula.meta.backends.as_ref());
    match limit {
        Some(most) if !most.contains(name) => {
            refuse(format!("the formula may run on {}, not on `{name}`", listed(most)))
        }
        _ => None,
    }
}

fn mounts_refused(action: &Action, rules: &Rules, reading: &Reading) -> Option<Check> {
    let backend = backend(action, rules);
    let declared = rules.mounts.get(backend);
    let unknown: Vec<_> = action.mounts.iter().filter(|mount| !declared.is_some_and(|d| d.contains(*mount))).collect();
    if !unknown.is_empty() {
        let words = format!("{} not declared for backend `{backend}`", listed(unknown));
        return Some(RULE.fail(Reason::MountUnknown, words).help("declare it under `[mounts]` in dispatch.toml"));
    }
    let most = reading.formula.as_ref().ok()?.meta.mounts.as_ref()?;
    let beyond: Vec<_> = action.mounts.difference(most).collect();
    (!beyond.is_empty())
        .then(|| RULE.fail(Reason::MountBeyondFormula, format!("the formula may not ask for {}", listed(beyond))))
}

/// The directory is compared as it is written: a link or a `..` that leads to an allowed one is another name, and refused.
fn directory_refused(action: &Action, rules: &Rules) -> Option<Check> {
    let named = action.working_directory.as_deref()?;
    let known = rules.working_directories.iter().any(|allowed| allowed.as_os_str() == Path::new(named).as_os_str());
    (!known).then(|| {
        RULE.fail(
            Reason::WorkingDirectoryNotAllowed,
            format!("`{named}` is not in `working_directories` of the config"),
        )
    })
}

fn mount_words(action: &Action) -> Option<String> {
    (!action.mounts.is_empty()).then(|| format!("mounts: {}", listed(&action.mounts)))
}

#[cfg(test)]
mod tests {
    use crate::admission::rules::Rules;
    use crate::admission::snapshot::{Availability, Snapshot};
    use crate::admission::testing::{ACTION, good, outcome, rules};

    fn of(snapshot: &Snapshot, rules: &Rules) -> String {
        outcome(snapshot, rules, 3)
    }

    /// A dispatcher that has `nomad` beside `local`.
    fn two_backends(snapshot: Snapshot) -> Snapshot {
        let mut snapshot = snapshot;
        snapshot.backends.insert("nomad".to_owned(), Availability::Ready);
        snapshot
    }

    #[test]
    fn a_mount_must_be_declared_for_the_backend_that_runs_it() {
        let sops = good().with_action(&ACTION.replace("[\"ssh\"]", "[\"ssh\", \"sops\"]"));
        assert_eq!(of(&sops, &rules()), "fail (mount_unknown)");
        let elsewhere = Rules { formula_backends: [("rotate".parse().unwrap(), "nomad".to_owned())].into(), ..rules() };
        assert_eq!(of(&two_backends(good()), &elsewhere), "fail (mount_unknown)");
    }

    #[test]
    fn a_formula_limits_mounts_and_backends() {
        assert_eq!(of(&good().with_meta("mounts = [\"gpg\"]"), &rules()), "fail (mount_beyond_formula)");
        assert_eq!(of(&good().with_meta("backends = [\"nomad\"]"), &rules()), "fail (backend_not_allowed)");
    }

    #[test]
    fn an_action_may_name_a_backend_only_from_the_list() {
        let named = two_backends(good().adding("backend = \"nomad\""));
        assert_eq!(of(&named, &rules()), "fail (backend_not_allowed)");
        let mut allowing = Rules { allowed_backends: ["nomad".to_owned()].into(), ..rules() };
        allowing.mounts.insert("nomad".to_owned(), ["ssh".parse().unwrap()].into());
        assert_eq!(of(&named, &allowing), "pass");
        assert_eq!(of(&good().adding("backend = \"nomad\""), &allowing), "fail (backend_not_allowed)");
    }

    #[test]
    fn an_action_cannot_take_a_formula_from_the_backend_that_the_config_gives_it() {
        let fixed = Rules {
            allowed_backends: ["local".to_owned()].into(),
            formula_backends: [("rotate".parse().unwrap(), "nomad".to_owned())].into(),
            ..rules()
        };
        assert_eq!(of(&two_backends(good().adding("backend = \"local\"")), &fixed), "fail (backend_not_allowed)");
    }

    #[test]
    fn a_backend_that_does_not_answer_is_waited_for() {
        let mut snapshot = good();
        snapshot.backends.insert("local".to_owned(), Availability::Unreachable { detail: "no route".to_owned() });
        assert_eq!(of(&snapshot, &rules()), "wait (backend_unavailable)");
        snapshot.backends.clear();
        assert_eq!(of(&snapshot, &rules()), "wait (backend_unavailable)");
    }

    #[test]
    fn a_working_directory_is_compared_as_written() {
        let allowing = Rules { working_directories: ["/srv/site".into()].into(), ..rules() };
        assert_eq!(of(&good().adding("working_directory = \"/srv/site\""), &allowing), "pass");
        for other in ["/srv", "/srv/site/../other", "/srv/site/x"] {
            let snapshot = good().adding(&format!("working_directory = \"{other}\""));
            assert!(of(&snapshot, &allowing) != "pass", "{other}");
        }
        let plain = good().adding("working_directory = \"/srv/other\"");
        assert_eq!(of(&plain, &allowing), "fail (working_directory_not_allowed)");
    }
}
