//! What `git push --porcelain` says, read as data; pure. The forms are those seen from Gitea, `git http-backend` and plain repositories.

use super::error::PublishError;

/// How a push of one ref went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The branch is at our commit.
    Accepted,
    /// The branch was not where it was expected: somebody else was faster.
    Moved,
    /// The server said no, for a reason of its own. Who was faster may still be the true reason.
    Declined(String),
    /// git never got as far as asking: no access, no repository, no such host.
    NoAccess(String),
    /// The connection broke, or the answer did not come.
    Unclear(String),
}

/// Our side's own refusals, each of which means that the branch is not at the base.
const STALE: [&str; 4] = ["(stale info)", "(fetch first)", "(non-fast-forward)", "(needs force)"];
/// The server's words for a race that was lost between its advertisement and its update.
const RACE: [&str; 4] = ["failed to update ref", "cannot lock ref", "incorrect old value provided", "fetch first"];
/// Said by our own side before anything was sent, so that nothing can have been accepted.
const NO_ACCESS: [&str; 11] = [
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "error: 401",
    "error: 403",
    "error: 404",
    "Permission denied",
    "Host key verification failed",
    "not found",
    "does not appear to be a git repository",
    "redirect",
];

/// Reads one push: its exit code (none: ended by a signal), stdout and stderr.
pub(super) fn read(code: Option<i32>, stdout: &[u8], stderr: &str) -> Pushed {
    let stdout = String::from_utf8_lossy(stdout);
    let line = stdout.lines().find(|line| line.contains(":refs/heads/"));
    match (code, line) {
        (Some(0), _) => Pushed::Accepted,
        (_, Some(line)) if line.starts_with("!\t") => refused(line, stderr),
        (_, Some(line)) => Pushed::Unclear(words(line, stderr)),
        (_, None) if no_access(stderr) => Pushed::NoAccess(words("", stderr)),
        (_, None) => Pushed::Unclear(words("", stderr)),
    }
}

/// A hook's own lines do not count: it runs after everything was sent, and may say anything.
pub(super) fn no_access(stderr: &str) -> bool {
    let ours = stderr.lines().filter(|line| !line.starts_with("remote:"));
    ours.into_iter().any(|line| NO_ACCESS.iter().any(|text| line.contains(text)))
}

/// `! TAB <from>:<to> TAB [<kind>] (<reason>)`
fn refused(line: &str, stderr: &str) -> Pushed {
    let summary = line.rsplit('\t').next().unwrap_or(line);
    if summary.starts_with("[rejected]") && STALE.iter().any(|text| summary.contains(text)) {
        return Pushed::Moved;
    }
    if summary.starts_with("[remote rejected]") {
        if RACE.iter().any(|text| summary.contains(text)) {
            return Pushed::Moved;
        }
        return Pushed::Declined(words(summary, stderr));
    }
    Pushed::Unclear(words(summary, stderr))
}

/// What a person needs of it: the server's own lines, then the summary.
fn words(summary: &str, stderr: &str) -> String {
    let said = stderr.lines().filter_map(|line| {
        let line = line.strip_prefix("remote:").unwrap_or(line).trim();
        (!line.is_empty() && !line.starts_with("hint:") && !line.starts_with("To ")).then_some(line)
    });
    let mut words: Vec<&str> = said.take(12).collect();
    words.extend(Some(summary).filter(|summary| !summary.is_empty()));
    if words.is_empty() { "git said nothing".to_owned() } else { words.join("; ") }
}

impl Pushed {
    /// As the caller gets it, where no further look at the server is needed.
    pub(super) fn into_result(self) -> Result<(), PublishError> {
        match self {
            Self::Accepted => Ok(()),
            Self::Moved => Err(PublishError::Moved),
            Self::Declined(detail) | Self::NoAccess(detail) => Err(PublishError::Refused { detail }),
            Self::Unclear(detail) => Err(PublishError::Unknown { detail }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(flag: &str, summary: &str) -> Vec<u8> {
        format!("To http://h/r.git\n{flag}\tabc:refs/heads/main\t{summary}\nDone\n").into_bytes()
    }

    #[test]
    fn every_form_of_success_is_success() {
        for (flag, summary) in [(" ", "1111..2222"), ("*", "[new branch]"), ("=", "[up to date]")] {
            assert_eq!(read(Some(0), &line(flag, summary), ""), Pushed::Accepted, "{summary}");
        }
    }

    #[test]
    fn every_form_of_a_lost_race_is_moved() {
        for summary in [
            "[rejected] (fetch first)",
            "[rejected] (non-fast-forward)",
            "[rejected] (stale info)",
            "[remote rejected] (failed to update ref)",
            "[remote rejected] (incorrect old value provided)",
        ] {
            assert_eq!(
                read(Some(1), &line("!", summary), "error: failed to push some refs"),
                Pushed::Moved,
                "{summary}"
            );
        }
    }

    #[test]
    fn a_hooks_refusal_is_passed_on_in_its_own_words() {
        let stderr = "remote: error: Not allowed to push to protected branch main        \nTo http://h/r.git\nerror: failed to push\n";
        let Pushed::Declined(words) =
            read(Some(1), &line("!", "[remote rejected] (pre-receive hook declined)"), stderr)
        else {
            panic!("not declined");
        };
        assert_eq!(
            words,
            "error: Not allowed to push to protected branch main; error: failed to push; \
             [remote rejected] (pre-receive hook declined)"
        );
    }

    #[test]
    fn without_access_nothing_can_have_been_accepted() {
        for stderr in [
            "fatal: Authentication failed for 'http://h/r.git/'",
            "fatal: unable to access 'http://h/r.git/': The requested URL returned error: 403",
            "fatal: could not read Username for 'http://h': terminal prompts disabled",
            "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
        ] {
            assert!(matches!(read(Some(128), b"", stderr), Pushed::NoAccess(_)), "{stderr}");
        }
        let hook = "remote: jq: not found\nfatal: the remote end hung up unexpectedly";
        assert!(matches!(read(Some(128), b"", hook), Pushed::Unclear(_)), "a hook's words are no proof");
    }

    #[test]
    fn a_lost_answer_is_neither_success_nor_refusal() {
        let summary = "[remote failure] (remote failed to report status)";
        assert!(matches!(read(Some(1), &line("!", summary), ""), Pushed::Unclear(_)));
        assert!(matches!(read(Some(128), b"", "fatal: the remote end hung up unexpectedly"), Pushed::Unclear(_)));
        assert!(matches!(read(Some(128), b"", "error: RPC failed; HTTP 500"), Pushed::Unclear(_)));
        assert!(matches!(read(None, b"", ""), Pushed::Unclear(_)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>, text: String) {
            prop_assert_ne!(read(Some(1), &bytes, &text), Pushed::Accepted);
        }
    }
}
