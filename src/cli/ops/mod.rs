//! `dispatch ops init`: the files of a new ops repo, in a folder or straight in the repo, the protection of its primary branch, and
//! the hook by which the forge wakes the dispatcher. What is there already is left alone, so that it can be called again.
//!
//! - `skeleton`, `protection` (pure): what is wanted. `target`: where the files go. `hook`: who is called.

mod hook;
mod protection;
mod skeleton;
mod target;

use std::collections::BTreeSet;
use std::process::ExitCode;

use super::args::InitArgs;
use super::error::CliError;
use super::invocation::{Invocation, interruptible};
use super::render;
use super::request::forge_words;
use super::view::SetUpView;
use crate::config::Config;
use crate::forge::{As, Forge, ForgeError, Protection};
use protection::Wish;
use skeleton::skeleton;
use target::Target;

/// Whether what is found missing is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Apply,
    DryRun,
}

/// Makes what is missing, and says what that was.
///
/// # Errors
/// A file cannot be written, the ops repo refuses the commit, or the forge the protection.
pub fn init(args: &InitArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let config = match invocation.load() {
        Ok(loaded) => loaded.config,
        // A new ops repo comes before the configuration that names it.
        Err(_) if args.folder.is_some() && !args.protect && args.webhook.is_none() => Config::of_remote("."),
        Err(error) => return Err(error),
    };
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Apply };
    let mut view = SetUpView { dry_run: args.dry_run, ..SetUpView::default() };
    if let Some(target) = Target::of(args, &config, invocation) {
        interruptible(target.fill(&skeleton(&config.ops.actions), mode, &mut view))?;
    }
    if args.protect {
        let wish = Wish { approvals: args.approvals, approvers: approvers(args, &config) };
        interruptible(protect(&config, &wish, mode, &mut view))?;
    }
    if let Some(url) = &args.webhook {
        interruptible(hook::add(url, &config, mode, &mut view))?;
    }
    invocation.output.say("ops.init", &view, |_| render::set_up(&view))?;
    Ok(ExitCode::SUCCESS)
}

/// Those named on the command line, else those of the config.
fn approvers(args: &InitArgs, config: &Config) -> Vec<String> {
    if !args.approvers.is_empty() {
        return args.approvers.clone();
    }
    let all = config.approval.medium.approvers.iter().chain(&config.approval.high.approvers);
    let names: BTreeSet<String> = all.map(|approver| approver.login.clone()).collect();
    names.into_iter().collect()
}

async fn protect(config: &Config, wish: &Wish, mode: Mode, view: &mut SetUpView) -> Result<(), CliError> {
    let forge = Forge::open(config, As::Teller).map_err(|error| forge_words(&error))?;
    let refused = |error: &ForgeError| {
        forge_words(error)
            .hint("branch protection needs the token of an administrator of the repository (`forge.write_token_file`)")
    };
    let repository = forge.repository().await.map_err(|error| refused(&error))?;
    let settings = repository.unsafe_settings();
    let all = forge.protections().await.map_err(|error| refused(&error))?;
    let current: Option<&Protection> = all.iter().find(|one| one.rule_name == config.ops.branch);
    let wanted = protection::wanted(config, wish, current);
    let changes = protection::changes(current, &wanted);
    if mode == Mode::Apply {
        if !settings.is_empty() {
            forge.make_settings_safe().await.map_err(|error| refused(&error))?;
        }
        match (current, changes.is_empty()) {
            (_, true) => {}
            (None, false) => drop(forge.protect(&wanted).await.map_err(|error| refused(&error))?),
            (Some(_), false) => drop(forge.change_protection(&wanted).await.map_err(|error| refused(&error))?),
        }
    }
    view.changed.extend(settings.into_iter().map(str::to_owned));
    view.changed.extend(changes);
    Ok(())
}
