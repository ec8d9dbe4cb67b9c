//! Many approved actions that land together and run in Nomad, each with a grant from Vault: against the testbed's servers, where they
//! are up (`tests/testbed/up`); without them there are no rows.

use std::cell::Cell;
use std::time::Instant;

use crate::Effort;
use crate::burst::{self, Goals};
use crate::connections::Connections;
use crate::nomad::{Api, config, register};
use crate::process::float;
use crate::repo::action;
use crate::table::{Goal, Row};
use crate::vault::{self, SECRET};
use crate::world::{Setup, World};

/// Launches a second that Nomad accepts, grants and journal included.
const GOAL: f64 = 100.0;

/// Resident memory of the dispatcher with a thousand of them under way, in MiB.
const MEMORY: f64 = 60.0;

/// A client address has a hundred, and others want some too.
const CONNECTIONS: f64 = 10.0;

/// A thousand actions, all of which may be under way at once.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let (Some(api), Some((address, root))) = (Api::of_testbed("burst"), vault::server()) else { return Vec::new() };
    let count = effort.of(100, 1000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = World::new();
    runtime.block_on(async {
        api.make_namespace().await;
        vault::prepare(world.path(), &address, &root).await;
    });
    let nomad = config(world.path(), &api);
    register(world.path(), &nomad);
    let token = world.path().join("token");
    let secrets = format!(
        "[secrets]\nallow = [\"{SECRET}\"]\n[secrets.vault]\naddress = \"{address}\"\ntoken_file = \"{}\"\n",
        token.display()
    );
    let mut service = world.serve(Setup { concurrent: count, ..Setup::default() }, &format!("{nomad}{secrets}"));
    service.wait_looked();
    let named = format!("[\"{SECRET}\"]");
    let files: Vec<_> = (0..count).map(|number| action(&format!("many-{number}"), "quick", &named)).collect();
    let what = format!("{count} actions in Nomad, each with a grant");
    let goals = Goals { rate: Goal::AtLeast(GOAL), memory: Goal::AtMost(MEMORY) };
    let connections = Connections::count(service.pid(), api.address());
    let mut rows = burst::whole(&world, &mut service, &files, &what, goals);
    let most = float(connections.stop().try_into().unwrap());
    rows.push(Row::new(format!("{what}: connections to Nomad at most"), "", Goal::AtMost(CONNECTIONS), vec![most]));
    drop(service);
    let bare = runtime.block_on(bare(&api, count));
    rows.push(Row::new("… by hand, bare dispatches a second, without grants", "/s", Goal::None, vec![bare]));
    runtime.block_on(api.end());
    rows
}

/// So many dispatches a second does the server accept, which runs them meanwhile.
async fn bare(api: &Api, count: u32) -> f64 {
    let begun = Instant::now();
    let next = Cell::new(0);
    let worker = || async {
        while next.get() < count {
            let number = next.replace(next.get() + 1);
            api.dispatch(&format!("bare-{number}"), &action("bare", "quick", "[]").1).await;
        }
    };
    tokio::join!(worker(), worker(), worker(), worker());
    f64::from(count) / begun.elapsed().as_secs_f64()
}
