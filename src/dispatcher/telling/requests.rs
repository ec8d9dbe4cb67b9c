//! Open pull requests that bring actions: each head is checked as if it were the primary branch, in a mirror that is thrown away,
//! and told what would become of it.

use super::words;
use super::{TellError, Teller};
use crate::admission::Rules;
use crate::admission::forecast::Forecast;
use crate::dispatcher::pickup::HEAD;
use crate::dispatcher::preview::{Place, Preview};
use crate::forge::{ChangedFile, PullRequest, Which};
use crate::support::ids::{ActionId, CommitId};

/// Actions of one request that are looked at; a status has no room for more.
const ACTIONS: usize = 20;

impl Teller {
    /// Looks at the open requests: one list, and for each head that is new its files and a preview. A request that was checked is
    /// checked again when the primary branch has moved.
    pub(super) async fn check_requests(&self, rules: &Rules) -> Result<(), TellError> {
        if !self.config.telling.statuses {
            return Ok(());
        }
        let primary = self.journal.get(HEAD).await?;
        let mut failed = None;
        for request in self.forge.requests(Which::Open).await? {
            let Some(head) = request.head.sha.clone().filter(|_| request.base.reference == self.config.ops.branch)
            else {
                continue;
            };
            let now = (head, primary.clone());
            if self.said.lock().await.checked.get(&request.number) == Some(&now) {
                continue;
            }
            match self.check_request(&request, &now.0, rules).await {
                Err(error) if error.passes() => failed = Some(error),
                Err(error) => return Err(error),
                Ok(()) => self.said.lock().await.checked.put(request.number, now),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn check_request(&self, request: &PullRequest, head: &CommitId, rules: &Rules) -> Result<(), TellError> {
        let files = self.forge.request_files(request.number).await?;
        let names = self.actions_among(&files);
        if names.is_empty() {
            return Ok(());
        }
        let place = Place::Named(head.to_string());
        let preview = Preview::open(&self.config, &self.surroundings, &place).await?;
        let mut forecasts = Vec::new();
        for name in names.into_iter().take(ACTIONS) {
            let forecast = forecast(&preview, &name, rules).await?;
            forecasts.push((name, forecast));
        }
        self.say(head, words::check(&forecasts)).await
    }

    /// What stands behind the folder of actions in the paths of those files that are there afterwards, results aside.
    fn actions_among(&self, files: &[ChangedFile]) -> Vec<String> {
        let inner = |file: &ChangedFile| {
            let path = file.filename.strip_prefix(&self.config.ops.actions)?.strip_prefix('/')?;
            Some(path.strip_suffix(".toml")?.to_owned())
        };
        files.iter().filter(|file| file.status != "deleted").filter_map(inner).collect()
    }
}

async fn forecast(preview: &Preview, name: &str, rules: &Rules) -> Result<Forecast, TellError> {
    let nothing = |message: &str| Forecast::Refused {
        reason: crate::action::reason::Reason::NestedEntry,
        message: message.to_owned(),
    };
    let Some(id) = ActionId::of_refused(name) else {
        let nested = name.contains('/');
        return Ok(nothing(if nested {
            "it stands deeper than one level"
        } else {
            "its name is no name of an action"
        }));
    };
    match preview.action(&id).await? {
        Some(previewed) => Ok(Forecast::of(&previewed.snapshot, rules)),
        None => Ok(nothing("it is not in the request's head")),
    }
}
