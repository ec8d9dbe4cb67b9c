//! What a look at the forge finds, for an operator: whether the tokens serve, whether requests and their protection are as
//! approvals need them, and whether those who may approve are who they were.

use super::repository::{Branch, Protection, Repository};
use super::{As, Class, Forge, ForgeError, User};
use crate::config::Config;
use crate::config::types::{ApprovalMode, Approver};
use crate::support::chain;
use crate::support::checkup::{Finding, Standing};

/// Where the docs say which scopes a token needs.
const SCOPES: &str = "docs/forge.md names the scopes that a token needs";

/// The subjects that concern telling alone: the token, the right, the scope.
const TELLING: [&str; 3] = ["forge: telling token", "forge: right to tell", "forge: scope for comments"];

/// Whether anything in the config needs the forge's API.
pub fn is_used(config: &Config) -> bool {
    let forge = &config.forge;
    let named = forge.url.is_some() || forge.token_file.is_some() || forge.token_env.is_some();
    let approves = config.approval.mode == Some(ApprovalMode::PullRequest);
    named || approves || config.telling.statuses || config.telling.comments
}

/// Looks at everything of the forge that dispatch relies on. Empty where nothing of it is used. Changes nothing.
pub async fn findings(config: &Config) -> Vec<Finding> {
    if !is_used(config) {
        return Vec::new();
    }
    let (reader, teller) = match (Forge::open(config, As::Reader), Forge::open(config, As::Teller)) {
        (Ok(reader), Ok(teller)) => (reader, teller),
        (Err(error), _) | (_, Err(error)) => return vec![failed("forge: settings", &error, "correct `[forge]`")],
    };
    let repository = match reader.repository().await {
        Ok(repository) => repository,
        Err(error) => return vec![failed("forge: repository", &error, SCOPES)],
    };
    let mut findings = repository_findings(&repository, config);
    findings.extend(token_findings(&reader, &teller, config).await);
    findings.extend(branch_findings(&reader, &teller, config).await);
    findings.extend(approver_findings(&reader, config).await);
    findings
}

/// What a start makes of it: telling stops nobody from running, and where the forge proves nothing either, no part of it does.
pub async fn findings_at_start(config: &Config) -> Vec<Finding> {
    let proves = config.approval.mode == Some(ApprovalMode::PullRequest) || config.approval.require_protection;
    let mut findings = findings(config).await;
    for finding in findings.iter_mut().filter(|finding| !proves || TELLING.contains(&finding.subject.as_str())) {
        finding.standing = finding.standing.min(Standing::Warning);
    }
    findings
}

fn failed(subject: &str, error: &ForgeError, fix: &str) -> Finding {
    let standing = if error.class() == Class::Permanent { Standing::Wrong } else { Standing::Unreachable };
    let there = "see that the forge runs, and that `forge.url` or `ops.remote` is its address";
    let fix = if matches!(error, ForgeError::Send { .. }) { there } else { fix };
    Finding::bad(standing, subject, chain::words(error), fix)
}

fn repository_findings(repository: &Repository, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let subject = "forge: repository";
    match config.forge.repository_id {
        Some(pinned) if pinned != repository.id.0 => findings.push(Finding::bad(
            Standing::Wrong,
            subject,
            format!(
                "{} has the number {}, and {pinned} is pinned: it was made anew",
                repository.full_name, repository.id
            ),
            "find out who did that; then set `forge.repository_id`",
        )),
        _ => findings.push(Finding::good(subject, format!("{}, number {}", repository.full_name, repository.id))),
    }
    findings.push(match repository.unsafe_settings().as_slice() {
        [] => {
            Finding::good("forge: settings of the repository", "pull requests are on, marking as merged by hand is off")
        }
        wrong => Finding::bad(
            Standing::Wrong,
            "forge: settings of the repository",
            wrong.join("; "),
            "`dispatch ops init --protect` sets them right",
        ),
    });
    findings
}

async fn token_findings(reader: &Forge, teller: &Forge, config: &Config) -> Vec<Finding> {
    let mut findings = vec![user_finding("forge: reading token", reader.me().await)];
    if config.approval.mode == Some(ApprovalMode::PullRequest)
        && let Err(error) = reader.labels().await
    {
        findings.push(failed("forge: scope for what happened to requests", &error, SCOPES));
    }
    let telling = config.telling.statuses || config.telling.comments;
    if telling {
        findings.push(user_finding(TELLING[0], teller.me().await));
        findings.push(write_finding(teller.repository().await));
    }
    if config.telling.comments
        && let Err(error) = teller.labels().await
    {
        findings.push(failed(TELLING[2], &error, SCOPES));
    }
    findings
}

fn user_finding(subject: &str, user: Result<User, ForgeError>) -> Finding {
    match user {
        Ok(user) => Finding::good(subject, user.to_string()),
        Err(error) => failed(subject, &error, SCOPES),
    }
}

/// What the user may do; that the token's scopes allow it too only shows when something is told.
fn write_finding(repository: Result<Repository, ForgeError>) -> Finding {
    let subject = TELLING[1];
    match repository {
        Ok(repository) if repository.permissions.push => Finding::good(subject, "the user may write to the repository"),
        Ok(_) => Finding::bad(
            Standing::Wrong,
            subject,
            "the user of the telling token may only read the repository",
            "make it a collaborator with write permission, or set `telling.statuses` and `telling.comments` to false",
        ),
        Err(error) => failed(subject, &error, SCOPES),
    }
}

