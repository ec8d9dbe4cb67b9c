//! The client of the dispatcher's unix socket (`support::control` has the protocol).

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::error::{CliError, Kind};
use crate::support::control::{Command, MAX_LINE, Reply, SOCKET, SocketAddress, decode_reply, encode_command};

/// An answer takes no work beyond a journal write; a dispatcher that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the dispatcher that serves `state_dir`, and answers what it says.
///
/// # Errors
/// [`Kind::Unreachable`] where nobody listens, [`Kind::TimedOut`] where nobody answers, the dispatcher's refusal otherwise.
pub async fn ask(state_dir: &Path, command: &Command) -> Result<Value, CliError> {
    let place = state_dir.join(SOCKET);
    let line = match timeout(PATIENCE, exchange(state_dir, command)).await {
        Ok(Ok(line)) => line,
        Ok(Err(error)) => return Err(unreachable(&error).place(place.display())),
        Err(_) => {
            let words = CliError::new(Kind::TimedOut, "the dispatcher does not answer").place(place.display());
            return Err(words.hint("its log says what it is doing"));
        }
    };
    match decode_reply(&line) {
        Ok(Reply::Ok(value)) => Ok(value),
        Ok(Reply::Error(refusal)) => Err(refusal.into()),
        Err(error) => {
            let words = CliError::new(Kind::Failed, "the dispatcher's answer is not understood").caused_by(&error);
            Err(words.place(place.display()).hint("it may be of another version: restart it"))
        }
    }
}

async fn exchange(state_dir: &Path, command: &Command) -> io::Result<Vec<u8>> {
    let address = SocketAddress::of(state_dir)?;
    let mut stream = UnixStream::connect(address.path()).await?;
    stream.write_all(encode_command(command).as_bytes()).await?;
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    BufReader::new(stream.take(limit)).read_until(b'\n', &mut line).await?;
    if line.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
}

fn unreachable(error: &io::Error) -> CliError {
    let words = |text: &str| CliError::new(Kind::Unreachable, text).caused_by(error);
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            words("no dispatcher is running on this state directory")
                .hint("start it with `dispatch run`; `list`, `show` and `logs` work without it")
        }
        io::ErrorKind::PermissionDenied => words("the dispatcher's socket is not yours to use")
            .hint("call this as the user that the dispatcher runs as"),
        io::ErrorKind::UnexpectedEof => words("the dispatcher hung up without an answer").hint("its log says why"),
        _ => words("cannot talk to the dispatcher"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_dispatcher_that_never_answers_is_given_up_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let error = ask(folder.path(), &Command::Ping).await.unwrap_err();
        assert_eq!(error.kind(), Kind::TimedOut);
        drop(listener);
    }

    #[tokio::test]
    async fn an_answer_that_has_no_end_is_cut_off_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        });
        let error = ask(folder.path(), &Command::Ping).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
    }
}
