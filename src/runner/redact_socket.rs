//! Takes the values that the formula mints while it runs (`dispatch redact add`), over a unix socket in the run's directory.
//!
//! One connection, one value: the client sends a name, a newline and the value, and closes its side; the answer is `ok`, or words
//! that say why not. It comes after the value is known to every stream, so the formula may print at once.

use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::redact::Registry;

/// The answer to a value that was taken.
pub(super) const OK: &str = "ok";

/// A name and a value together.
pub(super) const MAX_MESSAGE: u64 = 128 * 1024;

/// A client that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest path that fits a socket's address, with room to spare.
const MAX_ADDRESS: usize = 100;

/// Binds the socket and starts the thread that serves it until `over`'s other end is closed.
///
/// # Errors
/// When the socket cannot be bound or the thread not be started.
pub fn start(path: &Path, registry: Arc<Registry>, over: Arc<PipeReader>) -> io::Result<JoinHandle<()>> {
    let address = Address::of(path)?;
    let listener = UnixListener::bind(&address.path)?;
    Builder::new().name("redact".to_owned()).spawn(move || serve(&listener, &registry, &over))
}

fn serve(listener: &UnixListener, registry: &Registry, over: &PipeReader) {
    loop {
        let mut sources = [
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(over.as_fd(), PollFlags::IN),
        ];
        match poll(&mut sources, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if sources.last().is_some_and(|source| !source.revents().is_empty()) => return,
            Ok(_) => {}
        }
        if let Ok((mut client, _)) = listener.accept() {
            let answer = receive(&mut client, registry).map_or_else(|words| words, |()| OK.to_owned());
            // A client that did not wait for its answer has lost only that.
            let _ = client.write_all(answer.as_bytes());
        }
    }
}

fn receive(client: &mut UnixStream, registry: &Registry) -> Result<(), String> {
    let failed = |error: io::Error| format!("the runner could not read the value: {error}");
    client.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut message = Zeroizing::new(Vec::new());
    client.take(MAX_MESSAGE + 1).read_to_end(&mut message).map_err(failed)?;
    if message.len() as u64 > MAX_MESSAGE {
        return Err(format!("name and value together are larger than {MAX_MESSAGE} bytes"));
    }
    let text = std::str::from_utf8(&message).map_err(|_| "the value is not UTF-8".to_owned())?;
    let (name, value) = text.split_once('\n').ok_or("there is no name before the value")?;
    if !is_label(name) {
        return Err("the name must be 1 to 64 of A-Z a-z 0-9 _ - .".to_owned());
    }
    registry.add(name, SecretString::from(value)).map_err(|error| crate::support::chain::words(&error))
}

fn is_label(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// A path by which a socket can be bound or reached even where its own is too long for a socket's address: then through its
/// folder, held open.
pub(super) struct Address {
    /// The path to use, for as long as this lives.
    pub(super) path: PathBuf,
    _folder: Option<File>,
}

impl Address {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= MAX_ADDRESS {
            return Ok(Self { path: path.to_owned(), _folder: None });
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        let through = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(Self { path: through, _folder: Some(folder) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::redact_client::{AddError, add};
    use super::*;

    #[test]
    fn a_value_is_known_once_it_is_acknowledged_even_under_a_long_path() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let registry = Arc::new(Registry::new(Vec::new()).unwrap());
        let (over, end) = io::pipe().unwrap();
        let socket = deep.join("s");
        let server = start(&socket, Arc::clone(&registry), Arc::new(over)).unwrap();
        let before = registry.patterns();
        add(&socket, "MINTED", b"minted-value\n").unwrap();
        assert!(!Arc::ptr_eq(&before, &registry.patterns()));
        for (name, value, words) in [
            ("A", &b"tiny"[..], "shorter than 6 characters"),
            ("a b", b"long enough", "the name must be"),
            ("A", b"\xff\xfe", "not UTF-8"),
        ] {
            let Err(AddError::Refused { words: found }) = add(&socket, name, value) else { panic!("{words}") };
            assert!(found.contains(words), "{found}");
        }
        drop(end);
        server.join().unwrap();
    }
}
