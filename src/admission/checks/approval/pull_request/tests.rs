//! A request in which everything holds; each test spoils one thing.

mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::admission::Word;
use crate::admission::request::{Brought, ByHand, Difference, Merge, Nothing, Ownership, People, Reviewed, Standing};
use crate::admission::rules::{Approvers, HeadRule, MergedBy};
use crate::admission::snapshot::{Arrival, Stage};
use crate::admission::testing::{arrived, at, blob, check, commit, earlier, formula, good, outcome, rules};
use crate::admission::verdict::{Verdict, admit};
use crate::config::types::{ApprovalMode, Approver};
use crate::forge::{PullNumber, RepositoryId, ReviewState, User, UserId};

fn user(login: &str, id: i64) -> User {
    User { id: UserId(id), login: login.to_owned(), email: format!("{login}@forge.example") }
}

fn review(id: i64, who: Option<User>, state: ReviewState) -> Reviewed {
    let commit = Some((commit('d'), Standing::Head { differs: Vec::new() }));
    Reviewed {
        id,
        user: who,
        state,
        dismissed: false,
        remarks: Vec::new(),
        at: None,
        commit,
        target: Some("main".to_owned()),
    }
}

fn approval_of(id: i64, login: &str, number: i64) -> Reviewed {
    review(id, Some(user(login, number)), ReviewState::Approved)
}

fn merged() -> Request {
    let path = "vault/actions/rotate-keys.toml".to_owned();
    Request {
        number: PullNumber(7),
        author: Some(user("bob", 2)),
        base: ("main".to_owned(), RepositoryId(1)),
        primary: ("main".to_owned(), RepositoryId(1)),
        merge: Merge { merged: true, commit: commit('a'), by: Some(user("carol", 3)), at: None, by_hand: ByHand::Off },
        head: commit('d'),
        brought: Brought {
            path: path.clone(),
            blob: Some(blob('3')),
            commit: commit('a'),
            own: Ownership::Request,
            seen_before: None,
            fork: Some((commit('b'), None)),
        },
        bundle: BTreeMap::from([(path, Some(blob('3')))]),
        untouched: BTreeSet::new(),
        people: People {
            users: [UserId(2)].into(),
            emails: ["bob@example.com".to_owned()].into(),
            pushers: BTreeSet::new(),
        },
        reviews: vec![approval_of(1, "alice", 1)],
        passed_over: Vec::new(),
    }
}

fn forge_rules() -> Rules {
    let approver = |login: &str, id| Approver { login: login.to_owned(), id };
    let approvers = Approvers { who: vec![approver("alice", 1), approver("bob", 2), approver("carol", 3)], needed: 1 };
    let requests = RequestRules {
        medium: approvers.clone(),
        high: approvers,
        head: HeadRule::SameBytes,
        merged_by: MergedBy::DoesNotCount,
        wait: Duration::from_secs(60),
    };
    Rules { approval: Some(ApprovalMode::PullRequest), requests, ..rules() }
}

fn with(search: Search) -> Snapshot {
    Snapshot { arrival: Arrival::Commit(Box::new(Arrived { request: search, ..arrived() })), ..good() }
}

fn snapshot(spoil: impl FnOnce(&mut Request)) -> Snapshot {
    let mut request = merged();
    spoil(&mut request);
    with(Search::Found(Box::new(request)))
}

fn of(spoil: impl FnOnce(&mut Request)) -> String {
    outcome(&snapshot(spoil), &forge_rules(), 5)
}

fn words(spoil: impl FnOnce(&mut Request)) -> String {
    check(&snapshot(spoil), &forge_rules(), 5).message
}

#[test]
fn an_approved_and_merged_request_is_admitted_and_who_approved_what_is_kept() {
    let Verdict::Admitted(admitted) = admit(&snapshot(|_| {}), &forge_rules()).verdict else { panic!("all is well") };
    assert_eq!((admitted.approval.how, &admitted.approval.by[..]), (How::PullRequest, &["alice".to_owned()][..]));
    let merged = admitted.approval.merged.unwrap();
    assert_eq!((merged.pull_request, merged.given[0].id, merged.given[0].word), (7, 1, Word::Review));
    assert_eq!((&merged.given[0].commit, &merged.bundle["vault/actions/rotate-keys.toml"]), (&commit('d'), &blob('3')));
}

