//! `dispatch list`: the runs of the journal, and what the running dispatcher adds: why admitted ones wait for their turn.

use std::process::ExitCode;

use rusqlite::Connection;

use super::args::ListArgs;
use super::error::{CliError, Kind};
use super::invocation::Invocation;
use super::view::{ListView, RunView, StatusView};
use super::{records, render};
use crate::action::result::ResultState;
use crate::dispatcher::report::run_view;
use crate::run::journal::read;
use crate::run::record::Run;
use crate::run::state::State;
use crate::support::clock::{Clock as _, SystemClock};
use crate::support::text::closest;

/// Words for what became of runs, each with the states of the journal in which it may be found.
const WORDS: [(&str, &[State]); 9] = [
    ("waiting", &[State::Seen, State::Admitted]),
    ("running", &[State::Granted, State::Launching, State::Running]),
    (ResultState::Succeeded.word(), OVER),
    (ResultState::Failed.word(), OVER),
    (ResultState::TimedOut.word(), OVER),
    (ResultState::Cancelled.word(), OVER),
    (ResultState::Rejected.word(), &[State::Rejected, State::Settled, State::Published]),
    (ResultState::NotStarted.word(), OVER),
    (ResultState::Lost.word(), OVER),
];
const OVER: &[State] = &[State::Settled, State::Published];

/// Which runs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    All,
    /// By the word that is shown, to be found in these states.
    Word(&'static str, &'static [State]),
    /// By the state of the journal, for which people have no word.
    State(State),
}

impl Filter {
    /// A word of both kinds (`running`) is people's.
    fn parse(word: Option<&str>) -> Result<Self, CliError> {
        let Some(word) = word else { return Ok(Self::All) };
        if let Some((word, states)) = WORDS.iter().find(|(known, _)| *known == word) {
            return Ok(Self::Word(word, states));
        }
        word.parse().map(Self::State).map_err(|_| wrong(word))
    }

    fn runs(self, journal: &Connection, limit: u32) -> Result<Vec<Run>, CliError> {
        let recent = |state, limit| read::recent(journal, state, limit).map_err(|error| records::failed(&error));
        match self {
            Self::All => recent(None, limit),
            Self::State(state) => recent(Some(state), limit),
            Self::Word(word, states) => {
                let mut runs = Vec::new();
                for state in states {
                    runs.extend(recent(Some(*state), u32::MAX)?);
                }
                runs.retain(|run| run_view(run, None).state == word);
                runs.sort_by_key(|run| std::cmp::Reverse(run.order));
                runs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                Ok(runs)
            }
        }
    }
}

fn wrong(word: &str) -> CliError {
    let mut known: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    known.extend(
        State::ALL.iter().map(|state| state.word()).filter(|word| !WORDS.iter().any(|(known, _)| known == word)),
    );
    let meant = closest(word, known.iter().copied()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let words = CliError::new(Kind::Usage, format!("`{word}` is not a state")).place("--state");
    words.hint(format!("{meant}the states are: {}", known.join(", ")))
}

/// `dispatch list`
///
/// # Errors
/// A word that is no state, or a journal that cannot be read.
pub fn run(arguments: &ListArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let filter = Filter::parse(arguments.state.as_deref())?;
    let state_dir = invocation.load()?.config.state_dir;
    let journal = records::open(&state_dir)?;
    let runs = filter.runs(&journal, arguments.limit)?;
    let mut view = ListView { runs: runs.iter().map(|run| run_view(run, None)).collect() };
    if runs.iter().any(|run| run.state == State::Admitted)
        && let Some(status) = records::status(&state_dir)?
    {
        add_waits(&mut view.runs, &status);
    }
    let now = SystemClock.now();
    invocation.output.say("list", &view, |look| render::list(&view, now, look))?;
    Ok(ExitCode::SUCCESS)
}

/// Why runs wait for a slot is not in the journal: it changes with every run that begins or ends.
fn add_waits(runs: &mut [RunView], status: &StatusView) {
    for run in runs.iter_mut().filter(|run| run.state == "waiting") {
        if let Some(waiting) = status.waiting.iter().find(|waiting| waiting.run == run.run) {
            (run.reason, run.message) = (waiting.reason.clone(), waiting.message.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_word_of_people_or_a_state_of_the_journal() {
        assert_eq!(Filter::parse(Some("published")).unwrap(), Filter::State(State::Published));
        assert!(
            matches!(Filter::parse(Some("running")).unwrap(), Filter::Word("running", states) if states.len() == 3)
        );
        for word in WORDS.iter().map(|(word, _)| *word).chain(State::ALL.iter().map(|state| state.word())) {
            assert!(Filter::parse(Some(word)).is_ok(), "{word}");
        }
    }

    #[test]
    fn why_it_waits_comes_from_the_dispatcher_and_only_for_what_waits() {
        let run =
            |name: &str, state: &str| RunView { run: name.to_owned(), state: state.to_owned(), ..RunView::default() };
        let told = |name| RunView { reason: Some("queue_full".to_owned()), ..run(name, "waiting") };
        let status = StatusView { waiting: vec![told("a@1"), told("b@1")], ..StatusView::default() };
        let mut runs = [run("a@1", "waiting"), run("b@1", "running")];
        add_waits(&mut runs, &status);
        assert_eq!((runs[0].reason.as_deref(), runs[1].reason.as_deref()), (Some("queue_full"), None));
    }
}
