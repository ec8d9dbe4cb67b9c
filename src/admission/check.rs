//! One check's answer: which rule, what it decided, the evidence that it looked at, in words that a reviewer understands.
//!
//! All text that came out of a repository (names, messages of git) has its control and direction characters escaped here, once,
//! so that no evidence can paint over a reviewer's screen.

use jiff::Timestamp;
use serde::Serialize;

use crate::action::reason::Reason;
use crate::support::text::one_line;

/// What a check decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Judgement {
    /// The rule holds.
    Pass,
    /// The rule does not hold, and will not by itself.
    Fail {
        /// Why.
        reason: Reason,
    },
    /// The rule may come to hold by itself.
    Wait {
        /// Why not now.
        reason: Reason,
        /// The earliest time at which it can change, where that is known.
        until: Option<Timestamp>,
    },
    /// The id is spoken for: there is nothing to decide and nothing to record.
    SetAside {
        /// Why.
        reason: Reason,
    },
    /// Something before it is missing, so that it cannot be judged.
    NotReached,
}

/// The answer of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The number of its rule.
    pub number: u8,
    /// The name of its rule.
    pub name: &'static str,
    /// What it decided.
    pub judgement: Judgement,
    /// What it looked at, a sentence each.
    pub evidence: Vec<String>,
    /// What it found, in one sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A rule of admission: its number and its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) number: u8,
    pub(super) name: &'static str,
}

impl Rule {
    fn check(self, judgement: Judgement, message: &str) -> Check {
        let message = printable(message);
        Check { number: self.number, name: self.name, judgement, evidence: Vec::new(), message, help: None }
    }

    pub(super) fn pass(self, message: impl AsRef<str>) -> Check {
        self.check(Judgement::Pass, message.as_ref())
    }

    pub(super) fn fail(self, reason: Reason, message: impl AsRef<str>) -> Check {
        self.check(Judgement::Fail { reason }, message.as_ref())
    }

    pub(super) fn wait(self, reason: Reason, message: impl AsRef<str>) -> Check {
        self.check(Judgement::Wait { reason, until: None }, message.as_ref())
    }

    pub(super) fn wait_until(self, at: Timestamp, reason: Reason, message: impl AsRef<str>) -> Check {
        self.check(Judgement::Wait { reason, until: Some(at) }, message.as_ref())
    }

    pub(super) fn set_aside(self, reason: Reason, message: impl AsRef<str>) -> Check {
        self.check(Judgement::SetAside { reason }, message.as_ref())
    }

    pub(super) fn not_reached(self, message: impl AsRef<str>) -> Check {
        self.check(Judgement::NotReached, message.as_ref())
    }
}

impl Check {
    /// With what was looked at.
    pub(super) fn because<T: AsRef<str>>(mut self, evidence: impl IntoIterator<Item = T>) -> Self {
        self.evidence.extend(evidence.into_iter().map(|line| printable(line.as_ref())));
        self
    }

    /// With the next step.
    pub(super) fn help(mut self, help: impl AsRef<str>) -> Self {
        self.help = Some(printable(help.as_ref()));
        self
    }

    /// Whether the rule holds.
    pub fn passed(&self) -> bool {
        self.judgement == Judgement::Pass
    }
}

/// `text`, line by line, with every character that moves the cursor, changes colours or turns the direction of writing escaped.
pub(super) fn printable(text: &str) -> String {
    text.split('\n').map(one_line).collect::<Vec<_>>().join("\n")
}

/// `["a", "b"]` as "`a`, `b`".
pub(super) fn listed<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_from_a_commit_cannot_paint_over_the_screen() {
        let rule = Rule { number: 5, name: "approval" };
        let check = rule.pass("fine").because(["by \u{1b}[2K\rAlice \u{202e}ecilA"]);
        assert_eq!(check.evidence, ["by \\u{1b}[2K\\rAlice \\u{202e}ecilA"]);
    }
}
