//! Which commit brought which action. A thousand pending actions cost one process: the line is read as a stretch, and what it
//! says is kept for the next head; only what is older than the stretch is asked for one by one.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::ops::{Change, Landed, Mirror, OpsError, TrustedFile};
use crate::support::chain;
use crate::support::ids::{BlobId, CommitId};

/// The most commits that are read at once behind the last head; after a longer absence the recent ones are read.
const MOST: usize = 2000;
/// From how many unknown arrivals on how many of the newest commits are read at once: asking one by one costs three processes
/// for each, and reading a commit costs the more the larger the folder is.
const STRETCHES: [(usize, usize); 2] = [(4, 64), (100, MOST)];
/// The most arrivals that are kept.
const KEPT: usize = 10_000;

/// The commit that brought an action, and where what counts for it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) commit: CommitId,
    pub(super) parent: Option<CommitId>,
    pub(super) author: String,
    pub(super) committed: Timestamp,
    /// A commit after which the files that give power stood as they did before `commit`; shared by as many as possible.
    pub(super) power_at: Option<CommitId>,
    /// A commit with the same formulas as `commit`; shared by as many as possible.
    pub(super) formulas_at: CommitId,
}

/// A path and the bytes that stand there.
pub(super) type Wanted = (String, BlobId);

/// What became of the search for one action.
pub(super) type Answer = Result<Arc<Origin>, String>;

#[derive(Debug, Default)]
struct Known {
    as_of: Option<CommitId>,
    origins: HashMap<Wanted, Arc<Origin>>,
}

/// Finds arrivals and remembers them.
#[derive(Debug)]
pub(super) struct Arrivals {
    mirror: Mirror,
    folder: String,
    formulas: String,
    known: Mutex<Known>,
}

impl Arrivals {
    pub(super) fn new(mirror: Mirror, folder: &str, formulas: &str) -> Self {
        Self { mirror, folder: folder.to_owned(), formulas: formulas.to_owned(), known: Mutex::default() }
    }

    /// The arrival of each of `wanted`, in the order asked.
    pub(super) async fn find(&self, head: &CommitId, wanted: &[Wanted]) -> Result<Vec<Answer>, OpsError> {
        let mut known = self.known.lock().await;
        self.advance(&mut known, head, wanted).await?;
        for (several, most) in STRETCHES {
            let missing = wanted.iter().filter(|wanted| !known.origins.contains_key(*wanted)).count();
            if missing >= several {
                let newest = self.stretch(None, head, most).await?;
                self.learn(&mut known, &newest, wanted);
            }
        }
        let mut answers = Vec::with_capacity(wanted.len());
        for one in wanted {
            answers.push(match known.origins.get(one) {
                Some(origin) => Ok(Arc::clone(origin)),
                None => self.alone(&mut known, head, one).await,
            });
        }
        Ok(answers)
    }

    /// Brings what is known up to `head`: what was touched since is forgotten, what came since is learned. Until that is done
    /// nothing counts as known, so that a failure on the way leaves nothing behind that is out of date.
    async fn advance(&self, known: &mut Known, head: &CommitId, wanted: &[Wanted]) -> Result<(), OpsError> {
        match known.as_of.take() {
            Some(old) if old == *head => {}
            Some(old) if known.origins.len() <= KEPT && self.mirror.continues(&old, head).await? => {
                let news = self.stretch(Some(&old), head, MOST).await?;
                if news.len() < MOST {
                    let touched = index(&news);
                    known.origins.retain(|(path, _), _| !touched.contains_key(path.as_str()));
                    self.learn(known, &news, wanted);
                } else {
                    known.origins.clear();
                }
            }
            _ => known.origins.clear(),
        }
        known.as_of = Some(head.clone());
        Ok(())
    }

    async fn stretch(&self, from: Option<&CommitId>, to: &CommitId, most: usize) -> Result<Vec<Landed>, OpsError> {
        let paths = [&self.folder, &self.formulas, TrustedFile::Signers.path(), TrustedFile::Policy.path()];
        self.mirror.landed(from, to, &paths, most).await
    }

    fn learn(&self, known: &mut Known, news: &[Landed], wanted: &[Wanted]) {
        let touched = index(news);
        for one in wanted {
            let at = touched.get(one.0.as_str()).and_then(|changes| brought(changes, &one.1));
            if let Some(origin) = at.and_then(|at| origin(news, at, &self.formulas)) {
                known.origins.insert(one.clone(), Arc::new(origin));
            }
        }
    }

    async fn alone(&self, known: &mut Known, head: &CommitId, wanted: &Wanted) -> Answer {
        let (path, blob) = wanted;
        let found = async {
            let Some(commit) = self.mirror.introduced(head, path, blob).await? else { return Ok(None) };
            let info = self.mirror.commit(&commit).await?;
            let parent = info.parents.first().cloned();
            let author = format!("{} <{}>", info.author.name, info.author.email);
            let committed = info.committer.at;
            let power_at = parent.clone();
            Ok::<_, OpsError>(Some(Origin { formulas_at: commit.clone(), commit, parent, author, committed, power_at }))
        };
        match found.await {
            Ok(Some(origin)) => {
                let origin = Arc::new(origin);
                known.origins.insert(wanted.clone(), Arc::clone(&origin));
                Ok(origin)
            }
            Ok(None) => Err(format!("no commit of the primary branch has put these bytes at {path}")),
            Err(error) => Err(chain::words(&error)),
        }
    }
}

