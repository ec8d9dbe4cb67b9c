//! The environment of every git process: cleared, then only what is named here; pure.
//!
//! The user's and the system's git configuration are not read: an alias, hook, credential helper or `insteadOf` in them would
//! change what the dispatcher does. Settings go through `GIT_CONFIG_*` variables and never through the command line, where
//! every user of the host could read them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::remote::{Remote, Transport};
use crate::config::types::Ops;

/// Variables for a child process.
pub(super) type Variables = Vec<(OsString, OsString)>;

/// Names the file of CA certificates that git believes a server by.
pub(super) const CA_FILE: &str = "GIT_SSL_CAINFO";

/// Passed through for HTTP: the way out of a closed network, and whom to believe there.
const WEB: [&str; 14] = [
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    CA_FILE,
    "GIT_SSL_CAPATH",
    "GIT_PROXY_SSL_CAINFO",
    "HTTP_PROXY",
];

/// Passed through for SSH: the user's agent, and the home in which git and ssh look for the user's keys.
const SSH: [&str; 4] = ["SSH_AUTH_SOCK", "HOME", "USER", "LOGNAME"];

/// Where programs are looked for when the dispatcher's own environment does not say.
pub(super) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A setting of git.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    key: String,
    value: SecretString,
}

impl Setting {
    /// A setting; the value is kept from being printed, since it may be a login.
    pub(super) fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: SecretString::from(value.into()) }
    }
}

