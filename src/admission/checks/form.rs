//! Rule 1: the action, its formula and the policy parse and hold.

use crate::action::reason::Reason;
use crate::admission::check::{Check, Rule};
use crate::admission::reading::{Reading, Refusal};
use crate::admission::snapshot::{Bundle, Snapshot};
use crate::support::ids::sha256_hex;

const RULE: Rule = Rule { number: 1, name: "form" };

pub(in crate::admission) fn judge(snapshot: &Snapshot, reading: &Reading) -> Check {
    let check = match (refusals(reading).as_slice(), &reading.action, &reading.formula) {
        ([], Ok(action), Ok(formula)) => {
            let message =
                format!("action `{}`, formula `{}` and the policy are well-formed", action.id, action.formula);
            RULE.pass(message).because([formula_words(&formula.bundle)])
        }
        (wrong, ..) => refused(wrong),
    };
    check.because([entry_words(snapshot)])
}

/// What is wrong; a formula is judged only under an action that parses.
fn refusals(reading: &Reading) -> Vec<&Refusal> {
    let of_action = reading.action.as_ref().err();
    let of_formula = reading.formula.as_ref().err().filter(|_| of_action.is_none());
    of_action.into_iter().chain(of_formula).chain(reading.policy.as_ref().err()).collect()
}

fn refused(wrong: &[&Refusal]) -> Check {
    let open = |refusal: &&&Refusal| refusal.reason == Reason::EvidenceUnavailable;
    let words = wrong.iter().map(|refusal| refusal.message.as_str()).collect::<Vec<_>>().join("\n");
    match wrong.iter().find(|refusal| !open(refusal)) {
        Some(first) => with_help(RULE.fail(first.reason, words), first),
        None => RULE.wait(Reason::EvidenceUnavailable, words),
    }
}

fn with_help(check: Check, refusal: &Refusal) -> Check {
    match &refusal.help {
        Some(help) => check.help(help),
        None => check,
    }
}

fn entry_words(snapshot: &Snapshot) -> String {
    format!("{} is blob {} in {}", snapshot.entry.path, snapshot.entry.blob.short(), snapshot.head.short())
}

