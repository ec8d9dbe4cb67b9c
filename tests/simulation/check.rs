//! What must hold when a history is over: what truly ran, the journal, the results and the logs agree.

use dispatch::action::result::{ActionResult, ResultState};
use dispatch::backend::End;
use dispatch::backend::fake::Step as Scripted;
use dispatch::run::journal::{chain, read, replay, store};
use dispatch::run::record::Run;
use dispatch::run::state::State;
use dispatch::run::step::Step;

use crate::history::Asked;
use crate::life::Surroundings;

/// Notes everything that does not hold.
pub(crate) fn at_rest(world: &Surroundings<'_>) {
    let journal = store::open_to_read(&world.folder.join("journal.db")).unwrap();
    let wrong = |words: String| world.chance.wrong(words);
    world
        .place
        .fake
        .violations()
        .into_iter()
        .for_each(|words| wrong(format!("the backend was called wrongly: {words}")));
    let breaks = chain::verify(&journal).unwrap().breaks.into_iter().chain(replay::compare(&journal).unwrap());
    breaks.for_each(|broken| wrong(format!("the journal: {} {}", broken.seq, broken.what)));
    for asked in world.asked.iter() {
        for attempt in asked.attempts() {
            match read::run(&journal, &asked.run(attempt)).unwrap() {
                None => wrong(format!("{} was forgotten", asked.run(attempt))),
                Some(run) => of_run(world, asked, &run),
            }
        }
        let last = read::run(&journal, &asked.last_run()).unwrap().and_then(|run| run.outcome);
        let path = format!("vault/actions/{}.result.json", asked.name);
        if world.remote.file(&path) != last.map(|outcome| outcome.result) {
            wrong(format!("the ops repo has not the result of {}", asked.last_run()));
        }
    }
    for event in read::events_since(&journal, 0).unwrap() {
        let Ok(Step::Grant { record, .. }) = serde_json::from_str(&event.data) else { continue };
        if record.accessors.iter().any(|accessor| world.grants.is_alive(accessor)) {
            wrong(format!("a grant of {} was never taken back", event.run));
        }
    }
}

fn of_run(world: &Surroundings<'_>, asked: &Asked, run: &Run) {
    let wrong = |words: String| world.chance.wrong(format!("{}: {words}", run.id));
    if run.state != State::Published || run.grant.is_some() {
        wrong(format!("it stands as {}", run.state));
    }
    let Some(outcome) = &run.outcome else { return wrong("it has no result".to_owned()) };
    let result: ActionResult = serde_json::from_str(&outcome.result).unwrap();
    let executions = world.place.fake.executions(&asked.key(run.id.attempt()));
    if executions > 1 {
        wrong(format!("it ran {executions} times"));
    }
    let expected: &[ResultState] = match (executions > 0, asked.script.end) {
        (false, _) if run.stop.is_some() => &[ResultState::Cancelled],
        (true, _) if run.stop.is_some() => {
            &[ResultState::Cancelled, ResultState::TimedOut, ResultState::Succeeded, ResultState::Failed]
        }
        (true, Some(End::Exited(0))) => &[ResultState::Succeeded],
        (true, Some(End::Unknown)) => &[ResultState::Lost],
        (true, Some(_)) => &[ResultState::Failed],
        // Refused launches are not played here: a run that nobody stopped begins, and does not hang for ever.
        (false, _) | (true, None) => &[],
    };
    let may_be_lost = asked.unknown || asked.script.end == Some(End::Unknown);
    let holds = expected.contains(&result.state) || (may_be_lost && result.state == ResultState::Lost);
    if !holds {
        wrong(format!(
            "it is {:?} ({}), ran {executions} times, and was to be one of {expected:?}",
            result.state, result.message
        ));
    }
    if result.state == ResultState::Succeeded && run.stop.is_none() {
        let log = std::fs::read_to_string(world.folder.join(format!("logs/{}.log", run.id))).unwrap();
        if log != printed(asked) {
            wrong(format!("its log is {log:?}, and it printed {:?}", printed(asked)));
        }
    }
}

/// What the formula prints when nobody stops it.
fn printed(asked: &Asked) -> String {
    let mut log = String::new();
    for step in &asked.script.steps {
        let Scripted::Events(bytes) = step else { continue };
        let event: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        if let Some(text) = event["text"].as_str() {
            log.push_str(text);
            log.push('\n');
        }
    }
    log
}
