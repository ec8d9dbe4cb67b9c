//! The client of Vault against a server that answers what the test says: how each trouble is told apart, and that no message
//! about it repeats a token, a secret or a body.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use dispatch::support::http::Times;
use dispatch::vault::error::Effect;
use dispatch::vault::kv::Field;
use dispatch::vault::token::Mint;
use dispatch::vault::{Session, Settings, Token, Trust, Vault, VaultError, Why};
use secrecy::SecretString;

const TOKEN: &str = "hvs.CANARYtokenCANARYtokenCANARY0123456789";
const SECRET: &str = "canary-value-that-nobody-may-see";

/// A server that answers one request after another with `answers`, and tells what it was asked.
struct Stub {
    address: String,
    asked: Receiver<String>,
}

impl Stub {
    fn new(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (tell, asked) = channel();
        thread::spawn(move || {
            for answer in answers {
                let Ok((stream, _)) = listener.accept() else { return };
                serve(stream, &answer, &tell);
            }
        });
        Self { address, asked }
    }

    fn session(&self) -> Session {
        session(std::slice::from_ref(&self.address))
    }
}

fn serve(mut stream: TcpStream, answer: &str, tell: &Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let _ = tell.send(head + &String::from_utf8_lossy(&body));
    let _ = stream.write_all(answer.as_bytes());
}

