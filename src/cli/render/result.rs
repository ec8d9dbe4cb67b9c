//! The result of a run that is shown and not published: `once --action`.

use super::super::output::Look;
use super::{field, shown, state, why};
use crate::action::result::ActionResult;

/// What became of it, and why.
pub fn result(result: &ActionResult, look: Look) -> String {
    let reason = why(Some(result.reason.code()), Some(&result.message));
    let mut out = field(look, "action", &result.id);
    out += &shown(look, "state", &state(look.paint, result.state.word()));
    let formula = result.formula.as_ref().map(|formula| format!("{} from {}", formula.name, formula.source));
    let lines = [
        ("why", reason),
        ("exit", result.exit.map(|code| code.to_string())),
        ("formula", formula),
        ("policies", (!result.policies.is_empty()).then(|| result.policies.join(", "))),
    ];
    out.extend(lines.iter().filter_map(|(name, value)| value.as_ref().map(|value| field(look, name, value))));
    out + "its result is not published\n"
}
