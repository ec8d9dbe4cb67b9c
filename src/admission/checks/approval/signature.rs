//! Medium and high without a forge: the commit that brought the action's bytes is signed by a key that was trusted before it,
//! and the formula comes from that commit's tree.

use super::{Approval, How, RULE};
use crate::action::Tier;
use crate::action::reason::Reason;
use crate::admission::check::{Check, listed};
use crate::admission::reading::Reading;
use crate::admission::rules::Rules;
use crate::admission::snapshot::{Arrived, Signature, Source};

pub(super) fn judge(tier: Tier, arrived: &Arrived, rules: &Rules, reading: &Reading) -> (Check, Option<Approval>) {
    let (check, approval) = match &arrived.signature {
        Signature::Good { principal, key } => signed(tier, principal, key, arrived, rules, reading),
        unproven => (refused(tier, unproven), None),
    };
    (check.because(&arrived.signers.evidence).because(bundle_words(arrived, reading)), approval)
}

fn refused(tier: Tier, signature: &Signature) -> Check {
    let sign = "have the action committed again under a new id, in a commit signed by one of vault/allowed_signers";
    match signature {
        Signature::Unsigned => RULE
            .fail(Reason::NotSigned, format!("{tier} needs a signed commit, and the one that brought it is not"))
            .help(sign),
        Signature::Bad { detail } => {
            RULE.fail(Reason::SignatureInvalid, format!("the signature does not verify: {detail}")).help(sign)
        }
        Signature::UnknownKey { detail } => {
            let words = format!("it is signed by a key that was not in vault/allowed_signers before it: {detail}");
            RULE.fail(Reason::SignerNotAllowed, words).help(sign)
        }
        Signature::NotAsked | Signature::Good { .. } => {
            RULE.wait(Reason::EvidenceUnavailable, "the signature was not verified")
        }
    }
}

fn signed(
    tier: Tier,
    principal: &str,
    key: &str,
    arrived: &Arrived,
    rules: &Rules,
    reading: &Reading,
) -> (Check, Option<Approval>) {
    let who = printable_signer(principal, key);
    let may = rules.signers(tier);
    if !may.is_empty() && !may.contains(principal) {
        let words = format!("signed by {who}, who may not approve {tier}: that is for {}", listed(may));
        return (RULE.fail(Reason::SignerNotAllowed, words), None);
    }
    let needed = reading.approvals(tier);
    if needed > 1 {
        let words = format!("vault/policy.toml asks for {needed} approvals of {tier}; a commit carries one signature");
        let help = "lower the number under `[approvals]`, or prove approvals in a way that counts several people";
        return (RULE.fail(Reason::NotEnoughApprovals, words).help(help), None);
    }
    if !bundle_is_signed(arrived, reading) {
        let words = "the formula was not read from the commit that is signed";
        return (RULE.wait(Reason::EvidenceUnavailable, words), None);
    }
    let approval =
        Approval { how: How::Signature, by: vec![principal.to_owned()], commit: Some(arrived.commit.clone()) };
    (RULE.pass(format!("{tier}: the commit that brought it is signed by {who}")), Some(approval))
}

fn printable_signer(principal: &str, key: &str) -> String {
    format!("{principal} with key {key}")
}

/// A formula of the ops repo must be the signed commit's; one from elsewhere is the config's choice, pinned by its hash.
fn bundle_is_signed(arrived: &Arrived, reading: &Reading) -> bool {
    match reading.formula.as_ref().map(|formula| &formula.bundle.source) {
        Ok(Source::Ops { commit }) => *commit == arrived.commit,
        Ok(Source::Directory { .. } | Source::Git { .. }) | Err(_) => true,
    }
}

fn bundle_words(arrived: &Arrived, reading: &Reading) -> Option<String> {
    Some(match &reading.formula.as_ref().ok()?.bundle.source {
        Source::Ops { .. } => format!("the formula is the one in the tree of {}", arrived.commit.short()),
        elsewhere => {
            format!("the formula comes from {elsewhere}, which the signature does not cover; it is pinned by its hash")
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::admission::rules::Rules;
    use crate::admission::snapshot::{Signature, Snapshot};
    use crate::admission::testing::{check, commit, formula, good, outcome, rules};
    use crate::admission::verdict::{Verdict, admit};

    fn of(snapshot: &Snapshot) -> String {
        outcome(snapshot, &rules(), 5)
    }

    #[test]
    fn what_does_not_prove_an_approval_is_rejected() {
        let detail = || "git says no".to_owned();
        assert_eq!(of(&good().with_signature(Signature::Unsigned)), "fail (not_signed)");
        assert_eq!(of(&good().with_signature(Signature::Bad { detail: detail() })), "fail (signature_invalid)");
        assert_eq!(of(&good().with_signature(Signature::UnknownKey { detail: detail() })), "fail (signer_not_allowed)");
    }

    #[test]
    fn a_signature_that_nobody_verified_is_not_taken_for_a_good_one() {
        assert_eq!(of(&good().with_signature(Signature::NotAsked)), "wait (evidence_unavailable)");
    }

    #[test]
    fn a_tier_may_have_its_own_signers() {
        let bob = || ["bob@example.com".to_owned()].into();
        assert_eq!(outcome(&good(), &Rules { medium_signers: bob(), ..rules() }, 5), "fail (signer_not_allowed)");
        let high = Rules { high_signers: bob(), ..rules() };
        assert_eq!(outcome(&good(), &high, 5), "pass");
        let raised = good().adding("blast_radius = \"high\"");
        assert_eq!(outcome(&raised, &high, 5), "fail (signer_not_allowed)");
    }

    #[test]
    fn one_signature_is_one_approval() {
        let snapshot = good().with_policy("[tiers]\nrotate = \"medium\"\n[approvals]\nmedium = 2\n");
        assert_eq!(of(&snapshot), "fail (not_enough_approvals)");
    }

    #[test]
    fn the_formula_that_runs_is_the_signed_one_and_not_what_the_head_has_by_now() {
        let Verdict::Admitted(admitted) = admit(&good(), &rules()).verdict else { panic!("all is well") };
        assert_eq!(admitted.formula.script.bytes, b"echo approved");
    }

    #[test]
    fn a_formula_of_another_commit_than_the_signed_one_is_not_run() {
        let snapshot = Snapshot { formula_at_arrival: formula(commit('c'), "echo other"), ..good() };
        assert_eq!(of(&snapshot), "wait (evidence_unavailable)");
    }

    #[test]
    fn the_evidence_says_what_arrived_when_by_whom_and_who_signed_it() {
        let check = check(&good(), &rules(), 5);
        assert_eq!(
            check.message,
            "medium: the commit that brought it is signed by alice@example.com with key SHA256:abc"
        );
        let arrival =
            "blob 3333333333 appeared on the primary branch in aaaaaaaaaa (Alice <alice@example.com>, 2026-11-20)";
        assert!(check.evidence.iter().any(|line| line == arrival), "{:?}", check.evidence);
    }
}
