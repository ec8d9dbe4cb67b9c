//! Whole runs on the local backend: exactly the secrets that were named, dead tokens afterwards, and no value anywhere.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::search::Search;
use crate::unpack::{is_repository, objects, rows};
use crate::world::{CANARY, World};

#[test]
fn a_run_has_exactly_the_secrets_it_names_and_its_token_is_dead_afterwards() {
    let world = World::new();
    world.put_all();
    world.action("none", "show", &[]);
    world.action("one", "show", &["B"]);
    world.action("two", "show", &["A", "C"]);
    world.action("six", "show", &["A", "B", "C", "D", "E", "F"]);
    world.publish();
    let once = world.call("once", &[]);
    for (id, names) in
        [("none", &[][..]), ("one", &["B"]), ("two", &["A", "C"]), ("six", &["A", "B", "C", "D", "E", "F"])]
    {
        let result = world.result(id).unwrap_or_else(|| panic!("{id}: {}", once.said));
        assert_eq!(result["state"], "succeeded", "{id}: {result}");
        assert_eq!(world.seen(id), names, "{id}");
        let policies: Vec<String> = names.iter().map(|name| format!("runner-{}", world.secret(name))).collect();
        assert_eq!(result["policies"], json!(policies), "{id}");
        world.wait_until_revoked(&format!("{id}@1"));
    }
    // Who read: each run's own token, once, for itself.
    let reads = world.audited(&format!("kv/data/disinto/runner/{}", world.secret("B")));
    let mut readers: Vec<(String, String)> = reads
        .iter()
        .filter(|line| line["request"]["operation"] == "read")
        .map(|line| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&line["auth"]["metadata"]["run"]), text(&line["auth"]["accessor"]))
        })
        .collect();
    readers.sort();
    let token_of = |run: &str| world.grants(run)[0]["wrapping"]["wrapped"].as_str().unwrap().to_owned();
    assert_eq!(readers, [("one@1".to_owned(), token_of("one@1")), ("six@1".to_owned(), token_of("six@1"))]);
    no_canary_below(&world.path("state"));
    no_canary_below(&world.path("once.log"));
    let objects = world.repo.remote_git(&["cat-file", "--batch-all-objects", "--batch"]);
    assert!(!holds_canary(objects.as_bytes()));
    world.verify_journal();
}

/// In any encoding, and packed in whatever way.
fn holds_canary(bytes: &[u8]) -> bool {
    Search::of(&[CANARY.to_owned()]).is_in(bytes)
}

fn no_canary_below(path: &Path) {
    if is_repository(path) {
        assert!(!holds_canary(&objects(path)), "{}", path.display());
    }
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            no_canary_below(&entry.unwrap().path());
        }
    } else if let Ok(bytes) = fs::read(path) {
        assert!(!holds_canary(&bytes), "{}", path.display());
        if bytes.starts_with(b"SQLite format 3") {
            assert!(!rows(path).iter().any(|row| holds_canary(row)), "{}", path.display());
        }
    }
}

#[test]
fn at_the_finest_log_level_no_value_and_no_token_is_told() {
    let world = World::new();
    world.put_all();
    world.action("none", "show", &[]);
    world.action("two", "show", &["A", "B"]);
    world.publish();
    let once = world.call("once", &[("DISPATCH_LOG", "trace")]);
    for id in ["none", "two"] {
        assert_eq!(world.result(id).unwrap_or_else(|| panic!("{}", once.said))["state"], "succeeded", "{id}");
    }
    assert!(once.said.contains("TRACE"), "it was on: {}", once.said);
    no_canary_below(&world.path("state"));
    no_canary_below(&world.path("once.log"));
    let own = fs::read_to_string(world.path("token")).unwrap();
    for token in [own.trim(), "hvs."] {
        assert!(!once.said.contains(token), "a token of Vault stands in the log");
    }
}

