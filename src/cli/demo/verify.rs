//! Reads back what the demo left behind, in git, in the journal and on disk, and says of each promise whether it was kept.

use serde::Serialize;

use super::super::error::CliError;
use super::scenario::{ACTIONS, Action, FORBIDDEN, GRANTED, UNASKED};
use super::search::Haystack;
use super::stopped;
use super::story::Told;
use super::world::World;
use crate::action::result::ActionResult;
use crate::dispatcher::start::JOURNAL;
use crate::run::journal::{chain, store};
use crate::support::ids::sha256_hex;

/// A promise, and whether it was observed.
#[derive(Debug, Serialize)]
pub(super) struct Proof {
    /// What was promised.
    pub(super) promise: String,
    /// Whether it was observed.
    pub(super) held: bool,
    /// What was seen.
    pub(super) seen: String,
}

/// A result as it stands in the ops repo.
#[derive(Debug, Serialize)]
pub(super) struct Committed {
    /// Its path.
    pub(super) path: String,
    /// What stands there; nothing where none does, or where it is no result.
    pub(super) result: Option<ActionResult>,
}

impl Committed {
    fn logs(&self) -> &str {
        self.result.as_ref().map_or("", |result| &result.logs)
    }

    fn prints(&self, line: &str) -> bool {
        self.logs().lines().any(|printed| printed == line)
    }
}

/// The results as committed, and every proof.
///
/// # Errors
/// Something cannot be read, so that nothing can be said.
pub(super) async fn all(world: &World, steps: &[Told]) -> Result<(Vec<Committed>, Vec<Proof>), CliError> {
    let mut results = Vec::new();
    for action in &ACTIONS {
        results.push(committed(world, action).await?);
    }
    let mut proofs = vec![as_expected(&results), launches(steps)];
    proofs.extend(secrets(world, &results));
    proofs.extend(nowhere(world).await?);
    proofs.push(chain(world)?);
    Ok((results, proofs))
}

async fn committed(world: &World, action: &Action) -> Result<Committed, CliError> {
    let path = action.result_path();
    let bytes = world.workshop.committed(&path).await.map_err(|error| stopped(&error))?;
    Ok(Committed { path, result: bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) })
}

fn as_expected(results: &[Committed]) -> Proof {
    let wrong = ACTIONS.iter().zip(results).filter(|(action, committed)| {
        let (expected, found) = (action.expected, committed.result.as_ref());
        !found.is_some_and(|found| {
            (found.state, found.exit_code, found.reason) == (expected.state, expected.exit_code, expected.reason)
        })
    });
    let wrong: Vec<&str> = wrong.map(|(action, _)| action.id).collect();
    let seen = if wrong.is_empty() {
        format!("{} results, each with its state, exit code and reason", results.len())
    } else {
        format!("not so: {}", wrong.join(", "))
    };
    Proof { promise: "every action has the result that it must have, in git".to_owned(), held: wrong.is_empty(), seen }
}

/// What was refused had no effect at all, and nothing ran twice.
fn launches(steps: &[Told]) -> Proof {
    let count = |id: &str, kind: &str| steps.iter().filter(|told| told.is(id, kind)).count();
    let wrong = ACTIONS.iter().filter(|action| {
        let runs = usize::from(action.expected.runs());
        ["grant", "launch", "start"].iter().any(|kind| count(action.id, kind) != runs)
    });
    let wrong: Vec<&str> = wrong.map(|action| action.id).collect();
    let admitted = ACTIONS.iter().filter(|action| action.expected.runs()).count();
    let seen = match wrong.as_slice() {
        [] => format!("{admitted} launched once each, {} granted and launched nothing", ACTIONS.len() - admitted),
        wrong => format!("not so: {}", wrong.join(", ")),
    };
    let promise = "what was admitted was launched once, what was refused never".to_owned();
    Proof { promise, held: wrong.is_empty(), seen }
}

