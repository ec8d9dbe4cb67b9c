//! How a run ended, decided from what the server shows. Pure; the table was seen on Nomad 1.11.3, and each of its rows has a test
//! with an answer recorded there.
//!
//! `complete` is not success (a run that was cancelled and exited with 9 is complete, and so is one that never started), `dead` is not
//! ended (the task of a job that was deregistered runs on until its kill timeout), and the last event is not the exit.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::client::types::{Allocation, Evaluation, Metric, TaskEvent, TaskState};
use crate::action::reason::Reason;
use crate::backend::End;
use crate::runner::event::ReservedExit;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobStanding {
    /// The server does not know it any more: collected, or purged by somebody.
    Gone,
    /// It is to run.
    Wanted,
    /// It was deregistered.
    Stopped,
}

/// What the server shows of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) job: JobStanding,
    /// In the order in which they were made.
    pub(super) allocations: &'a [Allocation],
    /// Looked at where there is no allocation, or one that was to stop.
    pub(super) evaluations: &'a [Evaluation],
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing was placed yet; where the scheduler has said why, in words.
    Unplaced(Option<String>),
    /// It is placed and not over.
    GoesOn,
    /// It had begun on a node that was lost, and the server has placed it once more, which is not wanted.
    Repeated,
    /// It is over.
    Over(Fate),
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) how: End,
    /// As the client noted it.
    pub(super) at: Option<Timestamp>,
    /// The id of the allocation that tells the truth, and whose log counts.
    pub(super) allocation: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) reason: Option<Reason>,
    /// More than one execution began.
    pub(super) restarted: bool,
}

impl Fate {
    /// Nothing is known.
    pub(super) fn unknown() -> Self {
        forgotten()
    }

    fn new(how: End, reason: Reason, detail: impl Into<String>) -> Self {
        let detail = Some(detail.into());
        Self { how, at: None, allocation: None, detail, reason: Some(reason), restarted: false }
    }
}

pub(super) fn decide(shown: Shown<'_>) -> Verdict {
    if shown.allocations.is_empty() {
        return unplaced(shown);
    }
    if let Some(away) = shown.allocations.iter().find(|one| one.client_status == "unknown")
        && shown.job != JobStanding::Wanted
    {
        // It may still run there; the client ends it when it is back.
        let words = format!("its node {} went away and had not come back when the run was ended", away.node_name);
        return over(Fate::new(End::Unknown, Reason::NodeLost, words), away, executions(shown.allocations).len());
    }
    if shown.allocations.iter().any(goes_on) {
        return match shown.job {
            JobStanding::Gone => Verdict::Over(forgotten()),
            JobStanding::Wanted if shown.allocations.iter().any(had_begun_and_is_lost) => Verdict::Repeated,
            JobStanding::Wanted | JobStanding::Stopped => Verdict::GoesOn,
        };
    }
    settled(shown)
}

fn forgotten() -> Fate {
    let words = "Nomad no longer knows its job: it was purged, or collected, while nobody looked";
    Fate::new(End::Unknown, Reason::ExitUnknown, words)
}

fn unplaced(shown: Shown<'_>) -> Verdict {
    // Only a scheduler that has nothing left to decide about a stopped job can place nothing any more.
    let undecided = |evaluation: &Evaluation| matches!(evaluation.status.as_str(), "pending" | "blocked");
    match shown.job {
        JobStanding::Gone => Verdict::Over(forgotten()),
        JobStanding::Stopped if !shown.evaluations.iter().any(undecided) => Verdict::Over(Fate::new(
            End::NotStarted,
            Reason::StoppedInNomad,
            "it was deregistered before it was placed",
        )),
        JobStanding::Stopped => Verdict::Unplaced(None),
        JobStanding::Wanted => Verdict::Unplaced(why_unplaced(shown.evaluations)),
    }
}

fn goes_on(allocation: &Allocation) -> bool {
    !matches!(allocation.client_status.as_str(), "complete" | "failed" | "lost")
}

/// One execution: from a start to the end that belongs to it.
#[derive(Debug, Clone, Copy)]
struct Execution<'a> {
    allocation: &'a Allocation,
    end: Option<&'a TaskEvent>,
    /// What Nomad was doing to it.
    ending: Ending,
}

/// What leads to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Nothing but itself.
    Itself,
    /// Its allocation was to stop.
    Killed,
    /// Its task was to begin anew.
    Restarted,
}

impl Execution<'_> {
    /// It came to an end of its own with an exit code that no runner has which stopped before the formula: it was behind the fence.
    fn passed_the_fence(&self) -> bool {
        let code = self.end.map(exit).and_then(|(how, _)| if let End::Exited(code) = how { Some(code) } else { None });
        self.ending == Ending::Itself && code.is_some_and(|code| !ReservedExit::CODES.contains(&code))
    }
}

