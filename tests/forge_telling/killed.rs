//! The forge is killed while something that was approved waits in it, and comes back.

use rustix::process::Signal;

use crate::child::until;
use crate::testbed::{Repository, Testbed};
use crate::world::{World, hello, says, stop};

#[test]
fn an_approved_action_waits_while_the_forge_is_dead_and_runs_once_when_it_is_back() {
    let mut forge = Testbed::get().private_gitea();
    let world = World::on(Repository::new(forge.api()));
    let (login, id) = (&world.approver.name, world.approver.id);
    world.configure(&format!(
        "[approval]\nmode = 'pull_request'\nhigh.approvers = [{{ login = '{login}', id = {id} }}]\n"
    ));
    let serving = world.serve();
    says(&serving, "serving");
    // Of the high tier, since the policy does not name it.
    world.add("formulas/ship.sh", "echo shipped\n");
    let (number, _) = world.file("ship-1", &hello("ship-1").replace("hello", "ship"));
    world.approve(number);
    stop(serving);
    world.merge(number);
    forge.end(Signal::KILL);

    let once = world.call("once");
    assert_ne!(once.status.code(), Some(0), "{}", once.said);
    let serving = world.serve();
    until("the trouble", || world.call("status").said.contains("could not be looked at").then_some(()));
    let status = world.call("status").said;
    assert!(!status.contains("ship-1"), "{status}");

    forge.start_again(&[]);
    let result = "/contents/vault/actions/ship-1.result.json";
    until("the result", || (world.repository.ask("GET", result, None).status == 200).then_some(()));
    stop(serving);
    let shown = world.call("show ship-1").said;
    assert!(shown.contains("succeeded") && !shown.contains("attempt 2"), "{shown}");
}
