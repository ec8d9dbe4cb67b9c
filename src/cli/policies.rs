//! `dispatch policies`: what must stand in Vault for grants to work, compared with what does, and written.
//!
//! It logs in as the administrator who calls it, never as the dispatcher, whose own policy lets it write none of this.

use std::path::PathBuf;
use std::process::ExitCode;

use secrecy::SecretString;

use super::args::{PoliciesApplyArgs, PoliciesFrom, PoliciesVerb, PolicyAddArgs};
use super::error::{CliError, Kind};
use super::invocation::{Invocation, interruptible};
use super::render;
use super::view::{AddedView, PoliciesView, PolicyView};
use crate::config::Config;
use crate::config::types::Vault as Configured;
use crate::grant::policies::apply::{self, Change, CompareError, Compared};
use crate::grant::policies::roles::Roles;
use crate::grant::policies::{Added, PolicyError, Site, Wanted, add};
use crate::grant::vault::client;
use crate::vault::{Session, Token, VaultError, Why};

/// `dispatch policies`
///
/// # Errors
/// The configuration names no Vault, the files do not hold, or the server refuses. Drift is in the answer of `check`: exit 1.
pub(super) fn run(verb: &PoliciesVerb, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    match verb {
        PoliciesVerb::Check(from) => look(from, Mode::Check, invocation),
        PoliciesVerb::Plan(from) | PoliciesVerb::Apply(PoliciesApplyArgs { from, dry_run: true }) => {
            look(from, Mode::Plan, invocation)
        }
        PoliciesVerb::Apply(PoliciesApplyArgs { from, dry_run: false }) => look(from, Mode::Apply, invocation),
        PoliciesVerb::Add(arguments) => add_one(arguments, invocation),
    }
}

/// What is done with what differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Shown.
    Plan,
    /// Shown, and a failure.
    Check,
    /// Written.
    Apply,
}

fn look(from: &PoliciesFrom, mode: Mode, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let config = invocation.load()?.config;
    let vault = configured(&config)?;
    let namespace = config.backends.nomad.as_ref().map(|nomad| nomad.namespace.clone());
    let site = Site::of(vault).in_namespace(namespace);
    let (wanted, shipped) = wanted(from, &config, vault, &site, invocation).map_err(|error| in_words(&error))?;
    let session = session(from, vault, invocation)?;
    let view = interruptible(async {
        let compared = apply::compare(&session, &wanted, &site, vault, &shipped).await.map_err(|e| not_compared(&e))?;
        refuse_more(&compared, mode)?;
        if mode == Mode::Apply {
            for object in compared.iter().filter(|object| object.change != Change::Unchanged) {
                apply::write(&session, object).await.map_err(|error| refused(&error))?;
            }
        }
        let strays = apply::strays(&session, &wanted).await.map_err(|error| refused(&error))?;
        let objects = compared.into_iter().map(view).collect();
        Ok(PoliciesView { written: mode == Mode::Apply, objects, strays })
    })?;
    invocation.output.say("policies", &view, |look| render::policies(&view, look))?;
    let drifted =
        view.objects.iter().any(|object| object.change != Change::Unchanged.word() || !object.beyond.is_empty());
    Ok(if mode == Mode::Check && drifted { ExitCode::from(Kind::Failed.exit_code()) } else { ExitCode::SUCCESS })
}

/// What would be written asks for more than what ships: a person has to mean that, and to write it by hand.
fn refuse_more(compared: &[Compared], mode: Mode) -> Result<(), CliError> {
    let Some(object) = compared.iter().find(|object| !object.beyond.is_empty()) else { return Ok(()) };
    if mode != Mode::Apply {
        return Ok(());
    }
    let words = format!(
        "the {} `{}` asks for more than the shipped one: {}",
        object.kind.word(),
        object.name,
        object.beyond.join("; ")
    );
    Err(CliError::new(Kind::Failed, words).hint("bring it back to the shipped shape; nothing was written"))
}

fn configured(config: &Config) -> Result<&Configured, CliError> {
    config.secrets.vault.as_ref().ok_or_else(|| {
        CliError::new(Kind::Usage, "the configuration names no Vault")
            .hint("add [secrets.vault]; docs/vault.md begins there")
    })
}

