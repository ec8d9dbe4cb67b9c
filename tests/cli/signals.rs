//! What SIGTERM, SIGINT and SIGHUP do to `run` and `once`, the first time and the second.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use dispatch::grant::{generate_identity, seal_for};
use rustix::process::Signal;
use secrecy::ExposeSecret as _;

use crate::child::{Ended, Running, until};
use crate::serving::Serving;

/// Those that say to stop: a person's at a terminal, and a service manager's.
const STOP: [Signal; 2] = [Signal::TERM, Signal::INT];

/// One action that runs until its gate is open.
fn with_one() -> Serving {
    let serving = Serving::new();
    serving.action("hold-1", "hold", "");
    serving.publish();
    serving
}

/// The run that was left running is adopted by the next call, and has its result.
fn assert_adopted(serving: &Serving) {
    assert_eq!(serving.result("hold-1"), None);
    serving.open_gate("hold-1");
    let next = serving.start("once", &[]).end();
    assert_eq!(next.status.code(), Some(0), "{}", next.said);
    assert_eq!(serving.result("hold-1").unwrap()["state"], "succeeded");
}

fn assert_interrupted(ended: &Ended) {
    assert_eq!(ended.status.code(), Some(130), "{}", ended.said);
    for words in ["interrupted; what runs goes on", "adopts it"] {
        assert!(ended.said.contains(words), "{}", ended.said);
    }
}

#[test]
fn the_first_signal_ends_a_service_as_it_should_end_and_what_runs_is_adopted() {
    for signal in STOP {
        let serving = with_one();
        let running = serving.serve();
        serving.wait_until_running("hold-1");
        running.signal(signal);
        let ended = running.end();
        assert_eq!(ended.status.code(), Some(0), "{signal:?}: {}", ended.said);
        assert_adopted(&serving);
    }
}

#[test]
fn a_second_signal_ends_a_drain_at_once_and_says_that_it_was_interrupted() {
    for (first, second) in [(STOP[0], STOP[1]), (STOP[1], STOP[0])] {
        let serving = with_one();
        let running = serving.start("run --drain", &[]);
        serving.wait_until_running("hold-1");
        running.signal(first);
        until("the first signal", || running.said().contains("told to stop").then_some(()));
        running.signal(second);
        assert_interrupted(&running.end());
        assert_adopted(&serving);
    }
}

#[test]
fn a_round_that_is_interrupted_leaves_what_runs_to_the_next_one() {
    for signal in STOP {
        let serving = with_one();
        let running = serving.start("once", &[]);
        serving.wait_until_running("hold-1");
        running.signal(signal);
        assert_interrupted(&running.end());
        assert_adopted(&serving);
    }
}

/// The first signal waits until what is under way is recorded. Here that takes until the file is gone.
#[cfg(feature = "fault-points")]
#[test]
fn a_second_signal_ends_a_round_at_once_while_the_first_still_waits() {
    for signal in STOP {
        let serving = with_one();
        let (pause, trace) = (serving.world.path("pause"), serving.world.path("trace"));
        fs::write(&pause, "").unwrap();
        let fault = format!("pause:journal.grant.after:{}", pause.display());
        let faults = [("DISPATCH_FAULT", fault.as_str()), ("DISPATCH_FAULT_TRACE", trace.to_str().unwrap())];
        let mut running = serving.start("once", &faults);
        let passed = || fs::read_to_string(&trace).unwrap_or_default().contains("journal.grant.after");
        until("the grant", || passed().then_some(()));
        running.signal(signal);
        assert!(!running.is_over());
        // Signals that come before the first is looked at are one with it: a person sends them until it is over.
        until("its end", || {
            running.signal(signal);
            running.is_over().then_some(())
        });
        assert_interrupted(&running.end());
        fs::remove_file(&pause).unwrap();
        assert_adopted(&serving);
    }
}

