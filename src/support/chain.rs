//! An error and all that caused it, in one line: for logs and for messages that go into files.

use std::error::Error;

/// The text of `error` and of each of its sources, joined by colons; a source that only repeats is left out.
pub fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if !words.ends_with(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        next = source.source();
    }
    words
}
