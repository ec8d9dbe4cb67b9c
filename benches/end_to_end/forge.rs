//! From a merge on a real forge to the launch, in each style of merging: against the testbed's Gitea, where one is up
//! (`tests/testbed/up`); without it there are no rows.

#[path = "../../tests/forge_telling/rush.rs"]
pub(crate) mod rush;
#[path = "../../tests/forge_telling/world.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
pub(crate) mod world;

use crate::Effort;
use crate::table::{Goal, Row};
use rush::{Rush, STYLES};

/// By a poll of a second, then by the webhook. What the forge itself takes for the merge is in it.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    if std::env::var_os("DISPATCH_TESTBED").is_none() {
        eprintln!("no testbed is up, so nothing is said of the forge");
        return Vec::new();
    }
    let count = effort.of(2, 10);
    [("poll of 1 s", Rush::polling()), ("webhook", Rush::woken())]
        .into_iter()
        .flat_map(|(how, rush)| {
            let rows = STYLES.map(|style| {
                let took = (0..count).map(|_| rush.merge_to_launch(style).as_secs_f64()).collect();
                Row::new(format!("merge asked for → launched, {how}: {style}"), "s", Goal::None, took)
            });
            rush.stop();
            rows
        })
        .collect()
}