async fn branch_findings(reader: &Forge, teller: &Forge, config: &Config) -> Vec<Finding> {
    let branch = match reader.branch(&config.ops.branch).await {
        Ok(branch) => branch,
        Err(error) => return vec![failed("forge: primary branch", &error, SCOPES)],
    };
    let open = if config.approval.require_protection { Standing::Wrong } else { Standing::Warning };
    let mut findings = vec![protection_finding(&branch, open)];
    // Only an administrator's token may read the rule; a dispatcher does not need one.
    if let Ok(rules) = teller.protections().await
        && let Some(rule) = rules.iter().find(|rule| rule.rule_name == config.ops.branch)
    {
        findings.extend(rule_findings(rule));
    }
    findings
}

/// What every reader can see of the protection; `open` is how a branch stands that anybody may push to.
fn protection_finding(branch: &Branch, open: Standing) -> Finding {
    let subject = format!("forge: protection of {}", branch.name);
    let bad = |standing: Standing, evidence: &str| {
        Finding::bad(standing, subject.clone(), evidence, "`dispatch ops init --protect` protects it")
    };
    match (branch.protected, branch.user_can_push, branch.required_approvals) {
        (false, ..) => bad(open, "it is not protected: every writer may push to it"),
        (true, true, _) => bad(open, "the dispatcher's reading user may push to it"),
        (true, false, 0) => bad(Standing::Warning, "it is protected, and a merge needs no approval"),
        (true, false, approvals) => Finding::good(subject, format!("a merge needs {approvals} approvals")),
    }
}

/// What only an administrator can see.
fn rule_findings(rule: &Protection) -> Vec<Finding> {
    let subject = format!("forge: rule for {}", rule.rule_name);
    let bad = |evidence: String| {
        Finding::bad(Standing::Warning, subject.clone(), evidence, "`dispatch ops init --protect` sets it right")
    };
    let mut findings = Vec::new();
    if rule.enable_push && !rule.enable_push_whitelist {
        findings.push(bad("every writer may push".to_owned()));
    }
    if !rule.push_whitelist_usernames.is_empty() {
        findings.push(bad(format!("these may push anything: {}", rule.push_whitelist_usernames.join(", "))));
    }
    if !rule.enable_approvals_whitelist {
        findings.push(bad("every writer's approval counts for a merge".to_owned()));
    }
    if !rule.block_admin_merge_override {
        findings.push(bad("administrators may merge without approvals".to_owned()));
    }
    findings
}

/// Whether those who may approve are who they were when the config was written.
async fn approver_findings(reader: &Forge, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (tier, approvers) in [("medium", &config.approval.medium.approvers), ("high", &config.approval.high.approvers)]
    {
        for approver in approvers {
            findings.push(approver_finding(tier, approver, reader.user(&approver.login).await));
        }
    }
    findings
}

fn approver_finding(tier: &str, approver: &Approver, found: Result<User, ForgeError>) -> Finding {
    let subject = format!("forge: approver of {tier}");
    let wrong = |evidence: String, fix: String| Finding::bad(Standing::Wrong, subject.clone(), evidence, fix);
    match found {
        Ok(user) if user.id.0 == approver.id => Finding::good(subject, user.to_string()),
        Ok(user) => wrong(
            format!(
                "{} is user {} now, and {} is pinned: the name was taken by somebody else",
                user.login, user.id, approver.id
            ),
            format!("find out who that is; their approvals do not count. Correct `approval.{tier}.approvers`"),
        ),
        Err(ForgeError::NotFound { .. }) => wrong(
            format!("the forge has no user {}", approver.login),
            format!("remove or correct the entry in `approval.{tier}.approvers`"),
        ),
        Err(error) => failed(&subject, &error, SCOPES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(protected: bool, user_can_push: bool, required_approvals: i64) -> Branch {
        let name = "main".to_owned();
        Branch { name, protected, user_can_push, required_approvals, user_can_merge: false }
    }

    #[test]
    fn a_branch_that_anybody_may_push_to_is_a_warning() {
        let standing = |branch: &Branch| protection_finding(branch, Standing::Warning).standing;
        assert_eq!(standing(&branch(false, true, 0)), Standing::Warning);
        assert_eq!(standing(&branch(true, true, 2)), Standing::Warning);
        assert_eq!(standing(&branch(true, false, 0)), Standing::Warning);
        assert_eq!(standing(&branch(true, false, 1)), Standing::Good);
        assert_eq!(protection_finding(&branch(false, true, 0), Standing::Wrong).standing, Standing::Wrong);
    }

    #[test]
    fn an_approver_whose_name_was_taken_by_somebody_else_is_wrong() {
        let approver = Approver { login: "ann".to_owned(), id: 7 };
        let user = |id| User { id: crate::forge::UserId(id), login: "ann".to_owned(), email: String::new() };
        assert_eq!(approver_finding("high", &approver, Ok(user(7))).standing, Standing::Good);
        let found = approver_finding("high", &approver, Ok(user(8)));
        assert_eq!(found.standing, Standing::Wrong);
        assert!(found.evidence.contains("taken by somebody else"), "{}", found.evidence);
        let gone = Err(ForgeError::NotFound { what: "the user ann".to_owned(), said: String::new() });
        assert_eq!(approver_finding("high", &approver, gone).standing, Standing::Wrong);
    }

    #[test]
    fn marking_as_merged_by_hand_is_wrong() {
        let repository = serde_json::json!({ "id": 3, "full_name": "o/r", "allow_manual_merge": true, "autodetect_manual_merge": true });
        let repository: Repository = serde_json::from_value(repository).unwrap();
        let found = repository_findings(&repository, &Config::of_remote("/x"));
        let wrong: Vec<&str> =
            found.iter().filter(|one| one.standing == Standing::Wrong).map(|one| one.evidence.as_str()).collect();
        let both = "marking as merged by hand: on -> off; \
            taking a push for a merge by hand (`autodetect_manual_merge`): on -> off";
        assert_eq!(wrong, [both]);
    }
}
