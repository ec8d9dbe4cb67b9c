//! What a schema cannot say: values that do not fit together, names that nobody knows, and settings worth a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use super::draft::Draft;
use super::leaf::{Wrong, not_among};
use super::remote::{Transport, transport};
use super::types::{ApprovalMode, Config, Credential, TierApproval};
use crate::support::diagnostic::Severity::{Error, Warning};
use crate::support::variables::{is_name, is_reserved};

mod lease;
mod nomad;

/// The backends of this build.
const BACKENDS: [&str; 2] = ["local", "nomad"];

/// Notes in `draft` everything that does not hold.
pub(super) fn check(config: &Config, environment: &BTreeMap<String, String>, draft: &mut Draft) {
    ops(config, draft);
    for (key, credential) in
        [("ops.credential", &config.ops.credential), ("ops.push_credential", &config.ops.push_credential)]
    {
        if let Some(credential) = credential {
            login(key, credential, config, environment, draft);
        }
    }
    backends(config, draft);
    nomad::check(config, environment, draft);
    lease::check(config, draft);
    limits(config, draft);
    approval(config, draft);
    forge(config, draft);
    secrets(config, draft);
    webhook(config, environment, draft);
    super::vault::check(config, environment, draft);
    passed_on(config, draft);
    if config.debug.allow_unapproved {
        let wrong = Wrong::new("actions that nobody approved may be run by `dispatch once --action`");
        draft.complain("debug.allow_unapproved", Warning, wrong.help("never set this in production"));
    }
}

fn ops(config: &Config, draft: &mut Draft) {
    if let Err(wrong) = branch(&config.ops.branch) {
        draft.complain("ops.branch", Error, wrong);
    }
    let folder = &config.ops.actions;
    if folder.starts_with('/') || folder.split('/').any(|part| matches!(part, "" | "." | ".." | ".git")) {
        let wrong = Wrong::new(format!("`{folder}` is not a folder of the ops repo"));
        draft.complain(
            "ops.actions",
            Error,
            wrong.help("write it like `vault/actions`: relative, without `.` or `..`"),
        );
    }
    for (key, text) in
        [("ops.committer_name", &config.ops.committer_name), ("ops.committer_email", &config.ops.committer_email)]
    {
        if text.contains(['<', '>']) {
            draft.complain(key, Error, Wrong::new("git allows no `<` or `>` here"));
        }
    }
    if transport(&config.ops.remote) == Some(Transport::Http) && config.ops.credential.is_none() {
        let wrong = Wrong::new("no login is configured for this remote");
        draft.complain("ops.remote", Warning, wrong.help("results are pushed: set [ops.credential], or FORGE_TOKEN"));
    }
}

/// git's rules for a branch name (git-check-ref-format), as far as they matter here.
fn branch(name: &str) -> Result<(), Wrong> {
    let bad = name.starts_with(['-', '/', '.'])
        || name.ends_with(['/', '.'])
        || ["..", "//", "@{", "/."].iter().any(|part| name.contains(part))
        || name.contains([' ', '~', '^', ':', '?', '*', '[', '\\'])
        || name.split('/').any(|part| part.to_ascii_lowercase().ends_with(".lock"))
        || name == "@";
    if bad {
        return Err(Wrong::new(format!("`{name}` is not a branch name")).help("give the name alone, like `main`"));
    }
    match name.strip_prefix("refs/heads/") {
        Some(short) => Err(Wrong::new("this is a full ref").help(format!("write `{short}`"))),
        None => Ok(()),
    }
}

fn login(key: &str, login: &Credential, config: &Config, environment: &BTreeMap<String, String>, draft: &mut Draft) {
    held(key, "password", login.password_file.as_deref(), login.password_env.as_deref(), environment, draft);
    if transport(&config.ops.remote) != Some(Transport::Http) {
        draft.complain(key, Warning, Wrong::new("`ops.remote` is not reached over HTTP, so this login is not used"));
    }
}

