//! `dispatch redact add`, inside a formula: tells the runner of a value that was just minted, and waits until it is redacted.

use std::io::{self, Read, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::redact_socket::{Address, MAX_MESSAGE, OK};

/// The variable that says where the runner listens.
pub const SOCKET_VARIABLE: &str = "DISPATCH_REDACT_SOCKET";

/// The name under which a value is replaced when none is given.
pub const DEFAULT_NAME: &str = "added";

/// Why the value is **not** redacted: the formula must not go on to print it.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The value could not be read.
    #[error("the value cannot be read from standard input")]
    Input(#[source] io::Error),
    /// No runner answers.
    #[error("no runner listens at {}; `dispatch redact add` works only inside a running formula", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The runner would not take it.
    #[error("the runner refused the value: {words}")]
    Refused {
        /// Its words; never the value.
        words: String,
    },
}

/// Reads the value from `input` (never from an argument, which every process can see) and adds it.
///
/// # Errors
/// Whenever the value is not known to be redacted from now on.
pub fn add_from(socket: &Path, name: &str, input: impl Read) -> Result<(), AddError> {
    let mut value = Zeroizing::new(Vec::new());
    input.take(MAX_MESSAGE + 1).read_to_end(&mut value).map_err(AddError::Input)?;
    add(socket, name, &value)
}

/// Adds `value`, to be shown as `[redacted:<name>]`.
///
/// # Errors
/// Whenever the value is not known to be redacted from now on.
pub fn add(socket: &Path, name: &str, value: &[u8]) -> Result<(), AddError> {
    match ask(socket, name, value) {
        Ok(answer) if answer == OK => Ok(()),
        Ok(answer) if answer.is_empty() => Err(AddError::Refused { words: "it ended before it answered".to_owned() }),
        Ok(words) => Err(AddError::Refused { words }),
        Err(source) => Err(AddError::Unreachable { socket: socket.to_owned(), source }),
    }
}

fn ask(socket: &Path, name: &str, value: &[u8]) -> io::Result<String> {
    let address = Address::of(socket)?;
    let mut stream = UnixStream::connect(&address.path)?;
    stream.write_all(name.as_bytes())?;
    stream.write_all(b"\n")?;
    stream.write_all(value)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(MAX_MESSAGE).read_to_string(&mut answer)?;
    Ok(answer)
}
