//! Can the ops repo be worked with: the programs that this needs, and the repo itself, asked, fetched and pushed to without
//! changing anything.

use super::error::OpsError;
use super::mirror::Mirror;
use super::push::{self, Pushed};
use super::remote::Transport;
use crate::support::chain;
use crate::support::checkup::{Finding, Standing};

/// Where `name` stands in the `PATH` of this process, by which it is started.
pub fn program(name: &str) -> Finding {
    let subject = format!("tools: {name}");
    super::git::find_program(name).map_or_else(
        || {
            let fix = "install it, or set PATH where dispatch is started";
            Finding::bad(Standing::Wrong, subject.clone(), format!("no `{name}` in PATH"), fix)
        },
        |place| Finding::good(subject.clone(), place.display().to_string()),
    )
}

/// What an error in the words of `subject` says of the ops repo.
pub fn finding(subject: &str, error: &OpsError) -> Finding {
    let (standing, fix) = meaning(error);
    Finding::bad(standing, subject, chain::words(error), fix)
}

impl Mirror {
    /// Asks for the head, fetches, and pushes nothing: one finding each, up to the first that does not hold.
    ///
    /// In a mirror of the caller's own ([`Mirror::open_beside`]) this does not disturb a running dispatcher.
    pub async fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let head = match self.remote_head().await {
            Ok(Some(head)) => head,
            Ok(None) => {
                findings.push(finding("ops repo: branch", &OpsError::NoBranch { branch: self.branch().to_owned() }));
                return findings;
            }
            Err(error) => {
                findings.push(finding("ops repo: branch", &error));
                return findings;
            }
        };
        let evidence = format!("{} of {} is at {}", self.branch(), self.address(), head.short());
        findings.push(Finding::good("ops repo: branch", evidence));
        match self.fetch().await {
            Ok(head) => findings.push(Finding::good("ops repo: fetch", format!("{} is here", head.short()))),
            Err(error) => {
                findings.push(finding("ops repo: fetch", &error));
                return findings;
            }
        }
        findings.push(match self.push_nothing().await {
            Ok(pushed) => push_finding(pushed),
            Err(error) => finding(PUSH, &error),
        });
        findings
    }
}

const PUSH: &str = "ops repo: push";

fn push_finding(pushed: Pushed) -> Finding {
    match pushed {
        // What a hook or a protected branch says shows only when something is pushed.
        Pushed::Accepted | Pushed::Moved => Finding::good(PUSH, "we are let in to push; nothing was pushed"),
        Pushed::NoAccess(words) | Pushed::Declined(words) => Finding::bad(
            Standing::Wrong,
            PUSH,
            words,
            "give the user of `ops.push_credential` (or `ops.credential`, `ops.ssh_key`) the right to push to the branch",
        ),
        Pushed::Unclear(words) => Finding::bad(Standing::Unreachable, PUSH, words, REACH),
    }
}

const REACH: &str =
    "see that the server of `ops.remote` is up and can be reached from this machine; what runs goes on meanwhile";

/// Whether a person must act, and how.
fn meaning(error: &OpsError) -> (Standing, &'static str) {
    match error {
        OpsError::Status { status: 408 | 425 | 429 | 500.. } | OpsError::Poll(_) | OpsError::Deadline { .. } => {
            (Standing::Unreachable, REACH)
        }
        OpsError::Git { detail, .. } if push::no_access(detail) => {
            (Standing::Wrong, "check the address in `ops.remote` and its login: `ops.credential`, or `ops.ssh_key`")
        }
        OpsError::Git { .. } | OpsError::Pipe { .. } => (Standing::Unreachable, REACH),
        OpsError::Credential { .. } => (Standing::Wrong, "make that file readable to this user, or set the variable"),
        OpsError::NoBranch { .. } => (Standing::Wrong, "push a first commit to it, or set `ops.branch`"),
        OpsError::Status { .. } | OpsError::Said { .. } => {
            (Standing::Wrong, "check `ops.remote`, and whom `ops.credential` lets in")
        }
        OpsError::TooOld { .. } | OpsError::Start { .. } => (Standing::Wrong, "install git 2.35 or later"),
        _ => (Standing::Wrong, "`dispatch config show --origin` says what is in force; correct [ops]"),
    }
}

/// The programs that a remote of this kind needs besides git itself.
pub(super) fn programs_of(transport: &Transport) -> &'static [&'static str] {
    match transport {
        Transport::Ssh => &["ssh"],
        Transport::Local(_) | Transport::Http | Transport::Https => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_must_change_is_told_from_what_may_pass_by_itself() {
        let git = |detail: &str| OpsError::Git { verb: "fetch", detail: detail.to_owned() };
        let standing = |error: &OpsError| finding("x", error).standing;
        assert_eq!(standing(&git("fatal: Authentication failed for 'http://h/r.git/'")), Standing::Wrong);
        assert_eq!(standing(&git("fatal: unable to access: Could not resolve host: h")), Standing::Unreachable);
        assert_eq!(standing(&OpsError::Status { status: 401 }), Standing::Wrong);
        assert_eq!(standing(&OpsError::Status { status: 502 }), Standing::Unreachable);
    }

    #[test]
    fn a_program_that_is_not_there_is_wrong_and_one_that_is_has_its_place() {
        assert_eq!(program("no-such-program-9").standing, Standing::Wrong);
        assert!(program("sh").evidence.ends_with("/sh"));
    }
}