#[test]
fn an_approval_of_other_bytes_does_not_count_and_the_commit_that_changed_them_is_named() {
    let changed = |changed_in| Difference { path: "formulas/rotate.sh".to_owned(), changed_in };
    let differs = |changed_in| {
        move |request: &mut Request| {
            request.reviews[0].commit = Some((commit('c'), Standing::Earlier { differs: vec![changed(changed_in)] }));
        }
    };
    assert_eq!(of(differs(Some(commit('d')))), "fail (approval_outdated)");
    assert_eq!(
        words(differs(Some(commit('d')))),
        "pull request #7 needs 1 more approval by one of: alice, bob, carol; \
         approved at cccccccccc, but formulas/rotate.sh changed in dddddddddd"
    );
    assert!(
        words(differs(None)).ends_with("but formulas/rotate.sh was merged with other bytes than that commit holds")
    );
}

#[test]
fn an_earlier_commit_of_the_request_with_the_same_bytes_counts_unless_the_very_head_is_asked_for() {
    let earlier = |request: &mut Request| {
        request.reviews[0].commit = Some((commit('c'), Standing::Earlier { differs: Vec::new() }));
    };
    assert_eq!(of(earlier), "pass");
    let mut exact = forge_rules();
    exact.requests.head = HeadRule::Exact;
    assert_eq!(outcome(&snapshot(earlier), &exact, 5), "fail (approval_outdated)");
    assert_eq!(outcome(&snapshot(|_| {}), &exact, 5), "pass");
}

#[test]
fn a_commit_that_is_no_part_of_the_request_was_not_approved_with_it() {
    assert_eq!(
        of(|request| request.reviews[0].commit = Some((commit('9'), Standing::NotOfRequest))),
        "fail (approval_elsewhere)"
    );
    assert_eq!(of(|request| request.reviews[0].commit = None), "fail (approval_elsewhere)");
}

#[test]
fn what_was_approved_for_another_branch_was_not_approved_for_this_one() {
    let of_side = |request: &mut Request| request.reviews[0].target = Some("side".to_owned());
    assert_eq!(of(of_side), "fail (approval_for_other_branch)");
    assert!(
        words(of_side).ends_with("approved at dddddddddd, when the pull request went to side"),
        "{}",
        words(of_side)
    );
}

#[test]
fn a_persons_last_word_counts() {
    let then = |state| move |request: &mut Request| request.reviews.push(review(2, Some(user("alice", 1)), state));
    assert_eq!(of(then(ReviewState::RequestChanges)), "fail (approval_withdrawn)");
    assert_eq!(of(then(ReviewState::Unknown)), "fail (approval_withdrawn)");
    for idle in [ReviewState::Comment, ReviewState::Pending, ReviewState::RequestReview] {
        assert_eq!(of(then(idle)), "pass", "{idle:?}");
    }
    assert_eq!(of(|request| request.reviews[0].dismissed = true), "fail (approval_withdrawn)");
    let order = |request: &mut Request| {
        request.reviews[0].id = 9;
        request.reviews.push(review(2, Some(user("alice", 1)), ReviewState::RequestChanges));
    };
    assert_eq!(of(order), "pass", "the number says what came later, and not the place in the list");
}

#[test]
fn nobody_approves_what_they_wrote() {
    let by = |login: &'static str, id| move |request: &mut Request| request.reviews = vec![approval_of(1, login, id)];
    assert_eq!(of(by("bob", 2)), "fail (approval_by_author)");
    let committed = |request: &mut Request| request.people.users.extend([UserId(1)]);
    assert_eq!(of(committed), "fail (approval_by_author)");
    let mailed = |request: &mut Request| request.people.emails.extend(["alice@forge.example".to_owned()]);
    assert_eq!(of(mailed), "fail (approval_by_author)");
    assert_eq!(of(|request| request.author = Some(user("renamed", 1))), "fail (approval_by_author)");
}

