//! `status`.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::super::output::Look;
use super::super::view::{RunView, StatusView};
use super::{field, heading, indent, lines, shown, span, state, why};
use crate::support::text::one_line;

/// `status`: who serves what, what runs, what waits and why, and what needs a person.
pub fn status(view: &StatusView, now: Timestamp, look: Look) -> String {
    let mut out = service(view, now, look);
    out += &field(look, "ops repo", &format!("{} ({})", view.ops.remote, view.ops.branch));
    out += &field(look, "head", &head(view, now));
    if view.outbox.pending > 0 {
        let error =
            view.outbox.error.as_ref().map(|error| format!("; the last push failed: {error}")).unwrap_or_default();
        out += &field(look, "outbox", &format!("{} results to push{error}", view.outbox.pending));
    }
    let counts: Vec<String> =
        view.counts.iter().map(|(word, count)| format!("{} {count}", state(look.paint, word))).collect();
    if !counts.is_empty() {
        out += &shown(look, "actions", &counts.join("  "));
    }
    let alarms: Vec<String> = view.alarms.iter().map(|(word, count)| format!("{word} {count}")).collect();
    if !alarms.is_empty() {
        let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
        out += &shown(look, "alarms", &look.paint.apply(red, &alarms.join("  ")));
    }
    out + &problems(view, look) + &active(view, now, look) + &waiting(view, now, look)
}

fn service(view: &StatusView, now: Timestamp, look: Look) -> String {
    if !view.running {
        let text = "no dispatcher is running; this is what the journal says (`dispatch run` starts one)";
        return field(look, "service", text);
    }
    let since = view.since.map(|since| format!(" for {}", span(since, now))).unwrap_or_default();
    let stands_by = view.lease.as_ref().is_some_and(|lease| !lease.leads);
    let state = match view.draining {
        true => "draining",
        false if stands_by => "standing by",
        false => "serving",
    };
    let text = format!("{state}{since}, pid {}, version {}", view.pid, view.version);
    let lease = view.lease.as_ref().map(|lease| field(look, "lease", &lease.words())).unwrap_or_default();
    field(look, "service", &text)
        + &lease
        + &field(look, "slots", &format!("{} of {} taken", view.active.len(), view.slots))
}

fn head(view: &StatusView, now: Timestamp) -> String {
    let head = view.ops.head.as_deref().map_or("not seen yet", |head| head.get(..10).unwrap_or(head));
    let looked = view.ops.looked_at.map(|at| format!(", looked {} ago", span(at, now))).unwrap_or_default();
    let error = view.ops.error.as_ref().map(|error| format!("; {error}")).unwrap_or_default();
    format!("{head}{looked}{error}")
}

fn problems(view: &StatusView, look: Look) -> String {
    if view.problems.is_empty() {
        return String::new();
    }
    let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let problems = view.problems.iter().map(|problem| look.paint.apply(red, &one_line(problem)));
    heading(look, "Needs a person") + &indent(&lines(problems))
}

fn active(view: &StatusView, now: Timestamp, look: Look) -> String {
    if view.active.is_empty() {
        return String::new();
    }
    let row = |run: &RunView| {
        let slot = run.slot.map(|slot| slot.to_string()).unwrap_or_default();
        let took = run.started_at.map(|start| span(start, now)).unwrap_or_default();
        vec![slot, run.run.clone(), run.state.clone(), run.backend.clone().unwrap_or_default(), took]
    };
    let table =
        look.inset().table(&["slot", "run", "state", "backend", "for"], view.active.iter().map(row).collect(), "");
    heading(look, "Under way") + &indent(&table)
}

