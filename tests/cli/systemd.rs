//! What a service manager hears over its socket, and when.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;

use crate::child::BOUND;
use crate::serving::Serving;

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn of(serving: &Serving) -> Self {
        let path = serving.world.path("notify").display().to_string();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        Self { socket, path }
    }

    fn hears(&self) -> String {
        self.word().unwrap()
    }

    fn word(&self) -> io::Result<String> {
        let mut bytes = [0; 512];
        let length = self.socket.recv(&mut bytes)?;
        Ok(String::from_utf8_lossy(bytes.get(..length).unwrap()).trim_end().to_owned())
    }

    /// Everything that was said and not yet heard.
    fn heard(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut all = Vec::new();
        loop {
            match self.word() {
                Ok(word) => all.push(word),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return all,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_service_says_that_it_is_ready_that_it_lives_and_that_it_stops() {
    let serving = Serving::new();
    let manager = Manager::of(&serving);
    let running = serving.start("run", &[("NOTIFY_SOCKET", &manager.path), ("WATCHDOG_USEC", "100000")]);
    assert_eq!(manager.hears(), "READY=1");
    // Whoever hears that may speak to it.
    assert_eq!(serving.status()["running"], true);
    for _ in 0..4 {
        assert_eq!(manager.hears(), "WATCHDOG=1");
    }
    running.signal(Signal::TERM);
    assert_eq!(running.end().status.code(), Some(0));
    let heard = manager.heard();
    let (last, before) = heard.split_last().unwrap();
    assert_eq!(last, "STOPPING=1");
    assert!(before.iter().all(|word| word == "WATCHDOG=1"), "{heard:?}");
}

#[test]
fn without_a_watchdog_nothing_is_said_between_the_start_and_the_end() {
    let serving = Serving::new();
    let manager = Manager::of(&serving);
    let running = serving.start("run", &[("NOTIFY_SOCKET", &manager.path)]);
    assert_eq!(manager.hears(), "READY=1");
    running.signal(Signal::TERM);
    assert_eq!(running.end().status.code(), Some(0));
    assert_eq!(manager.heard(), ["STOPPING=1"]);
}

#[test]
fn a_service_whose_checks_fail_never_says_that_it_is_ready() {
    let serving = Serving::new();
    serving.configure("[secrets]\nallow = ['TOKEN']\nfile = { directory = 'nowhere', identity = 'nobody' }\n");
    let manager = Manager::of(&serving);
    let ended = serving.start("run", &[("NOTIFY_SOCKET", &manager.path), ("WATCHDOG_USEC", "100000")]).end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    assert_eq!(manager.heard(), Vec::<String>::new());
}
