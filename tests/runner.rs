//! `dispatch runner` as a process: what a formula gets, what comes out, and what is left afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod runner_support;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch::runner::envelope::FormulaKind;
use dispatch::runner::fence::{Sealed, seal};
use dispatch::support::seal::generate_identity;
use runner_support::{Case, Finished, wait_until_gone};
use secrecy::ExposeSecret as _;
use serde_json::json;

const SECRET: &str = "s3cret/Value+with\"quotes 0123456789abcdefghijklmnopqrstuvwxyz";

fn leaks(finished: &Finished, forms: &[&str]) -> Vec<String> {
    let solid = finished.raw.replace("\\n", "");
    forms
        .iter()
        .filter(|form| finished.raw.contains(*form) || solid.contains(*form))
        .map(|form| (*form).to_owned())
        .collect()
}

#[test]
fn a_formula_gets_exactly_the_listed_environment_and_nothing_of_the_runners_own() {
    let case = Case::new("env -0 | cut -z -d= -f1 | tr '\\0' '\\n'; pwd; ls -A; id=$1; echo \"id=$id\"")
        .secret("TOKEN", SECRET)
        .param("target", "eu")
        .mount("ssh", "/m/ssh")
        .pass("REGION", "eu")
        .context("docs/a.md", "notes");
    let finished = case.run();
    assert_eq!(finished.code, 0);
    let lines = finished.lines();
    let names: BTreeSet<&str> = lines.iter().map(String::as_str).take_while(|line| !line.starts_with('/')).collect();
    let expected: BTreeSet<&str> = [
        "DISPATCH_ACTION_ID",
        "DISPATCH_ATTEMPT",
        "DISPATCH_CONTEXT_DIR",
        "DISPATCH_MOUNT_SSH",
        "DISPATCH_PARAM_TARGET",
        "DISPATCH_REDACT_SOCKET",
        "DISPATCH_RUN_ID",
        "DISPATCH_SLOT",
        "DISPATCH_WORKING_DIRECTORY",
        "HOME",
        "LANG",
        "PATH",
        "REGION",
        "TOKEN",
        "TRACEPARENT",
        "VAULT_ACTION_TOML",
        // bash itself
        "PWD",
        "SHLVL",
        "_",
    ]
    .into();
    assert_eq!(names, expected);
    assert_eq!(lines.last().unwrap(), "id=deploy-1");
    assert!(lines[lines.len() - 2].ends_with("/work"), "the formula starts in an empty directory: {lines:?}");
}

#[test]
fn the_variables_say_what_they_should_and_the_files_are_there_and_read_only() {
    let script = "echo $DISPATCH_ACTION_ID $DISPATCH_RUN_ID $DISPATCH_ATTEMPT $DISPATCH_SLOT $DISPATCH_PARAM_TARGET $LANG; \
                  cat $VAULT_ACTION_TOML $DISPATCH_CONTEXT_DIR/docs/a.md; stat -c %a $0 $VAULT_ACTION_TOML $HOME/..; \
                  echo ${#TOKEN}; cat; echo stdin was empty";
    let finished =
        Case::new(script).secret("TOKEN", SECRET).param("target", "eu").context("docs/a.md", "notes\n").run();
    assert_eq!(
        finished.lines(),
        [
            "deploy-1 deploy-1@2 2 3 eu C.UTF-8",
            "id = \"deploy-1\"",
            "notes",
            "400",
            "400",
            "700",
            &SECRET.len().to_string(),
            "stdin was empty"
        ]
    );
}

#[test]
fn the_formulas_exit_code_is_passed_through_and_a_signal_is_128_more() {
    for (script, code) in [("true", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137), ("exit 64", 64)]
    {
        let finished = Case::new(script).run();
        assert_eq!(finished.code, code, "{script}");
        assert!(finished.started());
        assert_eq!(finished.has_status("signalled"), script.starts_with("kill"), "{script}");
        assert_eq!(finished.events.last().unwrap()["kind"], "exit");
        assert_eq!(finished.events.last().unwrap()["code"], code);
    }
}

#[test]
fn a_formula_that_overruns_its_time_is_stopped_politely_then_killed() {
    let polite = Case::new("trap 'echo bye; exit 0' TERM; echo up; sleep 300 & wait").timeout(1).run();
    assert_eq!((polite.code, polite.lines()), (124, vec!["up".to_owned(), "bye".to_owned()]));
    assert!(polite.has_status("timed_out"));
    let deaf = Case::new("trap '' TERM; echo up; while :; do sleep 300; done").timeout(1).grace(1).run();
    assert_eq!(deaf.code, 124);
    assert!(deaf.has_status("timed_out"));
}

