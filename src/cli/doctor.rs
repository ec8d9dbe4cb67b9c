//! `dispatch doctor`: everything that the config names, looked at in order, with what was seen and what to do about it.

use std::process::ExitCode;

use super::error::{CliError, Kind};
use super::invocation::{Invocation, interruptible};
use super::output::{Format, Look, Paint};
use super::render;
use super::service::surroundings;
use super::view::DoctorView;
use crate::config::Loaded;
use crate::config::error::Entry;
use crate::dispatcher::doctor::examine;
use crate::dispatcher::start::StartError;
use crate::support::checkup::{Finding, Standing, worst};

/// `dispatch doctor`
///
/// # Errors
/// The configuration does not hold. What was found wrong is in the answer: exit 1, or 4 where it only does not answer.
pub(super) fn run(invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let loaded = invocation.load_quietly()?;
    let surroundings = surroundings(invocation.environment())?;
    let mut findings = of_config(&loaded);
    let progress = invocation.output.progress("looking at everything that the configuration names");
    let examined = interruptible(async { Ok(examine(&loaded.config, &surroundings).await) });
    progress.finish_and_clear();
    findings.extend(examined?);
    let view = DoctorView { standing: worst(&findings), findings };
    invocation.output.say("doctor", &view, |look| render::doctor(&view, look))?;
    Ok(match kind(view.standing) {
        Some(kind) => ExitCode::from(kind.exit_code()),
        None => ExitCode::SUCCESS,
    })
}

fn kind(standing: Standing) -> Option<Kind> {
    match standing {
        Standing::Good | Standing::Warning => None,
        Standing::Unreachable => Some(Kind::Unreachable),
        Standing::Wrong => Some(Kind::Failed),
    }
}

/// That the configuration holds was found by loading it; what is worth a look in it is said here.
fn of_config(loaded: &Loaded) -> Vec<Finding> {
    let file =
        loaded.file.as_ref().map_or("no file, the environment alone".to_owned(), |path| path.display().to_string());
    let warning = |entry: Entry| {
        let evidence = format!("{}: {}", entry.place, entry.message);
        Finding { fix: entry.help, ..Finding::bad(Standing::Warning, "config", evidence, "") }
    };
    let warnings = loaded.warnings.entries().into_iter().map(warning);
    std::iter::once(Finding::good("config", file)).chain(warnings).collect()
}

/// A dispatcher that does not start because of `findings`: all of them are shown.
pub(super) fn refused(findings: &[Finding], error: &StartError, invocation: &Invocation) -> CliError {
    let kind = kind(worst(findings)).unwrap_or(Kind::Failed);
    let paint = Paint::of(invocation.globals.color, &std::io::stderr());
    let shown = render::findings(findings, Look { paint, width: None });
    let bad = findings.iter().filter(|finding| finding.standing >= Standing::Unreachable);
    let entry = |finding: &Finding| Entry {
        place: finding.subject.clone(),
        line: None,
        column: None,
        message: finding.evidence.clone(),
        help: finding.fix.clone(),
    };
    // People see the findings themselves above it.
    let words = CliError::new(kind, "the dispatcher cannot start");
    let words = if invocation.output.format() == Format::Json { words.caused_by(error) } else { words };
    words.hint("`dispatch doctor` looks at everything again, without starting").report(shown, bad.map(entry).collect())
}
