//! A journal that is missing, of a later version, or no journal at all: every verb that reads one says so and what to do.

use std::fs;

use rusqlite::Connection;

use crate::world::World;

const CONFIG: &str = "state_dir = 'state'\n[ops]\nremote = '/srv/ops.git'\n";
const VERBS: [&str; 5] = ["list", "show a", "logs a", "gc", "audit verify"];

fn world() -> World {
    let world = World::configured(CONFIG);
    fs::create_dir(world.path("state")).unwrap();
    world
}

#[test]
fn a_journal_that_is_missing_is_not_made() {
    let world = world();
    for verb in VERBS {
        let answer = world.call(verb);
        assert_eq!(answer.code, Some(1), "{verb}");
        assert!(answer.stderr.contains("there is no journal in this state directory"), "{verb}: {}", answer.stderr);
        assert!(answer.stderr.contains("hint: "), "{verb}: {}", answer.stderr);
    }
    assert_eq!(fs::read_dir(world.path("state")).unwrap().count(), 0);
}

#[test]
fn a_journal_of_a_later_version_is_refused_and_left_as_it_is() {
    let world = world();
    Connection::open(world.path("state/journal.db")).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(world.path("state/journal.db")).unwrap();
    for verb in VERBS.into_iter().chain(["status"]) {
        let answer = world.call(verb);
        assert_eq!(answer.code, Some(1), "{verb}");
        assert!(answer.stderr.contains("has format 99"), "{verb}: {}", answer.stderr);
    }
    assert_eq!(fs::read(world.path("state/journal.db")).unwrap(), before);
}

#[test]
fn what_is_no_journal_is_an_error_with_a_cause() {
    let world = world();
    fs::write(world.path("state/journal.db"), "not a database, but long enough to look at").unwrap();
    for verb in VERBS {
        let answer = world.call(verb);
        assert_eq!(answer.code, Some(1), "{verb}");
        assert!(answer.stderr.contains("cause: "), "{verb}: {}", answer.stderr);
    }
}
