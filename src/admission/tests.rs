//! Properties of admission as a whole, and the explanation as people see it.

use std::sync::Arc;

use proptest::prelude::*;

use super::snapshot::{
    Arrival, Availability, Content, Dependency, FormulaAnswer, ResultEntry, Rewritten, Snapshot, Stage, TrustedFile,
};
use super::testing::{ACTION, arrived, at, blob, commit, earlier, good, rules};
use super::verdict::{Verdict, admit};
use crate::action::reason::Reason;
use crate::action::result::ResultState;
use crate::grant::Presence;
use crate::ops::Signature;

/// Something that makes a snapshot different, and need not make it worse.
#[derive(Debug, Clone, Copy)]
enum Turn {
    LowTier,
    HighTier,
    RaisedByAction,
    RaisedByFormula,
    NoPolicy,
    Dependent,
    LimitedFormula,
    Retried,
    Seen,
    Direct,
}

/// Something that takes evidence away.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Unsigned,
    Outsider,
    BadSignature,
    Unverified,
    OriginUnknown,
    SecretAbsent,
    SecretUnknown,
    SecretNotAsked,
    BackendGone,
    BackendDown,
    NoFormulaAtHead,
    NoFormulaAtArrival,
    FormulaNotAsked,
    Link,
    Garbage,
    Rewritten,
    ForeignResult,
    Settled,
    BrokenPolicy,
    DependencyFailed,
    DependencyForgotten,
}

impl Turn {
    const ALL: &'static [Self] = &[
        Self::LowTier,
        Self::HighTier,
        Self::RaisedByAction,
        Self::RaisedByFormula,
        Self::NoPolicy,
        Self::Dependent,
        Self::LimitedFormula,
        Self::Retried,
        Self::Seen,
        Self::Direct,
    ];

    fn apply(self, snapshot: Snapshot) -> Snapshot {
        let adding = |line: &str| match &snapshot.entry.content {
            Content::File(bytes) => {
                let text = format!("{}{line}\n", String::from_utf8_lossy(bytes));
                snapshot.clone().with_action(&text)
            }
            _ => snapshot.clone(),
        };
        let stage = |stage| Some(earlier('3', stage));
        match self {
            Self::LowTier => snapshot.with_policy("[tiers]\nrotate = \"low\"\n"),
            Self::HighTier => snapshot.with_policy("[tiers]\nrotate = \"high\"\n"),
            Self::RaisedByAction => adding("blast_radius = \"high\""),
            Self::RaisedByFormula => snapshot.with_meta("blast_radius = \"high\"\n"),
            Self::NoPolicy => Snapshot { policy: TrustedFile::default(), ..snapshot },
            Self::Dependent => {
                let known = [("first".parse().unwrap(), Dependency::Succeeded)].into();
                Snapshot { dependencies: Arc::new(known), ..adding("depends_on = [\"first\"]") }
            }
            Self::LimitedFormula => snapshot.with_meta("secrets = [\"API_TOKEN\"]\nmounts = [\"ssh\"]\n"),
            Self::Retried => Snapshot { earlier: stage(Stage::RetryAsked { by: "bob".to_owned() }), ..snapshot },
            Self::Seen => Snapshot { earlier: stage(Stage::Seen), ..snapshot },
            Self::Direct => adding("dispatch_mode = \"direct\""),
        }
    }
}

impl Loss {
    const ALL: &'static [Self] = &[
        Self::Unsigned,
        Self::Outsider,
        Self::BadSignature,
        Self::Unverified,
        Self::OriginUnknown,
        Self::SecretAbsent,
        Self::SecretUnknown,
        Self::SecretNotAsked,
        Self::BackendGone,
        Self::BackendDown,
        Self::NoFormulaAtHead,
        Self::NoFormulaAtArrival,
        Self::FormulaNotAsked,
        Self::Link,
        Self::Garbage,
        Self::Rewritten,
        Self::ForeignResult,
        Self::Settled,
        Self::BrokenPolicy,
        Self::DependencyFailed,
        Self::DependencyForgotten,
    ];

    fn apply(self, mut snapshot: Snapshot) -> Snapshot {
        let missing = || FormulaAnswer::NotFound { looked_in: vec!["formulas/ of the ops repo".to_owned()] };
        let mut secret = |presence| _ = snapshot.secrets.insert("API_TOKEN".parse().unwrap(), presence);
        match self {
            Self::Unsigned => return signed(snapshot, Some(Signature::None)),
            Self::Outsider => return signed(snapshot, Some(Signature::Untrusted { key: "SHA256:x".to_owned() })),
            Self::BadSignature => return signed(snapshot, Some(Signature::Bad { detail: "altered".to_owned() })),
            Self::Unverified => return signed(snapshot, None),
            Self::OriginUnknown => snapshot.arrival = Arrival::Unknown { detail: "git was stopped".to_owned() },
            Self::SecretAbsent => secret(Presence::Absent { evidence: "no file".to_owned() }),
            Self::SecretUnknown => secret(Presence::Unknown { evidence: "sealed".to_owned() }),
            Self::SecretNotAsked => snapshot.secrets.clear(),
            Self::BackendGone => snapshot.backends.clear(),
            Self::BackendDown => {
                let down = Availability::Unreachable { detail: "no route".to_owned() };
                snapshot.backends.insert("local".to_owned(), down);
            }
            Self::NoFormulaAtHead => snapshot.formula_at_head = missing(),
            Self::NoFormulaAtArrival => snapshot.formula_at_arrival = missing(),
            Self::FormulaNotAsked => snapshot.formula_at_arrival = FormulaAnswer::NotAsked,
            Self::Link => snapshot.entry.content = Content::Symlink,
            Self::Garbage => snapshot.entry.content = Content::File(Arc::from(&b"\xff = {"[..])),
            Self::Rewritten => snapshot.rewritten = Some(Rewritten { last_seen: commit('e') }),
            Self::ForeignResult => {
                snapshot.result = Some(ResultEntry { path: "a.result.json".to_owned(), blob: blob('9') });
            }
            Self::Settled => {
                let stage = Stage::Settled { state: ResultState::Failed, reason: Reason::ExitNonzero };
                snapshot.earlier = Some(earlier('3', stage));
            }
            Self::BrokenPolicy => return snapshot.with_policy("[tiers\n"),
            Self::DependencyFailed => {
                let failed = Dependency::Failed { state: ResultState::Failed };
                for known in Arc::make_mut(&mut snapshot.dependencies).values_mut() {
                    known.clone_from(&failed);
                }
            }
            Self::DependencyForgotten => snapshot.dependencies = Arc::default(),
        }
        snapshot
    }
}

