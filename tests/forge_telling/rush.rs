//! A dispatcher that serves, with approvals by pull request, and requests that are merged under it: how long a merge takes to launch.

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use serde_json::json;

use super::world::{World, address, hello, says, stop};
use crate::child::{Running, until};

/// The five ways in which a forge merges.
pub(crate) const STYLES: [&str; 5] = ["merge", "squash", "rebase", "rebase-merge", "fast-forward-only"];

pub(crate) struct Rush {
    world: World,
    serving: Running,
    filed: Cell<u32>,
}

impl Rush {
    /// It learns of a merge by a poll of a second.
    pub(crate) fn polling() -> Self {
        let world = world("");
        let serving = world.serve();
        says(&serving, "serving");
        Self { world, serving, filed: Cell::default() }
    }

    /// It learns of a merge by the webhook; the next poll is an hour away.
    pub(crate) fn woken() -> Self {
        let (world, serving) = woken("");
        Self { world, serving, filed: Cell::default() }
    }

    /// Files an action of the high tier, has it approved and merged, and waits for its launch: the time from when the merge was
    /// asked for.
    pub(crate) fn merge_to_launch(&self, style: &str) -> Duration {
        let id = format!("ship-{}", self.filed.replace(self.filed.get() + 1));
        let (number, _) = self.world.file(&id, &hello(&id).replace("hello", "ship"));
        self.world.approve(number);
        let (_, from) = self.world.merge_as(number, style);
        let launched = until("the launch", || {
            let said = self.serving.said();
            said.lines()
                .any(|line| line.contains(&format!("{id}@")) && line.contains("launching"))
                .then(|| from.elapsed())
        });
        // The result moves the primary branch, and a fast forward needs a branch that begins behind it.
        let result = format!("/contents/vault/actions/{id}.result.json");
        until("its result", || (self.world.repository.ask("GET", &result, None).status == 200).then_some(()));
        launched
    }

    pub(crate) fn stop(self) {
        stop(self.serving);
    }
}

/// A dispatcher that serves and learns of merges by the webhook alone, with `more` in its configuration.
pub(crate) fn woken(more: &str) -> (World, Running) {
    let world = world(&format!("[webhook]\nlisten = '127.0.0.1:0'\nsecret_env = 'HOOK'\n{more}"));
    let text = fs::read_to_string(world.path("dispatch.toml")).unwrap();
    fs::write(world.path("dispatch.toml"), text.replace("poll_seconds = 1", "poll_seconds = 3600")).unwrap();
    let serving = world.serve();
    world.hook(&address(&serving));
    (world, serving)
}

/// The policy does not name the formula, so that it is of the high tier.
fn world(more: &str) -> World {
    let world = World::new();
    let (login, id) = (&world.approver.name, world.approver.id);
    world.add("formulas/ship.sh", "echo shipped\n");
    let styles = json!({ "has_pull_requests": true, "allow_fast_forward_only_merge": true });
    world.repository.must("PATCH", "", Some(&styles));
    let approvers = format!("high.approvers = [{{ login = '{login}', id = {id} }}]");
    world.configure(&format!("[approval]\nmode = 'pull_request'\n{approvers}\n{more}"));
    world
}
