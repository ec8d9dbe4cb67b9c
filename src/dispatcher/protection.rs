//! At start: does the forge keep anybody from pushing to the primary branch? It is said aloud where it does not, and refused where
//! the config asks for that. The forge's word decides nothing else.

use crate::config::Config;
use crate::config::types::ApprovalMode;
use crate::forge::{As, Branch, Forge, ForgeError, Protection, Repository};
use crate::support::chain;
use crate::support::checkup::{Finding, Standing};

const SUBJECT: &str = "forge: branch protection";

/// What was found; nothing where approvals are not proven by the forge.
pub async fn findings(config: &Config) -> Vec<Finding> {
    if config.approval.mode != Some(ApprovalMode::PullRequest) {
        return Vec::new();
    }
    let lax = if config.approval.require_protection { Standing::Wrong } else { Standing::Warning };
    let unread = if config.approval.require_protection { Standing::Unreachable } else { Standing::Warning };
    match read(config).await {
        Ok(seen) => seen.findings(lax),
        Err(error) => {
            let fix = "check `[forge]`, and whether the forge is up; until it answers, approvals wait";
            vec![Finding::bad(unread, SUBJECT, chain::words(&error), fix)]
        }
    }
}

/// What the forge says of the branch.
struct Seen {
    name: String,
    repository: Repository,
    branch: Branch,
    /// The rule for this very branch, where the asking user may see it.
    rule: Option<Protection>,
}

async fn read(config: &Config) -> Result<Seen, ForgeError> {
    let forge = Forge::open(config, As::Reader)?;
    let name = config.ops.branch.clone();
    let (repository, branch) = tokio::try_join!(forge.repository(), forge.branch(&name))?;
    let rules = match forge.protections().await {
        Ok(rules) => rules,
        Err(ForgeError::Status { status: 403, .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    let rule = rules.into_iter().find(|rule| rule.rule_name == name);
    Ok(Seen { name, repository, branch, rule })
}

impl Seen {
    fn findings(&self, lax: Standing) -> Vec<Finding> {
        let mut findings = vec![self.pushes(lax)];
        if self.repository.allow_manual_merge == Some(true) || self.repository.autodetect_manual_merge == Some(true) {
            let words = "requests can be marked as merged by hand, without the approvals that the forge asks for";
            let fix =
                "switch manual merges off in the repository's settings; approvals are compared by bytes all the same";
            findings.push(Finding::bad(Standing::Warning, "forge: merges", words, fix));
        }
        if self.branch.user_can_push {
            let words = format!("the user of `forge.token_file` may push to {}", self.name);
            let fix = "give admission a user of its own that may only read: token scopes do not hold on git";
            findings.push(Finding::bad(Standing::Warning, "forge: reader", words, fix));
        }
        findings
    }

    fn pushes(&self, lax: Standing) -> Finding {
        let name = &self.name;
        let fix = format!(
            "protect `{name}` in the repository's settings: pushes for the results' user alone, approvals needed"
        );
        let bad = |words: String| Finding::bad(lax, SUBJECT, words, fix.clone());
        if !self.branch.protected {
            return bad(format!(
                "anyone with write access may push to {name}, and with it change the policy and low formulas"
            ));
        }
        match &self.rule {
            Some(rule) if rule.enable_push && !rule.enable_push_whitelist => {
                bad(format!("{name} is protected, and anyone with write access may push to it"))
            }
            _ => Finding::good(
                SUBJECT,
                format!("{name} is protected; {} approvals are needed", self.branch.required_approvals),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(protected: bool, rule: Option<Protection>) -> Seen {
        let branch = serde_json::json!({ "name": "main", "protected": protected, "required_approvals": 1 });
        let repository = serde_json::json!({ "id": 1, "full_name": "o/r" });
        let (branch, repository) =
            (serde_json::from_value(branch).unwrap(), serde_json::from_value(repository).unwrap());
        Seen { name: "main".to_owned(), repository, branch, rule }
    }

    fn standing(seen: &Seen) -> Standing {
        seen.findings(Standing::Wrong)[0].standing
    }

    #[test]
    fn a_branch_that_every_writer_may_push_to_is_not_protected_whatever_the_forge_calls_it() {
        let open = Protection { rule_name: "main".to_owned(), enable_push: true, ..Protection::default() };
        assert_eq!(standing(&seen(false, None)), Standing::Wrong);
        assert_eq!(standing(&seen(true, Some(open.clone()))), Standing::Wrong);
        assert_eq!(standing(&seen(true, Some(Protection { enable_push_whitelist: true, ..open }))), Standing::Good);
        assert_eq!(standing(&seen(true, None)), Standing::Good, "more cannot be seen");
    }

    #[test]
    fn merges_by_hand_are_worth_a_warning() {
        let mut seen = seen(true, None);
        seen.repository.allow_manual_merge = Some(true);
        assert_eq!(seen.findings(Standing::Wrong)[1].standing, Standing::Warning);
    }
}
