//! Rule 6: the id is new. An id that was ever taken up is spoken for: nothing is decided about it again and nothing is written,
//! because a second result would stand in the place of the first.

use crate::action::reason::Reason;
use crate::admission::check::{Check, Rule};
use crate::admission::snapshot::{Arrival, Earlier, Snapshot, Stage};

const RULE: Rule = Rule { number: 6, name: "not done" };

pub(in crate::admission) fn judge(snapshot: &Snapshot) -> Check {
    if matches!(snapshot.arrival, Arrival::LocalFile) {
        return RULE.pass("a file of this machine is not recorded in the repository");
    }
    if snapshot.entry.id().is_none() {
        return RULE.not_reached("the entry's name is no id");
    }
    let spoken_for = snapshot.earlier.as_ref().and_then(|earlier| spoken_for(earlier, snapshot));
    let check = spoken_for
        .or_else(|| rewritten(snapshot))
        .or_else(|| foreign_result(snapshot))
        .unwrap_or_else(|| fresh(snapshot));
    check.because(snapshot.result.iter().map(|result| format!("{} stands in the repository", result.path)))
}

fn spoken_for(earlier: &Earlier, snapshot: &Snapshot) -> Option<Check> {
    let changed = earlier.blob != snapshot.entry.blob;
    let how = match &earlier.stage {
        Stage::Seen => return None,
        Stage::RetryAsked { .. } if !changed => return None,
        Stage::UnderWay => "is under way".to_owned(),
        Stage::Settled { state, reason } if reason.code() == state.word() => format!("has ended: {reason}"),
        Stage::Settled { state, reason } => format!("has ended: {} ({reason})", state.word()),
        Stage::RetryAsked { by } => format!("is to be tried again by the word of {by}"),
    };
    let words = format!("an action of this id {how}; its bytes were blob {}", earlier.blob.short());
    let check = RULE.set_aside(Reason::IdAlreadyUsed, words);
    Some(if changed {
        check
            .because([format!("the file has since been changed to blob {}", snapshot.entry.blob.short())])
            .help("a changed request needs a new id: file it under another name")
    } else {
        check
    })
}

fn rewritten(snapshot: &Snapshot) -> Option<Check> {
    let was = &snapshot.rewritten.as_ref()?.last_seen;
    let words = format!("commit {}, seen last, is no longer in the history of {}", was.short(), snapshot.head.short());
    let help = format!("look at what happened, then say `dispatch ops accept-rewrite {}`", snapshot.head);
    Some(RULE.wait(Reason::HistoryRewritten, words).help(help))
}

fn foreign_result(snapshot: &Snapshot) -> Option<Check> {
    let result = snapshot.result.as_ref()?;
    let ours = snapshot.earlier.as_ref().and_then(|earlier| earlier.result.as_ref());
    (ours != Some(&result.blob)).then(|| {
        RULE.set_aside(
            Reason::ForeignResult,
            format!("{} was not written by this dispatcher; it counts as done", result.path),
        )
        .help("find out who wrote it; file the action under a new id if it is to run")
    })
}

fn fresh(snapshot: &Snapshot) -> Check {
    match &snapshot.earlier {
        Some(Earlier { stage: Stage::RetryAsked { by }, .. }) => RULE.pass(format!("{by} asked for another attempt")),
        Some(earlier) if earlier.blob != snapshot.entry.blob => RULE
            .pass("nothing was decided about this id so far")
            .because([format!("it was first seen as blob {}; this is a new request", earlier.blob.short())]),
        _ => RULE.pass("nothing was decided about this id so far"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::result::ResultState;
    use crate::admission::snapshot::{ResultEntry, Rewritten};
    use crate::admission::testing::{self, blob, commit, good, outcome, rules};
    use crate::admission::verdict::{Verdict, admit};

    fn of(snapshot: &Snapshot) -> String {
        outcome(snapshot, &rules(), 6)
    }

    fn earlier(digit: char, stage: Stage) -> Snapshot {
        Snapshot { earlier: Some(testing::earlier(digit, stage)), ..good() }
    }

    fn settled() -> Stage {
        Stage::Settled { state: ResultState::Succeeded, reason: Reason::Succeeded }
    }

    fn is_set_aside(snapshot: &Snapshot) -> bool {
        matches!(admit(snapshot, &rules()).verdict, Verdict::SetAside { .. })
    }

    #[test]
    fn an_id_that_was_settled_is_not_reusable_with_or_without_a_change() {
        for digit in ['3', '4'] {
            assert_eq!(of(&earlier(digit, settled())), "set aside (id_already_used)");
            assert_eq!(of(&earlier(digit, Stage::UnderWay)), "set aside (id_already_used)");
        }
    }

    #[test]
    fn a_settled_action_that_is_broken_afterwards_is_not_rejected_over_its_result() {
        assert!(is_set_aside(&earlier('4', settled()).adding("formula = 3")));
    }

    #[test]
    fn an_action_that_only_waited_may_still_be_changed() {
        assert_eq!(of(&earlier('3', Stage::Seen)), "pass");
        assert_eq!(of(&earlier('4', Stage::Seen)), "pass");
    }

    #[test]
    fn a_planted_result_stops_the_action_and_is_reported() {
        let result = Some(ResultEntry { path: "vault/actions/rotate-keys.result.json".to_owned(), blob: blob('9') });
        assert_eq!(of(&Snapshot { result, ..good() }), "set aside (foreign_result)");
    }

    #[test]
    fn another_attempt_needs_a_person_and_the_same_bytes() {
        let asked = || Stage::RetryAsked { by: "bob".to_owned() };
        let result = Some(ResultEntry { path: "vault/actions/rotate-keys.result.json".to_owned(), blob: blob('9') });
        let mut snapshot = Snapshot { result, ..earlier('3', asked()) };
        assert_eq!(of(&snapshot), "set aside (foreign_result)");
        let with_result = |digit| Some(Earlier { result: Some(blob(digit)), ..testing::earlier('3', asked()) });
        snapshot.earlier = with_result('9');
        assert_eq!(of(&snapshot), "pass");
        snapshot.earlier = with_result('8');
        assert_eq!(of(&snapshot), "set aside (foreign_result)", "our own result was edited");
        assert_eq!(of(&earlier('4', asked())), "set aside (id_already_used)");
    }

    #[test]
    fn after_a_rewritten_history_nothing_is_decided_not_even_a_rejection() {
        let rewritten = Some(Rewritten { last_seen: commit('e') });
        let verdict = admit(&Snapshot { rewritten, ..good().adding("approved = true") }, &rules()).verdict;
        assert!(matches!(verdict, Verdict::Waiting { reason: Reason::HistoryRewritten, .. }), "{verdict:?}");
    }
}