/// A secret of the dispatcher's own: `<what>_file` or `<what>_env` of the table `key` names it.
fn held(
    key: &str,
    what: &str,
    file: Option<&Path>,
    variable: Option<&str>,
    environment: &BTreeMap<String, String>,
    draft: &mut Draft,
) {
    match (file, variable) {
        (None, None) => {
            let wrong = Wrong::new(format!("`{key}` names no {what}"));
            draft.complain(key, Error, wrong.help(format!("set `{what}_file` or `{what}_env`")));
        }
        (Some(_), Some(_)) => {
            let wrong = Wrong::new(format!("both `{what}_file` and `{what}_env` are set"));
            draft.complain(&format!("{key}.{what}_env"), Error, wrong.help("keep one of them"));
        }
        (None, Some(name)) if !environment.contains_key(name) => {
            let wrong = Wrong::new(format!("the environment variable {name} is not set"));
            draft.complain(&format!("{key}.{what}_env"), Warning, wrong.help("it is read when it is needed"));
        }
        _ => {}
    }
}

fn webhook(config: &Config, environment: &BTreeMap<String, String>, draft: &mut Draft) {
    let Some(webhook) = &config.webhook else { return };
    if webhook.listen.parse::<SocketAddr>().is_err() {
        let wrong = Wrong::new("this is not an address with a port");
        draft.complain("webhook.listen", Error, wrong.help("write it like `127.0.0.1:8081` or `[::1]:8081`"));
    }
    held("webhook", "secret", webhook.secret_file.as_deref(), webhook.secret_env.as_deref(), environment, draft);
}

fn backends(config: &Config, draft: &mut Draft) {
    let named = std::iter::once(("backends.default".to_owned(), &config.backends.default))
        .chain(config.backends.allow.iter().map(|name| ("backends.allow".to_owned(), name)))
        .chain(config.backends.formula.iter().map(|(formula, name)| (format!("backends.formula.{formula}"), name)))
        .chain(config.limits.backend.keys().map(|name| (format!("limits.backend.{name}"), name)));
    let known = BACKENDS.map(str::to_owned);
    for (key, name) in named {
        if !known.contains(name) {
            draft.complain(&key, Error, not_among(name, &known));
        } else if name == "nomad" && config.backends.nomad.is_none() {
            let wrong = Wrong::new("where Nomad is is not configured");
            draft.complain(&key, Error, wrong.help("add [backends.nomad] with `address`, or set NOMAD_ADDR"));
        }
    }
}

fn limits(config: &Config, draft: &mut Draft) {
    let formulas = config.limits.formula.iter().map(|(name, limit)| (format!("limits.formula.{name}"), *limit));
    let backends = config.limits.backend.iter().map(|(name, limit)| (format!("limits.backend.{name}"), *limit));
    for (key, _) in formulas.chain(backends).filter(|(_, limit)| *limit == 0) {
        draft.complain(
            &key,
            Error,
            Wrong::new("a limit of 0 would hold every run back forever").help("give 1 or more"),
        );
    }
}

fn approval(config: &Config, draft: &mut Draft) {
    let tiers =
        [("approval.medium.signers", &config.approval.medium), ("approval.high.signers", &config.approval.high)];
    for (key, _) in tiers.iter().filter(|(_, tier)| !tier.signers.is_empty() && config.approval.mode.is_none()) {
        let wrong = Wrong::new("signers are named, but `approval.mode` is not set: nothing of this tier is admitted");
        draft.complain(key, Warning, wrong.help("set `mode = \"signature\"` in [approval]"));
    }
    for (tier, rules) in [("medium", &config.approval.medium), ("high", &config.approval.high)] {
        approvers(&format!("approval.{tier}"), rules, config.approval.mode, draft);
    }
}

