//! Runs that take turns, by the directory that they use and by their formula's own limit, while others pass them.

use rustix::process::Signal;

use crate::serving::Serving;

#[test]
fn runs_in_the_same_directory_take_turns_and_one_in_another_passes_them() {
    let serving = Serving::new();
    let places = ["shared", "other"].map(|name| serving.world.path(name).display().to_string());
    for place in &places {
        std::fs::create_dir(place).unwrap();
    }
    serving.configure(&format!("working_directories = {places:?}\n"));
    let within = |place: &str| format!("working_directory = '{place}'");
    serving.action("a-first", "hold", &within(&places[0]));
    serving.action("b-second", "hold", &within(&places[0]));
    serving.action("c-elsewhere", "hold", &within(&places[1]));
    serving.publish();
    take_turns(&serving, "directory_busy", ["a-first", "b-second", "c-elsewhere"]);
}

#[test]
fn a_formula_that_may_run_once_at_a_time_does_and_another_passes_it() {
    let serving = Serving::new();
    serving.action("a-first", "alone", "");
    serving.action("b-second", "alone", "");
    serving.action("c-elsewhere", "hold", "");
    serving.publish();
    take_turns(&serving, "formula_busy", ["a-first", "b-second", "c-elsewhere"]);
}

/// The second waits for the first and says why, the third does not; when the first is over, the second begins.
fn take_turns(serving: &Serving, reason: &str, [first, second, other]: [&str; 3]) {
    let running = serving.serve();
    serving.wait_until_begun(first);
    serving.wait_until_begun(other);
    serving.wait_until_it_waits_for(&format!("{second}@1"), reason);
    assert!(!serving.begun(second));
    serving.open_gate(first);
    serving.wait_until_begun(second);
    for id in [second, other] {
        serving.open_gate(id);
    }
    for id in [first, second, other] {
        assert_eq!(serving.wait_for_result(id)["state"], "succeeded", "{id}");
    }
    running.signal(Signal::TERM);
    assert_eq!(running.end().status.code(), Some(0));
}
