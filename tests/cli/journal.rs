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

#[test]
fn a_journal_of_the_version_before_is_read_without_a_dispatcher_and_left_as_it_is() {
    let world = world();
    let path = world.path("state/journal.db");
    Connection::open(&path).unwrap().execute_batch(include_str!("../../src/run/journal/format_1.sql")).unwrap();
    let before = fs::read(&path).unwrap();
    for (verb, words) in [
        ("list", "b@1"),
        ("show a", "secret X is absent"),
        ("show b", "picked up vault/actions/b.toml"),
        ("status", "published 1  seen 1"),
        ("audit verify", "journal   holds"),
        ("gc --dry-run", ""),
    ] {
        let answer = world.call(verb);
        assert!(answer.stdout.contains(words) && answer.code == Some(0), "{verb}: {}", answer.all());
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_journal_without_tables_says_that_a_start_makes_them() {
    let world = world();
    fs::write(world.path("state/journal.db"), "").unwrap();
    for verb in VERBS {
        let answer = world.call(verb);
        assert_eq!(answer.code, Some(1), "{verb}");
        assert!(
            answer.stderr.contains("is empty") && answer.stderr.contains("sets it up"),
            "{verb}: {}",
            answer.stderr
        );
    }
}
