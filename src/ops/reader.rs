//! One `git cat-file` that is kept while questions come, instead of a process for each: they come by the dozen.
//!
//! It sees what is fetched meanwhile, since git looks for new packs before it says that an object is missing. A conversation
//! that breaks off half-way (its asker went away, an error, the deadline) ends the process: nobody could tell any more
//! which answer belongs to which question. Without questions it is ended too, so that an idle dispatcher has no child.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::error::OpsError;
use super::git::{ANSWER_LIMIT, Call, Git, Group, end_of};
use crate::support::ids::BlobId;

const VERB: &str = "cat-file";

/// What is asked about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Info,
    Contents,
}

/// An object, with its content where that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) id: BlobId,
    /// `blob`, `tree`, `commit` or `tag`.
    pub(super) kind: String,
    /// In bytes.
    pub(super) size: u64,
    pub(super) content: Vec<u8>,
}

/// The process, while there is one.
#[derive(Default, Clone)]
pub(super) struct Reader(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    open: Option<Open>,
    used: Option<Instant>,
    /// Somebody ends it when nobody asks.
    watched: bool,
}

/// A process that waits for questions.
struct Open {
    group: Group,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl Git {
    /// Id, kind and size of each object that `names` name, in their order; `None` for one that is not there. A name is
    /// anything that git takes for one, on one line.
    pub(super) async fn infos(&self, names: Vec<String>) -> Result<Vec<Option<Object>>, OpsError> {
        self.ask(Ask::Info, &names).await
    }

    /// The same with the contents. The caller knows that they are not too large, or does not care.
    pub(super) async fn contents(&self, names: Vec<String>) -> Result<Vec<Option<Object>>, OpsError> {
        self.ask(Ask::Contents, &names).await
    }

    async fn ask(&self, what: Ask, names: &[String]) -> Result<Vec<Option<Object>>, OpsError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut slot = self.reader().0.lock().await;
        if let Some(mut kept) = slot.open.take() {
            match self.converse(&mut kept, what, names).await {
                Ok(answers) => {
                    self.keep(&mut slot, kept);
                    return Ok(answers);
                }
                Err(error @ (OpsError::Deadline { .. } | OpsError::TooLarge { .. })) => return Err(error),
                // It may have been ended by somebody since it was last asked.
                Err(error) => tracing::debug!(%error, "the git that was kept is gone; starting another"),
            }
        }
        let mut open = self.open()?;
        let answers = self.converse(&mut open, what, names).await?;
        self.keep(&mut slot, open);
        Ok(answers)
    }

    fn open(&self) -> Result<Open, OpsError> {
        let mut child = self.spawn(&Call::new(VERB).args(["--batch-command", "--buffer"]))?;
        let group = Group::of(&child);
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(OpsError::answer(VERB, "it has no pipes"));
        };
        Ok(Open { group, child, stdin, stdout: BufReader::new(stdout) })
    }

    async fn converse(&self, open: &mut Open, what: Ask, names: &[String]) -> Result<Vec<Option<Object>>, OpsError> {
        let after = self.deadlines().local;
        let answers = timeout(after, open.converse(what, names)).await;
        match answers.map_err(|_| OpsError::Deadline { verb: VERB, after })? {
            Err(OpsError::Pipe { source, .. }) => Err(open.last_words(source).await),
            answers => answers,
        }
    }

    fn keep(&self, slot: &mut Slot, open: Open) {
        (slot.open, slot.used) = (Some(open), Some(Instant::now()));
        if !slot.watched {
            slot.watched = true;
            tokio::spawn(end_when_idle(Arc::downgrade(&self.reader().0), self.deadlines().idle));
        }
    }
}

impl Open {
    /// Asks and reads at the same time: git may answer before it has read everything.
    async fn converse(&mut self, what: Ask, names: &[String]) -> Result<Vec<Option<Object>>, OpsError> {
        let pipe = |source| OpsError::Pipe { verb: VERB, source };
        let (stdin, stdout) = (&mut self.stdin, &mut self.stdout);
        let asked = questions(what, names);
        let ask = async { stdin.write_all(&asked).await.map_err(pipe) };
        let hear = async {
            let mut answers = Vec::with_capacity(names.len());
            for _ in names {
                answers.push(answer(stdout, what).await?);
            }
            Ok(answers)
        };
        let ((), answers) = tokio::try_join!(ask, hear)?;
        Ok(answers)
    }

    /// What git said before it ended, which tells more than the broken pipe.
    async fn last_words(&mut self, source: std::io::Error) -> OpsError {
        let stderr = self.child.stderr.take();
        let words = timeout(Duration::from_secs(1), end_of(stderr, VERB)).await;
        match words {
            Ok(Ok(words)) if !words.trim_ascii().is_empty() => {
                OpsError::Git { verb: VERB, detail: String::from_utf8_lossy(&words).trim().to_owned() }
            }
            _ => OpsError::Pipe { verb: VERB, source },
        }
    }