fn task(allocation: &Allocation) -> Option<&TaskState> {
    allocation.task_states.as_ref()?.values().next()
}

fn events(allocation: &Allocation) -> &[TaskEvent] {
    task(allocation).and_then(|task| task.events.as_deref()).unwrap_or_default()
}

/// Whether the task's process has existed.
pub(super) fn has_started(allocation: &Allocation) -> bool {
    events(allocation).iter().any(|event| matches!(event.kind.as_str(), "Started" | "Terminated"))
}

/// When its process began, as the client noted it; none where that was pushed out of the last ten events, or did not happen.
pub(super) fn started(allocation: &Allocation) -> Option<i64> {
    events(allocation).iter().find(|event| event.kind == "Started").map(|event| event.time)
}

/// When its process ended, as the client noted it.
pub(super) fn terminated(allocation: &Allocation) -> Option<i64> {
    events(allocation).iter().rev().find(|event| event.kind == "Terminated").map(|event| event.time)
}

fn executions(allocations: &[Allocation]) -> Vec<Execution<'_>> {
    let mut all: Vec<Execution<'_>> = Vec::new();
    for allocation in allocations {
        let (mut open, mut ending) = (None, Ending::Itself);
        for event in events(allocation) {
            match event.kind.as_str() {
                "Started" => {
                    // What was to be killed before it had started still is.
                    if ending == Ending::Restarted {
                        ending = Ending::Itself;
                    }
                    all.extend(open.replace(Execution { allocation, end: None, ending }));
                }
                "Killing" | "Restart Signaled" => {
                    ending = if event.kind == "Killing" { Ending::Killed } else { Ending::Restarted };
                    open = open.map(|execution| Execution { ending, ..execution });
                }
                // The agent came back and the process was gone: whatever ends after this is not known to be its end.
                "Failed Restoring Task" => all.extend(open.take()),
                // The start may have been pushed out of the last ten events.
                "Terminated" => {
                    all.push(Execution { end: Some(event), ending, allocation });
                    open = None;
                }
                _ => {}
            }
        }
        all.extend(open);
    }
    all
}

fn over(fate: Fate, allocation: &Allocation, executions: usize) -> Verdict {
    let finished = task(allocation).and_then(|task| task.finished_at.as_deref()?.parse::<Timestamp>().ok());
    let changed = || Timestamp::from_nanosecond(i128::from(allocation.modify_time)).ok();
    Verdict::Over(Fate {
        at: finished.filter(|at| *at > Timestamp::UNIX_EPOCH).or_else(changed),
        allocation: Some(allocation.id.clone()),
        restarted: executions > 1,
        ..fate
    })
}

fn settled(shown: Shown<'_>) -> Verdict {
    let allocations = shown.allocations;
    let all = executions(allocations);
    // The first one had the fence, unless it was ended before it got there and a later one did.
    let first = all.first().filter(|first| first.passed_the_fence());
    let truth = first.or_else(|| all.iter().find(|later| later.passed_the_fence())).or(all.first());
    // One that was lost before it could tell may have been behind the fence that stopped the other.
    let silent = allocations.iter().find(|one| is_lost(one) && !has_started(one));
    let silent = silent.filter(|_| truth.is_some_and(|truth| !truth.passed_the_fence()));
    if let Some(silent) = silent {
        return over(node_lost(silent), silent, all.len());
    }
    match (truth, allocations.last()) {
        (Some(truth), _) => over(ended(truth, shown.evaluations), truth.allocation, all.len()),
        (None, Some(last)) => over(not_started(shown), last, 0),
        (None, None) => Verdict::Over(forgotten()),
    }
}

fn is_lost(allocation: &Allocation) -> bool {
    allocation.client_status == "lost" || allocation.desired_description.contains("node is down")
}

fn had_begun_and_is_lost(allocation: &Allocation) -> bool {
    is_lost(allocation) && has_started(allocation)
}

fn node_lost(allocation: &Allocation) -> Fate {
    Fate::new(End::Unknown, Reason::NodeLost, format!("its node {} was lost", allocation.node_name))
}

