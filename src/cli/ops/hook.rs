//! The hook with which the forge wakes the dispatcher. One that goes to the same address stays as it is: its secret is never told, so
//! that nothing can be said about it.

use super::super::error::{CliError, Kind};
use super::super::request::forge_words;
use super::super::view::SetUpView;
use super::Mode;
use crate::config::Config;
use crate::forge::{As, Forge, ForgeError};
use crate::support::keepsake::{self, KeepsakeError};

/// What the dispatcher wants to hear of: a new head of a branch, and what changes an open request.
const EVENTS: [&str; 4] = ["push", "pull_request", "pull_request_sync", "pull_request_review"];

/// Adds it, unless it is there.
pub(super) async fn add(url: &str, config: &Config, mode: Mode, view: &mut SetUpView) -> Result<(), CliError> {
    let refused = |error: &ForgeError| {
        let hint = "a hook needs the token of an administrator of the repository (`forge.write_token_file`)";
        forge_words(error).hint(hint)
    };
    let unsigned = || {
        let words = "the configuration names no secret that deliveries are signed with";
        CliError::new(Kind::Usage, words).hint("set `webhook.secret_file` or `webhook.secret_env`")
    };
    let webhook = config.webhook.as_ref().ok_or_else(unsigned)?;
    let secret = keepsake::read(webhook.secret_file.as_deref(), webhook.secret_env.as_deref());
    let unread = |error: KeepsakeError| {
        CliError::from_error(Kind::Usage, &error)
            .hint("put the secret that the forge is to sign with there, as one line")
    };
    let secret = secret.map_err(unread)?.ok_or_else(unsigned)?;
    let forge = Forge::open(config, As::Teller).map_err(|error| forge_words(&error))?;
    let hooks = forge.hooks().await.map_err(|error| refused(&error))?;
    let name = format!("hook {url}");
    if hooks.iter().any(|hook| hook.config.url == url) {
        view.kept.push(name);
        return Ok(());
    }
    if mode == Mode::Apply {
        forge.add_hook(url, &EVENTS, &secret).await.map_err(|error| refused(&error))?;
    }
    view.created.push(name);
    Ok(())
}
