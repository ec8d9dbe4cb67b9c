//! `doctor`, and the findings that keep a dispatcher from starting.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::super::output::Look;
use super::super::view::DoctorView;
use crate::support::checkup::{Finding, Standing};
use crate::support::text::one_line;

/// `doctor`: the findings, and a sentence about all of them.
pub fn doctor(view: &DoctorView, look: Look) -> String {
    let all = view.findings.len();
    let of = |standing| view.findings.iter().filter(|finding| finding.standing == standing).count();
    let counted: Vec<String> = [Standing::Wrong, Standing::Unreachable, Standing::Warning]
        .into_iter()
        .filter_map(|standing| Some((of(standing), word(standing))).filter(|(count, _)| *count > 0))
        .map(|(count, word)| format!("{count} {word}{}", if word == "warning" && count > 1 { "s" } else { "" }))
        .collect();
    let sum = if counted.is_empty() { "all good".to_owned() } else { counted.join(", ") };
    format!("{}\n{all} things looked at: {sum}\n", findings(&view.findings, look))
}

/// A line for each finding, and one more for what to do about it.
pub fn findings(findings: &[Finding], look: Look) -> String {
    let width = findings.iter().map(|finding| one_line(&finding.subject).chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for finding in findings {
        let standing = look.paint.apply(style(finding.standing), &format!("{:<11}", word(finding.standing)));
        let (subject, evidence) = (one_line(&finding.subject), one_line(&finding.evidence));
        let _ = writeln!(out, "{standing}  {subject:<width$}  {evidence}");
        if let Some(fix) = &finding.fix {
            let _ = writeln!(out, "{:11}  {:width$}  {} {}", "", "", look.paint.apply(bold(), "fix:"), one_line(fix));
        }
    }
    out
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "good",
        Standing::Warning => "warning",
        Standing::Unreachable => "unreachable",
        Standing::Wrong => "wrong",
    }
}

fn bold() -> Style {
    Style::new().bold()
}

fn style(standing: Standing) -> Style {
    let color = match standing {
        Standing::Good => AnsiColor::Green,
        Standing::Warning => AnsiColor::Yellow,
        Standing::Unreachable | Standing::Wrong => AnsiColor::Red,
    };
    Style::new().fg_color(Some(color.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::checkup::worst;

    #[test]
    fn each_finding_has_its_line_and_what_is_not_good_has_its_fix() {
        let findings = vec![
            Finding::good("config", "/etc/dispatch/dispatch.toml"),
            Finding::bad(Standing::Warning, "state directory", "others can look into /s", "run `chmod 700 /s`"),
            Finding::bad(Standing::Unreachable, "nomad: api", "http://h:4646\u{1b}[2J: refused", "start it"),
        ];
        let view = DoctorView { standing: worst(&findings), findings };
        insta::assert_snapshot!(doctor(&view, Look::PLAIN), @r"
        good         config           /etc/dispatch/dispatch.toml
        warning      state directory  others can look into /s
                                      fix: run `chmod 700 /s`
        unreachable  nomad: api       http://h:4646\u{1b}[2J: refused
                                      fix: start it

        3 things looked at: 1 unreachable, 1 warning
        ");
    }
}
