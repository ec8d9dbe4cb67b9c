//! Any bytes as a formula's metadata and as an agent formula: never a panic, and every default passes its own pattern.
#![no_main]

use dispatch::action::{AgentFormula, FormulaMeta};
use dispatch::support::diagnostic::Color;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(wrong) = AgentFormula::parse("formulas/f.toml", bytes) {
        assert!(!wrong.render(Color::Never).is_empty());
    }
    let Ok(meta) = FormulaMeta::parse("formulas/f.meta.toml", bytes) else { return };
    for spec in meta.params.iter().flat_map(|params| params.values()) {
        if let (Some(default), Some(pattern)) = (&spec.default, &spec.pattern) {
            assert!(pattern.matches(default));
        }
    }
});
