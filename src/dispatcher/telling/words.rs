//! What is said to the forge, from journal rows and forecasts. Pure. Made of names, words of ours and numbers alone: what a run
//! printed and what a server said about it stay in the result and the log.

use std::fmt::Write as _;

use crate::action::result::ResultState;
use crate::admission::forecast::{Forecast, Planned};
use crate::forge::{Status, StatusState};
use crate::support::ids::ActionId;
use crate::support::status::RunView;
use crate::support::text::clipped;

/// The status of an open request's head.
pub(super) const CHECK: &str = "dispatch/check";

/// The status of a commit that brought actions.
pub(super) const RUN: &str = "dispatch/run";

/// Finds our comment again, together with who wrote it.
pub(super) const MARKER: &str = "<!-- dispatch/run -->";

/// Characters of a description: a line on the page of a request.
const LONGEST: usize = 140;

fn status(context: &str, state: StatusState, description: &str) -> Status {
    let description = clipped(description, LONGEST);
    Status { state, context: context.to_owned(), description, target_url: String::new() }
}

/// How the actions go that one commit brought; `None`: it brought none.
pub(super) fn progress(runs: &[RunView]) -> Option<Status> {
    let state = match runs.iter().map(|run| standing(&run.state)).max()? {
        Standing::Well => StatusState::Success,
        Standing::Ill => StatusState::Failure,
        Standing::Unknown => StatusState::Error,
        Standing::Going => StatusState::Pending,
    };
    let description = match runs {
        [run] => format!("{}: {}", run.action, one(run)),
        many => format!("{} actions: {}", many.len(), counted(many)),
    };
    Some(status(RUN, state, &description))
}

/// Whether `status`, as the dispatcher's user told it, says that `action` ended in `state`. One that counts several actions names
/// none of them, and says it of none.
pub fn vouches(status: &Status, action: &ActionId, state: ResultState) -> bool {
    let said = status.description.strip_prefix(action.as_str()).and_then(|rest| rest.strip_prefix(": "));
    let ended = said.and_then(|said| said.strip_prefix(&shown(state.word())));
    status.context == RUN && ended.is_some_and(|rest| rest.is_empty() || rest.starts_with([',', ' ']))
}

/// A state as people read it.
fn shown(state: &str) -> String {
    state.replace('_', " ")
}

/// From the best to what is not over.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Well,
    Ill,
    Unknown,
    Going,
}

fn standing(state: &str) -> Standing {
    match state {
        "succeeded" => Standing::Well,
        "failed" | "timed_out" | "cancelled" | "rejected" | "not_started" => Standing::Ill,
        "lost" => Standing::Unknown,
        _ => Standing::Going,
    }
}

/// Whether nothing more will become of it by itself.
pub(super) fn is_over(run: &RunView) -> bool {
    standing(&run.state) != Standing::Going
}

fn one(run: &RunView) -> String {
    let mut words = shown(&run.state);
    match (run.exit, &run.reason) {
        (Some(exit), _) if exit != 0 => _ = write!(words, ", exit {exit}"),
        (None, Some(reason)) => _ = write!(words, " ({reason})"),
        _ => {}
    }
    if run.attempt > 1 {
        _ = write!(words, ", attempt {}", run.attempt);
    }
    words
}

/// `2 succeeded, 1 running`
fn counted(runs: &[RunView]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for run in runs {
        match counts.iter_mut().find(|(state, _)| *state == run.state) {
            Some((_, count)) => *count += 1,
            None => counts.push((&run.state, 1)),
        }
    }
    let each = counts.iter().map(|(state, count)| format!("{count} {}", shown(state)));
    each.collect::<Vec<_>>().join(", ")
}

/// The comment with what became of the actions of one request.
pub(super) fn comment(runs: &[RunView]) -> String {
    let mut text = format!(
        "{MARKER}\n| action | result | exit | tier | began | ended | result in |\n|---|---|---|---|---|---|---|\n"
    );
    for run in runs {
        let cell = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        let time = |at: Option<jiff::Timestamp>| cell(at.map(crate::support::clock::rfc3339_seconds));
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            run.action,
            one(run),
            cell(run.exit.map(|exit| exit.to_string())),
            cell(run.tier.clone()),
            time(run.started_at),
            time(run.finished_at),
            cell(run.result_commit.clone()),
        );
    }
    let _ = write!(text, "\n`dispatch show ID` and `dispatch logs ID` tell more.");
    text
}

/// What would become of the actions of an open request, each under the name of its file.
pub(super) fn check(actions: &[(String, Forecast)]) -> Status {
    let refused = actions.iter().find_map(|(name, forecast)| match forecast {
        Forecast::Refused { message, .. } => Some(format!("{name}: {}", finding(message))),
        _ => None,
    });
    if let Some(words) = refused {
        return status(CHECK, StatusState::Failure, &words);
    }
    let open = actions.iter().find_map(|(name, forecast)| match forecast {
        Forecast::Open { reason, .. } => Some(format!("{name} cannot be checked now ({reason})")),
        _ => None,
    });
    if let Some(words) = open {
        return status(CHECK, StatusState::Pending, &words);
    }
    let plans = actions.iter().filter_map(|(name, forecast)| match forecast {
        Forecast::Runs(planned) => Some(plan(name, planned)),
        _ => None,
    });
    let plans: Vec<String> = plans.collect();
    match plans.as_slice() {
        [] => status(CHECK, StatusState::Success, "brings no action"),
        [one] => status(CHECK, StatusState::Success, one),
        many => status(CHECK, StatusState::Success, &format!("{} actions: {}", many.len(), many.join("; "))),
    }
}

