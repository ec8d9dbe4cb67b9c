//! What a look at a dependency found: one finding for each thing looked at, in words for an operator. Every backend, secret
//! provider and remote answers its `check` with these; `dispatch doctor` shows them all, a start refuses the ones that are wrong.

use serde::Serialize;

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As it should.
    Good,
    /// It works, and an operator should know this.
    Warning,
    /// It does not answer now, and may by itself: what needs it waits.
    Unreachable,
    /// It will not work before a person has changed something.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `nomad: token`, `vault: mount kv`.
    pub subject: String,
    /// How it stands.
    pub standing: Standing,
    /// What was seen: a version, a path, a server's own words. Never a secret.
    pub evidence: String,
    /// What to do about it; for everything that is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn good(subject: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self { subject: subject.into(), standing: Standing::Good, evidence: evidence.into(), fix: None }
    }

    /// Something else, with what to do about it.
    pub fn bad(
        standing: Standing,
        subject: impl Into<String>,
        evidence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { subject: subject.into(), standing, evidence: evidence.into(), fix: Some(fix.into()) }
    }
}

/// The worst standing among `findings`; good where there are none.
pub fn worst(findings: &[Finding]) -> Standing {
    findings.iter().map(|finding| finding.standing).max().unwrap_or(Standing::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_outweighs_what_does_not_answer() {
        let all = [
            Finding::good("a", "1.0"),
            Finding::bad(Standing::Wrong, "b", "403", "grant it"),
            Finding::bad(Standing::Unreachable, "c", "refused", "start it"),
        ];
        assert_eq!((worst(&all), worst(&[])), (Standing::Wrong, Standing::Good));
    }
}
