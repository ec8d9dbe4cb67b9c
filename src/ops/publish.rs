//! Publishing: one commit on top of a known head, pushed as compare-and-swap.
//!
//! The commit is made by `git fast-import` in the mirror: one process, whatever the number of files. The push names the head it
//! was made for (`--force-with-lease`), so that it succeeds only where the branch still is exactly there. A plain push
//! would also "fast-forward" a branch that was set back on purpose, and bring back what had been removed.

use super::credential::Login;
use super::error::{OpsError, PublishError};
use super::git::{Call, Git};
use super::objects::check_path;
use super::push::{self, Pushed};
use crate::support::fault;
use crate::support::ids::CommitId;

/// A file to be written, new or in place of the one there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// From the root of the repo.
    pub path: String,
    /// The whole content.
    pub bytes: Vec<u8>,
}

/// Keeps the last commit that was made here from being cleaned away before it is fetched again.
pub(super) const OUTBOX: &str = "refs/dispatch/outbox";

/// Who the commits are by, checked once.
#[derive(Debug, Clone)]
pub(super) struct Committer(String);

impl Committer {
    /// Neither may hold what would end the line or the field.
    pub(super) fn new(name: &str, email: &str) -> Result<Self, OpsError> {
        let plain = |text: &str| !text.is_empty() && !text.chars().any(|c| c.is_control() || "<>".contains(c));
        for (key, text) in [("ops.committer_name", name), ("ops.committer_email", email)] {
            if !plain(text) {
                return Err(OpsError::Setting {
                    key,
                    why: "it is empty or holds `<`, `>` or a control character".to_owned(),
                });
            }
        }
        Ok(Self(format!("{name} <{email}>")))
    }
}

/// Makes the commit in the mirror; without a base it is a first one.
pub(super) async fn import(
    git: &Git,
    committer: &Committer,
    base: Option<&CommitId>,
    files: &[NewFile],
    message: &str,
) -> Result<CommitId, OpsError> {
    fault::point("ops.import.before").map_err(OpsError::io("making a commit"))?;
    let stream = stream(committer, base, files, message)?;
    let call = || Call::new("fast-import").args(["--quiet", "--force", "--date-format=now", "--done"]);
    if fault::twice("ops.import") {
        git.run(call().input(stream.clone())).await?.success()?;
    }
    let answer = git.run(call().input(stream)).await?.success()?;
    fault::point("ops.import.after").map_err(OpsError::io("making a commit"))?;
    let text = String::from_utf8_lossy(&answer);
    text.trim().parse().map_err(|_| OpsError::answer("fast-import", text.chars().take(200).collect::<String>()))
}

/// The input of `git fast-import`; pure.
fn stream(
    committer: &Committer,
    base: Option<&CommitId>,
    files: &[NewFile],
    message: &str,
) -> Result<Vec<u8>, OpsError> {
    let mut stream = format!("commit {OUTBOX}\nmark :1\ncommitter {} now\n", committer.0).into_bytes();
    data(&mut stream, message.as_bytes());
    if let Some(base) = base {
        stream.extend_from_slice(format!("from {base}\n").as_bytes());
    }
    for file in files {
        check_path(&file.path)?;
        let path = file.path.replace('\\', "\\\\").replace('"', "\\\"");
        stream.extend_from_slice(format!("M 100644 inline \"{path}\"\n").as_bytes());
        data(&mut stream, &file.bytes);
    }
    stream.extend_from_slice(b"\nget-mark :1\ndone\n");
    Ok(stream)
}

fn data(stream: &mut Vec<u8>, bytes: &[u8]) {
    stream.extend_from_slice(format!("data {}\n", bytes.len()).as_bytes());
    stream.extend_from_slice(bytes);
    stream.push(b'\n');
}

/// Pushes `commit`, which stands on `base`, to `reference` at `address`.
pub(super) async fn push(git: &Git, route: Route<'_>, commit: &CommitId, base: &CommitId) -> Result<Pushed, OpsError> {
    let lease = format!("--force-with-lease={}:{base}", route.reference);
    carry_out(git, route, [lease], commit).await
}