fn waiting(view: &StatusView, now: Timestamp, look: Look) -> String {
    if view.waiting.is_empty() {
        return String::new();
    }
    let row = |run: &RunView| {
        let since = run.queued_at.map(|at| span(at, now)).unwrap_or_default();
        vec![run.action.clone(), since, why(run.reason.as_deref(), run.message.as_deref()).unwrap_or_default()]
    };
    let table = look.inset().table(&["action", "for", "why"], view.waiting.iter().map(row).collect(), "");
    heading(look, "Waiting") + &indent(&table)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::output::Paint;
    use super::super::super::view::{LeaseView, OpsView, OutboxView};
    use super::super::runs::tests::{at, run};
    use super::*;

    fn view() -> StatusView {
        let ops = OpsView {
            remote: "https://forge.example/ops.git".to_owned(),
            branch: "main".to_owned(),
            head: Some("0123456789abcdef".to_owned()),
            looked_at: Some(at(57)),
            error: None,
        };
        let waiting = RunView {
            reason: Some("key_busy".to_owned()),
            message: Some("Another run holds the same concurrency key: release-v1@1.".to_owned()),
            ..run("release-v2", "waiting")
        };
        StatusView {
            version: "0.1.0".to_owned(),
            pid: 42,
            running: true,
            since: Some(at(-7_000)),
            draining: false,
            lease: None,
            slots: 4,
            ops,
            counts: BTreeMap::from([
                ("running".to_owned(), 1),
                ("waiting".to_owned(), 1),
                ("succeeded".to_owned(), 17),
            ]),
            active: vec![RunView { slot: Some(0), ..run("release-v1", "running") }],
            waiting: vec![waiting],
            outbox: OutboxView { pending: 2, error: Some("the remote refuses: protected branch".to_owned()) },
            alarms: BTreeMap::from([("grant_intercepted".to_owned(), 1)]),
            problems: vec!["The primary branch was rewritten: `dispatch ops accept-rewrite COMMIT`".to_owned()],
        }
    }

    #[test]
    fn a_status_says_what_runs_what_waits_and_why() {
        insta::assert_snapshot!(status(&view(), at(60), Look::PLAIN));
    }

    #[test]
    fn an_idle_status_is_short() {
        let view = StatusView {
            active: vec![],
            waiting: vec![],
            problems: vec![],
            outbox: OutboxView::default(),
            alarms: BTreeMap::new(),
            ..view()
        };
        insta::assert_snapshot!(status(&view, at(60), Look::PLAIN));
    }

    #[test]
    fn without_a_dispatcher_it_says_that_this_is_the_journal() {
        let text = status(&StatusView { running: false, pid: 0, since: None, ..view() }, at(60), Look::PLAIN);
        assert!(text.starts_with("service   no dispatcher is running"), "{text}");
        assert!(text.contains("Under way") && !text.contains("pid"), "{text}");
    }

    #[test]
    fn a_standby_says_who_leads_and_a_leader_its_term() {
        let lease = LeaseView {
            leads: false,
            leader: Some("process 17 on host-a".to_owned()),
            since: Some("2026-11-21T10:00:00Z".to_owned()),
            term: Some(48_213),
            error: None,
        };
        let shown =
            |lease: &LeaseView| status(&StatusView { lease: Some(lease.clone()), ..view() }, at(60), Look::PLAIN);
        let text = shown(&lease);
        assert!(text.starts_with("service   standing by for"), "{text}");
        assert!(
            text.contains("standby: led by process 17 on host-a since 2026-11-21T10:00:00Z (term 48213)"),
            "{text}"
        );
        let text = shown(&LeaseView { leads: true, error: Some("no answer came".to_owned()), ..lease });
        assert!(text.starts_with("service   serving for"), "{text}");
        assert!(text.contains("leads since 2026-11-21T10:00:00Z (term 48213); no answer came"), "{text}");
    }

    #[test]
    fn a_status_of_an_older_dispatcher_is_of_one_that_runs() {
        let mut old = serde_json::to_value(view()).unwrap();
        old.as_object_mut().unwrap().remove("running");
        assert!(serde_json::from_value::<StatusView>(old).unwrap().running);
    }

    #[test]
    fn a_status_reads_back_from_the_wire() {
        let text = serde_json::to_string(&view()).unwrap();
        assert_eq!(serde_json::from_str::<StatusView>(&text).unwrap(), view());
    }

    #[test]
    fn colours_are_there_only_when_they_are_wanted() {
        assert!(!status(&view(), at(60), Look::PLAIN).contains('\u{1b}'));
        let colored = Look { paint: Paint::Colored, ..Look::PLAIN };
        assert!(status(&view(), at(60), colored).contains("\u{1b}[36mrunning\u{1b}[0m"));
    }
}