#[test]
fn a_runner_that_is_asked_to_stop_ends_the_formula_and_says_cancelled() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let case = Case::new("trap 'echo bye; exit 7' TERM; echo up; sleep 300 & wait").grace(60);
        let mut running = case.start();
        running.wait_for_line("up");
        running.signal(signal);
        let finished = running.finish();
        assert_eq!((finished.code, finished.lines()), (143, vec!["up".to_owned(), "bye".to_owned()]));
        assert!(finished.has_status("cancelled"));
    }
}

#[test]
fn nothing_that_a_formula_started_outlives_it() {
    let script = "(setsid bash -c 'echo $BASHPID > escaped; exec sleep 300' &) ; sleep 301 & echo $! > inside; \
                  (setsid bash -c '(sleep 302 & echo $! > deep; wait)' &); \
                  until [ -s escaped ] && [ -s deep ]; do :; done";
    let case = Case::new(script);
    let finished = case.run();
    assert_eq!(finished.code, 0);
    for name in ["escaped", "inside", "deep"] {
        let pid = fs::read_to_string(case.workdir().join("work").join(name)).unwrap();
        assert!(!fs::exists(format!("/proc/{}", pid.trim())).unwrap(), "{name} is still there");
    }
}

#[test]
fn being_process_1_it_reaps_orphans_while_the_formula_runs_and_leaves_no_process() {
    // A process whose parent is gone is process 1's; until that has reaped it, it stands in /proc.
    let script = "tr '\\0' ' ' < /proc/1/cmdline; echo; echo parent $PPID; \
                  for n in 1 2 3; do (setsid bash -c 'echo $BASHPID >> orphans' &); done; \
                  until [ \"$(wc -l < orphans)\" = 3 ]; do :; done; \
                  for pid in $(cat orphans); do while [ -e /proc/$pid ]; do :; done; done; echo reaped; \
                  (setsid sleep 300 &); exit 4";
    let finished = Case::new(script).timeout(30).being_process_1().run();
    let lines = finished.lines();
    assert_eq!(finished.code, 4, "{}", finished.raw);
    assert!(lines[0].contains("dispatch runner --workdir"), "{lines:?}");
    assert_eq!(lines[1..], ["parent 1", "reaped"]);
    assert_eq!(finished.errors(), Vec::<String>::new());
}

#[test]
fn being_process_1_it_is_stopped_by_a_signal_like_any_other() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let case = Case::new("trap 'echo bye; exit 7' TERM; echo up; sleep 300 & wait").grace(60).being_process_1();
        let mut running = case.start();
        running.wait_for_line("up");
        running.signal_process_1(signal);
        let finished = running.finish();
        assert_eq!((finished.code, finished.lines()), (143, vec!["up".to_owned(), "bye".to_owned()]));
        assert!(finished.has_status("cancelled"));
    }
}

#[test]
fn a_fence_that_is_taken_stops_the_second_execution_before_it_does_anything() {
    let case = Case::new("echo ran >> ../../tally");
    assert_eq!(case.run().code, 0);
    // In a place of its own, and where the first one was, as when a host starts its tasks again.
    for second in [case.run_in("second"), case.run()] {
        assert_eq!((second.code, second.started()), (65, false));
        assert!(second.errors()[0].contains("is taken already, by: run deploy-1@2 key"), "{:?}", second.errors());
    }
    assert_eq!(fs::read_to_string(case.folder().join("tally")).unwrap(), "ran\n");
    assert!(matches!(seal(&case.fence()).unwrap(), Sealed::RunBegan { by } if by.starts_with("run deploy-1@2")));
}

#[test]
fn a_sealed_fence_stops_the_run() {
    let case = Case::new("echo ran >> ../../tally");
    assert_eq!(seal(&case.fence()).unwrap(), Sealed::NothingRan);
    let finished = case.run();
    assert_eq!((finished.code, finished.started()), (65, false));
    assert!(!case.folder().join("tally").exists());
}

