//! Medium and high without a forge: the commit that brought the action's bytes is signed by a key that was trusted before it,
//! and the formula comes from that commit's tree.

use std::collections::BTreeSet;

use super::{Approval, How, RULE};
use crate::action::Tier;
use crate::action::reason::Reason;
use crate::admission::check::{Check, listed};
use crate::admission::reading::Reading;
use crate::admission::rules::Rules;
use crate::admission::snapshot::{Arrived, Source, TrustedFile};
use crate::ops::{Signature, signers};

pub(super) fn judge(tier: Tier, arrived: &Arrived, rules: &Rules, reading: &Reading) -> (Check, Option<Approval>) {
    let (check, approval) = match &arrived.signature {
        Some(Signature::Good { principal, key }) => signed(tier, &Signer { principal, key }, arrived, rules, reading),
        Some(unproven) => (refused(tier, unproven), None),
        None => (RULE.wait(Reason::EvidenceUnavailable, "the signature was not verified"), None),
    };
    (check.because(&arrived.signers.evidence).because(bundle_words(arrived, reading)), approval)
}

fn refused(tier: Tier, signature: &Signature) -> Check {
    let (reason, words) = match signature {
        Signature::Untrusted { key } => (
            Reason::SignerNotAllowed,
            format!("it is signed by key {key}, which was not in vault/allowed_signers before it"),
        ),
        Signature::Bad { detail } => (Reason::SignatureInvalid, format!("the signature does not verify: {detail}")),
        Signature::Unsupported { format } => {
            (Reason::SignatureInvalid, format!("it is signed in a way that is not looked at: {format}"))
        }
        Signature::None | Signature::Good { .. } => {
            (Reason::NotSigned, format!("{tier} needs a signed commit, and the one that brought it is not"))
        }
    };
    RULE.fail(reason, words)
        .help("have it committed under a new id, in a commit signed by one of vault/allowed_signers")
}

/// Whose signature it is, by the trusted list.
struct Signer<'a> {
    principal: &'a str,
    key: &'a str,
}

impl Signer<'_> {
    /// The list may give several names to one key: any of them may stand in the config.
    fn is_among(&self, may: &BTreeSet<String>, list: &TrustedFile) -> bool {
        let names = list.bytes.as_ref().map(|bytes| signers::principals(bytes, self.key)).unwrap_or_default();
        may.contains(self.principal) || names.iter().any(|name| may.contains(name))
    }
}

fn signed(
    tier: Tier,
    signer: &Signer<'_>,
    arrived: &Arrived,
    rules: &Rules,
    reading: &Reading,
) -> (Check, Option<Approval>) {
    let who = format!("{} with key {}", signer.principal, signer.key);
    let may = rules.signers(tier);
    if !may.is_empty() && !signer.is_among(may, &arrived.signers) {
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
    let (by, commit) = (vec![signer.principal.to_owned()], Some(arrived.commit.clone()));
    let check = RULE.pass(format!("{tier}: the commit that brought it is signed by {who}"));
    (check, Some(Approval { how: How::Signature, by, commit, merged: None }))
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
    use crate::admission::snapshot::Snapshot;
    use crate::admission::testing::{check, commit, formula, good, outcome, rules};
    use crate::admission::verdict::{Verdict, admit};
    use crate::ops::Signature;

    fn of(snapshot: &Snapshot) -> String {
        outcome(snapshot, &rules(), 5)
    }

    #[test]
    fn what_does_not_prove_an_approval_is_rejected() {
        let signature = |signature| of(&good().with_signature(Some(signature)));
        assert_eq!(signature(Signature::None), "fail (not_signed)");
        assert_eq!(signature(Signature::Bad { detail: "no".to_owned() }), "fail (signature_invalid)");
        assert_eq!(signature(Signature::Unsupported { format: "PGP".to_owned() }), "fail (signature_invalid)");
        assert_eq!(signature(Signature::Untrusted { key: "SHA256:x".to_owned() }), "fail (signer_not_allowed)");
    }

    #[test]
    fn a_signature_that_nobody_verified_is_not_taken_for_a_good_one() {
        assert_eq!(of(&good().with_signature(None)), "wait (evidence_unavailable)");
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