/// Nothing says that a process existed. Of a client that was lost that proves nothing.
fn not_started(shown: Shown<'_>) -> Fate {
    let allocations = shown.allocations;
    if let Some(lost) = allocations.iter().find(|allocation| is_lost(allocation)) {
        return node_lost(lost);
    }
    // What is being ended may fail to be set up as well; what came first is the reason.
    let first = allocations.iter().flat_map(events).find(|event| is_setup_failure(event) || event.kind == "Killing");
    if let Some(event) = first.filter(|event| is_setup_failure(event)) {
        let words = [&event.display_message, &event.kind].into_iter().find(|words| !words.is_empty());
        let node = allocations.first().map_or("", |allocation| allocation.node_name.as_str());
        let words = format!("it could not be set up on {node}: {}", words.map_or("", String::as_str));
        return Fate::new(End::NotStarted, Reason::SetupFailed, words);
    }
    let stopped = allocations.iter().find(|allocation| allocation.desired_status != "run");
    let (reason, words) =
        stopped.map_or((Reason::SetupFailed, String::new()), |one| why_stopped(one, shown.evaluations));
    Fate::new(End::NotStarted, reason, format!("it was ended before it started{words}"))
}

fn is_setup_failure(event: &TaskEvent) -> bool {
    match event.kind.as_str() {
        "Driver Failure" | "Failed Validation" | "Failed Artifact Download" | "Task hook failed" => true,
        "Killing" => event.fails_task,
        _ => false,
    }
}

/// Why the server wanted it stopped. `nomad alloc stop` leaves the same description as a drain; the evaluations tell them apart.
fn why_stopped(allocation: &Allocation, evaluations: &[Evaluation]) -> (Reason, String) {
    let description = &allocation.desired_description;
    let drained = evaluations.iter().any(|evaluation| evaluation.triggered_by == "node-drain");
    let reason =
        if drained && description.contains("being migrated") { Reason::Drained } else { Reason::StoppedInNomad };
    (reason, format!(" ({description})"))
}

fn ended(execution: &Execution<'_>, evaluations: &[Evaluation]) -> Fate {
    let allocation = execution.allocation;
    if is_lost(allocation) {
        return node_lost(allocation);
    }
    let Some(end) = execution.end else {
        let words = format!("its process on {} was lost, and with it the exit code", allocation.node_name);
        return Fate::new(End::Unknown, Reason::ExitUnknown, words);
    };
    let (how, detail) = match (exit(end), execution.ending) {
        // It has ended all the same. Under raw_exec the client may end its executor before it has asked that for the code.
        ((End::Unknown, detail), Ending::Killed | Ending::Restarted) => (End::Killed, detail),
        (other, _) => other,
    };
    // Of a run that ended by itself while it was being stopped, no `Killing` stands before the end.
    let stopped = execution.ending == Ending::Killed && allocation.desired_status != "run";
    let (reason, detail) = match (execution.ending, how) {
        (Ending::Killed, _) if stopped => {
            let (reason, words) = why_stopped(allocation, evaluations);
            let lost = detail.filter(|_| how == End::Killed).map(|words| format!("; {words}")).unwrap_or_default();
            (Some(reason), Some(format!("Nomad ended it{words}{lost}")))
        }
        (Ending::Restarted, _) => {
            (Some(Reason::StoppedInNomad), Some("it was ended because somebody restarted its task in Nomad".to_owned()))
        }
        (_, End::Unknown) => (Some(Reason::ExitUnknown), detail),
        _ => (None, detail),
    };
    Fate { how, at: None, allocation: None, detail, reason, restarted: false }
}

fn exit(end: &TaskEvent) -> (End, Option<String>) {
    let details = |name: &str| end.details.as_ref().and_then(|details| details.get(name)).map(String::as_str);
    if details("oom_killed") == Some("true") {
        let words = format!("the kernel ended a process of it for its memory; the task exited with {}", end.exit_code);
        return (End::OutOfMemory, Some(words));
    }
    match (end.signal, end.exit_code) {
        (signal, _) if signal > 0 => (End::Signalled(signal), None),
        (_, code) if code < 0 => (End::Unknown, Some("the client lost sight of its exit code".to_owned())),
        (_, code) => (End::Exited(code), None),
    }
}

/// Which resource, constraint or volume is missing, from the newest evaluation that says it.
pub(super) fn why_unplaced(evaluations: &[Evaluation]) -> Option<String> {
    let metric = evaluations.iter().find_map(|one| one.failed.as_ref()?.values().next())?;
    let names = |table: &Option<BTreeMap<String, u64>>| -> Vec<String> {
        table.iter().flatten().map(|(name, nodes)| format!("{name} ({nodes} nodes)")).collect()
    };
    let words = match metric {
        Metric { dimension_exhausted: Some(table), .. } if !table.is_empty() => {
            format!("no client has enough {}", names(&metric.dimension_exhausted).join(", "))
        }
        Metric { constraint_filtered: Some(table), .. } if !table.is_empty() => {
            format!("clients are ruled out: {}", names(&metric.constraint_filtered).join(", "))
        }
        _ => "no client is there to take it (datacenter, node pool)".to_owned(),
    };
    Some(words)
}

#[cfg(test)]
mod tests;