/// Which secrets the formulas saw: they print the digest of each, or that it is not set.
fn secrets(world: &World, results: &[Committed]) -> Vec<Proof> {
    let of = |id: &str| ACTIONS.iter().zip(results).find(|(action, _)| action.id == id).map(|(_, found)| found);
    let (Some(rotate), Some(hello)) = (of("rotate-token-1"), of("say-hello-1")) else { return Vec::new() };
    let [granted, ..] = &world.canaries;
    let line = format!("{GRANTED} sha256 {}", sha256_hex(granted.value.as_bytes()));
    let was_there = rotate.prints(&line);
    let unset = |committed: &Committed, name: &str| committed.prints(&format!("{name} unset"));
    let absent = unset(rotate, UNASKED)
        && unset(rotate, FORBIDDEN)
        && [GRANTED, UNASKED, FORBIDDEN].iter().all(|name| unset(hello, name));
    let masked = rotate.logs().matches(&format!("[redacted:{GRANTED}]")).count() == 2;
    let printed = |held: bool| if held { "printed" } else { "did not print" };
    let proof = |promise: &str, held: bool, seen: String| Proof { promise: promise.to_owned(), held, seen };
    vec![
        proof("the granted secret was there", was_there, format!("rotate-token-1 {} `{line}`", printed(was_there))),
        proof(
            "secrets that an action does not name were not there",
            absent,
            format!("rotate-token-1 {0} `{UNASKED} unset`, and say-hello-1 the same of all", printed(absent)),
        ),
        proof(
            "what a careless formula prints of its secret is masked",
            masked,
            format!("rotate-token-1 {} `[redacted:{GRANTED}]` for the value and for its base64", printed(masked)),
        ),
    ]
}

/// No value stands anywhere; and the search can see: the digest, which the formula printed, is found by it.
async fn nowhere(world: &World) -> Result<Vec<Proof>, CliError> {
    let haystack = Haystack::gather(world.folder(), &["ops.git", "state/mirror.git"]).await?;
    let mut found = Vec::new();
    for canary in &world.canaries {
        found.extend(
            haystack.find(&canary.value)?.into_iter().map(|path| format!("{} in {}", canary.name, path.display())),
        );
    }
    let [granted, ..] = &world.canaries;
    let digest = haystack.find(&sha256_hex(granted.value.as_bytes()))?.len();
    let looked = format!("{} files and {} bytes of git objects", haystack.file_count, haystack.object_bytes);
    let seen = if found.is_empty() {
        format!("{looked} searched, plain, in hex and in base64; the printed digest was found in {digest} of them")
    } else {
        format!("{looked} searched; {}", found.join(", "))
    };
    let held = found.is_empty() && digest > 0;
    Ok(vec![Proof {
        promise: "no secret's value stands in any file, log, journal or git object".to_owned(),
        held,
        seen,
    }])
}

fn chain(world: &World) -> Result<Proof, CliError> {
    let path = world.folder().join("state").join(JOURNAL);
    let verified = store::open_to_read(&path).and_then(|journal| chain::verify(&journal));
    let verified = verified.map_err(|error| stopped(&error))?;
    let breaks = verified.breaks.len();
    Ok(Proof {
        promise: "the journal is a whole chain".to_owned(),
        held: breaks == 0 && verified.events > 0,
        seen: format!("{} events, {breaks} breaks, the last hash is {}", verified.events, verified.tip),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The results as they must be, but that of `id` with another state.
    fn results(id: &str) -> Vec<Committed> {
        let result = |action: &Action| {
            let state = if action.id == id { json!("lost") } else { json!(action.expected.state) };
            let fields = json!({
                "id": action.id, "exit_code": action.expected.exit_code, "timestamp": "", "logs": "", "schema": 1,
                "state": state, "reason": action.expected.reason, "message": "", "exit": null, "action_blob": "",
                "policies": [], "attempt": 1, "dispatcher": { "version": "", "host": "" },
            });
            Committed { path: action.result_path(), result: Some(serde_json::from_value(fields).unwrap()) }
        };
        ACTIONS.iter().map(result).collect()
    }

    #[test]
    fn one_result_that_is_not_as_it_must_be_breaks_the_promise_and_is_named() {
        assert!(as_expected(&results("nothing")).held);
        let proof = as_expected(&results("say-hello-2"));
        assert!(!proof.held && proof.seen.ends_with("say-hello-2"), "{}", proof.seen);
    }

    #[test]
    fn a_result_that_is_missing_breaks_the_promise() {
        let mut results = results("nothing");
        results[1].result = None;
        assert!(!as_expected(&results).held);
    }

    #[test]
    fn a_launch_that_was_not_seen_breaks_the_promise() {
        assert!(!launches(&[]).held);
    }
}
