//! The table, row by row, on answers of a real Nomad 1.11.3 (`raw_exec`, and docker where it says so). The folder `fixtures` has them as
//! recorded, with the fields that nobody reads left out.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Recorded {
    allocations: Vec<Allocation>,
    evaluations: Vec<Evaluation>,
}

fn recorded(name: &str) -> Recorded {
    let path = format!("{}/src/backend/nomad/decide/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).unwrap()
}

fn verdict(name: &str, job: JobStanding) -> Verdict {
    let Recorded { allocations, evaluations } = recorded(name);
    decide(Shown { job, allocations: &allocations, evaluations: &evaluations })
}

fn fate(name: &str) -> Fate {
    match verdict(name, JobStanding::Wanted) {
        Verdict::Over(fate) => fate,
        other => panic!("{name} is not over: {other:?}"),
    }
}

fn ending(name: &str) -> (End, Option<Reason>) {
    let fate = fate(name);
    assert!(!fate.restarted && fate.allocation.is_some() && fate.at.is_some(), "{name}: {fate:?}");
    (fate.how, fate.reason)
}

#[test]
fn an_exit_is_its_code_and_a_signal_is_told_from_it_where_the_driver_tells() {
    assert_eq!(ending("exit_0"), (End::Exited(0), None));
    assert_eq!(ending("exit_3"), (End::Exited(3), None));
    assert_eq!(ending("docker_exit_3"), (End::Exited(3), None));
    assert_eq!(ending("exit_137"), (End::Exited(137), None));
    assert_eq!(ending("signal_9"), (End::Signalled(9), None));
}

#[test]
fn out_of_memory_is_said_also_when_the_main_process_exited_with_0() {
    assert_eq!(ending("docker_oom"), (End::OutOfMemory, None));
    assert_eq!(ending("docker_oom_exit_0"), (End::OutOfMemory, None));
}

#[test]
fn what_could_not_be_set_up_never_started_and_says_why() {
    let cases = [
        ("no_command", "/does/not/exist"),
        ("bad_config", "no_such_key"),
        ("template_failed", "nope"),
        ("template_source", "escapes alloc directory"),
        ("docker_no_image", "Failed to pull"),
    ];
    for (name, words) in cases {
        assert_eq!(ending(name), (End::NotStarted, Some(Reason::SetupFailed)), "{name}");
        let detail = fate(name).detail.unwrap();
        assert!(detail.contains(words), "{name}: {detail}");
    }
}

#[test]
fn complete_is_no_success_of_a_run_that_was_deregistered() {
    assert_eq!(ending("deregistered_exit_9"), (End::Exited(9), Some(Reason::StoppedInNomad)));
    assert_eq!(ending("deregistered_killed"), (End::Signalled(9), Some(Reason::StoppedInNomad)));
    assert_eq!(ending("deregistered_before_start"), (End::NotStarted, Some(Reason::StoppedInNomad)));
}

#[test]
fn a_drain_is_told_from_other_stops() {
    assert_eq!(ending("drained"), (End::Exited(9), Some(Reason::Drained)));
    assert_eq!(ending("drained_code_lost"), (End::Killed, Some(Reason::Drained)));
    let words = fate("drained_code_lost").detail.unwrap();
    assert_eq!(words, "Nomad ended it (alloc is being migrated); the client lost sight of its exit code");
}

#[test]
fn a_node_that_is_away_is_no_end_before_the_run_was_given_up() {
    assert_eq!(verdict("node_away", JobStanding::Wanted), Verdict::GoesOn);
    let Verdict::Over(fate) = verdict("node_away_and_deregistered", JobStanding::Stopped) else { panic!("not over") };
    assert_eq!((fate.how, fate.reason), (End::Unknown, Some(Reason::NodeLost)));
    let back = fate_of_stopped("node_back_after_deregistration");
    assert_eq!(back.reason, Some(Reason::StoppedInNomad));
}

fn fate_of_stopped(name: &str) -> Fate {
    let Verdict::Over(fate) = verdict(name, JobStanding::Stopped) else { panic!("{name} is not over") };
    fate
}

#[test]
fn the_fence_of_a_second_execution_says_nothing_about_the_first() {
    for (name, how, reason) in [
        ("restarted_and_fenced", End::Exited(9), Some(Reason::StoppedInNomad)),
        ("stopped_by_hand_and_fenced", End::Exited(9), Some(Reason::StoppedInNomad)),
        ("node_lost_and_replaced", End::Unknown, Some(Reason::NodeLost)),
    ] {
        let fate = fate(name);
        assert_eq!((fate.how, fate.reason, fate.restarted), (how, reason, true), "{name}");
        let first = &recorded(name).allocations[0].id;
        assert_eq!(fate.allocation.as_ref(), Some(first), "{name}");
    }
}

#[test]
fn of_two_executions_that_nothing_stopped_the_first_counts_and_the_second_is_not_kept_quiet() {
    let fate = fate("restarted_by_hand");
    assert_eq!((fate.how, fate.restarted), (End::Exited(9), true));
}

#[test]
fn a_run_that_had_begun_on_a_lost_node_is_not_wanted_once_more() {
    let mut recorded = recorded("node_lost_and_replaced");
    let second = &mut recorded.allocations[1];
    "pending".clone_into(&mut second.client_status);
    second.task_states = None;
    let verdict = |recorded: &Recorded, job| {
        decide(Shown { job, allocations: &recorded.allocations, evaluations: &recorded.evaluations })
    };
    assert_eq!(verdict(&recorded, JobStanding::Wanted), Verdict::Repeated);
    assert_eq!(verdict(&recorded, JobStanding::Stopped), Verdict::GoesOn, "it was asked to end already");
    // Where nothing says that the first one began, the second may be the run.
    recorded.allocations[0].task_states = None;
    assert_eq!(verdict(&recorded, JobStanding::Wanted), Verdict::GoesOn);
}

/// The last execution of a recorded run, with another exit code.
fn with_last_exit(name: &str, code: i32) -> Recorded {
    let mut recorded = recorded(name);
    let states = recorded.allocations.last_mut().unwrap().task_states.as_mut().unwrap();
    let events = states.get_mut("runner").unwrap().events.as_mut().unwrap();
    events.iter_mut().rfind(|event| event.kind == "Terminated").unwrap().exit_code = code;
    recorded
}

#[test]
fn an_execution_that_was_ended_before_the_fence_says_nothing_about_the_one_that_passed_it() {
    for name in ["restarted_and_fenced", "stopped_by_hand_and_fenced", "node_lost_and_replaced"] {
        let Recorded { allocations, evaluations } = with_last_exit(name, 3);
        let Verdict::Over(fate) =
            decide(Shown { job: JobStanding::Wanted, allocations: &allocations, evaluations: &evaluations })
        else {
            panic!("{name} is not over")
        };
        assert_eq!((fate.how, fate.reason, fate.restarted), (End::Exited(3), None, true), "{name}");
        assert_eq!(fate.allocation.as_ref(), allocations.last().map(|last| &last.id), "{name}");
    }
}

#[test]
fn an_allocation_that_was_lost_before_it_could_tell_may_be_the_one_that_ran() {
    for code in ReservedExit::CODES {
        let Recorded { mut allocations, evaluations } = with_last_exit("node_lost_and_replaced", code);
        allocations[0].task_states = None;
        let Verdict::Over(fate) =
            decide(Shown { job: JobStanding::Wanted, allocations: &allocations, evaluations: &evaluations })
        else {
            panic!("{code} is not over")
        };
        assert_eq!((fate.how, fate.reason), (End::Unknown, Some(Reason::NodeLost)), "{code}");
    }
}

#[test]
fn whatever_stops_a_later_execution_before_the_formula_the_first_one_counts() {
    for code in ReservedExit::CODES {
        let Recorded { allocations, evaluations } = with_last_exit("stopped_by_hand_and_fenced", code);
        let Verdict::Over(fate) =
            decide(Shown { job: JobStanding::Wanted, allocations: &allocations, evaluations: &evaluations })
        else {
            panic!("{code} is not over")
        };
        assert_eq!((fate.how, fate.reason), (End::Exited(9), Some(Reason::StoppedInNomad)), "{code}");
    }
}

#[test]
fn a_process_that_was_gone_when_the_agent_came_back_has_no_exit_code() {
    let mut recorded = recorded("restarted_and_fenced");
    let states = recorded.allocations[0].task_states.as_mut().unwrap();
    let events = states.get_mut("runner").unwrap().events.as_mut().unwrap();
    // As after a reboot of the client (seen, not recorded): the first process left no end.
    events.retain(|event| !matches!(event.kind.as_str(), "Restart Signaled" | "Restarting"));
    let first_end = events.iter().position(|event| event.kind == "Terminated").unwrap();
    "Failed Restoring Task".clone_into(&mut events[first_end].kind);
    let shown = Shown { job: JobStanding::Wanted, allocations: &recorded.allocations, evaluations: &[] };
    let Verdict::Over(fate) = decide(shown) else { panic!("not over") };
    assert_eq!((fate.how, fate.reason, fate.restarted), (End::Unknown, Some(Reason::ExitUnknown), true));
}

#[test]
fn what_has_no_place_says_what_is_missing_and_is_over_only_when_the_scheduler_has_let_it_go() {
    let Verdict::Unplaced(Some(why)) = verdict("never_placed_memory", JobStanding::Wanted) else { panic!("placed?") };
    assert!(why.contains("memory"), "{why}");
    let why = verdict("never_placed_constraint", JobStanding::Wanted);
    assert!(matches!(&why, Verdict::Unplaced(Some(why)) if why.contains("${meta.nope} = x")), "{why:?}");
    // Deregistered, but the scheduler may still place it.
    assert_eq!(verdict("never_placed_memory", JobStanding::Stopped), Verdict::Unplaced(None));
    assert_eq!(fate_of_stopped("never_placed_and_deregistered").how, End::NotStarted);
}

#[test]
fn a_job_that_nomad_forgot_ends_as_it_was_last_seen_or_is_lost() {
    let Verdict::Over(fate) = verdict("exit_3", JobStanding::Gone) else { panic!("not over") };
    assert_eq!(fate.how, End::Exited(3));
    let gone = decide(Shown { job: JobStanding::Gone, allocations: &[], evaluations: &[] });
    assert!(matches!(gone, Verdict::Over(Fate { how: End::Unknown, .. })), "{gone:?}");
}