fn wanted(
    from: &PoliciesFrom,
    config: &Config,
    vault: &Configured,
    site: &Site,
    invocation: &Invocation,
) -> Result<(Wanted, Roles), PolicyError> {
    let shipped = Roles::shipped(vault.token_ttl_seconds)?;
    let folder = from.dir.as_ref().map(|dir| invocation.path(dir)).or_else(|| vault.policies.clone());
    let wanted = match folder {
        Some(folder) => Wanted::in_folder(&folder, site, &config.secrets.allow, vault.token_ttl_seconds)?,
        None => Wanted::shipped(site, &config.secrets.allow, vault.token_ttl_seconds)?,
    };
    Ok((wanted, shipped))
}

/// The administrator's session: by the file that is named, else by the variable that every client of Vault uses.
fn session(from: &PoliciesFrom, vault: &Configured, invocation: &Invocation) -> Result<Session, CliError> {
    let text = match &from.token_file {
        Some(file) => {
            let path = invocation.path(file);
            std::fs::read_to_string(&path).map_err(|error| {
                CliError::new(Kind::Usage, "the file of the token cannot be read")
                    .place(path.display())
                    .caused_by(&error)
            })?
        }
        None => ["VAULT_TOKEN", "BAO_TOKEN"]
            .into_iter()
            .find_map(|name| invocation.environment().get(name).filter(|text| !text.is_empty()).cloned())
            .ok_or_else(|| {
                CliError::new(Kind::Usage, "no token of an administrator is given")
                    .hint("set VAULT_TOKEN, or name a file with `--token-file`")
            })?,
    };
    let unusable = |error: &dyn std::error::Error| CliError::from_error(Kind::Usage, error);
    let token = Token::new(&SecretString::from(text)).map_err(|error| unusable(&error))?;
    Ok(client(vault).map_err(|error| unusable(&error))?.session(token))
}

fn view(object: Compared) -> PolicyView {
    PolicyView {
        kind: object.kind.word().to_owned(),
        name: object.name,
        change: object.change.word().to_owned(),
        digest: object.digest,
        standing: object.standing,
        differs: object.differs,
        beyond: object.beyond,
        standing_beyond: object.standing_beyond,
    }
}

fn not_compared(error: &CompareError) -> CliError {
    match error {
        CompareError::Refused(error) => refused(error),
        CompareError::NoMethod { mount } => CliError::from_error(Kind::Failed, error).hint(format!(
            "`vault auth enable -path={mount} jwt`, and tell it Nomad's keys: docs/vault.md, \"Payloads without a token\""
        )),
    }
}

fn refused(error: &VaultError) -> CliError {
    let (kind, hint) = match error.why {
        Why::Denied { .. } | Why::TokenDead | Why::NoToken => {
            (Kind::Failed, "policies are written with an administrator's token: VAULT_TOKEN or `--token-file`")
        }
        Why::Refused { .. } | Why::NotFound { .. } => {
            (Kind::Failed, "is the method enabled that it belongs to (`vault auth list`)?")
        }
        _ => (Kind::Unreachable, "`dispatch doctor` looks at the server"),
    };
    CliError::from_error(kind, error).hint(hint)
}

fn in_words(error: &PolicyError) -> CliError {
    CliError::from_error(Kind::Failed, error)
}

fn add_one(arguments: &PolicyAddArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let config = invocation.load()?.config;
    let vault = configured(&config)?;
    let folder: Option<PathBuf> =
        arguments.dir.as_ref().map(|dir| invocation.path(dir)).or_else(|| vault.policies.clone());
    let folder = folder.ok_or_else(|| {
        CliError::new(Kind::Usage, "no folder of policies is given")
            .hint("name one with `--dir`, or set secrets.vault.policies")
    })?;
    let (path, added) = add(&folder, &Site::of(vault), &arguments.name).map_err(|error| in_words(&error))?;
    let view = AddedView { path: path.display().to_string(), written: added == Added::Written };
    invocation.output.say("policies.add", &view, |_| render::policy_added(&view))?;
    Ok(ExitCode::SUCCESS)
}
