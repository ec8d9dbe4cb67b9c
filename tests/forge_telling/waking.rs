//! From a merge to a launch: by the poll, and by the webhook with the next poll an hour away. The times are printed, not judged;
//! `cargo bench -- forge` measures all styles of merging with the shipped binary.

use crate::rush::Rush;

#[test]
fn a_merge_is_taken_up_by_a_poll_of_a_second() {
    let rush = Rush::polling();
    for style in ["merge", "squash", "rebase"] {
        eprintln!("merge -> launch, poll of 1 s, {style}: {} ms", rush.merge_to_launch(style).as_millis());
    }
    rush.stop();
}

#[test]
fn a_merge_is_taken_up_by_the_webhook_though_the_next_poll_is_an_hour_away() {
    let rush = Rush::woken();
    for style in ["rebase-merge", "fast-forward-only", "squash"] {
        eprintln!("merge -> launch, webhook, {style}: {} ms", rush.merge_to_launch(style).as_millis());
    }
    rush.stop();
}
