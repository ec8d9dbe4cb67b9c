//! What a git server answers to the poll: any bytes are a head or a clear error.
#![no_main]

use dispatch::ops::pktline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = pktline::listed(bytes, "refs/heads/main");
    let _ = pktline::next(bytes);
});
