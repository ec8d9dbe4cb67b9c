//! What a runner reads from its payload: any bytes are an envelope or a clear error.
#![no_main]

use dispatch::runner::envelope::Envelope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::from_handover(bytes) {
        let again = envelope.to_handover().expect("what was read can be written");
        Envelope::from_handover(&again).expect("what was written can be read");
    }
});
