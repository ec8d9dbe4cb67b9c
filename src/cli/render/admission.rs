//! `explain` and `plan`.

use std::fmt::Write as _;

use super::super::output::Look;
use super::super::view::{
    CheckVerdict, CheckView, DecisionView, ExplainView, GrantedView, LaunchView, PlanView, RoundView,
};
use super::{field, heading, indent, shown, state, why};
use crate::support::clock::rfc3339_seconds;
use crate::support::text::one_line;

/// `explain`: what was decided earlier, every check with its evidence as it comes out now, and the verdict.
pub fn explain(view: &ExplainView, look: Look) -> String {
    let mut out = field(look, "action", &view.action);
    out += &field(look, "head", &view.head);
    for (name, value) in [("blob", &view.blob), ("commit", &view.commit), ("note", &view.note)] {
        out.extend(value.as_ref().map(|value| field(look, name, value)));
    }
    if !view.decisions.is_empty() {
        out += &heading(look, "Decided earlier");
        out.extend(view.decisions.iter().map(|one| decision(one, look)));
    }
    if !view.checks.is_empty() {
        out += &heading(look, "Checks");
        out.extend(view.checks.iter().map(|one| check(one, look)));
    }
    let reason = why(view.reason.as_deref(), view.message.as_deref()).map(|why| format!(": {why}")).unwrap_or_default();
    let _ = writeln!(out, "\n{}{}", state(look.paint, &view.verdict), one_line(&reason));
    out
}

fn decision(decision: &DecisionView, look: Look) -> String {
    let at = decision.at.parse().map_or_else(|_| decision.at.clone(), rfc3339_seconds);
    let (run, at) = (one_line(&decision.run), one_line(&at));
    let mut out = format!("{at} {run} {}\n", state(look.paint, &decision.verdict));
    let reason = why(decision.reason.as_deref(), decision.message.as_deref());
    for line in reason.iter().chain(&decision.evidence) {
        let _ = writeln!(out, "      {}", one_line(line));
    }
    out
}

fn check(check: &CheckView, look: Look) -> String {
    let (mark, word) = match check.verdict {
        CheckVerdict::Passed => ("✓", "passed"),
        CheckVerdict::Failed => ("✗", "failed"),
        CheckVerdict::Waiting => ("…", "waiting"),
        CheckVerdict::Skipped => ("-", "not reached"),
    };
    let mut out = format!("{mark} {} {}  {}\n", check.number, one_line(&check.name), state(look.paint, word));
    let lines =
        why(check.reason.as_deref(), check.message.as_deref()).into_iter().chain(check.evidence.iter().cloned());
    for line in lines {
        let _ = writeln!(out, "      {}", one_line(&line));
    }
    out
}

/// `plan`: what would be granted, mounted and launched.
pub fn plan(view: &PlanView, look: Look) -> String {
    let reason = why(view.reason.as_deref(), view.message.as_deref()).map(|why| format!(": {why}")).unwrap_or_default();
    let verdict = format!("{}{}", state(look.paint, &view.verdict), one_line(&reason));
    let head = field(look, "action", &view.action) + &shown(look, "verdict", &verdict);
    match &view.launch {
        Some(planned) => head + &launch(planned, look),
        None => head + "nothing would be granted, mounted or launched\n",
    }
}

/// `once --dry-run`: one plan after the other.
pub fn round(view: &RoundView, look: Look) -> String {
    if view.plans.is_empty() {
        return "nothing would be taken up\n".to_owned();
    }
    view.plans.iter().map(|one| plan(one, look)).collect::<Vec<_>>().join("\n")
}

