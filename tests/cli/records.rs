//! `list`, `show`, `logs`, `gc`, `audit verify` and `status` after a dispatcher has really run: a small ops repo, one
//! `dispatch once`, and then what a person sees.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::Value;

use crate::ops_repo::OpsRepo;
use crate::world::World;

const POLICY: &str = "[tiers]\nprint = \"low\"\nfail = \"low\"\n";
/// A formula whose output would clear the screen and turn its text around.
const PRINT: &str = "#!/bin/sh\nprintf 'one\\n\\033[2Jtwo\\n\\342\\200\\256three\\n'\n";

/// One action each that succeeds, fails and is refused, all through `once`.
struct Ran {
    world: World,
    ops: OpsRepo,
}

fn action(id: &str, formula: &str) -> String {
    format!("id = \"{id}\"\nformula = \"{formula}\"\ncontext = \"why\"\nsecrets = []\n")
}

impl Ran {
    fn new() -> Self {
        let ops = OpsRepo::empty();
        ops.write("vault/policy.toml", POLICY);
        ops.write("formulas/print.sh", PRINT);
        ops.write("formulas/fail.sh", "#!/bin/sh\nexit 3\n");
        // A tier counts from the commit after the one that sets it.
        ops.commit("policy and formulas");
        ops.write("vault/actions/good.toml", &action("good", "print"));
        ops.write("vault/actions/bad.toml", &action("bad", "fail"));
        ops.write("vault/actions/refused.toml", &action("refused", "nowhere"));
        ops.commit("three actions");
        ops.push();
        let config = format!("state_dir = 'state'\n[ops]\nremote = '{}'\n", ops.bare().display());
        let ran = Self { world: World::configured(&config), ops };
        let once = ran.world.call("once");
        assert_eq!(once.code, Some(1), "{}", once.all());
        ran
    }

    fn json(&self, line: &str) -> Value {
        let answer = self.world.call(&format!("--output json {line}"));
        assert_eq!(answer.code, Some(0), "{line}: {}", answer.all());
        answer.json()
    }

    fn journal(&self) -> Connection {
        Connection::open(self.world.path("state/journal.db")).unwrap()
    }

    fn log(&self) -> std::path::PathBuf {
        self.world.path("state/logs/good@1.log")
    }
}

/// The names of the fields, which tools rely on.
fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_list_is_filtered_by_what_became_of_runs_and_by_the_states_of_the_journal() {
    let ran = Ran::new();
    let names = |line: &str| -> Vec<String> {
        let view = ran.json(line);
        view["data"]["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
    };
    let mut all = names("list");
    all.sort();
    assert_eq!(all, ["bad@1", "good@1", "refused@1"]);
    assert_eq!(names("list --state succeeded"), ["good@1"]);
    assert_eq!(names("list --state failed"), ["bad@1"]);
    assert_eq!(names("list --state rejected"), ["refused@1"]);
    assert_eq!(names("list --state published").len(), 3);
    assert_eq!(names("list --limit 1").len(), 1);
    assert!(names("list --state running").is_empty());
}

#[test]
fn a_word_that_is_no_state_is_a_usage_error_that_lists_the_states() {
    let ran = Ran::new();
    let answer = ran.world.call("list --state suceeded");
    assert_eq!(answer.code, Some(2));
    for word in ["did you mean `succeeded`?", "waiting", "not_started", "published"] {
        assert!(answer.stderr.contains(word), "{word}: {}", answer.stderr);
    }
}

#[test]
fn one_run_is_shown_with_its_approval_its_events_and_whose_result_stands() {
    let ran = Ran::new();
    let view = ran.json("show good");
    let data = &view["data"];
    assert_eq!((&data["run"]["run"], &data["run"]["state"]), (&"good@1".into(), &"succeeded".into()));
    assert_eq!((&data["standing"]["whose"], &data["result"]["exit_code"]), (&"ours".into(), &0.into()));
    assert_eq!(data["admitted"]["approval"]["how"], "branch");
    let mut states: Vec<&str> =
        data["events"].as_array().unwrap().iter().map(|event| event["state"].as_str().unwrap()).collect();
    // The grant is taken back after the publication, which changes no state.
    states.dedup();
    assert_eq!(states, ["seen", "admitted", "granted", "launching", "running", "finished", "settled", "published"]);
    let known = ["admitted", "events", "job", "log", "policies", "request", "result", "run", "standing"];
    assert_eq!(fields(data), known);
    let text = ran.world.call("show good").stdout;
    for words in
        ["ended with exit code 0", "this run's result", "approved", "job  ", "picked up vault/actions/good.toml"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
}

#[test]
fn a_result_that_somebody_wrote_over_ours_is_shown_as_foreign_and_one_without_a_run_as_history() {
    let ran = Ran::new();
    ran.ops.git(&["pull", "--quiet", "origin", "main"]);
    ran.ops.write("vault/actions/good.result.json", "{\"exit_code\": 0}\n");
    ran.ops.write("vault/actions/older.result.json", "{\"exit_code\": 0}\n");
    ran.ops.commit("by hand");
    ran.ops.push();
    ran.world.call("once");
    assert_eq!(ran.json("show good")["data"]["standing"]["whose"], "foreign");
    let older = ran.json("show older");
    assert_eq!(older["data"]["standing"]["path"], "vault/actions/older.result.json");
    let text = ran.world.call("show older").stdout;
    assert!(text.contains("the journal knows no run of it") && text.contains("older.result.json"), "{text}");
}

#[test]
fn a_log_is_printed_so_that_it_cannot_drive_the_terminal_and_as_it_is_to_tools() {
    let ran = Ran::new();
    for line in ["logs good", "logs good@1 --follow"] {
        let answer = ran.world.call(line);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "one\n\\x1b[2Jtwo\n\\u{202e}three\n"), "{line}");
    }
    assert_eq!(ran.json("logs good")["data"]["text"], "one\n\u{1b}[2Jtwo\n\u{202e}three\n");
    let followed = ran.world.call("--output json logs good -f").stdout;
    let kinds: Vec<Value> =
        followed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone()).collect();
    assert_eq!(kinds, ["logs", "logs.end"]);
}

