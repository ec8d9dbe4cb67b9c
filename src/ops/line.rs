//! A stretch of the branch's line in one process: its newest commits with what each of them changed. For whoever has to say of
//! many files at once which commit brought them; for a single one there is [`Mirror::introduced`].

use jiff::Timestamp;

use super::error::OpsError;
use super::git::Call;
use super::mirror::Mirror;
use super::objects::check_path;
use super::tree::{self, Change};
use crate::support::ids::CommitId;

/// A commit on the line of first parents, with what it changed against the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// The commit.
    pub commit: CommitId,
    /// The commit before it on the line; `None`: it is the first of all.
    pub parent: Option<CommitId>,
    /// Name and e-mail of its author: a claim, not a proof.
    pub author: String,
    /// When it was committed, by its own word.
    pub committed: Timestamp,
    /// What it changed under the paths that were asked for.
    pub changes: Vec<Change>,
}

/// Who had a part in a commit, by its own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The commit.
    pub commit: CommitId,
    /// The e-mails of its author and its committer.
    pub emails: [String; 2],
}

/// Begins a commit in git's answer; what follows up to the next NUL is its head.
const HEAD: u8 = 0x1e;

impl Mirror {
    /// The newest commits of the line up to `to`, behind `from` where it is given, that change something under `paths`; newest
    /// first, at most `most` of them.
    pub async fn landed(
        &self,
        from: Option<&CommitId>,
        to: &CommitId,
        paths: &[&str],
        most: usize,
    ) -> Result<Vec<Landed>, OpsError> {
        paths.iter().try_for_each(|path| check_path(path))?;
        let call = Call::new("log")
            .args(["--first-parent", "--diff-merges=first-parent", "--full-history", "--raw", "-z"])
            .args(["--no-renames", "--no-abbrev", "--format=tformat:%x1e%H%x1f%P%x1f%ct%x1f%an <%ae>"])
            .args([format!("-n{most}"), to.to_string()])
            .args(from.map(|from| format!("^{from}")))
            .args(["--"])
            .args(paths.iter().copied());
        read(&self.git().run(call).await?.success()?)
    }

    /// Whoever wrote the commits that `to` has in its history and `from` has not, on any line, newest first.
    pub async fn written(&self, from: Option<&CommitId>, to: &CommitId) -> Result<Vec<Written>, OpsError> {
        let call = Call::new("log")
            .args(["-z", "--format=tformat:%H%x1f%ae%x1f%ce", to.as_str()])
            .args(from.map(|from| format!("^{from}")))
            .args(["--"]);
        let answer = self.git().run(call).await?.success()?;
        answer.split(|b| *b == 0).filter(|entry| !entry.is_empty()).map(written).collect()
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Landed>, OpsError> {
    let mut fields = bytes.split(|b| *b == 0);
    let mut landed: Vec<Landed> = Vec::new();
    while let Some(field) = fields.next() {
        // git puts a newline between the head of a commit and its first change.
        let field = field.strip_prefix(b"\n").unwrap_or(field);
        match (field.first(), landed.last_mut()) {
            (None, _) => {}
            (Some(&HEAD), _) => landed.push(head(field).ok_or_else(|| not_understood(field))?),
            (Some(_), Some(last)) => {
                let change = fields.next().and_then(|path| tree::raw_change(field, path));
                last.changes.push(change.ok_or_else(|| not_understood(field))?);
            }
            (Some(_), None) => return Err(not_understood(field)),
        }
    }
    Ok(landed)
}

fn head(field: &[u8]) -> Option<Landed> {
    let text = String::from_utf8_lossy(field.get(1..)?);
    let mut parts = text.splitn(4, '\u{1f}');
    let commit = parts.next()?.parse().ok()?;
    let parent = parts.next()?.split(' ').find(|id| !id.is_empty()).map(str::parse).transpose().ok()?;
    // Whoever may push can write a date that is none; it is their word alone, and must not keep anybody else's request waiting.
    let seconds = parts.next()?.parse().unwrap_or(0);
    let committed = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    Some(Landed { commit, parent, author: parts.next()?.to_owned(), committed, changes: Vec::new() })
}

fn written(entry: &[u8]) -> Result<Written, OpsError> {
    let text = String::from_utf8_lossy(entry);
    let mut parts = text.splitn(3, '\u{1f}').map(str::to_owned);
    let (commit, author, committer) = (parts.next(), parts.next(), parts.next());
    let commit = commit.and_then(|id| id.trim_start().parse().ok());
    let (Some(commit), Some(author), Some(committer)) = (commit, author, committer) else {
        return Err(not_understood(entry));
    };
    Ok(Written { commit, emails: [author, committer] })
}

fn not_understood(field: &[u8]) -> OpsError {
    OpsError::answer("log", String::from_utf8_lossy(field).chars().take(200).collect::<String>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_that_is_none_is_the_epoch() {
        for date in ["99999999999999999999999", "", "-", "253402207201"] {
            let text = format!("\x1e{}\x1f\x1f{date}\x1fEve <e@x>\0", "a".repeat(40));
            assert_eq!(read(text.as_bytes()).unwrap()[0].committed, Timestamp::UNIX_EPOCH, "{date}");
        }
    }

    #[test]
    fn heads_and_changes_are_told_apart_whatever_a_name_holds() {
        let (a, b, none) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let text = format!(
            "\x1e{b}\x1f{a} {b}\x1f1700000000\x1fEve\x1e\x1f:x <e@x>\0\n:000000 100644 {none} {a} A\0vault/a\0\
             :000000 100644 {none} {a} A\0\x1evault/b\0\x1e{a}\x1f\x1f0\x1fA <a@x>\0"
        );
        let landed = read(text.as_bytes()).unwrap();
        assert_eq!((landed[0].author.as_str(), landed[0].changes.len()), ("Eve\x1e\x1f:x <e@x>", 2));
        assert_eq!((landed[0].parent.as_ref().unwrap().as_str(), landed[1].parent.as_ref()), (a.as_str(), None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
