//! The Nomad client: one function for each call of its HTTP API that is used here, on `reqwest`. It neither retries nor decides
//! anything: who calls it does.
//!
//! `connect` makes the connection (TLS, `unix://`, server name), `token` reads the token, `answer` says what an answer means,
//! `clock` is the servers' own, `tls` why no connection that is trusted comes about, `types` is what answers hold, `jobs`, `runs`, `files`
//! and `variables` are the calls, `stream` the event stream. The backend, the lease and `dispatch jobs` talk to it.

mod answer;
mod clock;
mod connect;
mod files;
mod jobs;
mod runs;
mod stream;
mod tls;
mod token;
pub mod types;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

pub use self::answer::{Call, ClientError, Prospect};
pub use self::connect::ConnectError;
pub use self::files::Chunks;
pub(super) use self::files::Reading;
pub use self::jobs::{Dispatch, Registration};
pub use self::stream::EventStream;
pub use self::tls::Distrust;
pub use self::token::TokenSource;
pub use self::variables::{LockState, LockTimes};

use self::clock::ServerClock;
use self::connect::Connection;

/// How long an ordinary request may take. A server that is frozen is given up after this (its answer, if it ever acts, is looked for
/// afterwards).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may take to show what it has told of; less than a request may take.
const CATCHES_UP: Duration = Duration::from_secs(5);

/// How long a stream or a followed log is kept open at the most; then it is opened again, with a fresh token.
const STREAM_TIMEOUT: Duration = Duration::from_secs(600);

/// Requests at once to one server, streams and followed logs among them. With the connections that the pool keeps for the next request,
/// this stays below ten (the server's own limit is 100 for each client address, and then 429).
pub const AT_ONCE: usize = 7;

/// How many of them those may be that are not urgent. Who waits for one of the others waits for urgent requests alone, and launches
/// and cancellations do not queue up behind a thousand runs that are looked at.
pub const NOT_URGENT: usize = 5;

/// Idle connections that are kept.
const IDLE: usize = 2;

/// Where the server is and who calls it.
#[derive(Debug, Clone, Default)]
pub struct ClientSettings {
    /// `http://…`, `https://…` or `unix:///…`.
    pub address: String,
    /// The token.
    pub token: TokenSource,
    /// The namespace of every call.
    pub namespace: String,
    /// The region; the agent's own where it is not set.
    pub region: Option<String>,
    /// PEM roots that are trusted besides the system's.
    pub ca_cert: Option<PathBuf>,
    /// Our certificate, PEM; together with `client_key`.
    pub client_cert: Option<PathBuf>,
    /// Its key, PEM.
    pub client_key: Option<PathBuf>,
    /// The name that the server's certificate must have; that of the address where it is not set.
    pub tls_server_name: Option<String>,
}

/// A client of one server. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    urgency: Urgency,
}

/// Whether a request waits behind others of its kind before it waits for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    Ordinary,
    Urgent,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    settings: ClientSettings,
    rooms: Rooms,
    clock: ServerClock,
}

/// How many requests there may be at once.
#[derive(Debug)]
struct Rooms {
    all: Arc<Semaphore>,
    not_urgent: Arc<Semaphore>,
}

/// What a request takes up until its answer is read.
#[derive(Debug)]
struct Room {
    _place: OwnedSemaphorePermit,
    _not_urgent: Option<OwnedSemaphorePermit>,
}

impl Rooms {
    async fn take(&self, urgency: Urgency) -> Result<Room, AcquireError> {
        let not_urgent = match urgency {
            Urgency::Ordinary => Some(Arc::clone(&self.not_urgent).acquire_owned().await?),
            Urgency::Urgent => None,
        };
        Ok(Room { _place: Arc::clone(&self.all).acquire_owned().await?, _not_urgent: not_urgent })
    }
}

impl Client {
    /// A client on `settings`. Calls nobody yet.
    ///
    /// # Errors
    /// [`ConnectError`]: an address, certificate or key that cannot be used.
    pub fn new(settings: ClientSettings) -> Result<Self, ConnectError> {
        let connection = Connection::new(&settings)?;
        let rooms = Rooms { all: Arc::new(Semaphore::new(AT_ONCE)), not_urgent: Arc::new(Semaphore::new(NOT_URGENT)) };
        let inner = Arc::new(Inner { connection, settings, rooms, clock: ServerClock::default() });
        Ok(Self { inner, urgency: Urgency::Ordinary })
    }

