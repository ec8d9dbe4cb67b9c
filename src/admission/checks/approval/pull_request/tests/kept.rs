//! What was seen of an approval before the forge lost it.

use super::*;
use crate::grant::Presence;

/// It was looked at before, and everything held.
fn looked_at_before() -> Earlier {
    let Verdict::Admitted(admitted) = admit(&snapshot(|_| {}), &forge_rules()).verdict else { panic!("all is well") };
    Earlier { approved: Some(admitted.approval), ..earlier('3', Stage::Seen) }
}

fn later(spoil: impl FnOnce(&mut Request)) -> Snapshot {
    Snapshot { earlier: Some(looked_at_before()), ..snapshot(spoil) }
}

#[test]
fn an_approval_that_was_seen_counts_after_its_review_was_deleted_and_is_said_to() {
    let gone = later(|request| request.reviews.clear());
    let checked = check(&gone, &forge_rules(), 5);
    assert!(checked.passed(), "{checked:?}");
    let said =
        "5d approvals holds: alice (user 1) approved dddddddddd: counts as it was seen; the review was deleted since";
    assert!(checked.evidence.iter().any(|line| line == said), "{:#?}", checked.evidence);
    let Verdict::Admitted(admitted) = admit(&gone, &forge_rules()).verdict else { panic!("it was approved") };
    assert_eq!(admitted.approval.by, ["alice"]);
}

#[test]
fn what_was_said_since_an_approval_was_seen_counts_as_it_stands() {
    let refused = |spoil: fn(&mut Request)| outcome(&later(spoil), &forge_rules(), 5);
    assert_eq!(refused(|request| request.reviews[0].dismissed = true), "fail (approval_withdrawn)");
    assert_eq!(
        refused(|request| {
            request.reviews = vec![review(2, Some(user("alice", 1)), ReviewState::RequestChanges)];
        }),
        "fail (approval_withdrawn)"
    );
    let older = |request: &mut Request| {
        request.reviews = vec![review(0, Some(user("alice", 1)), ReviewState::RequestChanges)];
    };
    assert_eq!(outcome(&later(older), &forge_rules(), 5), "pass", "they had thought better of it");
}

#[test]
fn an_approval_that_was_seen_counts_only_of_the_same_bytes_from_the_same_merge_by_the_same_people() {
    let empty = |request: &mut Request| request.reviews.clear();
    let other_merge = |request: &mut Request| {
        request.reviews.clear();
        request.number = PullNumber(8);
    };
    assert_eq!(outcome(&later(other_merge), &forge_rules(), 5), "fail (not_enough_approvals)");
    let mut other_bytes = later(empty);
    other_bytes.earlier.as_mut().unwrap().blob = blob('4');
    assert_eq!(outcome(&other_bytes, &forge_rules(), 5), "fail (not_enough_approvals)");
    let mut without_alice = forge_rules();
    without_alice.requests.medium.who.remove(0);
    assert_eq!(outcome(&later(empty), &without_alice, 5), "fail (not_enough_approvals)");
}

/// What was proven of other bytes may have been recorded when these stood there already.
#[test]
fn what_was_proven_of_other_bytes_proves_nothing_of_these() {
    let mut seen = looked_at_before().approved.unwrap();
    seen.merged.as_mut().unwrap().bundle.values_mut().for_each(|of| *of = blob('4'));
    assert_eq!(
        outcome(&with(Search::Forgotten(Box::new(seen.clone()))), &forge_rules(), 5),
        "wait (evidence_unavailable)"
    );
    let mut without_review = snapshot(|request| request.reviews.clear());
    without_review.earlier = Some(Earlier { approved: Some(seen), ..earlier('3', Stage::Seen) });
    assert_eq!(outcome(&without_review, &forge_rules(), 5), "fail (not_enough_approvals)");
}

#[test]
fn a_review_that_stands_is_not_gone_and_whoever_has_a_part_in_the_request_approves_nothing() {
    let deleted_user = |request: &mut Request| request.reviews[0].user = Some(user("Ghost", -1));
    assert_eq!(outcome(&later(deleted_user), &forge_rules(), 5), "fail (not_enough_approvals)");
    let pushed = |request: &mut Request| {
        request.reviews.clear();
        request.people.pushers = [UserId(1)].into();
    };
    assert_eq!(outcome(&later(pushed), &forge_rules(), 5), "fail (not_enough_approvals)");
}

#[test]
fn of_a_request_that_the_forge_has_forgotten_the_very_head_counts_where_that_is_asked_for() {
    let mut seen = looked_at_before().approved.unwrap();
    seen.merged.as_mut().unwrap().given[0].commit = commit('c');
    let mut exact = forge_rules();
    exact.requests.head = HeadRule::Exact;
    let forgotten = with(Search::Forgotten(Box::new(seen)));
    assert_eq!(outcome(&forgotten, &exact, 5), "fail (not_enough_approvals)");
    assert_eq!(outcome(&forgotten, &forge_rules(), 5), "pass");
}

#[test]
fn a_request_that_the_forge_has_forgotten_counts_as_it_was_seen() {
    let seen = Box::new(looked_at_before().approved.unwrap());
    let forgotten = with(Search::Forgotten(seen));
    let checked = check(&forgotten, &forge_rules(), 5);
    assert!(checked.passed() && checked.message.ends_with("as was seen when the forge still had it"), "{checked:?}");
    let mut nobody = forge_rules();
    nobody.requests.medium.who.clear();
    assert_eq!(outcome(&forgotten, &nobody, 5), "fail (not_enough_approvals)");
    let elsewhere = Snapshot { formula_at_arrival: formula(commit('c'), "echo other"), ..forgotten };
    assert_eq!(outcome(&elsewhere, &forge_rules(), 5), "wait (evidence_unavailable)");
}

#[test]
fn what_is_proven_of_an_approval_is_kept_while_something_else_is_waited_for() {
    let mut waiting = snapshot(|_| {});
    waiting.secrets.values_mut().for_each(|secret| *secret = Presence::Unknown { evidence: "it is sealed".to_owned() });
    let Verdict::Waiting { approved, .. } = admit(&waiting, &forge_rules()).verdict else { panic!("Vault is away") };
    assert_eq!(approved.unwrap().by, ["alice"]);
}
