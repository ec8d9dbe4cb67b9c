//! Any noise around a secret, in any pieces: the secret never comes out, and without it nothing is changed.
#![no_main]

use std::sync::Arc;

use dispatch::runner::redact::{Patterns, Redactor};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "tok-4f9A+7/zq==";

fn redacted(patterns: &Arc<Patterns>, text: &[u8], piece: usize) -> Vec<u8> {
    let (mut redactor, mut out) = (Redactor::new(Arc::clone(patterns)), Vec::new());
    for part in text.chunks(piece) {
        redactor.feed(part, &mut out);
    }
    redactor.finish(&mut out);
    out
}

fn holds(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

fuzz_target!(|input: (u8, usize, Vec<u8>)| {
    let (piece, at, noise) = input;
    let patterns = Arc::new(Patterns::new([("TOKEN", SECRET)]).expect("the patterns can be built"));
    let piece = usize::from(piece).max(1);
    let (before, after) = noise.split_at(at.checked_rem(noise.len() + 1).unwrap_or(0));
    let text = [before, SECRET.as_bytes(), after].concat();
    assert!(!holds(&redacted(&patterns, &text, piece), SECRET.as_bytes()));
    // In one piece or in many: the same comes out.
    assert_eq!(redacted(&patterns, &text, piece), redacted(&patterns, &text, text.len()));
});
