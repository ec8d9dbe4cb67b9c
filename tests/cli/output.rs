//! Colours, pipes and terminals.

use std::io::Read as _;
use std::process::Stdio;

use crate::world::World;

const COMMAND: &str = "status";
const CONFIG: &str = "state_dir = 'state'\n[ops]\nremote = '/srv/ops.git'\n";

#[test]
fn colours_come_only_when_they_are_asked_for() {
    let world = World::configured(CONFIG);
    assert!(!world.call(COMMAND).stderr.contains('\u{1b}'), "a pipe gets none");
    assert!(world.call("--color always status").stderr.contains('\u{1b}'));
    assert!(!world.call("--color never status").stderr.contains('\u{1b}'));
    let forced = [("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")];
    assert!(!world.call_with(COMMAND, &forced).stderr.contains('\u{1b}'), "NO_COLOR wins over other variables");
    assert!(world.call_with("--color always status", &forced).stderr.contains('\u{1b}'), "and the flag over NO_COLOR");
}

#[test]
fn json_has_no_colours_and_nothing_on_stderr() {
    let answer = World::configured(CONFIG).call("--color always --output json config show");
    assert!(!answer.stdout.contains('\u{1b}'));
    assert_eq!(answer.stderr, "");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let world = World::new();
    let mut child = world.command("schema config").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_under_the_output_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = World::new().command("schema config").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the output"));
}

#[test]
fn a_hostile_value_reaches_the_terminal_as_text() {
    let world = World::new();
    let answer = world.call_with("config show", &[("DISPATCH_OPS_REMOTE", "/srv/\u{1b}[2J\u{202e}ops")]);
    assert_eq!(answer.code, Some(2));
    assert!(!answer.all().contains(['\u{1b}', '\u{202e}']), "{}", answer.all());
}

#[test]
fn wrong_arguments_and_help_follow_the_wish_for_colours_too() {
    let world = World::new();
    for (line, colored) in [("--color always statsu", true), ("--color=never statsu", false), ("statsu", false)] {
        assert_eq!(world.call(line).stderr.contains('\u{1b}'), colored, "{line}");
    }
    assert!(world.call("--color always --help").stdout.contains('\u{1b}'));
}

#[test]
fn the_log_goes_to_stderr_in_the_form_that_was_asked_for() {
    let world = World::configured(CONFIG);
    assert_eq!(world.call("config show").stderr, "", "a short command is quiet");
    let answer = world.call("-v --log-format json --output json config show");
    let line: serde_json::Value = serde_json::from_str(answer.stderr.lines().next().unwrap()).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"DEBUG".into(), &"configuration loaded".into()));
    assert_eq!(answer.json()["kind"], "config.show", "and leaves stdout alone");
    let filtered = world.call_with("-v config show", &[("DISPATCH_LOG", "error")]);
    assert_eq!(filtered.stderr, "", "DISPATCH_LOG is stronger than -v");
}