#[test]
fn a_signal_while_a_server_keeps_the_start_waiting_ends_it_then() {
    for (verb, signal, code) in
        [("once", STOP[0], 130), ("once", STOP[1], 130), ("run", STOP[0], 0), ("run", STOP[1], 0)]
    {
        let serving = with_one();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let nomad = format!("[backends.nomad]\naddress = 'http://{address}'\nrunner.image = 'runner'\n");
        serving.configure(&nomad);
        let running = serving.start(verb, &[]);
        let asked = silent.accept().unwrap();
        running.signal(signal);
        let ended = running.end();
        drop(asked);
        assert_eq!(ended.status.code(), Some(code), "{verb}: {}", ended.said);
        assert!(!ended.said.contains("cannot start") && !ended.said.contains("serving"), "{verb}: {}", ended.said);
        assert!(!serving.begun("hold-1"));
    }
}

fn limits(slots: u32) -> String {
    format!("[limits]\nmax_concurrent = {slots}\n")
}

/// The first runs, and the second waits for its slot.
fn one_slot_and_two_that_want_it() -> (Serving, Running) {
    let serving = with_one();
    serving.configure(&limits(1));
    serving.action("hold-2", "hold", "");
    serving.publish();
    let running = serving.serve();
    serving.wait_until_begun("hold-1");
    serving.wait_until_it_waits_for("hold-2@1", "queue_full");
    (serving, running)
}

fn both_end(serving: &Serving, running: Running) {
    for id in ["hold-1", "hold-2"] {
        serving.open_gate(id);
        serving.wait_for_result(id);
    }
    running.signal(Signal::TERM);
    assert_eq!(running.end().status.code(), Some(0));
}

#[test]
fn another_slot_is_taken_over_at_a_hangup_and_the_next_run_begins() {
    let (serving, running) = one_slot_and_two_that_want_it();
    serving.configure(&limits(2));
    running.signal(Signal::HUP);
    serving.wait_until_begun("hold-2");
    assert_eq!((serving.result("hold-1"), &serving.status()["slots"]), (None, &2.into()));
    both_end(&serving, running);
}

#[test]
fn a_change_that_needs_a_restart_is_refused_whole_and_says_which_key() {
    let (serving, running) = one_slot_and_two_that_want_it();
    serving.configure(&format!("{}[approval]\nmode = 'signature'\n", limits(2)));
    running.signal(Signal::HUP);
    until("the refusal", || running.said().contains("the old configuration stays").then_some(()));
    assert!(
        running.said().contains("need a restart") && running.said().contains("approval.mode"),
        "{}",
        running.said()
    );
    assert_eq!(serving.status()["slots"], 1, "no part of it was taken over");
    assert!(!serving.begun("hold-2"));
    // The same without that key is taken over.
    serving.configure(&limits(2));
    running.signal(Signal::HUP);
    serving.wait_until_begun("hold-2");
    assert_eq!(serving.status()["slots"], 2);
    both_end(&serving, running);
}

#[test]
fn a_secret_that_the_config_allows_at_a_hangup_is_granted_from_then_on() {
    let serving = Serving::new();
    let identity = generate_identity();
    let place = |name: &str| serving.world.path(name);
    fs::create_dir(place("secrets")).unwrap();
    fs::write(place("secrets/TOKEN.enc"), seal_for(&identity.recipient, b"canary-0123456789a").unwrap()).unwrap();
    fs::write(place("identity"), identity.file.expose_secret()).unwrap();
    fs::set_permissions(place("identity"), fs::Permissions::from_mode(0o600)).unwrap();
    let allow = |names: &str| {
        serving.configure(&format!(
            "[secrets]\nallow = [{names}]\nfile = {{ directory = 'secrets', identity = 'identity' }}\n"
        ));
    };
    allow("");
    serving.action("before", "hold", "secrets = ['TOKEN']");
    serving.publish();
    let running = serving.serve();
    let refused = serving.wait_for_result("before");
    assert_eq!((&refused["state"], &refused["reason"]), (&"rejected".into(), &"secret_not_allowed".into()));
    allow("'TOKEN'");
    running.signal(Signal::HUP);
    until("the reload", || running.said().contains("the configuration was loaded again").then_some(()));
    serving.open_gate("after");
    serving.action("after", "hold", "secrets = ['TOKEN']");
    serving.publish();
    let granted = serving.wait_for_result("after");
    assert_eq!(
        (&granted["state"], &granted["policies"][0]),
        (&"succeeded".into(), &"runner-TOKEN".into()),
        "{granted}"
    );
    running.signal(Signal::TERM);
    assert_eq!(running.end().status.code(), Some(0));
}
