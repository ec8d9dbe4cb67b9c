//! What an end means, for every way to end.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::backend::Placement;

fn ended(how: End) -> Finish {
    Finish::Ended(Ended {
        how,
        at: Timestamp::UNIX_EPOCH,
        placement: Placement::default(),
        detail: None,
        reason: None,
        restarted: false,
    })
}

const BEGUN: Told = Told {
    starts: 1,
    gap: false,
    last_word: true,
    timed_out: false,
    signalled: false,
    opened: false,
    wrapping: None,
    turned_away: None,
    complaint: None,
};

/// All of it is there, and the formula was not said to begin.
fn whole() -> Told {
    Told { last_word: true, ..Told::default() }
}

#[test]
fn a_reserved_code_counts_only_when_the_formula_had_not_begun() {
    let before = meaning(&ended(End::Exited(65)), None, &whole());
    assert_eq!((before.state, before.reason), (ResultState::Lost, Reason::FenceLost));
    let after = meaning(&ended(End::Exited(65)), None, &BEGUN);
    assert_eq!((after.state, after.reason), (ResultState::Failed, Reason::ExitNonzero));
}

#[test]
fn the_exit_code_of_a_later_copy_that_was_turned_away_is_not_the_formulas() {
    for code in FENCES {
        let told = Told { opened: true, turned_away: Some(code), complaint: Some("taken".to_owned()), ..BEGUN };
        let lost = meaning(&ended(End::Exited(code)), None, &told);
        assert_eq!((lost.state, lost.reason, lost.exit), (ResultState::Lost, Reason::FenceLost, None), "{code}");
        assert!(lost.message.contains("its formula had begun") && lost.message.contains("(taken)"), "{lost:?}");
        assert_eq!(lost.exit_code(), NO_EXIT_CODE);
        // Where the backend knows the first one's end, that is it.
        let own = meaning(&ended(End::Exited(9)), None, &told);
        assert_eq!((own.state, own.exit), (ResultState::Failed, Some(9)), "{code}");
        let formula = meaning(&ended(End::Exited(code)), None, &BEGUN);
        assert_eq!((formula.state, formula.exit), (ResultState::Failed, Some(code)), "{code}");
    }
}

#[test]
fn a_formula_that_exits_like_a_time_out_has_failed() {
    let own = meaning(&ended(End::Exited(124)), None, &BEGUN);
    assert_eq!((own.state, own.exit_code()), (ResultState::Failed, 124));
    let limit = meaning(&ended(End::Exited(124)), None, &Told { timed_out: true, ..BEGUN });
    assert_eq!(limit.state, ResultState::TimedOut);
}

#[test]
fn a_formula_that_a_signal_ended_is_told_from_one_that_exits_like_it() {
    let own = meaning(&ended(End::Exited(137)), None, &BEGUN);
    assert_eq!((own.state, own.reason), (ResultState::Failed, Reason::ExitNonzero));
    let told = Told { signalled: true, ..BEGUN };
    let signal = meaning(&ended(End::Exited(137)), None, &told);
    assert_eq!(
        (signal.reason, signal.exit, signal.message.as_str()),
        (Reason::Signalled, Some(137), "signal 9 ended it")
    );
    assert_eq!(meaning(&ended(End::Exited(3)), None, &told).reason, Reason::ExitNonzero);
    let asked = meaning(&ended(End::Exited(143)), Some(StopCause::Operator), &told);
    assert_eq!(asked.state, ResultState::Cancelled);
}

#[test]
fn a_stop_that_came_too_late_leaves_a_success() {
    let meaning = meaning(&ended(End::Exited(0)), Some(StopCause::Operator), &BEGUN);
    assert_eq!((meaning.state, meaning.exit_code()), (ResultState::Succeeded, 0));
}

#[test]
fn a_run_that_somebody_stopped_past_us_has_not_failed_by_itself() {
    let Finish::Ended(mut drained) = ended(End::Exited(143)) else { unreachable!() };
    drained.reason = Some(Reason::Drained);
    let told = meaning(&Finish::Ended(drained.clone()), None, &BEGUN);
    assert_eq!((told.state, told.reason, told.exit), (ResultState::Cancelled, Reason::Drained, Some(143)));
    let ours = meaning(&Finish::Ended(drained.clone()), Some(StopCause::Operator), &BEGUN);
    assert_eq!(ours.reason, Reason::CancelledByOperator);
    drained.how = End::Exited(0);
    assert_eq!(meaning(&Finish::Ended(drained), None, &BEGUN).state, ResultState::Succeeded);
}

#[test]
fn an_exit_that_cannot_be_learned_is_null_and_125() {
    let meaning = meaning(&ended(End::Unknown), None, &BEGUN);
    assert_eq!((meaning.state, meaning.exit, meaning.exit_code()), (ResultState::Lost, None, 125));
}

#[test]
fn a_run_that_was_ended_from_outside_is_no_success_and_no_riddle_when_its_exit_code_is_lost() {
    let Finish::Ended(mut killed) = ended(End::Killed) else { unreachable!() };
    let of = |killed: &Ended, stop| meaning(&Finish::Ended(killed.clone()), stop, &BEGUN);
    let asked = of(&killed, Some(StopCause::Timeout));
    assert_eq!((asked.state, asked.exit, asked.exit_code()), (ResultState::TimedOut, None, 125));
    assert_eq!(asked.message, "it was ended at its time limit; it has stopped, and its exit code is lost");
    assert_eq!(of(&killed, None).state, ResultState::Lost);
    killed.reason = Some(Reason::Drained);
    assert_eq!((of(&killed, None).state, of(&killed, None).reason), (ResultState::Cancelled, Reason::Drained));
}

