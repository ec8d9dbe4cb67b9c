//! Rule 2: every secret named is in the config's allowlist, within what the formula may ask for, and there.
//!
//! Names that differ only by case cannot both be named: the alphabet of [`SecretName`] has capital letters alone, so the
//! lower-cased policy names of a Vault server stay apart.

use crate::action::reason::Reason;
use crate::action::request::Action;
use crate::admission::check::{Check, Rule, listed};
use crate::admission::reading::Reading;
use crate::admission::rules::Rules;
use crate::admission::snapshot::Snapshot;
use crate::grant::Presence;
use crate::support::ids::SecretName;

const RULE: Rule = Rule { number: 2, name: "secrets" };

/// Whether one secret can be granted.
enum Answer {
    Granted(String),
    Refused(Reason, String),
    Unknown(String),
}

pub(in crate::admission) fn judge(snapshot: &Snapshot, rules: &Rules, reading: &Reading) -> Check {
    let Ok(action) = &reading.action else { return RULE.not_reached(super::NO_ACTION) };
    if action.secrets.is_empty() {
        return RULE.pass("it asks for no secret; the run gets none");
    }
    let answers: Vec<Answer> = action.secrets.iter().map(|name| answer(name, snapshot, rules, reading)).collect();
    let refused: Vec<_> =
        answers.iter().filter_map(|a| if let Answer::Refused(r, w) = a { Some((*r, w)) } else { None }).collect();
    let unknown: Vec<_> =
        answers.iter().filter_map(|a| if let Answer::Unknown(w) = a { Some(w.as_str()) } else { None }).collect();
    let granted = answers.iter().filter_map(|a| if let Answer::Granted(w) = a { Some(w) } else { None });
    let check = match (refused.first(), unknown.is_empty()) {
        (Some((reason, _)), _) => {
            let words: Vec<&str> = refused.iter().map(|(_, words)| words.as_str()).collect();
            RULE.fail(*reason, words.join("; ")).help(help(*reason))
        }
        (None, false) => RULE.wait(Reason::SecretsUnavailable, unknown.join("; ")),
        (None, true) => RULE.pass(granted_words(action)),
    };
    check.because(granted)
}

fn granted_words(action: &Action) -> String {
    format!("{} can be granted; the run gets no other", listed(&action.secrets))
}

fn answer(name: &SecretName, snapshot: &Snapshot, rules: &Rules, reading: &Reading) -> Answer {
    if !rules.secrets.contains(name) {
        return Answer::Refused(
            Reason::SecretNotAllowed,
            format!("secret `{name}` is not in `secrets.allow` of the config"),
        );
    }
    let limit = reading.formula.as_ref().ok().and_then(|formula| formula.meta.secrets.as_ref());
    if limit.is_some_and(|most| !most.contains(name)) {
        return Answer::Refused(Reason::SecretBeyondFormula, format!("the formula may not ask for secret `{name}`"));
    }
    match snapshot.secrets.get(name) {
        Some(Presence::Present { evidence }) => Answer::Granted(format!("`{name}` is there: {evidence}")),
        Some(Presence::Absent { evidence }) => {
            Answer::Refused(Reason::SecretAbsent, format!("secret `{name}` does not exist: {evidence}"))
        }
        Some(Presence::Unknown { evidence }) => {
            Answer::Unknown(format!("whether `{name}` is there is not known: {evidence}"))
        }
        None => Answer::Unknown(format!("whether `{name}` is there was not asked")),
    }
}

fn help(reason: Reason) -> &'static str {
    match reason {
        Reason::SecretNotAllowed => "add it to `secrets.allow` in dispatch.toml, or take it out of the action",
        Reason::SecretBeyondFormula => {
            "take it out of the action, or let the formula's metadata name it under `secrets`"
        }
        _ => "create the secret with its provider, then file a new action",
    }
}

#[cfg(test)]
mod tests {
    use crate::admission::snapshot::Snapshot;
    use crate::admission::testing::{ACTION, check, good, outcome, rules};
    use crate::grant::Presence;

    fn of(snapshot: &Snapshot) -> String {
        outcome(snapshot, &rules(), 2)
    }

    fn asking(secrets: &str) -> Snapshot {
        good().with_action(&ACTION.replace("[\"API_TOKEN\"]", secrets))
    }

    fn answered(presence: Presence) -> Snapshot {
        let mut snapshot = good();
        snapshot.secrets.insert("API_TOKEN".parse().unwrap(), presence);
        snapshot
    }

    #[test]
    fn a_secret_outside_of_the_allowlist_is_refused_by_name_though_the_provider_has_it() {
        let mut snapshot = asking("[\"API_TOKEN\", \"ROOT_KEY\"]");
        snapshot.secrets.insert("ROOT_KEY".parse().unwrap(), Presence::Present { evidence: "there".to_owned() });
        let check = check(&snapshot, &rules(), 2);
        assert_eq!(of(&snapshot), "fail (secret_not_allowed)");
        assert!(check.message.contains("ROOT_KEY"), "{}", check.message);
    }

    #[test]
    fn a_formula_limits_what_an_action_may_ask_for() {
        assert_eq!(of(&good().with_meta("secrets = [\"OTHER\"]")), "fail (secret_beyond_formula)");
        assert_eq!(of(&good().with_meta("secrets = []")), "fail (secret_beyond_formula)");
        assert_eq!(of(&good().with_meta("secrets = [\"API_TOKEN\"]")), "pass");
    }

    #[test]
    fn an_absent_secret_is_refused_and_an_unknown_one_waits() {
        assert_eq!(of(&answered(Presence::Absent { evidence: "no file".to_owned() })), "fail (secret_absent)");
        assert_eq!(of(&answered(Presence::Unknown { evidence: "sealed".to_owned() })), "wait (secrets_unavailable)");
    }

    #[test]
    fn a_secret_that_nobody_asked_the_provider_about_is_not_taken_as_present() {
        let mut snapshot = good();
        snapshot.secrets.clear();
        assert_eq!(of(&snapshot), "wait (secrets_unavailable)");
    }

    #[test]
    fn no_secrets_need_no_provider() {
        let mut snapshot = asking("[]");
        snapshot.secrets.clear();
        assert_eq!(of(&snapshot), "pass");
    }
}