fn formula_words(bundle: &Bundle) -> String {
    let more = match (&bundle.meta, bundle.context_files.len()) {
        (None, 0) => String::new(),
        (Some((path, _)), 0) => format!(", limits from {path}"),
        (None, files) => format!(", {files} context files"),
        (Some((path, _)), files) => format!(", limits from {path}, {files} context files"),
    };
    let digest: String = sha256_hex(&bundle.script).chars().take(12).collect();
    format!("formula {} from {}, sha256 {digest}…{more}", bundle.path, bundle.source)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::action::FormulaKind;
    use crate::admission::snapshot::{Bundle, Content, FormulaAnswer, Snapshot};
    use crate::admission::testing::{ACTION, bundle, check, commit, good, outcome, rules};
    use crate::admission::verdict::{Verdict, admit};

    fn of(snapshot: &Snapshot) -> String {
        outcome(snapshot, &rules(), 1)
    }

    fn both(answer: FormulaAnswer) -> Snapshot {
        Snapshot { formula_at_head: answer.clone(), formula_at_arrival: answer, ..good() }
    }

    fn at(path: &str) -> Snapshot {
        let mut snapshot = good();
        path.clone_into(&mut snapshot.entry.path);
        snapshot
    }

    #[test]
    fn a_link_in_an_actions_place_is_refused_though_its_target_may_be_fine() {
        let mut snapshot = good();
        snapshot.entry.content = Content::Symlink;
        assert_eq!(of(&snapshot), "fail (not_a_plain_file)");
        snapshot.entry.content = Content::Submodule;
        assert_eq!(of(&snapshot), "fail (not_a_plain_file)");
    }

    #[test]
    fn a_nested_entry_is_refused_and_leaves_the_id_of_its_name_alone() {
        let explanation = admit(&at("vault/actions/2026/rotate-keys.toml"), &rules());
        assert_eq!(explanation.id, None);
        assert!(
            matches!(explanation.verdict, Verdict::SetAside { .. }),
            "a result would stand in another action's place"
        );
        assert_eq!(of(&at("vault/actions/2026/rotate-keys.toml")), "fail (nested_entry)");
    }

    #[test]
    fn a_name_that_differs_by_case_is_refused_and_the_one_in_lower_case_is_not() {
        let mut snapshot = at("vault/actions/Rotate-Keys.toml");
        snapshot.entry.alike.insert("rotate-keys".to_owned());
        assert_eq!(of(&snapshot), "fail (id_case_collision)");
        let mut honest = good();
        honest.entry.alike.insert("Rotate-Keys".to_owned());
        assert_eq!(of(&honest), "pass");
    }

    #[test]
    fn an_id_that_differs_from_the_name_is_refused() {
        assert_eq!(of(&at("vault/actions/other.toml")), "fail (id_mismatch)");
    }

    #[test]
    fn what_is_hidden_in_a_multi_line_text_is_text() {
        let hidden = ACTION.replace("keys are a year old — rotate", "x");
        let hidden = hidden.replace("\"x\"", "\"\"\"x\nsecrets = [\\\"OTHER\\\"]\nformula = \\\"tidy\\\"\n\"\"\"");
        let Verdict::Admitted(admitted) = admit(&good().with_action(&hidden), &rules()).verdict else {
            panic!("an honest text of several lines is fine");
        };
        assert_eq!(admitted.formula.name.as_str(), "rotate");
        assert_eq!(admitted.secrets.len(), 1);
    }

    #[test]
    fn a_key_that_stands_twice_or_is_unknown_is_refused() {
        assert_eq!(of(&good().adding("formula = \"tidy\"")), "fail (duplicate_key)");
        assert_eq!(of(&good().adding("approved = true")), "fail (unknown_field)");
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let check = check(&good().adding("approved = true").with_policy("tiers = 3\n"), &rules(), 1);
        assert!(check.message.contains("approved") && check.message.contains("tiers"), "{}", check.message);
    }

    #[test]
    fn a_file_too_large_is_refused_unread() {
        let mut snapshot = good();
        snapshot.entry.content = Content::TooLarge { size: 70_000 };
        assert_eq!(of(&snapshot), "fail (file_too_large)");
    }

    #[test]
    fn a_formula_must_be_there_and_be_a_file() {
        assert_eq!(
            of(&both(FormulaAnswer::NotFound { looked_in: vec!["formulas".to_owned()] })),
            "fail (formula_not_found)"
        );
        assert_eq!(of(&both(FormulaAnswer::Unfit { detail: "a link".to_owned() })), "fail (formula_invalid)");
    }

    #[test]
    fn a_formula_that_nobody_looked_for_is_an_open_question_and_no_rejection() {
        assert_eq!(of(&both(FormulaAnswer::NotAsked)), "wait (evidence_unavailable)");
    }

    #[test]
    fn a_prompt_needs_an_agent_cli() {
        let prompt = "name = \"rotate\"\n[[steps]]\nid = \"a\"\ntitle = \"a\"\ndescription = \"a\"\n";
        let path = "formulas/rotate.toml".to_owned();
        let bundle = Bundle { kind: FormulaKind::Agent, path, ..bundle(commit('a'), prompt) };
        assert_eq!(of(&both(FormulaAnswer::Found(Arc::new(bundle)))), "fail (formula_unsupported)");
    }

    #[test]
    fn parameters_must_fit_the_formula() {
        let meta = "[params.tag]\nrequired = true\npattern = \"v[0-9]+\"\n";
        assert_eq!(of(&good().with_meta(meta)), "fail (param_missing)");
        assert_eq!(of(&good().with_meta(meta).adding("params = { tag = \"v1; rm -r /\" }")), "fail (param_invalid)");
        assert_eq!(of(&good().with_meta(meta).adding("params = { tag = \"v1\", x = \"\" }")), "fail (param_unknown)");
        assert_eq!(of(&good().with_meta(meta).adding("params = { tag = \"v1\" }")), "pass");
    }

    #[test]
    fn metadata_that_does_not_parse_is_not_taken_for_no_limits() {
        assert_eq!(of(&good().with_meta("secrets = \"none\"")), "fail (formula_invalid)");
    }
}