fn session(addresses: &[String]) -> Session {
    let times = Times { connect: Duration::from_secs(5), request: Duration::from_secs(5) };
    let settings = Settings { addresses, namespace: None, trust: Trust::System(None), times };
    Vault::new(settings).unwrap().session(Token::new(&SecretString::from(TOKEN)).unwrap())
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// All that a message or a log could show of an error.
fn shown(error: &VaultError) -> String {
    let mut text = vec![format!("{error} {error:?} {error:#?}")];
    let mut next = error.source();
    while let Some(source) = next {
        text.push(format!("{source} {source:?}"));
        next = source.source();
    }
    text.join(" ")
}

async fn read(stub: &Stub) -> Result<Field, VaultError> {
    stub.session().read_field("kv/data/x", "value").await
}

#[tokio::test]
async fn no_error_repeats_a_token_a_secret_or_a_body() {
    let echo = format!(r#"{{"errors":["do not like {TOKEN}!"],"data":{{"data":{{"value":"{SECRET}"}}}}}}"#);
    let mut answers: Vec<String> = [202, 301, 400, 403, 404, 405, 413, 429, 474, 500, 501, 503]
        .iter()
        .map(|status| answer(*status, "", &echo))
        .collect();
    answers.extend([
        answer(200, "", &format!("{{\"auth\": \"{SECRET}\"}}")),
        answer(200, "", &format!("{TOKEN} {SECRET}")),
        answer(200, "", &format!("{{\"data\":{{\"data\":\"{SECRET}\"}}}}")),
        answer(307, &format!("Location: http://user:{SECRET}@127.0.0.1:1/{TOKEN}\r\n"), ""),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{TOKEN} {SECRET}"),
        format!("{TOKEN} {SECRET}\r\n\r\n"),
        String::new(),
    ]);
    for answer in answers {
        let stub = Stub::new(vec![answer.clone(), answer.clone(), answer.clone()]);
        let secret = SecretString::from(SECRET);
        let errors = [
            read(&stub).await.err(),
            stub.session().vault().login_jwt("jwt", "dispatcher", &secret).await.err(),
            stub.session().vault().unwrap(&Token::new(&SecretString::from(TOKEN)).unwrap()).await.err(),
        ];
        for error in errors.into_iter().flatten() {
            let text = shown(&error);
            assert!(!text.contains("CANARYtoken") && !text.contains(SECRET), "{answer}: {text}");
        }
    }
}

#[tokio::test]
async fn what_was_sent_to_log_in_is_not_repeated() {
    let stub = Stub::new(vec![answer(400, "", &format!(r#"{{"errors":["bad jwt {SECRET}"]}}"#))]);
    let secret = SecretString::from(SECRET);
    let error = stub.session().vault().login_jwt("jwt", "dispatcher", &secret).await.err().unwrap();
    assert!(shown(&error).contains("bad jwt [redacted]") && !shown(&error).contains(SECRET), "{}", shown(&error));
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait_where_the_server_does() {
    for (headers, wait) in [("Retry-After: 5\r\n", Some(5)), ("", None), ("Retry-After: soon\r\n", None)] {
        let stub = Stub::new(vec![answer(429, headers, r#"{"errors":["rate limit quota exceeded"]}"#)]);
        let error = read(&stub).await.err().unwrap();
        assert_eq!(error.why.retry_after(), wait.map(Duration::from_secs));
        assert!(error.why.may_pass() && error.why.effect() == Effect::None);
    }
}

#[tokio::test]
async fn a_token_follows_a_redirect_to_a_configured_address_and_to_no_other() {
    let value = r#"{"data":{"data":{"value":"v"}}}"#;
    let (thief, leader) = (Stub::new(vec![answer(200, "", value)]), Stub::new(vec![answer(200, "", value)]));
    let to = |stub: &Stub| answer(307, &format!("Location: {}/v1/kv/data/x\r\n", stub.address), "");
    let standby = Stub::new(vec![to(&thief), to(&leader)]);
    let session = session(&[standby.address.clone(), leader.address.clone()]);
    let error = session.read_field("kv/data/x", "value").await.err().unwrap();
    assert!(matches!(&error.why, Why::Redirect { to } if *to == thief.address), "{error:?}");
    assert!(thief.asked.try_recv().is_err(), "nothing was sent to an address that is not configured");
    assert!(matches!(session.read_field("kv/data/x", "value").await, Ok(Field::Text(_))));
    assert!(leader.asked.try_recv().unwrap().contains(TOKEN));
}

#[tokio::test]
async fn a_server_that_is_not_there_did_nothing_and_one_that_breaks_off_may_have() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = session(&[format!("http://{nobody}")]).lookup_self().await.err().unwrap();
    assert!(matches!(error.why, Why::Unreachable(_)) && error.why.effect() == Effect::None, "{error:?}");
    let stub = Stub::new(vec!["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_owned()]);
    let error = read(&stub).await.err().unwrap();
    assert!(matches!(error.why, Why::Lost(_)) && error.why.effect() == Effect::Unknown, "{error:?}");
}

#[tokio::test]
async fn a_mint_asks_for_a_wrapping_and_a_token_in_the_clear_is_no_answer_to_it() {
    let clear = format!(r#"{{"auth":{{"client_token":"{TOKEN}","accessor":"a","lease_duration":1}}}}"#);
    let stub = Stub::new(vec![answer(200, "", &clear)]);
    let policies = BTreeSet::from(["runner-a".to_owned()]);
    let mint = Mint { role: "runner", policies: &policies, ttl_seconds: 600, wrap_seconds: 300, meta: [].into() };
    let error = stub.session().mint_wrapped(&mint).await.err().unwrap();
    assert!(matches!(error.why, Why::Unexpected { .. }) && !shown(&error).contains("CANARY"), "{error:?}");
    let asked = stub.asked.recv().unwrap().to_lowercase();
    assert!(
        asked.starts_with("post /v1/auth/token/create/runner ") && asked.contains("x-vault-wrap-ttl: 300s"),
        "{asked}"
    );
    assert!(asked.contains(r#""policies":["runner-a"]"#) && asked.contains(r#""ttl":"600s""#), "{asked}");
}

#[test]
fn an_address_is_scheme_host_and_port_and_a_password_in_it_is_not_shown() {
    let times = Times { connect: Duration::from_secs(5), request: Duration::from_secs(5) };
    let client = |address: &str| {
        let addresses = [address.to_owned()];
        Vault::new(Settings { addresses: &addresses, namespace: None, trust: Trust::System(None), times })
    };
    for bad in ["", "vault:8200", "ftp://v", "http://v/vault", "http://v?x=1", "http://u:hunter22@v"] {
        let error = client(bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter22"), "{error:?}");
    }
    assert_eq!(client("http://Vault.example:8200/").unwrap().address(), "http://vault.example:8200");
}