#[test]
fn an_approver_is_a_name_and_a_number() {
    let by =
        |who: Option<User>| move |request: &mut Request| request.reviews = vec![review(1, who, ReviewState::Approved)];
    assert_eq!(of(by(Some(user("mallory", 9)))), "fail (approver_not_allowed)");
    assert_eq!(of(by(Some(user("alice", 9)))), "fail (approver_changed)");
    assert_eq!(of(by(Some(user("alicia", 1)))), "fail (approver_changed)");
    assert_eq!(of(by(Some(user("Alice", 1)))), "pass", "names differ not by case");
    assert_eq!(of(by(Some(user("Ghost", -1)))), "fail (not_enough_approvals)");
    assert_eq!(of(by(None)), "fail (not_enough_approvals)");
}

#[test]
fn as_many_people_are_needed_as_the_config_or_the_policy_asks_for_whichever_is_more() {
    let mut two = forge_rules();
    two.requests.medium.needed = 2;
    assert_eq!(outcome(&snapshot(|_| {}), &two, 5), "fail (not_enough_approvals)");
    let twice = |request: &mut Request| request.reviews.push(approval_of(2, "alice", 1));
    assert_eq!(outcome(&snapshot(twice), &two, 5), "fail (not_enough_approvals)", "one person is one");
    let both = |request: &mut Request| request.reviews.push(approval_of(2, "carol", 3));
    assert_eq!(outcome(&snapshot(both), &two, 5), "pass");
    let policy = "[tiers]\nrotate = \"medium\"\n[approvals]\nmedium = 3\n";
    assert_eq!(outcome(&snapshot(both).with_policy(policy), &two, 5), "fail (not_enough_approvals)");
}

#[test]
fn a_merge_counts_only_where_the_config_says_so_and_never_where_merges_by_hand_are_possible() {
    let unreviewed = |request: &mut Request| request.reviews.clear();
    let mut counting = forge_rules();
    counting.requests.merged_by = MergedBy::Counts;
    assert_eq!(of(unreviewed), "fail (not_enough_approvals)");
    assert_eq!(outcome(&snapshot(unreviewed), &counting, 5), "pass");
    let by_hand = |request: &mut Request| (request.merge.by_hand, request.reviews) = (ByHand::Possible, Vec::new());
    assert_eq!(outcome(&snapshot(by_hand), &counting, 5), "fail (not_enough_approvals)");
    let by_author = |request: &mut Request| (request.merge.by, request.reviews) = (Some(user("bob", 2)), Vec::new());
    assert_eq!(outcome(&snapshot(by_author), &counting, 5), "fail (not_enough_approvals)");
    counting.requests.medium.needed = 2;
    let same = |request: &mut Request| request.merge.by = Some(user("alice", 1));
    assert_eq!(outcome(&snapshot(same), &counting, 5), "fail (not_enough_approvals)", "one person is one");
}

#[test]
fn bytes_that_came_another_way_than_by_the_request_are_refused() {
    let refused = "fail (bytes_not_of_request)";
    assert_eq!(of(|request| request.brought.own = Ownership::Elsewhere), refused);
    assert_eq!(of(|request| request.brought.fork = Some((commit('b'), Some(blob('3'))))), refused);
    assert_eq!(of(|request| request.brought.fork = None), refused);
    let other = |request: &mut Request| request.bundle.extend([(request.brought.path.clone(), Some(blob('4')))]);
    assert_eq!(of(other), refused);
    assert_eq!(of(|request| request.brought.fork = Some((commit('b'), Some(blob('9'))))), "pass", "it changed them");
}

#[test]
fn a_request_for_another_branch_or_repository_proves_nothing() {
    assert_eq!(of(|request| request.base.0 = "side".to_owned()), "fail (no_pull_request)");
    assert_eq!(of(|request| request.base.1 = RepositoryId(2)), "fail (no_pull_request)");
    assert_eq!(of(|request| request.merge.merged = false), "wait (evidence_unavailable)");
}

#[test]
fn a_commit_without_a_request_waits_for_a_while_and_is_then_rejected() {
    let nothing = |seconds| {
        let since = good().now - SignedDuration::from_secs(seconds);
        with(Search::None(Nothing { since, asked: 1, passed_over: Vec::new() }))
    };
    assert!(outcome(&nothing(59), &forge_rules(), 5).starts_with("wait (evidence_unavailable"));
    assert_eq!(outcome(&nothing(60), &forge_rules(), 5), "fail (no_pull_request)");
    let check = check(&nothing(0), &forge_rules(), 5);
    assert_eq!(
        check.message,
        "the forge names no pull request for aaaaaaaaaa yet; without one by 2026-11-20T12:01:00Z it is rejected"
    );
    assert!(
        matches!(check.judgement, crate::admission::Judgement::Wait { until: Some(end), .. } if end == at("2026-11-20T12:01:00Z"))
    );
}

