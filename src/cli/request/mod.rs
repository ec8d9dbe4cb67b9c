//! `dispatch request`: writes an action, has it checked as admission would, opens the pull request for it, and with `--wait` follows
//! it to its result. Nothing is written anywhere before the check has passed.
//!
//! - `compose` (pure): the file. `follow`: the wait, and what it says. `stage` (pure): where a request stands.

mod compose;
mod follow;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::args::RequestArgs;
use super::error::{CliError, Kind};
use super::explain::{in_words, open};
use super::invocation::{Invocation, interruptible};
use super::output::complain;
use super::render;
use super::view::FiledView;
use crate::action::Tier;
use crate::admission::{Forecast, Planned};
use crate::config::Config;
use crate::config::types::ApprovalMode;
use crate::dispatcher::preview::{Place, Preview};
use crate::forge::{AddedFile, As, Forge, ForgeError, PullRequest, UserId};
use crate::support::clock::{Clock as _, SystemClock};
use crate::support::ids::ActionId;

/// What is asked for, checked.
struct Draft {
    id: ActionId,
    path: String,
    text: String,
    title: String,
    /// `None`: it could not be said now what would run; admission will.
    planned: Option<Planned>,
    note: Option<String>,
}

/// Opens a pull request for a new action.
///
/// # Errors
/// The action does not hold ([`Kind::Rejected`]), the forge does not take it, or with `--wait` what became of it.
pub fn run(args: &RequestArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let config = invocation.load()?.config;
    let id = match &args.id {
        Some(id) => id.clone(),
        None => generated(args)?,
    };
    let preview = interruptible(open(&config, invocation, &Place::Primary))?;
    let draft = interruptible(draft(id, args, &config, &preview))?;
    if let Some(note) = &draft.note {
        complain(&format!("note: {note}\n"));
    }
    if args.dry_run {
        let view = view(&draft, &config);
        invocation.output.say("request", &view, |_| draft.text.clone())?;
        return Ok(ExitCode::SUCCESS);
    }
    let forge = Forge::open(&config, As::Teller).map_err(|error| forge_words(&error))?;
    let request = interruptible(opened(&forge, &draft, args, &config))?;
    let mut view = view(&draft, &config);
    view.number = Some(request.number.0);
    view.url = Some(request.html_url.clone());
    if !args.wait {
        invocation.output.say("request", &view, |look| render::filed(&view, look))?;
        return Ok(ExitCode::SUCCESS);
    }
    let teller = config.telling.user_id.map(UserId);
    let follow = follow::Follow { forge, preview, id: draft.id, number: request.number, teller };
    let within = args.timeout.map(|minutes| Duration::from_secs(u64::from(minutes) * 60));
    follow.to_the_end(view, within, invocation)
}

fn generated(args: &RequestArgs) -> Result<ActionId, CliError> {
    let mut mark = [0_u8; 3];
    rustix::rand::getrandom(&mut mark, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| CliError::new(Kind::Failed, "no randomness for an id").caused_by(&error).hint("give --id"))?;
    compose::id(args.formula.as_str(), SystemClock.now(), mark)
        .map_err(|error| CliError::from_error(Kind::Usage, &error).hint("give --id"))
}