#[test]
fn what_is_not_the_admitted_envelope_does_not_run() {
    let case = Case::new("echo ran >> ../../tally");
    let mut tampered = case.document();
    tampered["script"]["sha256"] = json!("0".repeat(64));
    let mut newer = case.document();
    newer["protocol"] = json!(99);
    let mut reserved = case.document();
    reserved["environment"] = json!({ "LD_PRELOAD": "/tmp/x.so" });
    for (envelope, words) in [
        (tampered.to_string(), "was admitted"),
        (newer.to_string(), "protocol 99"),
        (reserved.to_string(), "LD_PRELOAD"),
        ("{".to_owned(), "it ends early"),
        (String::new(), "it ends early"),
    ] {
        let finished = case.run_with(envelope.as_bytes());
        assert_eq!((finished.code, finished.started()), (64, false), "{words}");
        assert!(finished.errors()[0].contains(words), "{:?}", finished.errors());
    }
    assert!(!case.folder().join("tally").exists() && !case.fence().exists());
}

#[test]
fn a_secret_that_is_absent_short_or_misnamed_fails_before_anything_runs() {
    for (name, value, words) in [
        ("TOKEN", "", "TOKEN cannot be used"),
        ("TOKEN", " \n ", "it is empty"),
        ("TOKEN", " abc ", "shorter than 6 characters"),
        ("TOKEN", "abc\0defgh", "NUL"),
        ("BASH_ENV", "long enough", "rename the secret"),
    ] {
        let case = Case::new("echo ran >> ../../tally").secret(name, value);
        let finished = case.run();
        assert_eq!((finished.code, finished.started()), (68, false), "{value:?}");
        assert!(finished.errors()[0].contains(words), "{:?}", finished.errors());
        assert!(!case.folder().join("tally").exists() && !case.fence().exists() && !case.workdir().exists());
    }
}

#[test]
fn what_cannot_be_started_says_why() {
    let agent = Case::new("").kind(FormulaKind::Agent);
    let finished = agent.run();
    assert_eq!((finished.code, finished.started()), (69, false));
    assert!(finished.errors()[0].contains("agent formula"));
    let case = Case::new("true");
    fs::create_dir(case.workdir()).unwrap();
    fs::write(case.workdir().join("left"), "over").unwrap();
    let finished = case.run();
    assert_eq!((finished.code, case.fence().exists()), (69, false));
    assert!(finished.errors()[0].contains("is not empty"), "{:?}", finished.errors());
}

#[test]
fn bytes_that_are_not_utf8_and_long_lines_arrive_whole() {
    let finished =
        Case::new("printf '\\377\\376\\0\\n'; head -c 102400 /dev/zero | tr '\\0' x; echo; printf end").run();
    let logs = finished.logs("stdout");
    assert_eq!(STANDARD.decode(logs[0]["base64"].as_str().unwrap()).unwrap(), b"\xff\xfe\0");
    let parts: Vec<usize> = logs[1..3].iter().map(|log| log["text"].as_str().unwrap().len()).collect();
    assert_eq!(parts.iter().sum::<usize>(), 102_400);
    assert_eq!((logs[1]["partial"].as_bool(), logs[2]["partial"].as_bool()), (Some(true), None));
    assert_eq!((logs[3]["text"].as_str(), logs[3]["partial"].as_bool()), (Some("end"), Some(true)));
    assert_eq!(finished.events.last().unwrap()["bytes"], 4 + 102_401 + 3);
}

#[test]
fn an_event_that_the_formula_prints_is_a_line_like_any_other() {
    let forged = r#"{"t":"2026-01-01T00:00:00.000Z","kind":"exit","code":0,"bytes":0}"#;
    let finished = Case::new(&format!("echo '{forged}'; echo '{forged}' >&2; exit 9")).run();
    assert_eq!(finished.code, 9);
    assert_eq!(finished.events.iter().filter(|event| event["kind"] == "exit").count(), 1);
    assert_eq!(
        (finished.logs("stdout")[0]["text"].as_str(), finished.logs("stderr")[0]["text"].as_str()),
        (Some(forged), Some(forged))
    );
}

#[test]
fn a_runner_whose_parent_dies_stops_its_formula() {
    let case = Case::new("echo $$ > ../../formula; exec sleep 300");
    let envelope = case.folder().join("envelope");
    fs::write(&envelope, case.document().to_string()).unwrap();
    let script = format!(
        "'{}' runner --envelope '{}' --workdir '{}' --fence '{}' > /dev/null & until [ -s '{4}/formula' ]; do :; done",
        env!("CARGO_BIN_EXE_dispatch"),
        envelope.display(),
        case.workdir().display(),
        case.fence().display(),
        case.folder().display()
    );
    assert!(std::process::Command::new("bash").arg("-c").arg(script).status().unwrap().success());
    let formula = fs::read_to_string(case.folder().join("formula")).unwrap().trim().parse().unwrap();
    wait_until_gone(&[formula], Duration::from_secs(60));
}

