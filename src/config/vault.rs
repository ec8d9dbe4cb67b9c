//! `[secrets.vault]` beyond its schema: the variables that every operator of Vault or `OpenBao` has set, and what does not fit together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::draft::Draft;
use super::error::Page;
use super::leaf::Wrong;
use super::load::{Origin, Sources};
use super::types::{Config, Vault, WorkloadIdentity};
use crate::support::diagnostic::Severity::{Error, Warning};

/// What each variable sets where nothing else does. Vault's own come first: where both are set, `OpenBao`'s client prefers its own, but
/// whoever has both means the same server.
const VARIABLES: [(&str, &str); 6] = [
    ("secrets.vault.address", "VAULT_ADDR"),
    ("secrets.vault.address", "BAO_ADDR"),
    ("secrets.vault.namespace", "VAULT_NAMESPACE"),
    ("secrets.vault.namespace", "BAO_NAMESPACE"),
    ("secrets.vault.ca_cert", "VAULT_CACERT"),
    ("secrets.vault.ca_cert", "BAO_CACERT"),
];

/// Variables that hold a token: their name is configured, never their value.
const TOKENS: [&str; 2] = ["VAULT_TOKEN", "BAO_TOKEN"];

/// Variables that would switch off the check of the server's certificate.
const SKIP_VERIFY: [&str; 2] = ["VAULT_SKIP_VERIFY", "BAO_SKIP_VERIFY"];

/// The backend whose runs have identities.
const NOMAD: &str = "nomad";

/// The ways to log in; one of them is configured.
const LOGINS: [&str; 4] = ["token_env", "token_file", "approle", "jwt"];

/// Fills in from the environment what `[secrets.vault]` leaves open. Without that table the variables mean nothing here: that an
/// operator has them set does not make Vault the secret provider.
pub(super) fn lay(draft: &mut Draft, sources: &Sources) {
    if draft.get("secrets.vault").is_none() {
        return;
    }
    let set = |name: &str| sources.environment.get(name).filter(|text| !text.is_empty());
    for (key, name) in VARIABLES {
        if let Some(text) = set(name).filter(|_| draft.get(key).is_none()) {
            let value =
                if key.ends_with("ca_cert") { json!(sources.working_directory.join(text)) } else { json!(text) };
            give(draft, key, name, value);
        }
    }
    let has_login = LOGINS.iter().any(|login| draft.get(&format!("secrets.vault.{login}")).is_some());
    if let Some(name) = TOKENS.into_iter().find(|name| !has_login && set(name).is_some()) {
        give(draft, "secrets.vault.token_env", name, json!(name));
    }
    for name in SKIP_VERIFY.into_iter().filter(|name| set(name).is_some_and(|text| !is_false(text))) {
        let wrong = Wrong::new(format!("{name} would let any server pass for Vault, and take its tokens"));
        draft.complain(
            "secrets.vault",
            Error,
            wrong.help("unset it; where the certificate is your own, name its CA in `secrets.vault.ca_cert`"),
        );
    }
}

fn is_false(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "0" | "f" | "false")
}

fn give(draft: &mut Draft, key: &str, name: &str, value: Value) {
    let page = draft.add_page(Page::new("environment", name));
    draft.place(key, page, 0..name.len(), Origin::Environment { name: name.to_owned() });
    draft.set(key, value);
}