    /// The same, for requests that do not queue up behind those that are not urgent.
    #[must_use]
    pub fn urgent(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), urgency: Urgency::Urgent }
    }

    /// The namespace of every call.
    pub fn namespace(&self) -> &str {
        &self.inner.settings.namespace
    }

    /// The address, for messages.
    pub fn address(&self) -> &str {
        &self.inner.settings.address
    }

    /// The servers' clock, to the second; `None` before their first answer. What they have noted a time of is compared with this.
    pub fn server_now(&self) -> Option<Timestamp> {
        self.inner.clock.now()
    }

    fn request(&self, method: Method, path: &str) -> Request {
        let settings = &self.inner.settings;
        let mut query = BTreeMap::from([("namespace", settings.namespace.clone())]);
        query.extend(settings.region.clone().map(|region| ("region", region)));
        let url = format!("{}/v1/{path}", self.inner.connection.base);
        Request { builder: self.inner.connection.http.request(method, url), query, timeout: REQUEST_TIMEOUT }
    }

    fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    fn put(&self, path: &str, body: &impl Serialize) -> Request {
        let mut request = self.request(Method::PUT, path);
        request.builder = request.builder.json(body);
        request
    }

    /// Sends, and answers what begins to come within `soon`, with the room that the request takes up as long as it is kept.
    async fn open(&self, call: Call, request: Request, soon: Duration) -> Result<(Response, Room), ClientError> {
        let room = self.inner.rooms.take(self.urgency).await;
        let room = room.map_err(|_| ClientError::NotSent { call, detail: "the client is shut".to_owned() })?;
        let token = self.inner.settings.token.read().map_err(|source| ClientError::Token { call, source })?;
        let mut builder = request.builder.query(&request.query).timeout(request.timeout);
        if let Some(token) = token {
            let mut value = reqwest::header::HeaderValue::from_str(token.expose_secret())
                .map_err(|_| ClientError::NotSent { call, detail: "the token is no text for a header".to_owned() })?;
            value.set_sensitive(true);
            builder = builder.header("X-Nomad-Token", value);
        }
        let Ok(sent) = tokio::time::timeout(soon, builder.send()).await else {
            return Err(ClientError::NoAnswer { call, detail: format!("nothing came within {} s", soon.as_secs()) });
        };
        let sent = sent.map_err(|error| ClientError::of_transport(call, error))?;
        // Nomad answers data alone; a log ends with whatever is no frame, and a proxy's page would be taken for that.
        if sent.status().is_success() && is_page(&sent) {
            return Err(ClientError::NoAnswer { call, detail: "a page for people came in its place".to_owned() });
        }
        if let Some(date) = sent.headers().get(DATE).and_then(|date| date.to_str().ok()) {
            self.inner.clock.note(date);
        }
        Ok((sent, room))
    }

    /// Sends, and answers what begins to come, however long the rest of it takes; the body of a refusal is read.
    async fn accepted(&self, call: Call, request: Request) -> Result<(Response, Room), ClientError> {
        let (response, room) = self.open(call, request, REQUEST_TIMEOUT).await?;
        let status = response.status().as_u16();
        if response.status().is_success() {
            return Ok((response, room));
        }
        let body = response.bytes().await.map_err(|error| ClientError::of_transport(call, error))?;
        answer::judge(call, status, &body)?;
        Err(ClientError::Failed { call, said: status.to_string() })
    }

    /// Sends, and answers what came back whole.
    async fn exchange(&self, call: Call, request: Request) -> Result<Answer, ClientError> {
        let soon = request.timeout;
        let (response, _room) = self.open(call, request, soon).await?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let (index, next) = (header("X-Nomad-Index"), header("X-Nomad-NextToken"));
        let body = response.bytes().await.map_err(|error| ClientError::of_transport(call, error))?;
        answer::judge(call, status, &body)?;
        Ok(Answer { body: body.to_vec(), index: index.and_then(|index| index.parse().ok()).unwrap_or(0), next })
    }

    async fn read<T: DeserializeOwned>(&self, call: Call, request: Request) -> Result<T, ClientError> {
        self.exchange(call, request).await?.json(call)
    }
}

fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
}

/// How recent an answer must be.
///
/// The server's store publishes an event before it commits the change: a read between the two, under load, does not show what the event
/// told of, and no other event comes. So who reads because of an event must say which one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Since {
    /// As recent as the server answers.
    #[default]
    Whenever,
    /// With the change of this index in it.
    Index(u64),
}

/// A request before it is sent.
struct Request {
    builder: RequestBuilder,
    query: BTreeMap<&'static str, String>,
    timeout: Duration,
}

impl Request {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.insert(name, value.into());
        self
    }

    /// The server answers at once when its table has passed the index, and as soon as it does otherwise.
    fn since(self, since: Since) -> Self {
        match since {
            Since::Index(index) if index > 1 => {
                self.with("index", (index - 1).to_string()).with("wait", format!("{}s", CATCHES_UP.as_secs()))
            }
            Since::Index(_) | Since::Whenever => self,
        }
    }

    fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// What came back whole.
struct Answer {
    body: Vec<u8>,
    /// `X-Nomad-Index`; 0 where there is none.
    index: u64,
    /// `X-Nomad-NextToken`: there is another page.
    next: Option<String>,
}

impl Answer {
    fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|source| ClientError::Garbled { call, source })
    }
}