/// The changes of each path, newest first, with the place of their commit in the stretch.
fn index(stretch: &[Landed]) -> HashMap<&str, Vec<(usize, &Change)>> {
    let mut touched: HashMap<&str, Vec<(usize, &Change)>> = HashMap::new();
    for (at, landed) in stretch.iter().enumerate() {
        for change in &landed.changes {
            if let Some(path) = change.path.as_str() {
                touched.entry(path).or_default().push((at, change));
            }
        }
    }
    touched
}

/// The place of the commit that put these bytes there and since which nobody has changed them; a change of the mode alone
/// brings no bytes.
fn brought(changes: &[(usize, &Change)], blob: &BlobId) -> Option<usize> {
    let holds = |side: Option<&(crate::ops::Mode, BlobId)>| side.is_some_and(|(mode, id)| mode.is_file() && id == blob);
    let (at, change) =
        changes.iter().find(|(_, change)| !(holds(change.old.as_ref()) && holds(change.new.as_ref())))?;
    holds(change.new.as_ref()).then_some(*at)
}

fn origin(stretch: &[Landed], at: usize, formulas: &str) -> Option<Origin> {
    let landed = stretch.get(at)?;
    let oldest = stretch.last()?;
    let gives_power = |path: &str| path == TrustedFile::Signers.path() || path == TrustedFile::Policy.path();
    let is_formula = |path: &str| path.strip_prefix(formulas).is_some_and(|rest| rest.starts_with('/'));
    let power_at = match stretch.iter().skip(at + 1).find(|older| touches(older, gives_power)) {
        Some(older) => Some(older.commit.clone()),
        None if landed.commit == oldest.commit => landed.parent.clone(),
        None => Some(oldest.commit.clone()),
    };
    let formulas_at = stretch.iter().skip(at).find(|older| touches(older, is_formula)).unwrap_or(oldest).commit.clone();
    let Landed { commit, parent, author, committed, .. } = landed.clone();
    Some(Origin { commit, parent, author, committed, power_at, formulas_at })
}

fn touches(landed: &Landed, which: impl Fn(&str) -> bool) -> bool {
    landed.changes.iter().filter_map(|change| change.path.as_str()).any(which)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::testing::{blob, commit};
    use crate::ops::Mode;

    fn change(path: &str, old: Option<(Mode, char)>, new: Option<(Mode, char)>) -> Change {
        let side = |side: Option<(Mode, char)>| side.map(|(mode, digit)| (mode, blob(digit)));
        Change { path: path.into(), old: side(old), new: side(new) }
    }

    fn landed(digit: char, parent: Option<char>, changes: Vec<Change>) -> Landed {
        let (commit, parent) = (commit(digit), parent.map(commit));
        Landed { commit, parent, author: "A <a@x>".to_owned(), committed: Timestamp::UNIX_EPOCH, changes }
    }

    fn found(stretch: &[Landed], digit: char) -> Option<Origin> {
        let at = brought(index(stretch).get("acts/a.toml")?, &blob(digit))?;
        origin(stretch, at, "formulas")
    }

    fn put(path: &str, digit: char) -> Change {
        change(path, None, Some((Mode::File, digit)))
    }

    #[test]
    fn a_change_of_the_mode_brings_no_bytes() {
        let mode = change("acts/a.toml", Some((Mode::File, '1')), Some((Mode::Executable, '1')));
        let stretch = [landed('b', Some('a'), vec![mode]), landed('a', None, vec![put("acts/a.toml", '1')])];
        assert_eq!(found(&stretch, '1').unwrap().commit, commit('a'));
    }

    #[test]
    fn bytes_that_were_replaced_by_a_link_and_put_back_came_with_the_commit_that_put_them_back() {
        let link = change("acts/a.toml", Some((Mode::File, '1')), Some((Mode::Symlink, '2')));
        let back = change("acts/a.toml", Some((Mode::Symlink, '2')), Some((Mode::File, '1')));
        let first = landed('a', None, vec![put("acts/a.toml", '1')]);
        let stretch = [landed('c', Some('b'), vec![back]), landed('b', Some('a'), vec![link]), first];
        assert_eq!(found(&stretch, '1').unwrap().commit, commit('c'));
        assert_eq!(found(&stretch[1..], '1'), None, "a link has no bytes of its own");
    }

    #[test]
    fn power_is_read_before_the_arrival_even_when_the_same_commit_changes_it() {
        let policy = || put("vault/policy.toml", '7');
        let stretch = [
            landed('c', Some('b'), vec![put("acts/a.toml", '1'), policy()]),
            landed('b', Some('a'), vec![put("acts/other.toml", '1')]),
            landed('a', Some('9'), vec![policy()]),
        ];
        assert_eq!(found(&stretch, '1').unwrap().power_at, Some(commit('a')));
        assert_eq!(found(&stretch[..2], '1').unwrap().power_at, Some(commit('b')));
        assert_eq!(found(&stretch[..1], '1').unwrap().power_at, Some(commit('b')), "its parent");
    }

    #[test]
    fn formulas_are_read_with_the_arrival() {
        let stretch = [
            landed('c', Some('b'), vec![put("formulas/f.sh", '2')]),
            landed('b', Some('a'), vec![put("acts/a.toml", '1'), put("formulas/f.sh", '1')]),
            landed('a', None, vec![put("formulas/g.sh", '1')]),
        ];
        assert_eq!(found(&stretch, '1').unwrap().formulas_at, commit('b'));
    }
}
