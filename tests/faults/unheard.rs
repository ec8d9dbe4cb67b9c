//! A disk that is full where the runner's events go: the formula runs, nobody hears that it began, and nothing that it exits with may
//! be taken for proof that it did not.

use crate::check::Strictness;
use crate::world::World;

/// One run of a formula that exits with `code`, of whose events `lost` could not be written.
fn unheard(lost: &str, code: i32) -> World {
    let world = World::new();
    let script = format!("echo \"$1\" >> {}\nexit {code}\n", world.path("tally").display());
    world.repo.write("formulas/work.sh", &script);
    world.repo.commit("a formula that exits like a runner that began nothing");
    world.action("odd-1", "work", "");
    world.publish("one");
    world.call("once", &[("DISPATCH_FAULT", &format!("error:local.segment.before{lost}"))]);
    world.recover();
    world
}

#[test]
fn a_formula_that_nobody_heard_begin_is_lost_whatever_it_exits_with_and_is_not_run_again() {
    for (lost, code) in [(":1", 66), (":1", 64), (":1", 69), ("", 66), ("", 68)] {
        let world = unheard(lost, code);
        assert_eq!((world.begun("odd-1"), world.runs().len()), (1, 1), "{code}, {lost:?}: {:?}", world.tally());
        let result = world.result("odd-1").unwrap();
        assert_eq!((&result["state"], &result["reason"]), (&"lost".into(), &"exit_unknown".into()), "{result}");
        assert_eq!((&result["exit_code"], &result["log"]["truncated"]), (&code.into(), &true.into()), "{result}");
        world.assert_sound(Strictness::AtMostOnce);
    }
}