    async fn end(mut self) {
        drop(self.stdin);
        if timeout(Duration::from_secs(1), self.child.wait()).await.is_ok() {
            self.group.release();
        }
    }
}

async fn end_when_idle(slot: Weak<Mutex<Slot>>, idle: Duration) {
    let mut wait = idle;
    loop {
        sleep(wait).await;
        let Some(slot) = slot.upgrade() else { return };
        let mut slot = slot.lock().await;
        let since = slot.used.map_or(idle, |used| used.elapsed());
        if slot.open.is_none() || since >= idle {
            slot.watched = false;
            let open = slot.open.take();
            drop(slot);
            if let Some(open) = open {
                open.end().await;
            }
            return;
        }
        wait = idle.saturating_sub(since);
    }
}

/// One line for each name, and at the end what makes git answer them.
fn questions(what: Ask, names: &[String]) -> Vec<u8> {
    let word = match what {
        Ask::Info => "info",
        Ask::Contents => "contents",
    };
    let mut lines = String::new();
    for name in names {
        lines.extend([word, " ", name, "\n"]);
    }
    lines.push_str("flush\n");
    lines.into_bytes()
}

/// Reads `<id> SP <type> SP <size> LF`, with `<content> LF` behind it where that was asked for; or `<name> SP missing LF`.
async fn answer(from: &mut (impl AsyncBufRead + Unpin), what: Ask) -> Result<Option<Object>, OpsError> {
    let pipe = |source| OpsError::Pipe { verb: VERB, source };
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line).await.map_err(pipe)?;
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(pipe(std::io::ErrorKind::UnexpectedEof.into()));
    };
    let Some((id, kind, size)) = header(line)? else { return Ok(None) };
    let mut object = Object { id, kind: kind.to_owned(), size, content: Vec::new() };
    if what == Ask::Contents {
        let length = usize::try_from(size).ok().filter(|length| *length <= ANSWER_LIMIT);
        let length = length.ok_or(OpsError::TooLarge { verb: VERB, limit: ANSWER_LIMIT })?;
        object.content.resize(length, 0);
        from.read_exact(&mut object.content).await.map_err(pipe)?;
        if from.read_u8().await.map_err(pipe)? != b'\n' {
            return Err(OpsError::answer(VERB, "a content has another length than was said"));
        }
    }
    Ok(Some(object))
}

fn header(line: &[u8]) -> Result<Option<(BlobId, &str, u64)>, OpsError> {
    if line.ends_with(b" missing") || line.ends_with(b" ambiguous") {
        return Ok(None);
    }
    let text = std::str::from_utf8(line).unwrap_or_default();
    let mut words = text.split(' ');
    let parts =
        words.next().and_then(|id| id.parse().ok()).zip(words.next()).zip(words.next().and_then(|n| n.parse().ok()));
    let ((id, kind), size) = parts.ok_or_else(|| OpsError::answer(VERB, text.chars().take(200).collect::<String>()))?;
    Ok(Some((id, kind, size)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    /// All answers in `bytes`.
    fn all(mut bytes: &[u8], what: Ask) -> Result<Vec<Option<Object>>, OpsError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut answers = Vec::new();
        while !bytes.is_empty() {
            answers.push(runtime.block_on(answer(&mut bytes, what))?);
        }
        Ok(answers)
    }

    #[test]
    fn objects_are_told_apart_by_their_size_and_not_by_their_lines() {
        let said = format!("{A} blob 8\nab\ncd\n\n\n\nvault/x y missing\n{A} tree 0\n\n");
        let answers = all(said.as_bytes(), Ask::Contents).unwrap();
        assert_eq!(answers[0].as_ref().unwrap().content, b"ab\ncd\n\n\n");
        assert!(answers[1].is_none());
        assert_eq!(answers[2].as_ref().unwrap().kind, "tree");
    }

    #[test]
    fn an_answer_that_is_cut_short_is_an_error() {
        let said = format!("{A} blob 6\nabcdef\n");
        for end in 1..said.len() {
            assert!(all(&said.as_bytes()[..end], Ask::Contents).is_err(), "{end}");
        }
    }

    #[test]
    fn a_length_beyond_all_measure_is_not_believed() {
        let said = format!("{A} blob 99999999999999\n");
        assert!(matches!(all(said.as_bytes(), Ask::Contents), Err(OpsError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = (all(&bytes, Ask::Info), all(&bytes, Ask::Contents));
        }
    }
}