#[test]
fn while_a_run_goes_on_no_process_shows_its_values_or_its_token() {
    let world = World::new();
    world.put_all();
    let running = world.serve();
    world.action("long", "hold", &["A"]);
    world.publish();
    world.wait_until_begun("long");
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!holds_canary(&arguments), "{}", entry.path().display());
    }
    no_canary_below(&world.path("state"));
    let record = world.grants("long@1")[0].clone();
    let (wrapping, token) =
        (record["wrapping"]["accessor"].as_str().unwrap(), record["wrapping"]["wrapped"].as_str().unwrap());
    assert!(!world.lives(wrapping) && world.lives(token), "opened, and alive for as long as the run is");
    world.open_gate("long");
    assert_eq!(world.wait_for_result("long")["state"], "succeeded");
    world.wait_until_revoked("long@1");
    drop(running);
}

#[test]
fn what_cannot_be_granted_is_refused_with_its_name_before_the_formula() {
    let world = World::new();
    world.put_all();
    world.put("B", &json!({ "value": "" }));
    world.put("C", &json!({ "token": "canary-in-another-field" }));
    let deleted = format!("/v1/kv/data/disinto/runner/{}", world.secret("D"));
    world.vault.must("DELETE", &deleted, None);
    world.put("E", &json!({ "value": 12_345_678 }));
    for (id, secret) in [("absent", "GONE"), ("empty", "B"), ("field", "C"), ("deleted", "D"), ("number", "E")] {
        world.action(id, "show", &[secret]);
    }
    world.publish();
    let once = world.call("once", &[]);
    for (id, secret, state, reason) in [
        ("absent", "GONE", "rejected", "secret_absent"),
        ("deleted", "D", "rejected", "secret_absent"),
        ("empty", "B", "not_started", "secret_unusable"),
        ("field", "C", "not_started", "secret_unusable"),
        ("number", "E", "not_started", "secret_unusable"),
    ] {
        let result = world.result(id).unwrap_or_else(|| panic!("{id}: {}", once.said));
        assert_eq!((&result["state"], &result["reason"]), (&json!(state), &json!(reason)), "{id}: {result}");
        assert!(result["message"].as_str().unwrap().contains(&world.secret(secret)), "{id}: {result}");
        assert!(!world.begun(id), "{id} began");
    }
    for id in ["empty", "field", "number"] {
        world.wait_until_revoked(&format!("{id}@1"));
    }
}

#[test]
fn a_run_whose_policy_is_missing_waits_with_the_path_and_runs_when_it_is_there() {
    let world = World::new();
    world.put_all();
    let policy = format!("/v1/sys/policies/acl/runner-{}", world.secret("A").to_lowercase());
    world.vault.must("DELETE", &policy, None);
    let _running = world.serve();
    world.action("waits", "show", &["A"]);
    world.publish();
    let path = format!("`kv/data/disinto/runner/{}` is deny", world.secret("A"));
    crate::child::until("the run to wait", || world.status()["waiting"].to_string().contains(&path).then_some(()));
    assert!(world.grants("waits@1").is_empty() && !world.begun("waits"));
    assert!(world.administer("policies apply").status.success());
    assert_eq!(world.wait_for_result("waits")["state"], "succeeded");
}

#[test]
fn a_grant_that_was_journalled_before_a_kill_is_dead_after_the_restart() {
    for point in [
        "journal.grant.after",
        "journal.launch.after",
        "journal.start.after",
        "journal.finish.after",
        "journal.settle.after",
    ] {
        let world = World::new();
        world.put_all();
        world.action("cut", "show", &["A"]);
        world.publish();
        let killed = world.call("once", &[("DISPATCH_FAULT", &format!("kill:{point}"))]);
        assert!(!killed.status.success(), "{point}: {}", killed.said);
        let again = world.call("once", &[]);
        let result = world.result("cut").unwrap_or_else(|| panic!("{point}: {}", again.said));
        assert_eq!(result["state"], "succeeded", "{point}: {result}");
        world.wait_until_revoked("cut@1");
        assert_eq!(world.alarms("grant_unanswered"), 0, "{point}: the journal holds it");
        world.verify_journal();
    }
}
