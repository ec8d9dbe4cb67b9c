//! Any bytes as a policy: never a panic, and no policy lets `medium` or `high` pass without an approval.
#![no_main]

use dispatch::action::{Policy, Tier};
use dispatch::support::diagnostic::Color;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Policy::parse("vault/policy.toml", bytes) {
        Ok(policy) => assert!(policy.approvals(Tier::Medium) > 0 && policy.approvals(Tier::High) > 0),
        Err(wrong) => assert!(!wrong.render(Color::Always).is_empty()),
    }
});
