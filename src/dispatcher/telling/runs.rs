//! How runs go: a status on the commit that brought them, and a comment on its pull request.

use std::collections::BTreeMap;

use super::words::{self, MARKER};
use super::{TellError, Teller};
use crate::action::result::ApprovalRef;
use crate::dispatcher::report::run_view;
use crate::forge::{PullNumber, UserId};
use crate::run::journal::JournalError;
use crate::run::record::Run;
use crate::support::ids::{ActionId, CommitId};
use crate::support::status::RunView;

/// Key of the journal's named value: the number of the last event that the forge was told of.
const TOLD: &str = "told";

/// Events further back than this are not told any more: after a long time without the forge, the latest matter.
const BACKLOG: i64 = 10_000;

impl Teller {
    /// Where the forge was never told of anything: what is in the journal is history, and nobody's news.
    pub(in crate::dispatcher) async fn begin(&self) -> Result<(), JournalError> {
        match self.journal.get(TOLD).await? {
            Some(_) => Ok(()),
            None => self.journal.set(TOLD, Some(self.journal.tip().await?.seq.to_string())).await,
        }
    }

    /// Tells what has happened since the last time. What cannot be told now is told again from the same event on.
    pub(super) async fn tell_runs(&self) -> Result<(), TellError> {
        let tip = self.journal.tip().await?.seq;
        let told = self.journal.get(TOLD).await?.and_then(|seq| seq.parse::<i64>().ok());
        if told == Some(tip) {
            return Ok(());
        }
        let since = told.unwrap_or(tip).max(tip - BACKLOG);
        let mut failed = None;
        for (commit, runs) in self.by_commit(self.journal.touched_since(since).await?).await? {
            match self.tell_commit(&commit, runs).await {
                Err(error) if error.passes() && !self.said.lock().await.failed(&commit) => failed = Some(error),
                Err(error) => tracing::warn!(
                    commit = commit.short(),
                    error = %crate::support::chain::words(&error),
                    "the forge is not told of this commit"
                ),
                Ok(()) => {}
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(self.journal.set(TOLD, Some(tip.to_string())).await?),
        }
    }

    /// The runs, by the commits that brought them. One that nobody brought is told to nobody.
    async fn by_commit(&self, runs: Vec<Run>) -> Result<Vec<(CommitId, Vec<Run>)>, TellError> {
        let mut all: Vec<(CommitId, Vec<Run>)> = Vec::new();
        for run in runs {
            let Some(commit) = self.brought_by(&run).await? else { continue };
            match all.iter_mut().find(|(known, _)| *known == commit) {
                Some((_, runs)) => runs.push(run),
                None => all.push((commit, vec![run])),
            }
        }
        Ok(all)
    }

    /// The merge of the request that was approved, else the commit of the primary branch that brought the file.
    async fn brought_by(&self, run: &Run) -> Result<Option<CommitId>, TellError> {
        if let Some(admitted) = run.admitted.as_deref() {
            let approval = ApprovalRef::from(&admitted.approval);
            let merge = approval.pull_request.and(approval.commit).and_then(|commit| commit.parse().ok());
            if let Some(commit) = merge.or_else(|| admitted.arrived.clone()) {
                return Ok(Some(commit));
            }
        }
        let Some(request) = &run.request else { return Ok(None) };
        Ok(self.mirror.introduced(&request.head, &request.path, &request.blob).await?)
    }

    async fn tell_commit(&self, commit: &CommitId, touched: Vec<Run>) -> Result<(), TellError> {
        let number = touched.iter().find_map(|run| ApprovalRef::from(&run.admitted.as_ref()?.approval).pull_request);
        let views = self.all_of(commit, touched).await?;
        if self.config.telling.statuses
            && let Some(status) = words::progress(&views)
        {
            self.say(commit, status).await?;
        }
        if self.config.telling.comments && views.iter().any(words::is_over) {
            let number = match number {
                Some(number) => Some(PullNumber(number)),
                None => self.forge.request_of(commit).await?.map(|request| request.number),
            };
            if let Some(number) = number {
                self.comment(number, words::comment(&views)).await?;
            }
        }
        Ok(())
    }

    /// The latest runs of all actions that `commit` brought, not of those alone that something has just happened to.
    async fn all_of(&self, commit: &CommitId, touched: Vec<Run>) -> Result<Vec<RunView>, TellError> {
        let folder = self.config.ops.actions.as_str();
        let parent = self.mirror.commit(commit).await?.parents.into_iter().next();
        let brought = self.mirror.changes(parent.as_ref(), commit, &[folder]).await?;
        let ids = brought.iter().filter(|change| change.new.is_some()).filter_map(|change| {
            let stem = change.path.as_str()?.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".toml")?;
            ActionId::of_refused(stem)
        });
        let mut runs: BTreeMap<ActionId, Run> = BTreeMap::new();
        let latest = self.journal.latest(ids.collect()).await?.into_iter().flatten();
        for run in touched.into_iter().chain(latest) {
            let newer = runs.get(run.id.action()).is_none_or(|known| known.id.attempt() <= run.id.attempt());
            if newer {
                runs.insert(run.id.action().clone(), run);
            }
        }
        Ok(runs.values().map(|run| run_view(run, None)).collect())
    }

    /// Puts the comment there, or makes the one that is there say this.
    async fn comment(&self, number: PullNumber, text: String) -> Result<(), TellError> {
        let known = self.said.lock().await.comments.get(&number).cloned();
        let known = match known {
            Some(known) => Some(known),
            None => self.find_comment(number).await?,
        };
        let id = match known {
            Some((id, said)) if said == text => id,
            Some((id, _)) => self.forge.edit_comment(id, &text).await.inspect_err(|_| self.forget(number))?.id,
            None => self.forge.comment(number, &text).await?.id,
        };
        self.said.lock().await.comments.put(number, (id, text));
        Ok(())
    }

    /// It may have been removed: the next try looks for it again.
    fn forget(&self, number: PullNumber) {
        if let Ok(mut said) = self.said.try_lock() {
            said.comments.forget(&number);
        }
    }

    /// Our own comment with the marker. One of somebody else's with the marker in it is left alone.
    async fn find_comment(&self, number: PullNumber) -> Result<Option<(i64, String)>, TellError> {
        let me = self.me().await?;
        let mine = self.forge.comments(number).await?.into_iter().find(|comment| {
            comment.user.as_ref().is_some_and(|user| user.id == me) && comment.body.starts_with(MARKER)
        });
        Ok(mine.map(|comment| (comment.id, comment.body)))
    }

    pub(super) async fn me(&self) -> Result<UserId, TellError> {
        let asked = self.me.get_or_try_init(|| async { self.forge.me().await.map(|user| user.id) }).await?;
        Ok(*asked)
    }
}
