//! An HTTP proxy on loopback in front of one real server, which spoils chosen answers: for tests of what a client does when an
//! answer is lost, late, cut short or wrong, although the server did (or did not do) what it was asked.
//!
//! `wire` reads and writes HTTP/1.1. Every request has a connection of its own to the server; the client's stays open. Bodies of
//! streams are passed on as they come. Threads end with the test.

#[path = "fault_proxy/wire.rs"]
mod wire;

use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use self::wire::{Body, Message};

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not done: the connection is closed without an answer.
    DropBefore,
    /// Not done: no answer comes, until the client gives up.
    Silence,
    /// Not done: an error with this status instead.
    Refuse(u16),
    /// Done, this much after it was asked.
    DelayBefore(Duration),
    /// Done, and answered this much later.
    DelayAnswer(Duration),
    /// Done, and the connection is closed without an answer.
    LoseAnswer,
    /// Done, and no answer comes, until the client gives up.
    SilenceAfter,
    /// Done, and answered with a 500.
    ErrorAfter,
    /// Done; half of the answer, then the connection is reset.
    ResetMidBody,
    /// Done; half of the answer, then the connection is closed in good order.
    Truncate,
    /// Done, unless it only asks, and answered 200 with a page for people, as a proxy on the way would.
    WrongContentType,
    /// Done; what is answered within this time, then the connection is closed without an end. For answers that have none.
    CutAfter(Duration),
    /// Done twice; the second answer.
    Duplicate,
}

impl Fault {
    fn is_only_late(self) -> bool {
        matches!(self, Self::DelayBefore(_) | Self::DelayAnswer(_))
    }
}

/// `METHOD path?query` with `*` for anything, how often it still fires, and what then happens.
#[derive(Debug)]
struct Rule {
    pattern: String,
    left: usize,
    fault: Fault,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    /// `METHOD path?query` of each request.
    seen: Vec<String>,
    fired: usize,
    /// Requests that went wrong by coming late, and have come.
    arrived: usize,
    open: usize,
    most_open: usize,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    news: Condvar,
}

/// Passes everything on until it is told otherwise.
#[derive(Debug)]
pub(crate) struct FaultProxy {
    shared: Arc<Shared>,
    port: u16,
}