fn signed(snapshot: Snapshot, signature: Option<Signature>) -> Snapshot {
    match snapshot.arrival {
        Arrival::Commit(_) => snapshot.with_signature(signature),
        Arrival::LocalFile | Arrival::Unknown { .. } => snapshot,
    }
}

fn is_admitted(snapshot: &Snapshot) -> bool {
    matches!(admit(snapshot, &rules()).verdict, Verdict::Admitted(_))
}

fn turned(turns: &[Turn]) -> Snapshot {
    turns.iter().fold(good(), |snapshot, turn| turn.apply(snapshot))
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    proptest::sample::subsequence(Turn::ALL, 0..=Turn::ALL.len()).prop_shuffle()
}

fn losses() -> impl Strategy<Value = Vec<Loss>> {
    proptest::sample::subsequence(Loss::ALL, 0..=4).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_admitted_has_passed_every_check(turns in turns(), losses in losses()) {
        let snapshot = losses.iter().fold(turned(&turns), |snapshot, loss| loss.apply(snapshot));
        let explanation = admit(&snapshot, &rules());
        let passed = explanation.checks.iter().all(super::Check::passed);
        prop_assert_eq!(passed, matches!(explanation.verdict, Verdict::Admitted(_)), "{}", explanation);
        let numbers: Vec<u8> = explanation.checks.iter().map(|check| check.number).collect();
        prop_assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn less_evidence_never_admits_what_was_not_admitted(turns in turns(), losses in losses(), last in proptest::sample::select(Loss::ALL)) {
        let before = losses.iter().fold(turned(&turns), |snapshot, loss| loss.apply(snapshot));
        let after = last.apply(before.clone());
        prop_assert!(is_admitted(&before) || !is_admitted(&after), "{:?} let it through:\n{}", last, admit(&after, &rules()));
    }

    #[test]
    fn any_bytes_are_judged_without_harm(bytes: Vec<u8>) {
        let mut snapshot = good();
        snapshot.entry.content = Content::File(bytes.into());
        prop_assert!(!is_admitted(&snapshot));
    }
}

#[test]
fn the_turns_alone_leave_enough_admitted_for_the_properties_to_mean_something() {
    for turn in Turn::ALL.iter().filter(|turn| !matches!(turn, Turn::Direct)) {
        assert!(is_admitted(&turn.apply(good())), "{turn:?}:\n{}", admit(&turn.apply(good()), &rules()));
    }
}

#[test]
fn an_admitted_action_is_explained() {
    insta::assert_snapshot!(admit(&good(), &rules()));
}

#[test]
fn a_rejected_action_is_explained_with_all_that_is_wrong() {
    let text = ACTION.replace("[\"API_TOKEN\"]", "[\"API_TOKEN\", \"ROOT_KEY\"]");
    let mut snapshot = good().with_action(&format!("{text}blast_radius = \"low\"\nnot_after = 2026-11-01T00:00:00Z\n"));
    let mut arrived = arrived();
    arrived.signature = Some(Signature::Untrusted { key: "SHA256:mallory".to_owned() });
    arrived.author = "Mallory \u{1b}[2K <mallory@example.com>".to_owned();
    arrived
        .signers
        .evidence
        .push("the change of vault/allowed_signers in cccccccccc has no effect: it is not signed".to_owned());
    snapshot.arrival = Arrival::Commit(Box::new(arrived));
    insta::assert_snapshot!(admit(&snapshot, &rules()));
}

#[test]
fn a_waiting_action_is_explained_with_what_it_waits_for() {
    let mut snapshot = good().adding("not_before = 2026-12-01T03:00:00Z");
    snapshot.secrets.insert("API_TOKEN".parse().unwrap(), Presence::Unknown { evidence: "Vault is sealed".to_owned() });
    snapshot.now = at("2026-11-20T12:00:00Z");
    insta::assert_snapshot!(admit(&snapshot, &rules()));
}