#[test]
fn a_forge_that_does_not_answer_is_waited_for() {
    let unknown = with(Search::Unknown { detail: "the forge answered 500".to_owned() });
    assert_eq!(outcome(&unknown, &forge_rules(), 5), "wait (evidence_unavailable)");
    assert_eq!(outcome(&with(Search::NotAsked), &forge_rules(), 5), "wait (evidence_unavailable)");
}

#[test]
fn a_formula_that_was_not_read_from_the_merge_does_not_run() {
    let snapshot = Snapshot { formula_at_arrival: formula(commit('c'), "echo other"), ..snapshot(|_| {}) };
    assert_eq!(outcome(&snapshot, &forge_rules(), 5), "wait (evidence_unavailable)");
}

#[test]
fn without_approvers_in_the_config_nobody_can_approve() {
    let mut nobody = forge_rules();
    nobody.requests.medium.who.clear();
    let check = check(&snapshot(|_| {}), &nobody, 5);
    assert!(
        check.message.contains("the config names nobody who could ([approval.medium] approvers)"),
        "{}",
        check.message
    );
}

#[test]
fn bytes_that_were_seen_before_the_merge_were_not_brought_by_it() {
    assert_eq!(of(|request| request.brought.seen_before = Some(commit('c'))), "fail (bytes_not_of_request)");
    assert_eq!(
        words(|request| request.brought.seen_before = Some(commit('c'))),
        "vault/actions/rotate-keys.toml was seen on the primary branch in cccccccccc, before pull request #7 was merged into it"
    );
    assert_eq!(of(|request| request.brought.own = Ownership::Untold), "fail (bytes_not_of_request)");
}

#[test]
fn what_no_diff_of_the_request_shows_is_said() {
    let untouched = snapshot(|request| request.untouched = BTreeSet::from(["formulas/rotate.sh".to_owned()]));
    let evidence = check(&untouched, &forge_rules(), 5).evidence.join("\n");
    let words = "as the primary branch had it, and so in no diff of pull request #7: formulas/rotate.sh";
    assert!(evidence.contains(words), "{evidence}");
}

/// The forge names the later of two merges first.
#[test]
fn a_request_that_did_not_leave_the_commit_itself_rejects_nothing_while_another_may_still_be_named() {
    let later = |since: i64| {
        let mut snapshot = snapshot(|request| {
            request.merge.commit = commit('9');
            request.reviews.clear();
        });
        snapshot.formula_at_arrival = formula(commit('9'), "echo newer");
        let since = snapshot.now - SignedDuration::from_secs(since);
        snapshot.earlier = Some(Earlier { since, ..earlier('3', Stage::Seen) });
        outcome(&snapshot, &forge_rules(), 5)
    };
    assert!(later(59).starts_with("wait (evidence_unavailable"), "{}", later(59));
    assert_eq!(later(60), "fail (not_enough_approvals)");
}

#[test]
fn each_sub_rule_shows_its_evidence_also_where_one_before_it_does_not_hold() {
    let spoilt = snapshot(|request| request.base.0 = "side".to_owned());
    let evidence = check(&spoilt, &forge_rules(), 5).evidence;
    for line in [
        "5a request holds: pull request #7 by bob (user 2)",
        "5b merge does not hold: merged into side of repository 1 as aaaaaaaaaa by carol (user 3)",
        "5c bytes holds: its reviewed head is dddddddddd; where it forked off, in bbbbbbbbbb, there was no vault/actions/rotate-keys.toml",
        "5d approvals holds: alice (user 1) approved dddddddddd: counts",
        "5e merger: the merge does not count as an approval: `approval.merged_by_counts` is not set",
    ] {
        assert!(evidence.iter().any(|shown| shown == line), "{line} is not in {evidence:#?}");
    }
}

#[test]
fn whoever_pushed_to_its_branch_cannot_approve_it_whatever_its_commits_say() {
    assert_eq!(of(|request| request.people.pushers = [UserId(1)].into()), "fail (approval_by_author)");
}