#[test]
fn an_output_that_somebody_else_keeps_open_does_not_keep_the_runner() {
    let case = Case::new("echo $BASHPID > ../../formula; echo up; until [ -e ../../go ]; do sleep 0.05; done");
    let mut running = case.start();
    running.wait_for_line("up");
    let formula = fs::read_to_string(case.folder().join("formula")).unwrap();
    let held = fs::OpenOptions::new().write(true).open(format!("/proc/{}/fd/1", formula.trim())).unwrap();
    fs::write(case.folder().join("go"), "").unwrap();
    let finished = running.finish();
    drop(held);
    assert_eq!(finished.code, 0);
    assert!(finished.errors()[0].contains("keeps the formula's output open"), "{:?}", finished.errors());
}

#[test]
fn a_prompt_without_a_newline_is_shown_while_the_formula_waits() {
    let case = Case::new("printf 'go on? '; sleep 300").secret("TOKEN", SECRET);
    let mut running = case.start();
    running.wait_for_line("go on? ");
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.finish().code, 143);
}

#[test]
fn a_secret_comes_out_in_no_form_that_a_formula_is_likely_to_print() {
    let script = r#"
        printf '%s\n' "$TOKEN"; printf '%s\n' "$TOKEN" >&2
        printf '%s' "$TOKEN" | base64; printf 'user:%s' "$TOKEN" | base64 -w 0; echo; printf '%s' "xx$TOKEN" | base64 -w 20
        printf '%s' "$TOKEN" | od -An -v -tx1 | tr -d ' \n'; echo
        printf '%s' "$TOKEN" | od -An -v -tx1 | tr -d ' '
        for ((i = 0; i < ${#TOKEN}; i++)); do c="${TOKEN:i:1}"; case "$c" in [A-Za-z0-9]) printf '%s' "$c";; *) printf '%%%02X' "'$c";; esac; done; echo
        printf '{"t":"%s"}\n' "${TOKEN//\"/\\\"}"
        printf '%s\n' "$TOKEN" | rev
        printf '%s' "${TOKEN:0:9}"; sleep 0.5; printf '%s' "${TOKEN:9:9}"; sleep 0.3; printf '%s\n' "${TOKEN:18}"
        printf '%s\n' "$TOKEN" | fold -w 7
        set -x; : "$TOKEN"
    "#;
    let finished = Case::new(script).secret("TOKEN", SECRET).run();
    assert_eq!(finished.code, 0);
    let hex: String = SECRET.bytes().fold(String::new(), |text, b| text + &format!("{b:02x}"));
    let percent = SECRET.replace('/', "%2F").replace('+', "%2B").replace('"', "%22").replace(' ', "%20");
    let reversed: String = SECRET.chars().rev().collect();
    let inner = |text: &str| STANDARD.encode(text).get(8..72).unwrap().to_owned();
    let encoded = [inner(SECRET), inner(&format!("user:{SECRET}")), inner(&format!("xx{SECRET}"))];
    let mut forms: Vec<&str> = vec![SECRET, &hex, &percent, &reversed, "0123456789abcdefgh", "s3cret/Va"];
    forms.extend(encoded.iter().map(String::as_str));
    assert_eq!(leaks(&finished, &forms), Vec::<String>::new(), "{}", finished.raw);
    let text = finished.lines().join("\n");
    assert_eq!(text.matches("[redacted:TOKEN]").count(), 11, "{text}");
    assert!(text.contains("{\"t\":\"[redacted:TOKEN]\"}"), "{text}");
    assert!(finished.logs("stderr").len() >= 2);
}

#[test]
fn a_value_minted_by_the_formula_is_kept_out_of_the_log_from_then_on() {
    let script = format!(
        "minted=\"min$((6 * 7))ted-value\"; echo \"$minted before\"; \
         printf '%s' \"$minted\" | '{}' redact add --name MINTED || exit 1; echo \"$minted after\"; echo \"$minted\" | base64; \
         printf tiny | '{0}' redact add || echo refused",
        env!("CARGO_BIN_EXE_dispatch")
    );
    let finished = Case::new(&script).run();
    let lines = finished.lines();
    // What came before is masked too where it had not been read by then, as on a busy machine.
    let before = ["min42ted-value before", "[redacted:MINTED] before"];
    assert!(before.iter().any(|line| *line == lines[0]), "{lines:?}");
    assert_eq!(lines[1..], ["[redacted:MINTED] after", "[redacted:MINTED]K", "refused"]);
    assert!(
        finished.logs("stderr").iter().any(|log| log["text"].as_str().unwrap().contains("shorter than 6 characters"))
    );
}

#[test]
fn a_reader_that_goes_away_does_not_disturb_the_formula() {
    let case = Case::new(
        "echo up; until [ -e ../../go ]; do sleep 0.05; done; for i in {1..2000}; do echo $i; done; echo ran >> ../../tally; exit 5",
    );
    let mut running = case.start();
    running.wait_for_line("up");
    running.close_output();
    fs::write(case.folder().join("go"), "").unwrap();
    assert_eq!(running.exit_code(Duration::from_secs(60)), 5);
    assert_eq!(fs::read_to_string(case.folder().join("tally")).unwrap(), "ran\n");
}

#[test]
fn a_formula_that_prints_without_end_is_held_back_and_still_stopped_in_time() {
    let case = Case::new("exec yes").timeout(1).grace(1);
    let mut running = case.start();
    running.wait_for_line("y");
    // Nobody reads until the time limit has passed: the pipe is full, and the runner must still kill.
    let formula = running.children();
    wait_until_gone(&formula, Duration::from_secs(60));
    assert_eq!(running.finish().code, 124);
}

#[test]
fn the_events_file_holds_what_standard_output_said_and_ends_with_the_exit() {
    let case = Case::new("echo one; echo two >&2; exit 3");
    let events = case.folder().join("events");
    let case = case.flag("--events", Some(&events)).flag("--linger", None);
    let finished = case.run();
    assert_eq!(finished.code, 3);
    assert_eq!(fs::read_to_string(&events).unwrap(), finished.raw);
    assert!(finished.raw.ends_with("\"kind\":\"exit\",\"code\":3,\"bytes\":8}\n"), "{}", finished.raw);
    let second = case.run_in("second");
    assert_eq!(second.code, 65);
    assert_eq!(fs::read_to_string(&events).unwrap(), finished.raw + &second.raw);
}

#[test]
fn the_events_file_goes_on_when_nobody_reads_standard_output_any_more() {
    let case = Case::new("echo up; until [ -e ../../go ]; do sleep 0.05; done; echo more; exit 5");
    let events = case.folder().join("events");
    let case = case.flag("--events", Some(&events)).flag("--linger", None);
    let mut running = case.start();
    running.wait_for_line("up");
    running.close_output();
    fs::write(case.folder().join("go"), "").unwrap();
    assert_eq!(running.exit_code(Duration::from_secs(60)), 5);
    let kept = fs::read_to_string(&events).unwrap();
    assert!(kept.contains("\"text\":\"more\"") && kept.lines().last().unwrap().contains("\"kind\":\"exit\""), "{kept}");
}

#[test]
fn an_events_file_that_cannot_be_made_stops_the_run_before_it_begins() {
    let case = Case::new("echo ran >> ../../tally");
    let nowhere = case.folder().join("absent/events");
    let case = case.flag("--events", Some(&nowhere));
    let finished = case.run();
    assert_eq!((finished.code, finished.started(), case.fence().exists()), (69, false, false));
    assert!(finished.errors()[0].contains("absent/events cannot be opened"), "{:?}", finished.errors());
}

#[test]
fn an_encrypted_envelope_opens_with_its_identity_and_with_no_other() {
    let (own, other) = (generate_identity(), generate_identity());
    let case = Case::new("echo ran; echo ran >> ../../tally").secret("TOKEN", SECRET);
    let identity = case.folder().join("identity");
    fs::write(&identity, own.file.expose_secret()).unwrap();
    let theirs = case.sealed_for(&other.recipient);
    let plain = case.document().to_string();
    let ours = case.sealed_for(&own.recipient);
    assert!(!String::from_utf8_lossy(&ours).contains("deploy-1"), "nothing of it shows");
    let without = case.run_with(&ours);
    assert_eq!((without.code, without.errors()[0].contains("given no --identity")), (64, true), "{}", without.raw);
    let case = case.flag("--identity", Some(&identity));
    for (envelope, words) in [
        (&theirs[..], "encrypted to another recipient"),
        (plain.as_bytes(), "is not encrypted"),
        (&ours[..ours.len() - 1], "damaged or cut off"),
    ] {
        let finished = case.run_with(envelope);
        assert_eq!((finished.code, finished.started()), (64, false), "{words}");
        assert!(finished.errors()[0].contains(words), "{:?}", finished.errors());
    }
    assert!(!case.folder().join("tally").exists());
    let finished = case.run_with(&ours);
    assert_eq!((finished.code, finished.lines()), (0, vec!["ran".to_owned()]), "{}", finished.raw);
}