#[test]
fn what_does_not_exist_is_named_with_the_next_step() {
    let ran = Ran::new();
    for line in ["show nothing", "logs nothing", "show good@7"] {
        let answer = ran.world.call(line);
        assert_eq!(answer.code, Some(1), "{line}");
        assert!(answer.stderr.contains("`dispatch list`"), "{line}: {}", answer.stderr);
    }
    let answer = ran.world.call("logs refused");
    assert_eq!(answer.code, Some(1));
    assert!(answer.stderr.contains("refused@1 has no log: it is rejected"), "{}", answer.stderr);
}

#[test]
fn an_audit_of_what_really_ran_holds() {
    let ran = Ran::new();
    let view = ran.json("audit verify");
    assert_eq!(view["data"]["broken"], serde_json::json!([]));
    assert!(view["data"]["commits"].as_u64().unwrap() > 0, "{view}");
}

#[test]
fn an_edited_event_and_an_edited_run_are_found() {
    let ran = Ran::new();
    ran.journal().execute("UPDATE runs SET state = 'seen' WHERE id = 'bad@1'", []).unwrap();
    let answer = ran.world.call("audit verify");
    assert_eq!(answer.code, Some(1));
    assert!(answer.stdout.contains("bad@1: its row says `seen`"), "{}", answer.stdout);
    ran.journal().execute("UPDATE events SET at = '2020-01-01T00:00:00Z' WHERE seq = 3", []).unwrap();
    assert!(ran.world.call("audit verify").stdout.contains("event 3"));
}

#[test]
fn a_journal_that_was_cut_short_or_made_anew_is_found_by_the_commits_of_results() {
    let ran = Ran::new();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        drop(fs::remove_file(ran.world.path("state").join(name)));
    }
    let again = ran.world.call("once");
    assert_eq!(again.code, Some(0), "what has a result is not run again: {}", again.all());
    let answer = ran.world.call("audit verify");
    assert_eq!(answer.code, Some(1), "{}", answer.all());
    assert!(answer.stdout.contains("speak of another journal"), "{}", answer.stdout);
}

#[test]
fn a_log_goes_after_its_time_and_not_before() {
    let ran = Ran::new();
    assert!(ran.log().exists());
    assert_eq!(ran.json("gc")["data"]["removed"], serde_json::json!([]));
    let old = "UPDATE runs SET record = json_set(record, '$.finished_at', '2020-01-01T00:00:00Z') WHERE id = 'good@1'";
    ran.journal().execute(old, []).unwrap();
    assert!(ran.world.call("gc --dry-run").stdout.contains("good@1.log\n1 entry would be removed"));
    assert!(ran.log().exists(), "a dry run removes nothing");
    let gone = ran.world.call("gc").stdout;
    assert!(gone.contains("the mirror is packed") && gone.contains("1 entry removed"), "{gone}");
    assert!(!ran.log().exists());
    assert!(ran.world.call("logs good").stderr.contains("limits.keep_days"));
}

#[test]
fn what_is_not_published_is_never_removed() {
    let ran = Ran::new();
    let old = "UPDATE runs SET state = 'settled',
        record = json_set(record, '$.finished_at', '2020-01-01T00:00:00Z', '$.state', 'settled') WHERE id = 'good@1'";
    ran.journal().execute(old, []).unwrap();
    assert_eq!(ran.json("gc")["data"]["removed"], serde_json::json!([]));
    assert!(ran.log().exists());
}

#[test]
fn without_a_dispatcher_a_status_is_what_the_journal_says() {
    let ran = Ran::new();
    let view = ran.json("status");
    assert_eq!((&view["data"]["running"], &view["data"]["counts"]["published"]), (&false.into(), &3.into()));
    assert!(ran.world.call("status").stdout.contains("no dispatcher is running"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let ran = Ran::new();
    let mut child = ran.world.command("list").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
