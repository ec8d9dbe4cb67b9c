//! The protocol of the dispatcher's unix socket, `state_dir/dispatch.sock`: one JSON object a line, one answer a line.
//!
//! `{"v":1,"cmd":"cancel","id":"release-1"}` → `{"ok":…}` or `{"error":{"code":"not_found","message":"…"}}`. The client is
//! `cli::control`, the server stands in `dispatcher`. Whoever may open the socket (the dispatcher's user) may command it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{ActionId, CommitId, InvalidId, RunId};

/// The version that this build speaks.
pub const VERSION: u64 = 1;

/// The socket's name in the state directory.
pub const SOCKET: &str = "dispatch.sock";

/// No line is longer.
pub const MAX_LINE: usize = 64 * 1024;

/// A unix socket's path must fit into 108 bytes with its NUL; some room is left.
const MAX_PATH: usize = 100;

/// What a person named: an action (its latest run) or one run of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// `release-1`
    Action(ActionId),
    /// `release-1@2`
    Run(RunId),
}

impl Target {
    /// The action, whichever of the two was named.
    pub fn action(&self) -> &ActionId {
        match self {
            Self::Action(action) => action,
            Self::Run(run) => run.action(),
        }
    }
}

impl FromStr for Target {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.contains('@') { text.parse().map(Self::Run) } else { text.parse().map(Self::Action) }
    }
}

impl TryFrom<String> for Target {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action(action) => action.fmt(f),
            Self::Run(run) => run.fmt(f),
        }
    }
}

/// What the dispatcher is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Are you there? Answers with pid and version.
    Ping,
    /// What are you doing?
    Status,
    /// Stop a run, or do not begin it.
    Cancel {
        /// Which.
        id: Target,
    },
    /// Run an action again, by a person's word.
    Retry {
        /// Which.
        id: Target,
    },
    /// Take up nothing new, and end when what runs has ended.
    Drain,
    /// Look at the ops repo now.
    Poll,
    /// Go on after the primary branch was rewritten.
    AcceptRewrite {
        /// The new head.
        commit: CommitId,
    },
}

/// Why a command was not carried out; stable, tools may match it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The line is not a command of this protocol.
    BadRequest,
    /// Another version of the protocol.
    UnsupportedVersion,
    /// There is no such action, run or commit.
    NotFound,
    /// It exists, and is not in a state in which this can be done.
    Conflict,
    /// The dispatcher failed.
    Internal,
}

/// A refusal, with words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kind.
    pub code: Code,
    /// The words.
    pub message: String,
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done; the value depends on the command.
    Ok(Value),
    /// Not done.
    Error(Refusal),
}

impl Refusal {
    /// A refusal of that kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The line that asks for `command`, with its newline.
pub fn encode_command(command: &Command) -> String {
    let mut value = serde_json::to_value(command).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("v".to_owned(), VERSION.into());
    }
    format!("{value}\n")
}

/// The command on a line.
///
/// # Errors
/// The refusal to answer with.
pub fn decode_command(line: &[u8]) -> Result<Command, Refusal> {
    let bad = |error: &dyn fmt::Display| Refusal::new(Code::BadRequest, format!("not a command: {error}"));
    let mut value: Value = serde_json::from_slice(line).map_err(|error| bad(&error))?;
    let version = value.as_object_mut().and_then(|object| object.remove("v"));
    match version.as_ref().and_then(Value::as_u64) {
        Some(VERSION) => serde_json::from_value(value).map_err(|error| bad(&error)),
        Some(other) => Err(Refusal::new(
            Code::UnsupportedVersion,
            format!("version {other} of the control protocol is asked for; this dispatcher speaks {VERSION}"),
        )),
        None => Err(bad(&"`v` is missing")),
    }
}

/// The line that answers, with its newline.
pub fn encode_reply(reply: &Reply) -> String {
    format!("{}\n", serde_json::to_value(reply).unwrap_or_default())
}

/// The answer on a line.
///
/// # Errors
/// Where it is none.
pub fn decode_reply(line: &[u8]) -> Result<Reply, serde_json::Error> {
    serde_json::from_slice(line)
}

/// The socket's address: its path, or for a path too long for the kernel a short one through an open folder, which must stay
/// open for as long as the address is used.
#[derive(Debug)]
pub struct SocketAddress {
    path: PathBuf,
    _folder: Option<File>,
}

impl SocketAddress {
    /// The address of the socket in `state_dir`.
    ///
    /// # Errors
    /// The folder cannot be opened.
    pub fn of(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(SOCKET);
        if path.as_os_str().len() <= MAX_PATH {
            return Ok(Self { path, _folder: None });
        }
        let folder = File::open(state_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(SOCKET);
        Ok(Self { path, _folder: Some(folder) })
    }

    /// To bind or connect to.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn the_protocol_reads_as_it_is_documented() {
        let cancel = Command::Cancel { id: "v1.0@2".parse().unwrap() };
        assert_eq!(encode_command(&cancel), "{\"cmd\":\"cancel\",\"id\":\"v1.0@2\",\"v\":1}\n");
        assert_eq!(decode_command(br#"{"v":1,"cmd":"cancel","id":"v1.0@2"}"#), Ok(cancel));
        assert_eq!(encode_reply(&Reply::Ok(Value::Bool(true))), "{\"ok\":true}\n");
        let refused = Reply::Error(Refusal::new(Code::NotFound, "no such action"));
        assert_eq!(encode_reply(&refused), "{\"error\":{\"code\":\"not_found\",\"message\":\"no such action\"}}\n");
        assert_eq!(decode_reply(encode_reply(&refused).as_bytes()).unwrap(), refused);
    }

    #[test]
    fn every_command_survives_the_wire() {
        let id: Target = "a".parse().unwrap();
        let commit = "0".repeat(40).parse().unwrap();
        let all = [
            Command::Ping,
            Command::Status,
            Command::Cancel { id: id.clone() },
            Command::Retry { id },
            Command::Drain,
            Command::Poll,
            Command::AcceptRewrite { commit },
        ];
        for command in all {
            assert_eq!(decode_command(encode_command(&command).as_bytes()), Ok(command));
        }
    }

    #[test]
    fn what_is_not_a_command_is_refused_with_its_kind() {
        for (line, code) in [
            ("", Code::BadRequest),
            ("[]", Code::BadRequest),
            (r#"{"cmd":"ping"}"#, Code::BadRequest),
            (r#"{"v":1,"cmd":"explode"}"#, Code::BadRequest),
            (r#"{"v":1,"cmd":"cancel","id":"../x"}"#, Code::BadRequest),
            (r#"{"v":2,"cmd":"ping"}"#, Code::UnsupportedVersion),
        ] {
            assert_eq!(decode_command(line.as_bytes()).unwrap_err().code, code, "{line}");
        }
    }

    #[test]
    fn a_state_directory_with_a_very_long_path_still_has_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(&deep).unwrap();
        let listener = UnixListener::bind(SocketAddress::of(&deep).unwrap().path()).unwrap();
        let mut client = UnixStream::connect(SocketAddress::of(&deep).unwrap().path()).unwrap();
        client.write_all(b"ping\n").unwrap();
        let mut line = String::new();
        BufReader::new(listener.accept().unwrap().0).read_line(&mut line).unwrap();
        assert_eq!(line, "ping\n");
        assert!(deep.join(SOCKET).exists());
    }
}