impl FaultProxy {
    /// In front of `http://HOST:PORT`.
    pub(crate) fn start(upstream: &str) -> Self {
        let upstream = upstream.strip_prefix("http://").expect("http only").trim_end_matches('/').parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { upstream, state: Mutex::default(), news: Condvar::new() });
        let serving = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = serving.clone();
                thread::spawn(move || shared.connection(&client));
            }
        });
        Self { shared, port }
    }

    /// What to give to a client instead of the server's address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next `times` requests like `pattern` (`"PUT /v1/job/*/dispatch*"`) go wrong so. Earlier rules go first.
    pub(crate) fn spoil(&self, times: usize, pattern: &str, fault: Fault) {
        self.shared.state().rules.push(Rule { pattern: pattern.to_owned(), left: times, fault });
    }

    /// Forgets all rules.
    pub(crate) fn heal(&self) {
        self.shared.state().rules.clear();
    }

    /// How many requests went wrong so far.
    pub(crate) fn fired(&self) -> usize {
        self.shared.state().fired
    }

    /// How many requests that were held up have come to the server, whoever still waited for the answer.
    pub(crate) fn arrived(&self) -> usize {
        self.shared.state().arrived
    }

    /// The requests like `pattern`, in the order of their arrival.
    pub(crate) fn seen(&self, pattern: &str) -> Vec<String> {
        self.shared.state().seen.iter().filter(|line| is_like(pattern, line)).cloned().collect()
    }

    /// Returns when `count` requests like `pattern` have arrived; panics when they have not within the bound.
    pub(crate) fn wait_for(&self, count: usize, pattern: &str, bound: Duration) {
        let enough = |state: &State| state.seen.iter().filter(|line| is_like(pattern, line)).count() >= count;
        let waited = self.shared.news.wait_timeout_while(self.shared.state(), bound, |state| !enough(state)).unwrap();
        assert!(
            !waited.1.timed_out(),
            "not within {bound:?}: {count} requests like {pattern}; seen: {:?}",
            waited.0.seen
        );
    }

    /// The most connections that clients held open at one time.
    pub(crate) fn most_open(&self) -> usize {
        self.shared.state().most_open
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn connection(&self, client: &TcpStream) {
        let open = {
            let mut state = self.state();
            state.open += 1;
            state.most_open = state.most_open.max(state.open);
            client.set_nodelay(true)
        };
        // A connection that breaks is the client's affair, or our own doing.
        let _ = open.and_then(|()| self.requests(client));
        self.state().open -= 1;
    }

    fn requests(&self, mut client: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client);
        while let Some(head) = Message::read_head(&mut reader)? {
            if head.expects_continue() {
                client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let request = head.with_body(&mut reader, Body::of_request)?;
            match self.fault_for(&request.target()) {
                None => self.pass_on(&request, client)?,
                Some(fault) => {
                    self.fail(fault, &request, client)?;
                    if !fault.is_only_late() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn fault_for(&self, target: &str) -> Option<Fault> {
        let mut state = self.state();
        state.seen.push(target.to_owned());
        self.news.notify_all();
        let rule = state.rules.iter_mut().find(|rule| rule.left > 0 && is_like(&rule.pattern, target))?;
        rule.left -= 1;
        let fault = rule.fault;
        state.fired += 1;
        Some(fault)
    }

    /// A request that went wrong, other than by coming late, is the last on its connection.
    fn fail(&self, fault: Fault, request: &Message, mut client: &TcpStream) -> io::Result<()> {
        match fault {
            Fault::DropBefore => Ok(()),
            Fault::Silence => wire::until_closed(client),
            Fault::Refuse(status) => client.write_all(&wire::error(status)),
            Fault::DelayBefore(time) => {
                thread::sleep(time);
                let passed = self.pass_on(request, client);
                self.state().arrived += 1;
                passed
            }
            Fault::DelayAnswer(time) => {
                let answer = self.whole_answer(request)?;
                thread::sleep(time);
                client.write_all(&answer.bytes())
            }
            Fault::LoseAnswer => self.whole_answer(request).map(drop),
            Fault::SilenceAfter => {
                self.whole_answer(request)?;
                wire::until_closed(client)
            }
            Fault::ErrorAfter => {
                self.whole_answer(request)?;
                client.write_all(&wire::error(500))
            }
            Fault::ResetMidBody => {
                client.write_all(&self.whole_answer(request)?.half())?;
                wire::reset_on_close(client)
            }
            Fault::Truncate => client.write_all(&self.whole_answer(request)?.half()),
            Fault::WrongContentType => {
                if request.method() != "GET" {
                    self.whole_answer(request)?;
                }
                client.write_all(&wire::page())
            }
            Fault::CutAfter(time) => {
                let mut server = self.ask(request)?;
                let socket = server.get_ref().try_clone()?;
                thread::spawn(move || {
                    thread::sleep(time);
                    socket.shutdown(std::net::Shutdown::Both)
                });
                Message::read_answer_head(&mut server)?.stream_body(&mut server, client, false)
            }
            Fault::Duplicate => {
                self.whole_answer(request)?;
                self.pass_on(request, client)
            }
        }
    }

    fn ask(&self, request: &Message) -> io::Result<BufReader<TcpStream>> {
        let mut server = TcpStream::connect(self.upstream)?;
        server.write_all(&request.for_one_connection())?;
        Ok(BufReader::new(server))
    }

    fn pass_on(&self, request: &Message, client: &TcpStream) -> io::Result<()> {
        let mut server = self.ask(request)?;
        let head = Message::read_answer_head(&mut server)?;
        head.stream_body(&mut server, client, request.method() == "HEAD")
    }

    fn whole_answer(&self, request: &Message) -> io::Result<Message> {
        let mut server = self.ask(request)?;
        let head = Message::read_answer_head(&mut server)?;
        head.with_body(&mut server, |head| Body::of_answer(head, request.method() == "HEAD"))
    }
}

/// `*` stands for anything, also for nothing.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}
