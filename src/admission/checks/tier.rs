//! Rule 4: how far the formula reaches, by the trusted policy; the action and the formula may raise it, and neither lowers it.

use crate::admission::check::{Check, Rule};
use crate::admission::reading::Reading;
use crate::admission::snapshot::Snapshot;

const RULE: Rule = Rule { number: 4, name: "tier" };

pub(in crate::admission) fn judge(snapshot: &Snapshot, reading: &Reading) -> Check {
    let Some(tier) = &reading.tier else {
        return RULE.not_reached("the action or the policy does not parse (rule 1)");
    };
    RULE.pass(format!("{}: {}", tier.tier, tier.source)).because(&tier.notes).because(&snapshot.policy.evidence)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::admission::snapshot::{Bundle, FormulaAnswer, Snapshot};
    use crate::admission::testing::{bundle, check, commit, good, rules};

    fn of(snapshot: &Snapshot) -> String {
        check(snapshot, &rules(), 4).message
    }

    #[test]
    fn a_formula_that_the_policy_does_not_name_is_high() {
        assert_eq!(
            of(&good().with_policy("[tiers]\nother = \"low\"\n")),
            "high: vault/policy.toml does not name formula `rotate`"
        );
        let mut bare = good();
        bare.policy.bytes = None;
        assert_eq!(of(&bare), "high: vault/policy.toml does not name formula `rotate`");
    }

    #[test]
    fn an_action_cannot_lower_its_tier_and_the_attempt_is_reported() {
        let check = check(&good().adding("blast_radius = \"low\""), &rules(), 4);
        assert_eq!(check.message, "medium: vault/policy.toml names it so");
        assert_eq!(check.evidence[0], "the action claims low, which is lower and was ignored");
    }

    #[test]
    fn an_action_or_its_formula_may_raise_the_tier() {
        assert_eq!(of(&good().adding("blast_radius = \"high\"")), "high: raised by the action from medium");
        assert_eq!(of(&good().with_meta("blast_radius = \"high\"")), "high: raised by the formula from medium");
    }

    /// The formula with metadata in one of its two versions only.
    fn strict(digit: char) -> FormulaAnswer {
        let meta = Some(("formulas/rotate.meta.toml".to_owned(), Arc::from(&b"blast_radius = \"high\""[..])));
        FormulaAnswer::Found(Arc::new(Bundle { meta, ..bundle(commit(digit), "echo") }))
    }

    #[test]
    fn a_formula_that_is_replaced_later_cannot_lower_the_tier_of_what_was_approved() {
        let snapshot = Snapshot { formula_at_arrival: strict('a'), ..good() };
        assert_eq!(of(&snapshot), "high: raised by the formula from medium");
    }

    #[test]
    fn a_formula_at_the_head_that_raises_a_low_action_counts_though_another_version_runs() {
        let snapshot = Snapshot { formula_at_head: strict('f'), ..good().with_policy("[tiers]\nrotate = \"low\"\n") };
        assert_eq!(of(&snapshot), "high: raised by the formula from low");
    }

    #[test]
    fn a_policy_that_does_not_parse_lets_nothing_through() {
        let snapshot = good().with_policy("[tiers]\nrotate = \"lowest\"\n");
        assert_eq!(check(&snapshot, &rules(), 4).judgement, crate::admission::Judgement::NotReached);
    }
}