/// Notes what does not hold.
pub(super) fn check(config: &Config, environment: &BTreeMap<String, String>, draft: &mut Draft) {
    let Some(vault) = &config.secrets.vault else { return };
    if config.secrets.file.is_some() {
        let wrong = Wrong::new("two secret providers are configured, [secrets.file] and [secrets.vault]");
        draft.complain("secrets.vault", Error, wrong.help("keep one of them"));
    }
    logins(vault, environment, draft);
    for (key, address) in [("address", Some(&vault.address)), ("runner_address", vault.runner_address.as_ref())] {
        if let Some(wrong) = address.and_then(|address| wrong_address(address)) {
            draft.complain(&format!("secrets.vault.{key}"), Error, wrong);
        }
    }
    if !is_folder(&vault.prefix) {
        let wrong = Wrong::new(format!("`{}` is not a folder of secrets", vault.prefix));
        draft.complain("secrets.vault.prefix", Error, wrong.help("write it like `disinto/runner/`, without wildcards"));
    }
    if let Some(identity) = &vault.workload_identity {
        workload_identity(identity, vault, config, draft);
    }
    let (token, wrapping) = (vault.token_ttl_seconds, vault.wrap_ttl_seconds);
    if token < wrapping {
        let wrong = Wrong::new(format!(
            "a grant's token would be dead after {token} s, and its run may open it as late as {wrapping} s after it was made"
        ));
        let help = "make `token_ttl_seconds` longer than `wrap_ttl_seconds`, by the longest time that a run takes to read its secrets";
        draft.complain("secrets.vault.token_ttl_seconds", Error, wrong.help(help));
    }
    for (key, text) in [("mount", &vault.mount), ("role", &vault.role), ("field", &vault.field)] {
        if !is_plain(text) {
            let wrong =
                Wrong::new(format!("`{text}` cannot be one: letters, digits, `-`, `_`, `.` and `/` inside are"));
            draft.complain(&format!("secrets.vault.{key}"), Error, wrong);
        }
    }
}

/// The delivery by identity: names that mean themselves, a folder apart from the secrets, and runs that have an identity.
fn workload_identity(identity: &WorkloadIdentity, vault: &Vault, config: &Config, draft: &mut Draft) {
    let at = |key: &str| format!("secrets.vault.workload_identity.{key}");
    for (key, text) in [("mount", &identity.mount), ("role", &identity.role), ("audience", &identity.audience)] {
        if !is_plain(text) {
            let wrong =
                Wrong::new(format!("`{text}` cannot be one: letters, digits, `-`, `_`, `.` and `/` inside are"));
            draft.complain(&at(key), Error, wrong);
        }
    }
    let (own, secrets) = (identity.prefix.as_str(), vault.prefix.as_str());
    if !is_folder(own) {
        let wrong = Wrong::new(format!("`{own}` is not a folder of the key-value store"));
        draft.complain(&at("prefix"), Error, wrong.help("write it like `disinto/handover/`, without wildcards"));
    } else if own.starts_with(secrets) || secrets.starts_with(own) {
        let wrong = Wrong::new(format!("`{own}` and the folder of the secrets, `{secrets}`, lie in one another"));
        let help = "the dispatcher may write what it hands over, and no secret: name another folder";
        draft.complain(&at("prefix"), Error, wrong.help(help));
    }
    if vault.jwt.as_ref().is_some_and(|login| (&login.mount, &login.role) == (&identity.mount, &identity.role)) {
        let wrong = Wrong::new("the dispatcher and its runs cannot log in as the same role");
        draft.complain(&at("role"), Error, wrong.help("give runs a role, and better a mount, of their own"));
    }
    let backends = &config.backends;
    let named = std::iter::once(("backends.default".to_owned(), &backends.default))
        .chain(backends.allow.iter().map(|name| ("backends.allow".to_owned(), name)))
        .chain(backends.formula.iter().map(|(formula, name)| (format!("backends.formula.{formula}"), name)));
    for (key, name) in named.filter(|(_, name)| *name != NOMAD) {
        let wrong = Wrong::new(format!(
            "runs of the backend `{name}` have no identity in Nomad, by which [secrets.vault.workload_identity] hands them their grants"
        ));
        draft.complain(
            &key,
            Error,
            wrong.help(format!("name `nomad` in `{key}`, or take that table out: grants then travel wrapped")),
        );
    }
}

