//! One HTTP question to a server of the testbed, put by curl: it blocks, and shares no code with what is under test.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use serde_json::Value;

/// A server's address, and who is asking.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// `http://127.0.0.1:…`
    pub(crate) address: String,
    /// The caller's token.
    pub(crate) token: String,
    header: String,
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status; 0 when there was none.
    pub(crate) status: u16,
    /// The body.
    pub(crate) text: String,
}

impl Api {
    pub(crate) fn nomad(address: &str, token: &str) -> Self {
        Self { address: address.to_owned(), token: token.to_owned(), header: format!("X-Nomad-Token: {token}") }
    }

    pub(crate) fn vault(address: &str, token: &str) -> Self {
        Self { address: address.to_owned(), token: token.to_owned(), header: format!("X-Vault-Token: {token}") }
    }

    pub(crate) fn forge(address: &str, token: &str) -> Self {
        Self { address: address.to_owned(), token: token.to_owned(), header: format!("Authorization: token {token}") }
    }

    /// With a name and a password instead of a token.
    pub(crate) fn basic(address: &str, name: &str, password: &str) -> Self {
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        Self {
            address: address.to_owned(),
            token: password.to_owned(),
            header: format!("Authorization: Basic {login}"),
        }
    }

    /// The same server through another address, such as a fault proxy's.
    pub(crate) fn at(&self, address: &str) -> Self {
        Self { address: address.to_owned(), ..self.clone() }
    }

    /// Asks, and takes any answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let mut lines = vec![
            format!("url = {}", quoted(&format!("{}{path}", self.address))),
            format!("request = {method}"),
            format!("header = {}", quoted(&self.header)),
            "noproxy = \"*\"\nmax-time = 60\nsilent\nwrite-out = \"\\n%{http_code}\"".to_owned(),
        ];
        if let Some(body) = body {
            lines.push("header = \"Content-Type: application/json\"".to_owned());
            lines.push(format!("data-binary = {}", quoted(&body.to_string())));
        }
        answer(&curl(&lines.join("\n")))
    }

    /// Asks, and panics unless the server agreed.
    pub(crate) fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.ask(method, path, body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
        answer.json()
    }
}

impl Answer {
    /// The body as JSON; null when it is empty or something else.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The question goes in through stdin, so that no token stands in a list of processes.
fn curl(config: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["--disable", "--config", "-"]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("curl");
    child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

fn answer(output: &str) -> Answer {
    let (text, status) = output.rsplit_once('\n').unwrap_or_default();
    Answer { status: status.parse().unwrap_or(0), text: text.to_owned() }
}