#[test]
fn a_wrapping_that_is_gone_before_its_time_without_the_runners_word_was_intercepted() {
    let gone = Told { wrapping: Some(Fate::Gone), ..whole() };
    for how in [End::NotStarted, End::Signalled(9), End::OutOfMemory, End::Exited(64), End::Exited(67)] {
        let meaning = meaning(&ended(how), None, &gone);
        assert_eq!((meaning.state, meaning.reason), (ResultState::Failed, Reason::GrantIntercepted), "{how:?}");
    }
    // With the runner's word it is the runner's own, and a formula that may have run unseen is not called stolen.
    let opened = Told { opened: true, ..gone.clone() };
    assert_eq!(meaning(&ended(End::Signalled(9)), None, &opened).reason, Reason::Signalled);
    assert_eq!(meaning(&ended(End::Exited(3)), None, &gone).reason, Reason::ExitNonzero);
    assert_eq!(meaning(&ended(End::Unknown), None, &gone).state, ResultState::Lost);
    // Neither is one whose time was over, or that nobody opened.
    for fate in [Fate::Unused, Fate::Expired, Fate::NotApplicable] {
        let told = Told { wrapping: Some(fate), ..Told::default() };
        assert_eq!(meaning(&ended(End::NotStarted), None, &told).reason, Reason::LaunchRefused, "{fate:?}");
    }
}

#[test]
fn a_second_copy_of_a_run_that_opened_its_grant_is_no_thief() {
    let first_opened = Told { opened: true, ..whole() };
    for code in [66, 67] {
        let meaning = meaning(&ended(End::Exited(code)), None, &first_opened);
        assert_eq!((meaning.state, meaning.reason), (ResultState::Lost, Reason::FenceLost), "{code}");
    }
    assert_eq!(meaning(&ended(End::Exited(67)), None, &whole()).reason, Reason::GrantIntercepted);
    assert_eq!(meaning(&ended(End::Exited(66)), None, &whole()).state, ResultState::NotStarted);
}

#[test]
fn of_a_stream_with_a_part_missing_no_reserved_code_proves_that_nothing_began() {
    let rows = [
        (64, ResultState::NotStarted, Reason::BadEnvelope),
        (65, ResultState::Lost, Reason::FenceLost),
        (66, ResultState::NotStarted, Reason::GrantExpired),
        (67, ResultState::Failed, Reason::GrantIntercepted),
        (68, ResultState::NotStarted, Reason::SecretUnusable),
        (69, ResultState::NotStarted, Reason::FormulaNotRunnable),
    ];
    let holes = [Told { gap: true, ..whole() }, Told::default(), Told { gap: true, ..Told::default() }];
    for (code, state, reason) in rows {
        let heard = meaning(&ended(End::Exited(code)), None, &whole());
        assert_eq!((heard.state, heard.reason, heard.exit), (state, reason, Some(code)));
        for told in &holes {
            for wrapping in [None, Some(Fate::Gone)] {
                let told = Told { wrapping, ..told.clone() };
                let unheard = meaning(&ended(End::Exited(code)), None, &told);
                let expected = (ResultState::Lost, Reason::ExitUnknown, Some(code));
                assert_eq!((unheard.state, unheard.reason, unheard.exit), expected, "{told:?}");
            }
            // Said to have begun, it has: whatever else is missing.
            let begun = meaning(&ended(End::Exited(code)), None, &Told { starts: 1, ..told.clone() });
            assert_eq!((begun.state, begun.exit), (ResultState::Failed, Some(code)), "{told:?}");
        }
    }
}

#[test]
fn a_wrapping_that_is_gone_is_no_theft_where_the_runners_word_for_it_may_be_missing() {
    let gone = Told { wrapping: Some(Fate::Gone), gap: true, ..whole() };
    for how in [End::Signalled(9), End::OutOfMemory, End::Exited(64), End::Exited(67), End::Exited(69)] {
        assert_ne!(meaning(&ended(how), None, &gone).reason, Reason::GrantIntercepted, "{how:?}");
    }
    // A killed runner has no last word; one that never was had none to lose.
    let killed = Told { gap: false, last_word: false, ..gone.clone() };
    assert_eq!(meaning(&ended(End::Signalled(9)), None, &killed).reason, Reason::GrantIntercepted);
    assert_eq!(meaning(&ended(End::NotStarted), None, &gone).reason, Reason::GrantIntercepted);
}

fn any_end() -> impl Strategy<Value = End> {
    prop_oneof![
        (0..256).prop_map(End::Exited),
        (1..65).prop_map(End::Signalled),
        Just(End::OutOfMemory),
        Just(End::NotStarted),
        Just(End::Killed),
        Just(End::Unknown)
    ]
}

proptest! {
    #[test]
    fn only_an_exit_with_0_is_a_success_and_only_a_success_has_exit_code_0(
        how in any_end(), stop in prop::option::of(Just(StopCause::Operator)), starts in 0_u32..3, timed_out: bool,
    ) {
        let meaning = meaning(&ended(how), stop, &Told { starts, timed_out, ..Told::default() });
        prop_assert_eq!(meaning.state == ResultState::Succeeded, how == End::Exited(0));
        prop_assert_eq!(meaning.exit_code() == 0, how == End::Exited(0));
    }
}
