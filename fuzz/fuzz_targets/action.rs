//! Any bytes as an action: never a panic, every finding has its place in the file, nothing shown steers a terminal.
#![no_main]

use dispatch::action::parse_action;
use dispatch::support::diagnostic::Color;
use dispatch::support::text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Err(wrong) = parse_action("a", "vault/actions/a.toml", bytes) else { return };
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    for finding in wrong.iter() {
        let seen = wrong.describe(finding);
        assert!((1..=lines).contains(&seen.line) && seen.column >= 1, "{seen:?}");
    }
    let shown = wrong.render(Color::Never);
    assert!(shown.chars().all(|c| c == '\n' || !text::steers(c)), "{shown:?}");
});
