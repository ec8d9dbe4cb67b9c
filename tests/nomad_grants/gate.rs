//! Where formulas report that they have begun, and wait until they may end: a listener on loopback, which a process of the host
//! reaches as well as a container on the host's network. It also counts: who never came has not run.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a formula says at its beginning, in bash: `$1` is the action's id. It goes on when the gate is opened.
const KNOCK: &str = "exec 3<>/dev/tcp/127.0.0.1/PORT; echo \"$1\" >&3; read -r _ <&3\n";

#[derive(Default)]
struct Seen {
    waiting: BTreeMap<String, Vec<TcpStream>>,
    knocks: BTreeMap<String, usize>,
}

/// One gate for all formulas of a test.
pub(crate) struct Gate {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self { port: listener.local_addr().unwrap().port(), seen: Arc::default() };
        let seen = Arc::clone(&gate.seen);
        thread::spawn(move || {
            for knocking in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || {
                    let mut id = String::new();
                    if BufReader::new(&knocking).read_line(&mut id).is_ok_and(|length| length > 0) {
                        let id = id.trim().to_owned();
                        let mut all = seen.lock().unwrap();
                        *all.knocks.entry(id.clone()).or_default() += 1;
                        all.waiting.entry(id).or_default().push(knocking);
                    }
                });
            }
        });
        gate
    }

    /// The line of bash with which a formula comes here.
    pub(crate) fn knock(&self) -> String {
        KNOCK.replace("PORT", &self.port.to_string())
    }

    /// Lets the formula of `id` go on, which is here.
    pub(crate) fn open(&self, id: &str) {
        for mut waiting in self.seen.lock().unwrap().waiting.remove(id).into_iter().flatten() {
            // It may have been killed meanwhile.
            let _ = waiting.write_all(b"go\n");
        }
    }

    /// How often a formula has begun for `id`.
    pub(crate) fn executions(&self, id: &str) -> usize {
        self.seen.lock().unwrap().knocks.get(id).copied().unwrap_or(0)
    }
}
