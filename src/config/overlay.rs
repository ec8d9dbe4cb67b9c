//! The environment and the flags, laid over the file: each names a key, and is read as that key's kind.

use serde_json::{Value, json};

use super::draft::Draft;
use super::error::Page;
use super::keys::{Key, keys};
use super::load::{Origin, Sources, credentials};
use super::remote::{Transport, transport};
use crate::support::diagnostic::{Diagnostic, Severity};
use crate::support::text::closest;

/// Lays the environment, then the flags, over the file.
pub(super) fn lay(draft: &mut Draft, sources: &Sources) {
    let keys = keys();
    for key in &keys {
        let Some(name) = key.environment() else { continue };
        // Compose files and units pass an unset variable on as an empty one.
        if let Some(text) = sources.environment.get(&name).filter(|text| !text.is_empty()) {
            let given = Given { page: "environment", shown: format!("{name}="), text };
            set(draft, key, &given, &Origin::Environment { name }, sources);
        }
    }
    for (flag, path, text) in &sources.flags {
        let Some(key) = keys.iter().find(|key| key.path == *path) else { continue };
        let given = Given { page: "command line", shown: format!("--{flag} "), text };
        set(draft, key, &given, &Origin::Flag { name: format!("--{flag}") }, sources);
    }
    slips(draft, &keys, sources);
    forge(draft, sources);
    forge_token(draft, sources);
    super::vault::lay(draft, sources);
    nomad(draft, sources, &keys);
}

/// A value as somebody gave it outside of the file.
struct Given<'a> {
    page: &'static str,
    shown: String,
    text: &'a str,
}

fn set(draft: &mut Draft, key: &Key, given: &Given<'_>, origin: &Origin, sources: &Sources) {
    let Some(leaf) = &key.leaf else { return };
    let page = draft.add_page(Page::new(given.page, &format!("{}{}", given.shown, given.text)));
    let span = given.shown.len()..given.shown.len() + given.text.len();
    draft.place(&key.path, page, span.clone(), origin.clone());
    for table in tables_of(&key.path) {
        if !draft.places.contains_key(table) {
            draft.place(table, page, span.clone(), origin.clone());
        }
    }
    let credentials = credentials(sources);
    let read = |text: &str| {
        leaf.parse(text).and_then(|value| leaf.resolve(value, &sources.working_directory, credentials.as_deref()))
    };
    let value = if key.list {
        given.text.split(',').map(|part| read(part.trim())).collect::<Result<Vec<_>, _>>().map(Value::Array)
    } else {
        read(given.text)
    };
    match value {
        Ok(value) => draft.set(&key.path, value),
        Err(wrong) => draft.complain(&key.path, Severity::Error, wrong),
    }
}

fn tables_of(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('.').filter_map(|(at, _)| key.get(..at))
}

/// Variables that look like ours with a slip in them.
fn slips(draft: &mut Draft, keys: &[Key], sources: &Sources) {
    let known: Vec<String> = keys.iter().filter_map(Key::environment).collect();
    for name in sources.environment.keys().filter(|name| name.starts_with("DISPATCH_") && !known.contains(name)) {
        let lower: Vec<String> = known.iter().map(|known| known.to_lowercase()).collect();
        if let Some(meant) = closest(name, lower.iter().map(String::as_str)) {
            let page = draft.add_page(Page::new("environment", name));
            let found = Diagnostic::at(0..name.len(), "this variable sets nothing").warning();
            draft.note(page, found.help(format!("did you mean {}?", meant.to_uppercase())));
        }
    }
}

/// `FORGE_URL` and `FORGE_TOKEN` say where the forge is and who asks it, as far as the config does not. The token goes to the
/// address that stands beside it: not to one that the file names.
fn forge(draft: &mut Draft, sources: &Sources) {
    let set = |name: &str| sources.environment.get(name).filter(|text| !text.is_empty()).cloned();
    let remote = draft.get("ops.remote").and_then(Value::as_str).unwrap_or_default().to_owned();
    let unnamed = ["token_file", "token_env"].iter().all(|key| draft.get(&format!("forge.{key}")).is_none());
    let named = draft.get("forge.url").and_then(Value::as_str).map(str::to_owned);
    let url = set("FORGE_URL");
    let goes_to = url.clone().unwrap_or_else(|| remote.clone());
    if set("FORGE_TOKEN").is_some() && unnamed && host(named.as_deref().unwrap_or(&goes_to)) == host(&goes_to) {
        variable(draft, "FORGE_TOKEN", "forge.token_env", json!("FORGE_TOKEN"));
    }
    if let (Some(url), None) = (url, named) {
        variable(draft, "FORGE_URL", "forge.url", json!(url));
    }
}

