//! What can go wrong with the ops repo, by the step that failed. No text here ever holds a credential.

use std::io;
use std::time::Duration;

use crate::support::http::HttpError;
use crate::support::ids::CommitId;

/// A step that needed the ops repo or its mirror failed.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// `ops.remote` is refused as it stands.
    #[error("`ops.remote` is not usable: {why}")]
    Remote {
        /// The reason; never the address itself, which may hold a password.
        why: String,
    },
    /// A setting of `[ops]` is refused.
    #[error("`{key}` is not usable: {why}")]
    Setting {
        /// The key in `dispatch.toml`.
        key: &'static str,
        /// The reason.
        why: String,
    },
    /// The password or token of a login cannot be had.
    #[error("reading the password from {from}")]
    Credential {
        /// The file or the environment variable.
        from: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A program is not there or cannot be started.
    #[error("starting `{program}` (is it installed?)")]
    Start {
        /// `git` or `ssh-keygen`.
        program: &'static str,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The git found is too old.
    #[error("git {found} is too old: {needed} or later is needed")]
    TooOld {
        /// Its version.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
    },
    /// Talking to a git process failed.
    #[error("talking to git {verb}")]
    Pipe {
        /// Its first argument.
        verb: &'static str,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// `ssh-keygen` made no key.
    #[error("ssh-keygen made no key: {detail}")]
    Key {
        /// What it wrote to stderr.
        detail: String,
    },
    /// git said no.
    #[error("git {verb} failed: {detail}")]
    Git {
        /// Its first argument.
        verb: &'static str,
        /// The end of what it wrote to stderr.
        detail: String,
    },
    /// git took too long and was stopped.
    #[error("git {verb} was stopped: it took longer than {} s", after.as_secs_f64())]
    Deadline {
        /// Its first argument.
        verb: &'static str,
        /// The time it had.
        after: Duration,
    },
    /// git's answer is longer than anything sensible.
    #[error("git {verb} was stopped: its answer is longer than {limit} bytes")]
    TooLarge {
        /// Its first argument.
        verb: &'static str,
        /// The bound.
        limit: usize,
    },
    /// git's answer has another form than documented.
    #[error("the answer of git {verb} is not understood: {what}")]
    Answer {
        /// Its first argument.
        verb: &'static str,
        /// What was wrong with it.
        what: String,
    },
    /// The HTTP client for polling cannot be made.
    #[error(transparent)]
    Client(#[from] HttpError),
    /// The poll got no answer.
    #[error("asking the ops repo's server for the head of the branch")]
    Poll(#[source] reqwest::Error),
    /// The poll got an answer that is no success.
    #[error("the ops repo's server answered {status} when asked for the head of the branch{}", hint(*status))]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The server answered the poll with an error of its own.
    #[error("the ops repo's server refused to name the head of the branch: {said}")]
    Said {
        /// Its words.
        said: String,
    },
    /// The primary branch does not exist.
    #[error("the ops repo has no branch `{branch}` (push a first commit to it, or set `ops.branch`)")]
    NoBranch {
        /// The branch.
        branch: String,
    },
    /// An object that should be there is not.
    #[error("{what} is not in the mirror")]
    Missing {
        /// What was asked for.
        what: String,
    },
    /// A path that cannot be asked for or written.
    #[error("`{}` is not a path inside the repo", path.escape_debug())]
    Path {
        /// The path.
        path: String,
    },
    /// `approval.trust_root` is not on the line of first parents that leads to a commit.
    #[error(
        "the trust root {} is not among the first parents of {}: \
         check `approval.trust_root`, or whether the branch was rewritten",
        root.short(),
        at.short()
    )]
    TrustRoot {
        /// The configured commit.
        root: CommitId,
        /// The commit that was asked about.
        at: CommitId,
    },
    /// A file or folder of the mirror cannot be read or written.
    #[error("{step}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

fn hint(status: u16) -> &'static str {
    match status {
        301 | 302 | 307 | 308 => " (it has moved: set `ops.remote` to its new address)",
        401 => " (check `ops.credential`)",
        403 => " (the user of `ops.credential` may not read it)",
        404 => " (it does not exist, or the user of `ops.credential` may not see it)",
        _ => "",
    }
}

impl OpsError {
    /// For `map_err` where a file of the mirror is read or written.
    pub(super) fn io(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { step, source }
    }

    /// git's answer to `verb` breaks its form.
    pub(super) fn answer(verb: &'static str, what: impl Into<String>) -> Self {
        Self::Answer { verb, what: what.into() }
    }
}

/// Why a commit is not, or not certainly, on the primary branch.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The branch is no longer at the base: fetch, put the commit on top of the new head, try again.
    #[error("the primary branch has moved since it was fetched")]
    Moved,
    /// The server refuses this push and will do so again until a person acts.
    #[error("the ops repo refused the push: {detail}")]
    Refused {
        /// The server's words.
        detail: String,
    },
    /// No answer came: the push may have been accepted. Fetch and look before trying again.
    #[error("it is not known whether the push was accepted: {detail}")]
    Unknown {
        /// What was seen.
        detail: String,
    },
    /// Nothing was pushed: the commit could not be made, or the push not begun.
    #[error("nothing was pushed")]
    Git(#[from] OpsError),
}
