//! From a merge on a real forge to Nomad's word that it has the run, by the dispatcher, which the forge's webhook wakes, and by a
//! hand that merges, pulls and dispatches with bare calls, by turns: against the testbed's servers, where they are up
//! (`tests/testbed/up`); without them there are no rows.

use std::fs;
use std::path::Path;

use dispatch::support::clock::{Clock as _, SystemClock};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::Effort;
use crate::child::until;
use crate::forge::rush::woken;
use crate::forge::world::{World, git, hello, says, stop};
use crate::nomad::{Api, config, register};
use crate::pickup::between;
use crate::table::{Goal, Row};

/// The dispatcher and a hand, by turns.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let Some(api) = Api::of_testbed("bench-merged") else { return Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    runtime.block_on(api.make_namespace());
    let config = config(scratch.path(), &api);
    register(scratch.path(), &config);
    let (world, serving) = woken(&config);
    says(&serving, "serving");
    let clone = world.clone();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 0..effort.of(3, 12) {
        ours.push(dispatched(&world, &format!("ours-{number}")));
        theirs.push(runtime.block_on(by_hand(&world, &clone, &api, &format!("theirs-{number}"))));
    }
    stop(serving);
    runtime.block_on(api.end());
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    vec![
        Row::new("merge asked for → accepted by Nomad, by the webhook", "ms", Goal::None, ours),
        Row::new("… by hand: merge, pull, dispatch", "ms", Goal::None, theirs),
        Row::new("… so many times as long as by hand", "×", Goal::None, ratios),
    ]
}

/// Milliseconds from the merge that is asked for to the recorded launch.
fn dispatched(world: &World, id: &str) -> f64 {
    let (number, _) = world.file(id, &hello(id).replace("hello", "ship"));
    world.approve(number);
    let (_, asked) = world.merge_as(number, "squash");
    let asked = SystemClock.now() - asked.elapsed();
    let accepted = until("the launch", || accepted_at(world, id));
    let result = format!("/contents/vault/actions/{id}.result.json");
    until("its result", || (world.repository.ask("GET", &result, None).status == 200).then_some(()));
    between(asked, accepted)
}

/// The same for somebody who merges an action and dispatches it. It is none to the dispatcher, which would run it too.
async fn by_hand(world: &World, clone: &Path, api: &Api, id: &str) -> f64 {
    let (number, _) = world.file_in("by-hand", id, &hello(id));
    world.approve(number);
    let (_, asked) = world.merge_as(number, "squash");
    git(clone, &["pull", "--quiet", "--ff-only"]);
    let action = fs::read_to_string(clone.join(format!("by-hand/{id}.toml"))).unwrap();
    api.dispatch(id, &action).await;
    asked.elapsed().as_secs_f64() * 1000.0
}

fn accepted_at(world: &World, id: &str) -> Option<Timestamp> {
    let journal = world.path("state/journal.db");
    let journal = Connection::open_with_flags(journal, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let asked = "SELECT at FROM events WHERE run = ?1 AND kind = 'start'";
    let at: String = journal.query_row(asked, [format!("{id}@1")], |row| row.get(0)).ok()?;
    at.parse().ok()
}
