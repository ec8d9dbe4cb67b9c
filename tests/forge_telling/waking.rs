//! From a merge to a launch, in each style of merging: by the poll, and by the webhook with the next poll an hour away. The times
//! are told, not judged; `cargo bench -- forge` measures them with the shipped binary.

use std::io::Write as _;

use crate::rush::{Rush, STYLES};

/// What a passing test prints through the macros is swallowed by whoever runs it; these times are for people.
fn tell(how: &str, rush: &Rush) {
    let mut out = std::io::stderr();
    for style in STYLES {
        let took = rush.merge_to_launch(style).as_millis();
        writeln!(out, "merge -> launch, {how}, {style}: {took} ms").unwrap();
    }
}

#[test]
fn a_merge_is_taken_up_by_a_poll_of_a_second() {
    let rush = Rush::polling();
    tell("poll of 1 s", &rush);
    rush.stop();
}

#[test]
fn a_merge_is_taken_up_by_the_webhook_though_the_next_poll_is_an_hour_away() {
    let rush = Rush::woken();
    tell("webhook", &rush);
    rush.stop();
}
