//! The explanation: every check with its evidence, and the verdict. `dispatch explain` and `dispatch plan` show it.

use std::fmt;

use serde::Serialize;

use super::check::{Check, Judgement};
use super::verdict::Verdict;
use crate::support::clock::rfc3339_seconds;
use crate::support::ids::ActionId;

/// Every check with its evidence, and the verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The path of the action's entry.
    pub path: String,
    /// The id under which it is filed; `None` where its name is none.
    pub id: Option<ActionId>,
    /// The checks, by the numbers of their rules.
    pub checks: Vec<Check>,
    /// What follows.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Plain lines: one for each check, its message, evidence and help indented below, and the verdict last.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", super::check::printable(&self.path))?;
        for check in &self.checks {
            write_check(f, check)?;
        }
        writeln!(f, "{}", verdict_words(&self.verdict))
    }
}

fn write_check(f: &mut fmt::Formatter<'_>, check: &Check) -> fmt::Result {
    writeln!(f, "{} {:<18} {}", check.number, check.name, judgement_words(&check.judgement))?;
    for line in check.message.lines() {
        writeln!(f, "    {line}")?;
    }
    for line in check.evidence.iter().flat_map(|evidence| evidence.lines()) {
        writeln!(f, "    - {line}")?;
    }
    match &check.help {
        Some(help) => writeln!(f, "    help: {help}"),
        None => Ok(()),
    }
}

/// `pass`, `fail (not_signed)`, `wait (not_before, until …)`, `set aside (…)`, `not reached`.
pub fn judgement_words(judgement: &Judgement) -> String {
    match judgement {
        Judgement::Pass => "pass".to_owned(),
        Judgement::Fail { reason } => format!("fail ({reason})"),
        Judgement::Wait { reason, until: None } => format!("wait ({reason})"),
        Judgement::Wait { reason, until: Some(at) } => format!("wait ({reason}, until {})", rfc3339_seconds(*at)),
        Judgement::SetAside { reason } => format!("set aside ({reason})"),
        Judgement::NotReached => "not reached".to_owned(),
    }
}

fn verdict_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Admitted(admitted) => format!("admitted: {} runs on {}", admitted.id, admitted.backend),
        Verdict::Rejected { reason, .. } => format!("rejected ({reason}): {}", reason.words()),
        Verdict::Waiting { reason, .. } => format!("waiting ({reason}): {}", reason.words()),
        Verdict::SetAside { reason, .. } => format!("set aside ({reason}): {}", reason.words()),
    }
}