fn plan(name: &str, planned: &Planned) -> String {
    let listed = |what: &str, names: Vec<String>| match names.as_slice() {
        [] => format!("no {what}"),
        names => format!("{what} {}", names.join(" ")),
    };
    let secrets = listed("secrets", planned.secrets.iter().map(ToString::to_string).collect());
    let mounts = listed("mounts", planned.mounts.iter().map(ToString::to_string).collect());
    format!("{name} would run {} ({} tier) with {secrets}, {mounts}", planned.formula, planned.tier)
}

/// What is wrong, without the line that only repeats the file's path.
fn finding(message: &str) -> &str {
    let mut lines = message.lines();
    match (lines.next(), lines.next()) {
        (Some(path), Some(first)) if path.ends_with(':') => first.trim(),
        (Some(only), _) => only,
        (None, _) => message,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::action::Tier;
    use crate::action::reason::Reason;

    fn run(action: &str, state: &str) -> RunView {
        RunView { action: action.to_owned(), state: state.to_owned(), attempt: 1, ..RunView::default() }
    }

    fn runs() -> Forecast {
        Forecast::Runs(Planned {
            tier: Tier::High,
            formula: "release".parse().unwrap(),
            secrets: BTreeSet::from(["NPM_TOKEN".parse().unwrap()]),
            mounts: BTreeSet::new(),
            approvals: 1,
        })
    }

    #[test]
    fn one_action_is_told_by_name_and_several_by_number() {
        let told = |runs: &[RunView]| progress(runs).map(|status| (status.state, status.description));
        assert_eq!(told(&[]), None);
        let failed = RunView { exit: Some(3), attempt: 2, ..run("a", "failed") };
        assert_eq!(told(&[failed]), Some((StatusState::Failure, "a: failed, exit 3, attempt 2".to_owned())));
        let many = [run("a", "succeeded"), run("b", "running"), run("c", "succeeded")];
        assert_eq!(told(&many), Some((StatusState::Pending, "3 actions: 2 succeeded, 1 running".to_owned())));
        assert_eq!(told(&[run("a", "lost")]).unwrap().0, StatusState::Error);
    }

    #[test]
    fn only_a_status_that_names_the_action_and_its_end_vouches_for_it() {
        let vouched = |runs: &[RunView], state| vouches(&progress(runs).unwrap(), &"a".parse().unwrap(), state);
        assert!(vouched(&[run("a", "succeeded")], ResultState::Succeeded));
        assert!(vouched(&[RunView { exit: Some(3), ..run("a", "failed") }], ResultState::Failed));
        assert!(vouched(&[run("a", "timed_out")], ResultState::TimedOut));
        assert!(vouched(&[RunView { attempt: 2, ..run("a", "succeeded") }], ResultState::Succeeded));
        assert!(!vouched(&[run("a", "running")], ResultState::Succeeded));
        assert!(!vouched(&[run("a", "failed")], ResultState::Succeeded));
        assert!(!vouched(&[run("b", "succeeded")], ResultState::Succeeded));
        assert!(!vouched(&[run("a", "succeeded"), run("b", "succeeded")], ResultState::Succeeded), "it names neither");
    }

    #[test]
    fn a_request_is_as_good_as_the_worst_of_its_actions() {
        let refused = Forecast::Refused {
            reason: Reason::UnknownField,
            message: "vault/actions/b.toml:\nline 3: unknown field `colour`".to_owned(),
        };
        let open = Forecast::Open { reason: Reason::SecretsUnavailable, message: "it does not answer".to_owned() };
        let told = |all: &[(String, Forecast)]| {
            let status = check(all);
            (status.state, status.description)
        };
        assert_eq!(
            told(&[("a".to_owned(), runs())]),
            (StatusState::Success, "a would run release (high tier) with secrets NPM_TOKEN, no mounts".to_owned())
        );
        let waits = (StatusState::Pending, "c cannot be checked now (secrets_unavailable)".to_owned());
        assert_eq!(told(&[("a".to_owned(), runs()), ("c".to_owned(), open.clone())]), waits);
        let wrong = (StatusState::Failure, "b: line 3: unknown field `colour`".to_owned());
        assert_eq!(told(&[("a".to_owned(), runs()), ("c".to_owned(), open), ("b".to_owned(), refused)]), wrong);
    }

    #[test]
    fn what_a_run_said_is_in_no_words_of_ours() {
        let loud = RunView {
            message: Some("hunter2".to_owned()),
            reason: Some("exit_nonzero".to_owned()),
            ..run("a", "failed")
        };
        let told = format!("{:?} {}", progress(std::slice::from_ref(&loud)), comment(&[loud]));
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn a_long_description_is_cut_and_stays_one_line() {
        let message = format!("x\u{202e}\n{}", "y".repeat(500));
        let refused = Forecast::Refused { reason: Reason::Syntax, message };
        let told = check(&[("a\nb".to_owned(), refused)]).description;
        assert!(told.chars().count() <= LONGEST + 1 && !told.contains(['\n', '\u{202e}']), "{told}");
    }
}