/// What every git process gets. `inherited` reads the dispatcher's own environment.
pub(super) fn base(home: &Path, inherited: &dyn Fn(&str) -> Option<OsString>) -> Variables {
    let path = inherited("PATH").unwrap_or_else(|| PATH.into());
    let fixed = [
        ("LC_ALL", "C"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_ALLOW_PROTOCOL", ""),
    ];
    let mut variables: Variables = fixed.iter().map(|(name, value)| (name.into(), value.into())).collect();
    variables.push(("PATH".into(), path));
    variables.push(("HOME".into(), home.into()));
    variables.push(("TMPDIR".into(), home.into()));
    variables
}

/// What a process that talks to `remote` gets besides.
pub(super) fn network(remote: &Remote, ops: &Ops, inherited: &dyn Fn(&str) -> Option<OsString>) -> Variables {
    let mut variables: Variables = vec![("GIT_ALLOW_PROTOCOL".into(), remote.transport().protocol().into())];
    let names: &[&str] = match remote.transport() {
        Transport::Local(_) => &[],
        Transport::Ssh => &SSH,
        Transport::Http | Transport::Https => &WEB,
    };
    variables.extend(names.iter().filter_map(|name| Some(((*name).into(), inherited(name)?))));
    if let (Transport::Https, Some(file)) = (remote.transport(), &ops.ca_file) {
        variables.retain(|(name, _)| name != CA_FILE);
        variables.push((CA_FILE.into(), file.into()));
    }
    if *remote.transport() == Transport::Ssh {
        variables.push(("GIT_SSH_COMMAND".into(), ssh_command(ops)));
        variables.push(("GIT_SSH_VARIANT".into(), "ssh".into()));
    }
    variables
}

/// ssh never asks: with `BatchMode` an unknown host key is an error unless the user's own ssh configuration accepts it.
fn ssh_command(ops: &Ops) -> OsString {
    let mut command = OsString::from("ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15");
    if let Some(file) = &ops.ssh_known_hosts {
        command.push(" -oStrictHostKeyChecking=yes -oGlobalKnownHostsFile=/dev/null -oUserKnownHostsFile=");
        command.push(quoted(&listed(file.as_os_str())));
    }
    if let Some(key) = &ops.ssh_key {
        command.push(" -oIdentitiesOnly=yes -i ");
        command.push(quoted(&plain(key.as_os_str())));
    }
    command
}

/// ssh expands `%h` and the like in names of files.
fn plain(path: &OsStr) -> Vec<u8> {
    path.as_bytes().iter().flat_map(|byte| if *byte == b'%' { vec![b'%', b'%'] } else { vec![*byte] }).collect()
}

/// One name where ssh takes a list of them.
fn listed(path: &OsStr) -> Vec<u8> {
    [b"\"", &plain(path)[..], b"\""].concat()
}

/// For the shell that git hands `GIT_SSH_COMMAND` to.
fn quoted(text: &[u8]) -> OsString {
    let mut bytes = vec![b'\''];
    for byte in text {
        match byte {
            b'\'' => bytes.extend_from_slice(b"'\\''"),
            other => bytes.push(*other),
        }
    }
    bytes.push(b'\'');
    OsString::from_vec(bytes)
}

/// Settings that hold for every process.
///
/// Fetched objects are checked as git checks them for a careful server (a tree with two entries of one name could show an
/// approver one file and run another), but for flaws of form in old commits, which only old tools made and which harm nobody.
pub(super) fn settings() -> Vec<Setting> {
    let flaws = [
        "missingSpaceBeforeDate",
        "zeroPaddedDate",
        "badDate",
        "badDateOverflow",
        "badTimezone",
        "badEmail",
        "missingEmail",
        "missingNameBeforeEmail",
    ];
    let flaws = flaws.iter().map(|flaw| Setting::new(format!("fetch.fsck.{flaw}"), "ignore"));
    let fixed = [
        ("core.hooksPath", "/dev/null"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        ("credential.helper", ""),
        ("core.askPass", ""),
        ("fetch.fsckObjects", "true"),
        ("http.followRedirects", "false"),
        ("http.lowSpeedLimit", "1"),
        ("http.lowSpeedTime", "60"),
        ("push.gpgSign", "false"),
    ];
    fixed.iter().map(|(key, value)| Setting::new(*key, *value)).chain(flaws).collect()
}

/// Settings as variables.
pub(super) fn as_variables(settings: &[Setting]) -> Variables {
    let mut variables: Variables = vec![("GIT_CONFIG_COUNT".into(), settings.len().to_string().into())];
    for (n, setting) in settings.iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{n}").into(), setting.key.as_str().into()));
        variables.push((format!("GIT_CONFIG_VALUE_{n}").into(), setting.value.expose_secret().into()));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops(remote: &str) -> Ops {
        serde_json::from_value(serde_json::json!({ "remote": remote })).unwrap()
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands in for a look-up that may find nothing")]
    fn everything(name: &str) -> Option<OsString> {
        Some(OsString::from(format!("my {name}")))
    }

    fn names(address: &str) -> Vec<String> {
        let remote = Remote::parse(address).unwrap();
        network(&remote, &ops(address), &everything).into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
    }

    #[test]
    fn only_an_ssh_remote_sees_the_users_home_and_agent() {
        assert!(names("git@host:x").contains(&"SSH_AUTH_SOCK".to_owned()));
        for other in ["https://host/x", "/srv/x"] {
            assert!(!names(other).iter().any(|n| n == "SSH_AUTH_SOCK" || n == "HOME"), "{other}");
        }
    }

    #[test]
    fn only_the_configured_transport_is_allowed() {
        let remote = Remote::parse("https://host/x").unwrap();
        let variables = network(&remote, &ops("https://host/x"), &|_| None);
        assert_eq!(variables, vec![("GIT_ALLOW_PROTOCOL".into(), "https".into())]);
    }

    #[test]
    fn a_key_file_with_a_quote_in_its_name_stays_one_word() {
        let ops = Ops { ssh_key: Some("/k/it's mine".into()), ..ops("git@h:x") };
        assert!(ssh_command(&ops).to_str().unwrap().ends_with(r"-i '/k/it'\''s mine'"));
    }

    #[test]
    fn a_list_of_host_keys_with_a_blank_or_a_percent_in_its_name_stays_one_file() {
        let ops = Ops { ssh_known_hosts: Some("/k/known hosts 100%".into()), ..ops("git@h:x") };
        assert!(ssh_command(&ops).to_str().unwrap().ends_with(r#"UserKnownHostsFile='"/k/known hosts 100%%"'"#));
    }

    #[test]
    fn a_setting_does_not_print_its_value() {
        assert!(!format!("{:?}", Setting::new("http.extraHeader", "Basic s3cr3t")).contains("s3cr3t"));
    }
}
