//! Looking at everything that the config names, in the order in which a start needs it: state directory, journal, programs, ops repo,
//! forge, secrets, backends, lease.
//!
//! Works beside a running dispatcher and changes nothing of its state: the lock is not taken, the journal is opened for reading, and
//! the ops repo is fetched into a throw-away mirror. A start looks at the last two by the same functions ([`super::start::look`]).

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Access, access};

use super::lease;
use super::lock;
use super::secrets::secrets;
use super::start::{self, JOURNAL, StartError, Surroundings};
use crate::config::Config;
use crate::config::types::ApprovalMode;
use crate::ops::check::{finding, program};
use crate::ops::{Mirror, OpsError};
use crate::run::journal::{JournalError, Reader, read};
use crate::support::chain;
use crate::support::checkup::{Finding, Standing};
use crate::support::tenure::Tenure;

const STATE: &str = "state directory";
const JOURNAL_SUBJECT: &str = "journal";

/// Looks at everything.
pub async fn examine(config: &Config, surroundings: &Surroundings) -> Vec<Finding> {
    let state_dir = &config.state_dir;
    let mut findings = vec![state_directory(state_dir)];
    findings.extend(holder(state_dir));
    findings.push(journal(&state_dir.join(JOURNAL)));
    findings.extend(ops(config).await);
    findings.extend(crate::forge::findings(config).await);
    let backends = || start::backends(config, &surroundings.executable, &Tenure::unlimited());
    let opened = secrets(config).and_then(|secrets| Ok((secrets, backends()?)));
    match opened {
        Ok((secrets, mut backends)) => {
            if !state_dir.exists() {
                // It would make the directory, as the user who asks and not as the one who serves.
                backends.remove(crate::backend::local::NAME);
            }
            findings.extend(start::look(secrets.as_ref(), &backends).await.into_all());
        }
        Err(StartError::Dependencies { findings: wrong }) => findings.extend(wrong),
        Err(error) => {
            let fix = "correct [backends]; `dispatch config show --origin` says what is in force";
            findings.push(Finding::bad(Standing::Wrong, "backends", chain::words(&error), fix));
        }
    }
    findings.extend(lease::finding(config).await);
    findings
}

/// Ours, and nobody else's to read: results and logs of privileged jobs lie in it.
fn state_directory(path: &Path) -> Finding {
    let shown = path.display();
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return not_there_yet(path),
        Err(error) => return wrong(STATE, format!("{shown}: {error}"), "let the dispatcher's user into it"),
    };
    if !metadata.is_dir() {
        return wrong(STATE, format!("{shown} is not a directory"), "set `state_dir` to one");
    }
    if access(path, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let fix = "give it to the user who runs dispatch, or call this as that user";
        return wrong(STATE, format!("{shown} cannot be written to by this user"), fix);
    }
    match metadata.mode() & 0o077 {
        0 => Finding::good(STATE, shown.to_string()),
        open => Finding::bad(
            Standing::Warning,
            STATE,
            format!("others can look into {shown} (mode {:o})", open | 0o700),
            format!("run `chmod 700 {shown}`"),
        ),
    }
}

fn not_there_yet(path: &Path) -> Finding {
    let above = path.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    if access(above, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let evidence = format!("{} is not there, and this user cannot make it in {}", path.display(), above.display());
        return wrong(STATE, evidence, "make it, and give it to the user who runs dispatch");
    }
    let evidence = format!("{} is not there yet; the first start makes it", path.display());
    Finding::bad(Standing::Warning, STATE, evidence, "nothing, where this is the first start; else set `state_dir`")
}

/// Who serves the directory; no finding where nobody does.
fn holder(state_dir: &Path) -> Option<Finding> {
    let holder = lock::holder(state_dir)?;
    Some(Finding::good("dispatcher", format!("the directory is served by {holder}")))
}

fn journal(path: &Path) -> Finding {
    let count = |reader: &Reader| reader.ask(read::counts);
    match Reader::open(path).and_then(|reader| count(&reader)) {
        Ok(Some(counts)) => {
            let runs: i64 = counts.iter().map(|(_, count)| count).sum();
            Finding::good(JOURNAL_SUBJECT, format!("{}, {runs} runs", path.display()))
        }
        Ok(None) => Finding::good(JOURNAL_SUBJECT, "none yet; the first start makes it"),
        Err(error) => wrong(JOURNAL_SUBJECT, chain::words(&error), journal_fix(&error)),
    }
}

fn journal_fix(error: &JournalError) -> &'static str {
    match error {
        JournalError::Newer { .. } => "call the version of dispatch that serves this state directory",
        JournalError::Open { .. } => "call this as the user who runs dispatch",
        _ => "`dispatch audit verify` looks through all of it; a start sets a damaged one aside and makes a new one",
    }
}

async fn ops(config: &Config) -> Vec<Finding> {
    let mut findings = vec![program("git")];
    if config.approval.mode == Some(ApprovalMode::Signature) {
        findings.push(program("ssh-keygen"));
    }
    if findings.iter().any(|finding| finding.standing == Standing::Wrong) {
        return findings;
    }
    let scratch = match tempfile::Builder::new().prefix("dispatch-").tempdir() {
        Ok(scratch) => scratch,
        Err(error) => {
            let fix = "make room in the folder for temporary files, or set TMPDIR";
            findings.push(wrong("temporary folder", error.to_string(), fix));
            return findings;
        }
    };
    match Mirror::open_beside(&config.ops, &config.state_dir, scratch.path()).await {
        Ok(mirror) => {
            findings.extend(mirror.programs().iter().map(|name| program(name)));
            findings.extend(mirror.check().await);
        }
        Err(error @ (OpsError::TooOld { .. } | OpsError::Start { .. })) => findings.push(finding("tools: git", &error)),
        Err(error) => findings.push(finding("ops repo", &error)),
    }
    findings
}

fn wrong(subject: &str, evidence: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding::bad(Standing::Wrong, subject, evidence, fix)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_state_directory_that_others_can_look_into_is_worth_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let set = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o755);
        let finding = state_directory(folder.path());
        assert_eq!(finding.standing, Standing::Warning, "{finding:?}");
        assert!(finding.fix.unwrap().starts_with("run `chmod 700"));
        set(0o700);
        assert_eq!(state_directory(folder.path()).standing, Standing::Good);
    }

    #[test]
    fn a_state_directory_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        assert_eq!(state_directory(&path).standing, Standing::Warning);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_journal_is_wrong_and_a_missing_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(JOURNAL);
        assert_eq!(journal(&path).standing, Standing::Good);
        std::fs::write(&path, b"not a database, but long enough to look at").unwrap();
        assert_eq!(journal(&path).standing, Standing::Wrong);
    }
}