fn launch(view: &LaunchView, look: Look) -> String {
    let lines = [
        ("tier", Some(view.tier.clone())),
        ("formula", Some(format!("{} from {}", view.formula, view.source))),
        ("hash", Some(format!("sha256:{}", view.hash))),
        ("backend", Some(view.backend.clone())),
        ("timeout", Some(format!("{} minutes", view.timeout_minutes))),
        ("directory", view.working_directory.clone()),
        ("limit", view.formula_limit.map(|limit| format!("{limit} of this formula at once"))),
        ("key", view.concurrency_key.clone()),
        ("queue", Some(view.waits.clone().unwrap_or_else(|| "would start at once".to_owned()))),
    ];
    let mut out = String::new();
    out.extend(lines.iter().filter_map(|(name, value)| value.as_ref().map(|value| field(look, name, value))));
    out += &granted("Secrets", "no secret is granted", &view.secrets, look);
    out += &granted("Mounts", "nothing is mounted", &view.mounts, look);
    let params = view.params.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    out += &heading(look, "Parameters");
    out + &indent(&look.inset().table(&["name", "value"], params, "none"))
}

fn granted(title: &str, nothing: &str, all: &[GrantedView], look: Look) -> String {
    let rows = all.iter().map(|one| vec![one.name.clone(), one.by.clone(), one.evidence.clone()]).collect();
    heading(look, title) + &indent(&look.inset().table(&["name", "by", "evidence"], rows, nothing))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn one(number: u8, name: &str, verdict: CheckVerdict, evidence: &[&str]) -> CheckView {
        let evidence = evidence.iter().map(|line| (*line).to_owned()).collect();
        CheckView { number, name: name.to_owned(), verdict, reason: None, message: None, evidence }
    }

    #[test]
    fn an_explanation_lists_every_check_with_its_evidence() {
        let failed = CheckView {
            reason: Some("not_signed".to_owned()),
            message: Some("The commit that brought the action is not signed.".to_owned()),
            ..one(5, "approval", CheckVerdict::Failed, &["commit 0123456789 by Ann <ann@example.com>"])
        };
        let view = ExplainView {
            action: "release-v1".to_owned(),
            head: "0123456789".to_owned(),
            note: None,
            decisions: vec![DecisionView {
                run: "release-v1@1".to_owned(),
                at: "2026-11-20T10:00:00Z".to_owned(),
                verdict: "waiting".to_owned(),
                reason: Some("not_before".to_owned()),
                message: Some("it may begin on 2026-11-21".to_owned()),
                evidence: vec![],
            }],
            blob: Some("89abcdef01".to_owned()),
            commit: Some("0123456789".to_owned()),
            verdict: "rejected".to_owned(),
            reason: Some("not_signed".to_owned()),
            message: Some("The commit that brought the action is not signed.".to_owned()),
            checks: vec![
                one(1, "form", CheckVerdict::Passed, &["formula `release` from ops:formulas/release.sh"]),
                one(2, "secrets", CheckVerdict::Passed, &["API_TOKEN \u{1b}[2J present"]),
                failed,
                one(7, "when", CheckVerdict::Skipped, &[]),
            ],
        };
        insta::assert_snapshot!(explain(&view, Look::PLAIN));
    }

    #[test]
    fn a_plan_says_what_would_be_granted_mounted_and_launched() {
        let secret = GrantedView {
            name: "API_TOKEN".to_owned(),
            by: "runner-API_TOKEN".to_owned(),
            evidence: "present: secrets/API_TOKEN.enc".to_owned(),
        };
        let launch = LaunchView {
            tier: "medium".to_owned(),
            formula: "release".to_owned(),
            source: "ops:formulas/release.sh".to_owned(),
            hash: "ab".repeat(32),
            backend: "local".to_owned(),
            timeout_minutes: 60,
            secrets: vec![secret],
            params: BTreeMap::from([("TAG".to_owned(), "v1.0.0".to_owned())]),
            ..LaunchView::default()
        };
        let view = PlanView {
            action: "release-v1".to_owned(),
            verdict: "admitted".to_owned(),
            reason: None,
            message: None,
            launch: Some(launch),
        };
        insta::assert_snapshot!(plan(&view, Look::PLAIN));
    }
}