/// Who may approve a tier by reviewing, and whether enough of them can.
fn approvers(key: &str, tier: &TierApproval, mode: Option<ApprovalMode>, draft: &mut Draft) {
    let people: BTreeSet<i64> = tier.approvers.iter().map(|approver| approver.id).collect();
    let needed = usize::try_from(tier.approvals.unwrap_or(1)).unwrap_or(usize::MAX);
    if people.len() < tier.approvers.len() {
        let wrong = Wrong::new("a number stands in this list twice");
        draft.complain(&format!("{key}.approvers"), Error, wrong.help("each user has one of its own"));
    }
    if mode == Some(ApprovalMode::PullRequest) && people.len() < needed {
        let (name, may) = (key.trim_start_matches("approval."), people.len());
        let wrong =
            Wrong::new(format!("{needed} must approve what is {name}, and {may} may: nothing of it is admitted"));
        let help =
            "list `approvers = [{ login = \"…\", id = … }]`; `/api/v1/users/<login>` of the forge says the number";
        draft.complain(key, Warning, wrong.help(help));
    }
}

/// What approval by pull request needs of the forge's address.
fn forge(config: &Config, draft: &mut Draft) {
    if config.forge.token_file.is_some() && config.forge.token_env.is_some() {
        let wrong = Wrong::new("both `token_file` and `token_env` are set");
        draft.complain("forge.token_env", Error, wrong.help("keep one of them"));
    }
    if config.approval.mode != Some(ApprovalMode::PullRequest) {
        return;
    }
    let over_http = transport(&config.ops.remote) == Some(Transport::Http);
    if config.forge.url.is_none() && !over_http {
        let wrong = Wrong::new("approvals are proven by the forge, and the config does not say where that is");
        draft.complain("forge.url", Error, wrong.help("set `url` in [forge], or FORGE_URL"));
    }
    if config.forge.token_file.is_none() && config.forge.token_env.is_none() {
        let wrong = Wrong::new("no token is configured: only what everybody may see can be looked at");
        draft.complain("forge", Warning, wrong.help("set `token_file` in [forge], or FORGE_TOKEN"));
    }
}

fn secrets(config: &Config, draft: &mut Draft) {
    if !config.secrets.allow.is_empty() && config.secrets.file.is_none() && config.secrets.vault.is_none() {
        let wrong = Wrong::new("secrets are allowed, but no provider is configured: actions that name one wait");
        draft.complain(
            "secrets.allow",
            Warning,
            wrong.help("add [secrets.vault], or [secrets.file] for one machine without Vault"),
        );
    }
    for name in config.secrets.allow.iter().filter(|name| is_reserved(name.as_str())) {
        let words =
            format!("no secret can be named {name}: that variable is set for each run, or steers what is executed");
        draft.complain("secrets.allow", Error, Wrong::new(words).help("rename the secret where it is kept"));
    }
    for (name, _) in config.mounts.iter().filter(|(_, mount)| mount.local.is_none() && mount.nomad.is_none()) {
        let wrong = Wrong::new(format!("the mount `{name}` does not say what is mounted"));
        let help = "add `local = \"<path>\"`, or `nomad = \"<host volume>\"`";
        draft.complain(&format!("mounts.{name}"), Error, wrong.help(help));
    }
}

fn passed_on(config: &Config, draft: &mut Draft) {
    let logins = [&config.ops.credential, &config.ops.push_credential];
    let webhook = config.webhook.as_ref().and_then(|webhook| webhook.secret_env.as_deref());
    let nomad = config.backends.nomad.as_ref().and_then(|nomad| nomad.token_env.as_deref());
    let passwords = logins.into_iter().flatten().filter_map(|login| login.password_env.as_deref());
    let vault = config.secrets.vault.as_ref().and_then(|vault| vault.token_env.as_deref());
    let forge = [&config.forge.token_env, &config.forge.write_token_env].into_iter().flatten().map(String::as_str);
    let passwords: Vec<&str> = passwords.chain(forge).chain(webhook).chain(vault).chain(nomad).collect();
    for name in &config.pass_environment {
        let wrong = if passwords.contains(&name.as_str()) {
            Wrong::new(format!("{name} holds the dispatcher's own login; no formula may have it"))
        } else if is_reserved(name) {
            Wrong::new(format!("{name} is not passed on: it is set for each run, or steers what is executed"))
        } else if !is_name(name) {
            Wrong::new(format!("`{name}` is not the name of an environment variable"))
        } else {
            continue;
        };
        draft.complain("pass_environment", Error, wrong);
    }
}
