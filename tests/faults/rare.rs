//! Kill and full disk at steps that only a rare round passes: a result that is kept aside, a log that is shortened, a rewritten
//! branch that is accepted.

use std::fs;

use rustix::process::Signal;

use crate::check::Strictness;
use crate::child::until;
use crate::world::World;

/// Each deed at each side of a step.
fn faults(step: &str) -> Vec<String> {
    let sides = ["before", "after"].into_iter();
    sides.flat_map(|side| ["kill", "error"].map(|deed| format!("{deed}:{step}.{side}:1"))).collect()
}

#[test]
fn a_result_that_is_kept_aside_is_there_also_when_that_is_broken_off() {
    for fault in faults("outbox.aside") {
        let world = World::new();
        world.action("hold-1", "hold", "");
        world.publish("one");
        let mut serving = world.serve(&[("DISPATCH_FAULT", &fault)]);
        world.wait_until_begun("hold-1");
        world.repo.write("vault/actions/hold-1.result.json", "{\"exit_code\": 0}\n");
        world.publish("a result by hand");
        world.open_gate("hold-1");
        let published = || world.run("hold-1@1").is_some_and(|run| run.state.word() == "published");
        until("it to be over", || (serving.is_over() || published()).then_some(()));
        serving.signal(Signal::TERM);
        serving.end();
        world.recover();
        assert_eq!(world.begun("hold-1"), 1, "{fault}");
        assert_eq!(world.result("hold-1").unwrap(), serde_json::json!({ "exit_code": 0 }), "{fault}");
        let kept = world.run("hold-1@1").unwrap().kept_aside.unwrap();
        let ours: serde_json::Value = serde_json::from_slice(&fs::read(kept).unwrap()).unwrap();
        assert_eq!(ours["state"], "succeeded", "{fault}");
    }
}

/// Bytes that the formula prints: more than a log may have before it is shortened (30 MiB), and as events less than the backend
/// keeps while nobody reads.
const LOUD: usize = 32 << 20;

#[test]
fn a_log_that_is_shortened_is_whole_also_when_that_is_broken_off() {
    for fault in faults("log.shorten") {
        let world = World::new();
        let script =
            format!("echo \"$1\" >> {}\nyes {} | head -c {LOUD}\n", world.path("tally").display(), "x".repeat(999));
        world.repo.write("formulas/work.sh", &script);
        world.repo.commit("a loud formula");
        world.action("ok-1", "work", "");
        world.publish("one");
        world.call("once", &[("DISPATCH_FAULT", &fault)]);
        world.recover();
        world.assert_sound(Strictness::Exact);
        let log = &world.result("ok-1").unwrap()["log"];
        assert_eq!((log["bytes"].as_u64(), &log["truncated"]), (Some(LOUD as u64), &true.into()), "{fault}");
        let kept = fs::read(world.path("state/logs/ok-1@1.log")).unwrap();
        assert_eq!(dispatch::support::ids::sha256_hex(&kept), log["sha256"].as_str().unwrap(), "{fault}");
        let marks = kept.windows(16).filter(|part| *part == b"bytes left out h").count();
        assert_eq!((marks, kept.len() / (1 << 20)), (1, 20), "{fault}");
        let logs = fs::read_dir(world.path("state/logs")).unwrap().count();
        assert_eq!(logs, 2, "{fault}: the log and its state");
    }
}

/// The head that a person would be told to accept.
pub(crate) fn rewritten_head(world: &World) -> Option<String> {
    let said = String::from_utf8(world.command("status").output().unwrap().stdout).unwrap();
    let words: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(words.split("accept-rewrite ").nth(1)?.get(..40)?.to_owned())
}

#[test]
fn a_rewrite_whose_acceptance_is_broken_off_is_accepted_once_more_and_nothing_runs_twice() {
    for fault in faults("journal.note").into_iter().chain(faults("journal.sight")) {
        let world = World::new();
        world.action("ok-1", "work", "");
        world.publish("one");
        world.recover();
        world.repo.git(&["checkout", "--quiet", "--orphan", "other"]);
        world.repo.commit("another history");
        world.action("ok-2", "work", "");
        world.repo.commit("an action in it");
        world.repo.push();
        let mut serving = world.serve(&[("DISPATCH_FAULT", &fault)]);
        let head = until("the rewrite", || rewritten_head(&world));
        world.command(&format!("ops accept-rewrite {head}")).output().unwrap();
        if !serving.is_over() {
            serving.signal(Signal::TERM);
        }
        serving.end();
        let serving = world.serve(&[]);
        until("the second result", || {
            if let Some(head) = rewritten_head(&world) {
                world.command(&format!("ops accept-rewrite {head}")).output().unwrap();
            }
            world.result("ok-2")
        });
        serving.signal(Signal::TERM);
        serving.end();
        world.recover();
        // The result of the first came with the history that is gone, and its action with it.
        assert_eq!((world.begun("ok-1"), world.begun("ok-2")), (1, 1), "{fault}: {:?}", world.tally());
        assert_eq!(world.left_behind(), Vec::<String>::new());
    }
}
