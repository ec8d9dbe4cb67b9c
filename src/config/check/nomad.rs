//! What does not fit together in `[backends.nomad]`.

use std::collections::BTreeMap;

use crate::config::draft::Draft;
use crate::config::leaf::Wrong;
use crate::config::types::{Config, Nomad, NomadDriver};
use crate::support::diagnostic::Severity::{Error, Warning};
use crate::support::seal::check_recipient;

pub(super) fn check(config: &Config, environment: &BTreeMap<String, String>, draft: &mut Draft) {
    let Some(nomad) = &config.backends.nomad else { return };
    address(nomad, draft);
    token(nomad, environment, draft);
    names(nomad, config, draft);
    jobs(nomad, config, draft);
    seal(nomad, draft);
    if nomad.client_cert.is_some() != nomad.client_key.is_some() {
        let wrong = Wrong::new("a client certificate needs its key, and the key its certificate");
        let (set, missing) =
            if nomad.client_cert.is_some() { ("client_cert", "client_key") } else { ("client_key", "client_cert") };
        draft.complain(&format!("backends.nomad.{set}"), Error, wrong.help(format!("set `{missing}` as well")));
    }
    // Every client of Nomad obeys it, so an operator may believe that this one does.
    if environment.get("NOMAD_SKIP_VERIFY").is_some_and(|text| !matches!(text.as_str(), "" | "0" | "false")) {
        let wrong = Wrong::new("NOMAD_SKIP_VERIFY is set, and certificates are always verified here");
        let help = "unset it; name the CA with `ca_cert` or NOMAD_CACERT, another name with `tls_server_name`";
        draft.complain("backends.nomad", Error, wrong.help(help));
    }
    if nomad.ca_cert.is_none() && environment.get("NOMAD_CAPATH").is_some_and(|text| !text.is_empty()) {
        let wrong = Wrong::new("NOMAD_CAPATH is set, and no directory of CAs is read here");
        let help = "name one PEM file, which may hold several of them, with `ca_cert` or NOMAD_CACERT";
        draft.complain("backends.nomad", Warning, wrong.help(help));
    }
}

fn address(nomad: &Nomad, draft: &mut Draft) {
    let key = "backends.nomad.address";
    let address = nomad.address.as_str();
    let rest = ["http://", "https://", "unix:///"].iter().find_map(|scheme| address.strip_prefix(scheme));
    if rest.is_none_or(str::is_empty) {
        let wrong = Wrong::new("this is no address of a Nomad server");
        draft.complain(key, Error, wrong.help("write it like `https://nomad.example.com:4646` or `unix:///path`"));
    } else if rest.is_some_and(|rest| rest.contains('@')) {
        let wrong = Wrong::new("an address holds no login");
        draft.complain(key, Error, wrong.help("put the token in a file: `token_file`"));
    }
    let host = address.strip_prefix("http://").unwrap_or_default();
    let loopback = ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
    if !host.is_empty() && !loopback {
        let wrong = Wrong::new("over `http://` the token and every payload can be read on the way");
        draft.complain(key, Warning, wrong.help("use `https://`"));
    }
}

fn token(nomad: &Nomad, environment: &BTreeMap<String, String>, draft: &mut Draft) {
    match (&nomad.token_file, &nomad.token_env) {
        (Some(_), Some(_)) => {
            let wrong = Wrong::new("both `token_file` and `token_env` are set");
            draft.complain("backends.nomad.token_env", Error, wrong.help("keep one of them"));
        }
        (None, Some(name)) if !environment.contains_key(name) => {
            let wrong = Wrong::new(format!("the environment variable {name} is not set"));
            draft.complain("backends.nomad.token_env", Warning, wrong.help("it is read for each request"));
        }
        _ => {}
    }
}

/// Seconds that the shipped jobs leave a run between Nomad's own signal and its kill, where the config says nothing.
const KILL_TIMEOUT: u32 = 30;

fn jobs(nomad: &Nomad, config: &Config, draft: &mut Draft) {
    if nomad.sidecar.as_ref().is_some_and(|sidecar| !sidecar.mounts.is_empty()) {
        let wrong = Wrong::new("the sidecars' job has volumes of its own, and no variants");
        draft.complain("backends.nomad.sidecar.mounts", Error, wrong.help("remove the line"));
    }
    let (grace, kill) = (config.limits.grace_seconds, nomad.runner.kill_timeout_seconds.unwrap_or(KILL_TIMEOUT));
    if grace >= kill {
        let wrong = Wrong::new(format!("Nomad kills a run after {kill} s, before its {grace} s of grace are over"));
        let help = "give a larger `kill_timeout_seconds` (and `max_kill_timeout` on the clients), or a smaller `limits.grace_seconds`";
        draft.complain("backends.nomad.runner.kill_timeout_seconds", Warning, wrong.help(help));
    }
}

fn seal(nomad: &Nomad, draft: &mut Draft) {
    let Some(seal) = &nomad.seal else { return };
    if let Err(error) = check_recipient(&seal.recipient) {
        let wrong = Wrong::new(error.to_string()).help("`age-keygen -y FILE` prints the recipient of an identity");
        draft.complain("backends.nomad.seal.recipient", Error, wrong);
    }
    if !seal.identity.starts_with('/') {
        let wrong = Wrong::new(format!("`{}` is no absolute path", seal.identity));
        draft.complain("backends.nomad.seal.identity", Error, wrong.help("where the run runs, not here"));
    }
    if seal.volume.is_none() && nomad.runner.driver != NomadDriver::RawExec {
        let wrong =
            Wrong::new("no volume of the clients is named, so that the identity must be in the image or the chroot");
        let help = "set `volume`, unless the image is only yours to read";
        draft.complain("backends.nomad.seal", Warning, wrong.help(help));
    }
}

/// What becomes part of a URL, or of another name.
fn names(nomad: &Nomad, config: &Config, draft: &mut Draft) {
    for (key, name) in [("namespace", &nomad.namespace), ("job", &nomad.job)] {
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            let wrong = Wrong::new(format!("`{name}` holds other characters than letters, digits, `-` and `_`"));
            draft.complain(&format!("backends.nomad.{key}"), Error, wrong);
        }
    }
    for (name, _) in config.mounts.iter().filter(|(_, mount)| mount.nomad.is_some()) {
        if name.as_str().contains('-') {
            let wrong = Wrong::new(format!("the mount `{name}` cannot be told from two mounts in a job's name"));
            draft.complain(&format!("mounts.{name}"), Error, wrong.help("use a name without `-` for Nomad"));
        }
    }
}
