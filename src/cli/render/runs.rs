//! `list` and `show`.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::output::Look;
use super::super::view::{AdmittedView, EventView, HistoryView, ListView, RunView, ShowView, StandingView, Whose};
use super::{field, heading, indent, lines, shown, span, state, why};
use crate::action::result::JobRef;
use crate::support::clock::rfc3339_seconds;
use crate::support::text::{block, one_line};

/// The columns of a list that a narrow terminal can do without, by their number: backend, tier, took, formula, queued.
const SPARE: [usize; 5] = [4, 2, 6, 3, 5];

/// `list`: one line for each run. A terminal that is too narrow for all columns gets fewer; `show` says the rest.
pub fn list(view: &ListView, now: Timestamp, look: Look) -> String {
    let row = |run: &RunView| {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            run.run.clone(),
            run.state.clone(),
            or_dash(&run.tier),
            or_dash(&run.formula),
            or_dash(&run.backend),
            run.queued_at.map_or_else(|| "-".to_owned(), |at| format!("{} ago", span(at, now))),
            took(run, now).unwrap_or_else(|| "-".to_owned()),
            why(run.reason.as_deref(), None).unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let header = ["run", "state", "tier", "formula", "backend", "queued", "took", "reason"];
    let rows: Vec<Vec<String>> = view.runs.iter().map(row).collect();
    let kept = look.fitting(&rows, &header, &SPARE);
    let of = |cells: &[String]| kept.iter().filter_map(|column| cells.get(*column).cloned()).collect::<Vec<_>>();
    let header: Vec<&str> = kept.iter().filter_map(|column| header.get(*column).copied()).collect();
    look.table(&header, rows.iter().map(|row| of(row)).collect(), "no runs")
}

fn took(run: &RunView, now: Timestamp) -> Option<String> {
    run.started_at.map(|start| span(start, run.finished_at.unwrap_or(now)))
}

/// `show`: everything about one run.
pub fn show(view: &ShowView, now: Timestamp, look: Look) -> String {
    let run = &view.run;
    let mut out = field(look, "run", &run.run);
    out += &shown(look, "state", &state(look.paint, &run.state));
    let fields = [
        ("why", why(run.reason.as_deref(), run.message.as_deref())),
        ("exit", run.exit.map(|code| code.to_string())),
        ("asked by", view.request.as_ref().map(|asked| format!("{} ({})", asked.path, short(&asked.blob)))),
        ("context", view.admitted.as_ref().map(|admitted| admitted.context.clone())),
        ("tier", run.tier.clone()),
        ("approved", view.admitted.as_ref().map(approval)),
        ("formula", run.formula.clone().map(|name| formula(&name, view.admitted.as_ref()))),
        ("backend", run.backend.clone()),
        ("job", view.job.as_ref().map(|job| job.id.clone())),
        ("placed", view.job.as_ref().and_then(placed)),
        ("slot", run.slot.map(|slot| slot.to_string())),
        ("policies", (!view.policies.is_empty()).then(|| view.policies.join(", "))),
        ("queued", run.queued_at.map(rfc3339_seconds)),
        ("started", run.started_at.map(rfc3339_seconds)),
        ("finished", run.finished_at.map(rfc3339_seconds)),
        ("took", took(run, now)),
        ("result", run.result_commit.clone()),
        ("stands", view.standing.as_ref().map(standing)),
        ("kept", view.kept_aside.clone()),
        ("log", view.log.clone()),
    ];
    out.extend(fields.iter().filter_map(|(name, value)| value.as_ref().map(|value| field(look, name, value))));
    out + &view.admitted.as_ref().map(|admitted| granted(admitted, look)).unwrap_or_default()
        + &events(&view.events, look)
        + &logs(view, look)
}

/// `allocation 9e6c… on edge-1, image …`.
fn placed(job: &JobRef) -> Option<String> {
    let parts = [
        job.allocation.as_ref().map(|allocation| format!("allocation {allocation}")),
        job.node.as_ref().map(|node| format!("on {node}")),
        job.image.as_ref().map(|image| format!("image {image}")),
    ];
    let known: Vec<String> = parts.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// The first digits of an id, for people.
fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

fn approval(admitted: &AdmittedView) -> String {
    let approval = &admitted.approval;
    let by = if approval.by.is_empty() { String::new() } else { format!(" by {}", approval.by.join(", ")) };
    let commit = approval.commit.as_deref().map(|commit| format!(", commit {}", short(commit))).unwrap_or_default();
    let number = approval.pull_request.map(|number| format!(" #{number}")).unwrap_or_default();
    format!("{}{number}{by}{commit}", approval.how.replace('_', " "))
}

fn formula(name: &str, admitted: Option<&AdmittedView>) -> String {
    let source =
        |admitted: &AdmittedView| format!("{name} from {} (sha256 {})", admitted.source, short(&admitted.hash));
    admitted.map_or_else(|| name.to_owned(), source)
}

fn standing(standing: &StandingView) -> String {
    let whose = match standing.whose {
        Whose::Ours => "this run's result",
        Whose::OtherAttempt => "the result of another attempt",
        Whose::KeptAside => "a result that is not this run's; its own is kept aside",
        Whose::Foreign => "a result that this journal does not know",
        Whose::NotCompared => "not compared: the mirror does not hold it",
    };
    format!("{} ({}): {whose}", standing.path, short(&standing.blob))
}

/// What it was given, and on what evidence.
fn granted(admitted: &AdmittedView, look: Look) -> String {
    let list =
        |names: &BTreeSet<String>| (!names.is_empty()).then(|| names.iter().cloned().collect::<Vec<_>>().join(", "));
    let fields = [
        ("secrets", list(&admitted.secrets)),
        ("mounts", list(&admitted.mounts)),
        ("timeout", Some(format!("{} minutes", admitted.timeout_minutes))),
        ("key", admitted.concurrency_key.clone()),
        ("directory", admitted.working_directory.clone()),
        ("not after", admitted.not_after.map(rfc3339_seconds)),
        ("after", list(&admitted.depends_on)),
    ];
    let mut out = heading(look, "Admitted");
    out.extend(fields.into_iter().filter_map(|(name, value)| Some(indent(&field(look, name, &value?)))));
    let params =
        admitted.params.iter().map(|(name, value)| indent(&field(look, "param", &format!("{name} = {value}"))));
    out.extend(params);
    out + &indent(&lines(admitted.evidence.iter().map(|line| one_line(line))))
}

/// `show` of an action whose only trace is its result in the ops repo.
pub fn history(view: &HistoryView, look: Look) -> String {
    let note = "the journal knows no run of it: its result is older, or somebody else's; it counts as done";
    field(look, "action", &view.action)
        + &field(look, "stands", &format!("{} (blob {})", view.standing.path, view.standing.blob))
        + &field(look, "note", note)
}

/// How a run ended, in one line: `release-1@1: failed: the formula exited with 3 (exit_nonzero)`.
pub fn ending(run: &RunView) -> String {
    let why = why(run.reason.as_deref(), run.message.as_deref()).map(|why| format!(": {why}")).unwrap_or_default();
    format!("{}: {}{why}", run.run, run.state)
}

fn events(events: &[EventView], look: Look) -> String {
    if events.is_empty() {
        return String::new();
    }
    let row = |event: &EventView| {
        let detail = event.detail.clone().unwrap_or_default();
        vec![event.number.to_string(), rfc3339_seconds(event.at), event.state.clone(), detail]
    };
    heading(look, "Events")
        + &indent(&look.inset().table(&["#", "at", "state", "detail"], events.iter().map(row).collect(), ""))
}

/// The end of the log, as the result has it.
fn logs(view: &ShowView, look: Look) -> String {
    let text =
        view.result.as_ref().and_then(|result| result.get("logs")).and_then(|logs| logs.as_str()).unwrap_or_default();
    if text.trim().is_empty() { String::new() } else { heading(look, "End of the log") + &indent(&block(text)) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    pub(in super::super) fn run(action: &str, state: &str) -> RunView {
        RunView {
            run: format!("{action}@1"),
            action: action.to_owned(),
            attempt: 1,
            state: state.to_owned(),
            tier: Some("medium".to_owned()),
            formula: Some("release".to_owned()),
            backend: Some("local".to_owned()),
            queued_at: Some(at(0)),
            started_at: Some(at(2)),
            ..RunView::default()
        }
    }

    #[test]
    fn a_list_of_runs_is_a_table() {
        let failed = RunView {
            reason: Some("exit_nonzero".to_owned()),
            finished_at: Some(at(75)),
            ..run("publish-site", "failed")
        };
        let waiting =
            RunView { started_at: None, tier: None, reason: Some("queue_full".to_owned()), ..run("b", "waiting") };
        let view = ListView { runs: vec![run("release-v1.2.0", "running"), failed, waiting] };
        insta::assert_snapshot!(list(&view, at(3_700), Look::PLAIN));
        assert_eq!(list(&ListView::default(), at(0), Look::PLAIN), "no runs\n");
    }

    #[test]
    fn a_narrow_terminal_gets_a_list_of_fewer_columns_and_no_broken_word() {
        let view = ListView { runs: vec![run("publish-the-site-2026-11-21", "succeeded")] };
        let shown = list(&view, at(3_700), Look { width: Some(60), ..Look::PLAIN });
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(!shown.contains("BACKEND") && shown.contains("REASON"), "{shown}");
        assert!(shown.contains("publish-the-site-2026-11-21"), "{shown}");
    }

    #[test]
    fn one_run_is_shown_with_its_events_and_the_end_of_its_log() {
        let run = RunView {
            reason: Some("exit_nonzero".to_owned()),
            message: Some("The formula exited with 3.".to_owned()),
            exit: Some(3),
            slot: Some(0),
            finished_at: Some(at(75)),
            result_commit: Some("0123456789".to_owned()),
            ..run("publish-site", "failed")
        };
        let event = |number, state: &str, detail: Option<&str>| EventView {
            number,
            at: at(i64::try_from(number).unwrap()),
            state: state.to_owned(),
            detail: detail.map(str::to_owned),
        };
        let view = ShowView {
            run,
            events: vec![event(1, "seen", Some("commit 0123456789")), event(2, "admitted", None)],
            policies: vec!["runner-API_TOKEN".to_owned()],
            job: Some(JobRef {
                id: "vault-runner/dispatch-0123".to_owned(),
                allocation: Some("dabb1bad-dd69".to_owned()),
                node: Some("edge-1".to_owned()),
                image: None,
            }),
            request: None,
            admitted: None,
            standing: None,
            kept_aside: None,
            log: Some("/var/lib/dispatch/logs/publish-site@1.log".to_owned()),
            result: Some(serde_json::json!({ "logs": "line one\n\u{1b}[31mred\u{202e}\nlast\n" })),
        };
        insta::assert_snapshot!(show(&view, at(100), Look::PLAIN));
    }
}
