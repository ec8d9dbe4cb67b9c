//! A git server over HTTP or HTTPS for tests: `git http-backend` as CGI behind a small server on 127.0.0.1, with faults on demand.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What goes wrong with the next requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// A push is carried out, and then the connection is dropped without an answer.
    DropAnswerOfPush,
    /// Every answer is 500.
    Error500,
    /// Nothing is ever answered.
    Silence,
    /// The server knows only the oldest version of the protocol.
    OldProtocol,
    /// Every answer sends the client to `/evil`.
    Redirect,
}

/// What the server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// `METHOD path` of each request.
    pub(crate) requests: Vec<String>,
    /// Connections accepted.
    pub(crate) connections: usize,
    /// The names that logged in.
    pub(crate) users: Vec<String>,
}

/// A CA of the test's own in a folder, with a certificate for 127.0.0.1 that it has signed.
pub(crate) struct Authority(PathBuf);

impl Authority {
    /// Makes one in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        std::fs::create_dir(folder).unwrap();
        let openssl = |line: &str| {
            let output = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let key = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        openssl(&format!("req {key} -keyout ca.key -out ca.pem -subj /CN=authority"));
        openssl(&format!(
            "req {key} -keyout server.key -out server.pem -subj /CN=server -CA ca.pem -CAkey ca.key \
             -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
        ));
        Self(folder.to_owned())
    }

    /// The file by which the server is believed.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    fn server(&self) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(self.0.join("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.0.join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
    }
}

struct Shared {
    root: PathBuf,
    fault: Mutex<Fault>,
    /// Name and password that every request must bring.
    login: Mutex<Option<(String, String)>>,
    seen: Mutex<Seen>,
}

/// A running server; its threads end with the test.
pub(crate) struct GitHttp {
    shared: Arc<Shared>,
    port: u16,
    scheme: &'static str,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl GitHttp {
    /// Serves the bare repositories in `root`, to anybody.
    pub(crate) fn start(root: &Path) -> Self {
        Self::serve(root, None)
    }

    /// The same over HTTPS, with the certificate of `authority`.
    pub(crate) fn start_tls(root: &Path, authority: &Authority) -> Self {
        Self::serve(root, Some(authority.server()))
    }

    fn serve(root: &Path, tls: Option<Arc<ServerConfig>>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (fault, login) = (Mutex::new(Fault::None), Mutex::default());
        let shared = Arc::new(Shared { root: root.to_owned(), fault, login, seen: Mutex::default() });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serving.seen.lock().unwrap().connections += 1;
                let (shared, tls) = (serving.clone(), tls.clone());
                thread::spawn(move || match tls {
                    None => shared.connection(stream),
                    Some(config) => {
                        shared.connection(StreamOwned::new(ServerConnection::new(config).unwrap(), stream));
                    }
                });
            }
        });
        Self { shared, port, scheme }
    }

    pub(crate) fn url(&self, repository: &str) -> String {
        format!("{}://127.0.0.1:{}/{repository}", self.scheme, self.port)
    }

    pub(crate) fn require_login(&self, name: &str, password: &str) {
        *self.shared.login.lock().unwrap() = Some((name.to_owned(), password.to_owned()));
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    pub(crate) fn seen(&self) -> Seen {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

impl Shared {
    fn connection(&self, stream: impl Read + Write) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader) {
            let line = format!("{} {}", request.method, request.path);
            self.seen.lock().unwrap().requests.push(line);
            let Some(answer) = self.answer(&request) else { return };
            let writer = reader.get_mut();
            if writer.write_all(&answer).and_then(|()| writer.flush()).is_err() {
                return;
            }
        }
    }

    /// `None`: the connection is dropped.
    fn answer(&self, request: &Request) -> Option<Vec<u8>> {
        let fault = *self.fault.lock().unwrap();
        match fault {
            Fault::Error500 => return Some(answer("500 Oops", "", b"broken")),
            Fault::Redirect => {
                return Some(answer("301 Moved", "Location: /evil/info/refs?service=git-upload-pack\r\n", b""));
            }
            Fault::Silence => loop {
                thread::park();
            },
            Fault::None | Fault::DropAnswerOfPush | Fault::OldProtocol => {}
        }
        if !self.is_welcome(request) {
            return Some(answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"git\"\r\n", b"who are you?"));
        }
        let output = self.backend(request, fault == Fault::OldProtocol);
        let push = request.method == "POST" && request.path.ends_with("git-receive-pack");
        if push && fault == Fault::DropAnswerOfPush { None } else { Some(from_cgi(&output)) }
    }

    fn is_welcome(&self, request: &Request) -> bool {
        let Some((name, password)) = self.login.lock().unwrap().clone() else { return true };
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        let welcome = request.headers.get("authorization") == Some(&format!("Basic {encoded}"));
        if welcome {
            self.seen.lock().unwrap().users.push(name);
        }
        welcome
    }

    fn backend(&self, request: &Request, old: bool) -> Vec<u8> {
        let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
        let mut command = Command::new("git");
        command
            .arg("http-backend")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", &self.root)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", &request.path)
            .env("QUERY_STRING", &request.query)
            .env("REQUEST_METHOD", &request.method)
            .env("CONTENT_TYPE", header("content-type"))
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .env("REMOTE_USER", "tester");
        if !old && request.headers.contains_key("git-protocol") {
            command.env("GIT_PROTOCOL", header("git-protocol"));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("git http-backend");
        let mut stdin = child.stdin.take().unwrap();
        let body = request.body.clone();
        let feeder = thread::spawn(move || {
            let _ = stdin.write_all(&body);
        });
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        output.stdout
    }
}

fn read_request(reader: &mut BufReader<impl Read + Write>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    if headers.get("expect").is_some_and(|value| value == "100-continue") {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let body = if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        read_chunks(reader)?
    } else {
        let mut body = vec![0; headers.get("content-length").map_or(0, |n| n.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        body
    };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

fn read_chunks(reader: &mut BufReader<impl Read>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn from_cgi(output: &[u8]) -> Vec<u8> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(output.len().saturating_sub(4));
    let headers = String::from_utf8_lossy(&output[..end]).into_owned();
    let (status, others): (Vec<&str>, Vec<&str>) = headers.lines().partition(|line| line.starts_with("Status: "));
    let status = status.first().map_or("200 OK", |line| &line["Status: ".len()..]);
    let others = others.join("\r\n") + "\r\n";
    answer(status, &others, output.get(end + 4..).unwrap_or_default())
}