/// Sets `key` by what the environment variable `name` says.
fn variable(draft: &mut Draft, name: &str, key: &str, value: Value) {
    let page = draft.add_page(Page::new("environment", name));
    for key in std::iter::once(key).chain(tables_of(key)) {
        if !draft.places.contains_key(key) {
            draft.place(key, page, 0..name.len(), Origin::Environment { name: name.to_owned() });
        }
    }
    draft.set(key, value);
}

/// `FORGE_TOKEN`, which every operator has set, is the login where none is configured. It goes to the forge and nowhere else:
/// where `FORGE_URL` is set, the remote must be of the same host.
fn forge_token(draft: &mut Draft, sources: &Sources) {
    let set = |name: &str| sources.environment.get(name).filter(|text| !text.is_empty());
    let remote = draft.get("ops.remote").and_then(Value::as_str).unwrap_or_default().to_owned();
    let at_forge = set("FORGE_URL").is_none_or(|forge| host(forge) == host(&remote));
    let wanted = draft.get("ops.credential").is_none() && transport(&remote) == Some(Transport::Http);
    if set("FORGE_TOKEN").is_none() || !wanted || !at_forge {
        return;
    }
    // Gitea, Forgejo and GitLab take any name beside a token.
    variable(draft, "FORGE_TOKEN", "ops.credential.username", json!("dispatch"));
    variable(draft, "FORGE_TOKEN", "ops.credential.password_env", json!("FORGE_TOKEN"));
}

/// The variables that every operator of Nomad has set, and the keys of `[backends.nomad]` that they stand for.
const NOMAD: [(&str, &str); 7] = [
    ("NOMAD_ADDR", "address"),
    ("NOMAD_NAMESPACE", "namespace"),
    ("NOMAD_REGION", "region"),
    ("NOMAD_CACERT", "ca_cert"),
    ("NOMAD_CLIENT_CERT", "client_cert"),
    ("NOMAD_CLIENT_KEY", "client_key"),
    ("NOMAD_TLS_SERVER_NAME", "tls_server_name"),
];

/// The `NOMAD_*` variables hold where nothing else is said, once the config uses Nomad. The token goes to the server of `NOMAD_ADDR`
/// and to no other: where the config names another address, it must name its token too.
fn nomad(draft: &mut Draft, sources: &Sources, keys: &[Key]) {
    let set_to = |name: &str| sources.environment.get(name).filter(|text| !text.is_empty());
    let named = ["backends.default", "backends.allow", "backends.formula", "backends.nomad"];
    let uses = |value: &Value| value.to_string().contains("\"nomad\"");
    let wanted = draft.get("backends.nomad").is_some() || named.iter().any(|key| draft.get(key).is_some_and(uses));
    if !wanted {
        return;
    }
    for (name, field) in NOMAD {
        let path = format!("backends.nomad.{field}");
        let Some(key) = keys.iter().find(|key| key.path == path) else { continue };
        if let Some(text) = set_to(name).filter(|_| draft.get(&path).is_none()) {
            let given = Given { page: "environment", shown: format!("{name}="), text };
            set(draft, key, &given, &Origin::Environment { name: name.to_owned() }, sources);
        }
    }
    let tokens = ["backends.nomad.token_file", "backends.nomad.token_env"];
    let address = draft.get("backends.nomad.address").and_then(Value::as_str).unwrap_or_default();
    let at_home = set_to("NOMAD_ADDR").is_none_or(|home| host(home) == host(address));
    if set_to("NOMAD_TOKEN").is_some() && at_home && tokens.iter().all(|key| draft.get(key).is_none()) {
        variable(draft, "NOMAD_TOKEN", "backends.nomad.token_env", json!("NOMAD_TOKEN"));
    }
}

/// Scheme, host and port of a URL.
fn host(url: &str) -> &str {
    let end = url.find("://").map_or(0, |at| at + 3);
    let stop = url.get(end..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| end + at);
    url.get(..stop).unwrap_or(url)
}