fn is_folder(prefix: &str) -> bool {
    prefix.ends_with('/') && is_plain(prefix.trim_end_matches('/'))
}

/// A path that means itself in a policy and in a URL: no wildcard, nothing that a server resolves before it checks.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && path.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

fn wrong_address(address: &str) -> Option<Wrong> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    match rest {
        Some(host)
            if !host.is_empty()
                && !host.contains(['@', '?', '#', ' '])
                && !host.trim_end_matches('/').ends_with("/v1") =>
        {
            None
        }
        _ => Some(
            Wrong::new("this is not the address of a Vault server")
                .help("write it like `https://vault.example.org:8200`: no login, no `/v1`"),
        ),
    }
}

fn logins(vault: &Vault, environment: &BTreeMap<String, String>, draft: &mut Draft) {
    let given = [vault.token_env.is_some(), vault.token_file.is_some(), vault.approle.is_some(), vault.jwt.is_some()];
    let named: Vec<&str> = LOGINS.into_iter().zip(given).filter(|(_, given)| *given).map(|(name, _)| name).collect();
    match named.as_slice() {
        [] => {
            let wrong = Wrong::new("nothing says how to log in to Vault");
            let help =
                "set one of `token_file`, `token_env`, [secrets.vault.approle], [secrets.vault.jwt], or VAULT_TOKEN";
            draft.complain("secrets.vault", Error, wrong.help(help));
        }
        [_] => {}
        [_, second, ..] => {
            let wrong = Wrong::new(format!("several ways to log in to Vault are configured: {}", named.join(", ")));
            draft.complain(&format!("secrets.vault.{second}"), Error, wrong.help("keep one of them"));
        }
    }
    if let Some(name) = vault.token_env.as_ref().filter(|name| !environment.contains_key(*name)) {
        let wrong = Wrong::new(format!("the environment variable {name} is not set"));
        draft.complain(
            "secrets.vault.token_env",
            Warning,
            wrong.help("it is read when the dispatcher logs in to Vault"),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::super::load::{Loaded, Sources};
    use super::super::types::Config;

    fn load(text: &str, environment: &[(&str, &str)]) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("dispatch.toml"), format!("ops.remote = \"/srv/ops.git\"\n{text}")).unwrap();
        let environment: BTreeMap<String, String> =
            environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Config::load(&Sources { environment, working_directory: folder.path().to_owned(), ..Sources::default() })
            .unwrap()
    }

    const OPERATORS: [(&str, &str); 4] = [
        ("BAO_ADDR", "https://bao.example:8200"),
        ("VAULT_ADDR", "https://vault.example:8200"),
        ("BAO_NAMESPACE", "team"),
        ("VAULT_TOKEN", "hunter2"),
    ];

    #[test]
    fn what_the_table_leaves_open_comes_from_the_variables_of_every_operator() {
        let loaded = load("[secrets.vault]\n", &OPERATORS);
        let vault = loaded.config.secrets.vault.unwrap();
        assert_eq!(vault.address, "https://vault.example:8200");
        assert_eq!(vault.namespace.as_deref(), Some("team"));
        assert_eq!(vault.token_env.as_deref(), Some("VAULT_TOKEN"));
        let origin = |key: &str| loaded.settings.iter().find(|set| set.key == key).unwrap().origin.to_string();
        assert_eq!(origin("secrets.vault.address"), "environment VAULT_ADDR");
        assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
    }

    #[test]
    fn what_the_table_says_is_not_overridden_by_them_and_without_it_they_mean_nothing() {
        let own = "[secrets.vault]\naddress = \"http://127.0.0.1:8200\"\ntoken_file = \"t\"\n";
        let vault = load(own, &OPERATORS).config.secrets.vault.unwrap();
        assert_eq!((vault.address.as_str(), vault.token_env), ("http://127.0.0.1:8200", None));
        assert!(load("", &OPERATORS).config.secrets.vault.is_none());
    }
}
