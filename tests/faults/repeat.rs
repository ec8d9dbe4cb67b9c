//! Every step executed twice has the outcome of every step executed once.

use crate::check::Strictness;
use crate::world::World;

#[test]
fn every_step_executed_twice_leads_to_the_same() {
    let world = World::with_a_bit_of_everything();
    let ended = world.call("once", &[("DISPATCH_FAULT_TWICE", "1")]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    world.assert_sound(Strictness::Exact);
    assert_eq!(world.tally().len(), 3, "{:?}", world.tally());
}