/// Asks whether `head`, which stands at `reference` already, may be pushed there.
pub(super) async fn push_dry(git: &Git, route: Route<'_>, head: &CommitId) -> Result<Pushed, OpsError> {
    carry_out(git, route, ["--dry-run".to_owned()], head).await
}

async fn carry_out(git: &Git, route: Route<'_>, how: [String; 1], commit: &CommitId) -> Result<Pushed, OpsError> {
    let call = Call::new("push")
        .args(["--porcelain", "--no-follow-tags", "--no-recurse-submodules", "--no-signed"])
        .args(how)
        .args(["--", route.address])
        .args([format!("{commit}:{}", route.reference)])
        .variables(route.variables)
        .login(route.address, route.login)
        .deadline(|deadlines| deadlines.transfer)
        .limit(1 << 20);
    match git.run(call).await {
        Ok(output) => Ok(push::read(output.code(), &output.stdout, &output.stderr)),
        Err(error @ OpsError::Start { .. }) => Err(error),
        Err(error) => Ok(Pushed::Unclear(error.to_string())),
    }
}

/// Where a push goes, and with what.
#[derive(Debug)]
pub(super) struct Route<'a> {
    pub(super) address: &'a str,
    pub(super) reference: &'a str,
    pub(super) variables: super::environment::Variables,
    pub(super) login: Option<&'a Login>,
}

/// What a declined push really means, given where the branch is now: a lost race has many words, but always moves the branch.
pub(super) fn settle(
    pushed: Pushed,
    now: Option<&CommitId>,
    commit: &CommitId,
    base: &CommitId,
) -> Result<(), PublishError> {
    match (pushed, now) {
        (_, Some(now)) if now == commit => Ok(()),
        (Pushed::Declined(_), Some(now)) if now != base => Err(PublishError::Moved),
        (pushed, _) => pushed.into_result(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> CommitId {
        digit.to_string().repeat(40).parse().unwrap()
    }

    #[test]
    fn a_message_or_file_that_looks_like_commands_stays_data() {
        let committer = Committer::new("dispatch", "d@x").unwrap();
        let files = [NewFile { path: "a \"b\"\\c".into(), bytes: b"done\nM 100644 inline evil\n".to_vec() }];
        let stream = stream(&committer, Some(&id('a')), &files, "from x\ndata 3").unwrap();
        let text = String::from_utf8(stream).unwrap();
        assert!(text.contains("data 13\nfrom x\ndata 3\nfrom aaaa"));
        assert!(text.contains("M 100644 inline \"a \\\"b\\\"\\\\c\"\ndata 26\n"));
    }

    #[test]
    fn a_path_that_leaves_the_repo_is_refused() {
        let committer = Committer::new("dispatch", "d@x").unwrap();
        let files = [NewFile { path: "../x".into(), bytes: Vec::new() }];
        assert!(matches!(stream(&committer, Some(&id('a')), &files, ""), Err(OpsError::Path { .. })));
    }

    #[test]
    fn a_committer_cannot_bring_lines_of_its_own() {
        assert!(Committer::new("a\nfrom x", "d@x").is_err());
        assert!(Committer::new("a", "d> now").is_err());
    }

    #[test]
    fn a_refusal_is_permanent_only_while_the_branch_stands_still() {
        let declined = || Pushed::Declined("no".into());
        assert!(matches!(settle(declined(), Some(&id('b')), &id('c'), &id('b')), Err(PublishError::Refused { .. })));
        assert!(matches!(settle(declined(), Some(&id('d')), &id('c'), &id('b')), Err(PublishError::Moved)));
        assert!(matches!(settle(declined(), None, &id('c'), &id('b')), Err(PublishError::Refused { .. })));
    }

    #[test]
    fn an_unclear_push_that_is_seen_on_the_branch_was_accepted() {
        let unclear = Pushed::Unclear("hung up".into());
        assert!(settle(unclear.clone(), Some(&id('c')), &id('c'), &id('b')).is_ok());
        assert!(matches!(settle(unclear, Some(&id('b')), &id('c'), &id('b')), Err(PublishError::Unknown { .. })));
    }
}
