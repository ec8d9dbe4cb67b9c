//! The seven rules, one file each. A check is a function of the snapshot, the rules and what the files say; it has no effect
//! and asks no one. Each judges on its own as far as it can, so that a person sees everything that is wrong at once.

pub mod approval;
pub(super) mod done;
pub(super) mod form;
pub(super) mod places;
pub(super) mod secrets;
pub(super) mod tier;
pub(super) mod when;

/// What is said where the action itself could not be read.
const NO_ACTION: &str = "the action does not parse (rule 1)";