/// The file, checked against what stands on the primary branch now.
async fn draft(id: ActionId, args: &RequestArgs, config: &Config, preview: &Preview) -> Result<Draft, CliError> {
    let path = format!("{}/{id}.toml", config.ops.actions);
    let text = compose::file(&id, args);
    if preview.is_taken(&id).await.map_err(|error| in_words(&error))? {
        let words = CliError::new(Kind::Rejected, format!("the ops repo has an action or a result `{id}` already"));
        return Err(words.place(&path).hint("an id is used once: give another --id"));
    }
    let name = format!("{id}.toml");
    let previewed = preview.file(&name, text.as_bytes(), preview.rules()).await.map_err(|error| in_words(&error))?;
    let (planned, mut note) = match Forecast::of(&previewed.snapshot, preview.rules()) {
        Forecast::Runs(planned) => (Some(planned), None),
        Forecast::Open { message, .. } => (None, Some(message)),
        Forecast::Refused { reason, message } => {
            let words = format!("this action would be rejected: {message} ({reason})");
            let hint = "nothing was written; `dispatch explain --file FILE` shows every check of a file";
            return Err(CliError::new(Kind::Rejected, words).hint(hint));
        }
    };
    if let Some(why) = preview.stale() {
        note = Some(format!("the remote does not answer, the check is against what was seen last: {why}"));
    }
    Ok(Draft { title: compose::title(args), id, path, text, planned, note })
}

/// The branch with the file, and the pull request for it.
async fn opened(forge: &Forge, draft: &Draft, args: &RequestArgs, config: &Config) -> Result<PullRequest, CliError> {
    let branch = format!("dispatch/{}", draft.id);
    let (base, message) = (config.ops.branch.as_str(), format!("request {}\n\n{}\n", draft.id, args.context));
    let content_base64 = STANDARD.encode(&draft.text);
    let file =
        AddedFile { path: &draft.path, content_base64: &content_base64, message: &message, base, branch: &branch };
    forge.add_file(&file).await.map_err(|error| {
        forge_words(&error).place(format!("branch {branch}")).hint("nothing was requested; no pull request was opened")
    })?;
    let body = format!("{}\n\n```toml\n{}```\n", args.context, draft.text);
    forge.open_request(&branch, base, &draft.title, &body).await.map_err(|error| {
        let hint = format!("the branch `{branch}` is there: open the pull request from it by hand, or delete it");
        forge_words(&error).hint(hint)
    })
}

/// A failure of the forge, in words.
pub(super) fn forge_words(error: &ForgeError) -> CliError {
    let kind = match error {
        ForgeError::Setting { .. } | ForgeError::Token { .. } => Kind::Usage,
        ForgeError::Send { .. } | ForgeError::NotAnAnswer { .. } => Kind::Unreachable,
        _ => Kind::Failed,
    };
    CliError::from_error(kind, error)
        .hint("check `[forge]` in the configuration; docs/forge.md names the scopes that are needed")
}

fn view(draft: &Draft, config: &Config) -> FiledView {
    let planned = draft.planned.as_ref();
    FiledView {
        action: draft.id.to_string(),
        path: draft.path.clone(),
        file: draft.text.clone(),
        tier: planned.map(|planned| planned.tier.to_string()),
        needs: planned.map(|planned| needs(planned, config)),
        ..FiledView::default()
    }
}

/// Which approval it needs, in words.
fn needs(planned: &Planned, config: &Config) -> String {
    let tier = match planned.tier {
        Tier::Low => return "to be merged; the forge's branch protection says by whom".to_owned(),
        Tier::Medium => &config.approval.medium,
        Tier::High => &config.approval.high,
    };
    match config.approval.mode {
        Some(ApprovalMode::PullRequest) => {
            let needed = tier.approvals.unwrap_or(1).max(planned.approvals);
            let names: Vec<&str> = tier.approvers.iter().map(|one| one.login.as_str()).collect();
            let of = if names.is_empty() { "nobody: no approver is configured".to_owned() } else { names.join(", ") };
            format!("{needed} approval{} of: {of}", if needed == 1 { "" } else { "s" })
        }
        Some(ApprovalMode::Signature) if tier.signers.is_empty() => {
            "to be brought by a commit that one of vault/allowed_signers signed".to_owned()
        }
        Some(ApprovalMode::Signature) => {
            let names: Vec<&str> = tier.signers.iter().map(String::as_str).collect();
            format!("to be brought by a commit that is signed by one of: {}", names.join(", "))
        }
        None => "an approval that this configuration cannot prove: `approval.mode` is not set".to_owned(),
    }
}
