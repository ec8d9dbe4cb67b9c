//! The endpoint over real HTTP: what wakes, what is refused, and that nobody can hold it up.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use reqwest::StatusCode;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::support::ids::hex;

const SECRET: &str = "the forge's and ours";

/// Nothing that is waited for here takes a tenth of it.
const BOUND: Duration = Duration::from_secs(60);

struct Endpoint {
    address: SocketAddr,
    wakeup: Arc<Wakeup>,
    secret: tempfile::NamedTempFile,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    async fn open() -> Self {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), format!("{SECRET}\n")).unwrap();
        let config =
            Webhook { listen: "127.0.0.1:0".to_owned(), secret_file: Some(secret.path().to_owned()), secret_env: None };
        let bound = Bound::bind(&config).await.unwrap();
        let (address, wakeup, stop) = (bound.gate.address().unwrap(), bound.wakeup(), watch::Sender::new(false));
        let serving = tokio::spawn(bound.serve(stop.subscribe()));
        Self { address, wakeup, secret, stop, serving }
    }

    async fn deliver(&self, body: &str, id: &str, header: &str, signature: &str) -> StatusCode {
        let url = format!("http://{}/webhook", self.address);
        let times = crate::support::http::Times { connect: BOUND, request: BOUND };
        let request = crate::support::http::client(&url, times, None).unwrap().post(url).body(body.to_owned());
        let request = request.header("x-gitea-delivery", id).header(header, signature);
        request.send().await.unwrap().status()
    }

    async fn signed(&self, body: &str, id: &str) -> StatusCode {
        self.deliver(body, id, "x-gitea-signature", &code(SECRET, body)).await
    }

    /// Whether somebody was heard since this was asked last.
    async fn woken(&self) -> bool {
        timeout(Duration::ZERO, self.wakeup.rung.notified()).await.is_ok()
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let url = format!("http://{}{path}", self.address);
        let times = crate::support::http::Times { connect: BOUND, request: BOUND };
        let answer = crate::support::http::client(&url, times, None).unwrap().get(url).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

fn code(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    hex(&mac.finalize().into_bytes())
}

#[tokio::test]
async fn a_delivery_with_the_right_signature_wakes_in_each_of_the_three_headers() {
    let endpoint = Endpoint::open().await;
    for (number, header) in ["x-gitea-signature", "x-forgejo-signature", "x-hub-signature-256"].iter().enumerate() {
        let body = format!("delivery {number}");
        let prefix = if header.starts_with("x-hub") { "sha256=" } else { "" };
        let signature = format!("{prefix}{}", code(SECRET, &body));
        assert_eq!(endpoint.deliver(&body, &body, header, &signature).await, StatusCode::ACCEPTED, "{header}");
        assert!(endpoint.woken().await, "{header}");
    }
}

#[tokio::test]
async fn a_wrong_a_missing_and_another_bodys_signature_wake_nobody() {
    let endpoint = Endpoint::open().await;
    for (header, signature) in [
        ("x-gitea-signature", code("guessed", "body")),
        ("x-gitea-signature", code(SECRET, "another body")),
        ("x-gitea-signature", "00".repeat(32)),
        ("x-gitea-signature", String::new()),
        ("x-other", code(SECRET, "body")),
    ] {
        assert_eq!(endpoint.deliver("body", "1", header, &signature).await, StatusCode::UNAUTHORIZED, "{signature}");
    }
    assert!(!endpoint.woken().await);
    assert_eq!(endpoint.signed("body", "1").await, StatusCode::ACCEPTED, "a refused id is not used up");
}

#[tokio::test]
async fn a_delivery_that_is_replayed_wakes_once() {
    let endpoint = Endpoint::open().await;
    assert_eq!(endpoint.signed("body", "1").await, StatusCode::ACCEPTED);
    assert!(endpoint.woken().await);
    assert_eq!(endpoint.signed("body", "1").await, StatusCode::OK);
    assert_eq!(endpoint.signed("body", "another id").await, StatusCode::OK);
    assert!(!endpoint.woken().await);
}

#[tokio::test]
async fn a_flood_of_guesses_is_not_even_read_after_a_while() {
    let endpoint = Endpoint::open().await;
    let mut answers = Vec::new();
    for number in 0..40 {
        answers.push(endpoint.deliver("body", &number.to_string(), "x-gitea-signature", &"00".repeat(32)).await);
    }
    assert_eq!(answers.first(), Some(&StatusCode::UNAUTHORIZED));
    assert_eq!(answers.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
    assert!(!endpoint.woken().await);
    assert_eq!(endpoint.get("/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_however_it_is_signed() {
    let endpoint = Endpoint::open().await;
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    let signature = code(SECRET, "body");
    let head = format!(
        "POST /webhook HTTP/1.1\r\nHost: x\r\nX-Gitea-Signature: {signature}\r\nContent-Length: 1048577\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(BOUND, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413", "before a byte of it was read");
    assert!(!endpoint.woken().await);
}

#[tokio::test]
async fn the_secret_is_read_anew_so_that_a_changed_one_counts_at_once() {
    let endpoint = Endpoint::open().await;
    std::fs::write(endpoint.secret.path(), "changed").unwrap();
    assert_eq!(endpoint.signed("body", "1").await, StatusCode::UNAUTHORIZED);
    let signature = code("changed", "body");
    assert_eq!(endpoint.deliver("body", "1", "x-gitea-signature", &signature).await, StatusCode::ACCEPTED);
    std::fs::write(endpoint.secret.path(), "").unwrap();
    let signature = code("", "body 2");
    let answer = endpoint.deliver("body 2", "2", "x-gitea-signature", &signature).await;
    assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE, "an empty one is none: the file is being written");
}

#[tokio::test]
async fn clients_that_never_finish_hold_nobody_up_for_long() {
    let endpoint = Endpoint::open().await;
    let mut slow = Vec::new();
    for _ in 0..80 {
        let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
        stream.write_all(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(timeout(BOUND, endpoint.signed("body", "1")).await.unwrap(), StatusCode::ACCEPTED);
    let mut rest = Vec::new();
    timeout(BOUND, slow.remove(0).read_to_end(&mut rest)).await.unwrap().unwrap_or_default();
}

#[tokio::test]
async fn it_lives_before_there_is_a_dispatcher_and_is_not_ready_then() {
    let endpoint = Endpoint::open().await;
    assert_eq!(endpoint.get("/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    let (status, words) = endpoint.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(words, "{\"ready\":false,\"missing\":[\"dispatcher: it is starting\"]}\n");
}

#[tokio::test]
async fn it_stops_though_a_client_never_finishes() {
    let endpoint = Endpoint::open().await;
    let mut slow = TcpStream::connect(endpoint.address).await.unwrap();
    slow.write_all(b"POST /webhook HTTP/1.1\r\n").await.unwrap();
    assert_eq!(endpoint.get("/healthz").await.0, StatusCode::OK);
    endpoint.stop.send_replace(true);
    timeout(BOUND, endpoint.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let endpoint = Endpoint::open().await;
    let config = Webhook { listen: endpoint.address.to_string(), secret_file: None, secret_env: None };
    let error = Bound::bind(&config).await.unwrap_err();
    assert_eq!(error.to_string(), format!("listening on {} (`webhook.listen`)", endpoint.address));
}

#[tokio::test(start_paused = true)]
async fn many_deliveries_cause_few_looks_and_the_last_one_is_never_lost() {
    let config = Webhook { listen: String::new(), secret_file: None, secret_env: None };
    let (wakeup, looks) = (Wakeup::new(config), Cell::new(0));
    let flood = async {
        for _ in 0..1_000 {
            wakeup.rung.notify_one();
            sleep(Duration::from_millis(1)).await;
        }
        let before = looks.get();
        wakeup.rung.notify_one();
        sleep(PACE * 2).await;
        (before, looks.get())
    };
    let (before, after) = tokio::select! {
        counted = flood => counted,
        () = wakeup.pass_on(|| looks.set(looks.get() + 1)) => unreachable!(),
    };
    assert!((2..=5).contains(&before), "{before} looks in one second");
    assert_eq!(after, before + 1);
}
