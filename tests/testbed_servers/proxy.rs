//! Each fault is what it says, seen from a client in front and from the real server behind: Vault, where a version number
//! counts how often a write was done.

use std::time::Duration;

use serde_json::json;

use super::SOON;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::testbed::{Api, Testbed};

/// A key in Vault, seen past the proxy (`direct`) and through it.
struct Counter {
    proxy: FaultProxy,
    direct: Api,
    path: String,
}

impl Counter {
    fn new() -> Self {
        let direct = Testbed::get().vault();
        let proxy = FaultProxy::start(&direct.address);
        let path = format!("/v1/kv/data/{}/counter", Testbed::vault_prefix());
        Self { proxy, direct, path }
    }

    /// Writes once through the proxy; what the client saw, and how often the server wrote.
    fn write(&self, fault: Fault) -> (Result<reqwest::StatusCode, String>, u64) {
        self.proxy.spoil(1, "POST /v1/kv/data/*/counter", fault);
        let seen = self.send(Duration::from_secs(2));
        assert_eq!(self.proxy.fired(), 1);
        (seen, self.written())
    }

    fn written(&self) -> u64 {
        let answer = self.direct.ask("GET", &self.path, None).json();
        answer["data"]["metadata"]["version"].as_u64().unwrap_or(0)
    }

    /// The client reads the body as JSON, as the real ones do.
    fn send(&self, bound: Duration) -> Result<reqwest::StatusCode, String> {
        let client = dispatch::support::http::client(&self.proxy.url(), times(bound), None).unwrap();
        let url = format!("{}{}", self.proxy.url(), self.path);
        let request = client.post(url).header("X-Vault-Token", &self.direct.token);
        let request = request.json(&json!({ "data": { "text": "x".repeat(20_000) } }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let answer = request.send().await.map_err(|error| format!("no answer: {error:?}"))?;
            let status = answer.status();
            if status.is_success() {
                answer.json::<serde_json::Value>().await.map_err(|error| format!("no body: {error:?}"))?;
            }
            Ok(status)
        })
    }
}

fn times(bound: Duration) -> dispatch::support::http::Times {
    dispatch::support::http::Times { connect: bound, request: bound }
}

#[test]
fn what_is_not_spoiled_passes_unchanged_and_is_seen() {
    let counter = Counter::new();
    assert_eq!(counter.send(SOON).unwrap(), 200);
    assert_eq!(counter.written(), 1);
    let through = counter.direct.at(&counter.proxy.url());
    assert_eq!(through.must("GET", &counter.path, None)["data"]["data"]["text"].as_str().unwrap().len(), 20_000);
    counter.proxy.wait_for(1, "GET *counter", SOON);
    assert_eq!(counter.proxy.seen("POST *counter").len(), 1);
    assert_eq!(counter.proxy.fired(), 0);
}

#[test]
fn what_fails_before_is_not_done() {
    for fault in [Fault::DropBefore, Fault::Silence] {
        let (seen, written) = Counter::new().write(fault);
        assert!(seen.as_ref().unwrap_err().starts_with("no answer"), "{fault:?}: {seen:?}");
        assert_eq!(written, 0, "{fault:?}");
    }
    let (seen, written) = Counter::new().write(Fault::Refuse(429));
    assert_eq!((seen.unwrap().as_u16(), written), (429, 0));
}

#[test]
fn what_fails_after_is_done_although_the_client_cannot_know() {
    for fault in [Fault::LoseAnswer, Fault::SilenceAfter, Fault::DelayAnswer(Duration::from_secs(4))] {
        let (seen, written) = Counter::new().write(fault);
        assert!(seen.as_ref().unwrap_err().starts_with("no answer"), "{fault:?}: {seen:?}");
        assert_eq!(written, 1, "{fault:?}");
    }
    let (seen, written) = Counter::new().write(Fault::ErrorAfter);
    assert_eq!((seen.unwrap().as_u16(), written), (500, 1));
}

#[test]
fn an_answer_can_be_cut_short_or_be_something_else() {
    for (fault, word) in [
        (Fault::ResetMidBody, "ConnectionReset"),
        (Fault::Truncate, "IncompleteBody"),
        (Fault::WrongContentType, "expected value"),
    ] {
        let (seen, written) = Counter::new().write(fault);
        let error = seen.unwrap_err();
        assert!(error.starts_with("no body") && error.contains(word), "{fault:?}: {error}");
        assert_eq!(written, 1, "{fault:?}");
    }
}

#[test]
fn a_request_can_arrive_twice_or_late() {
    let (seen, written) = Counter::new().write(Fault::Duplicate);
    assert_eq!((seen.unwrap().as_u16(), written), (200, 2));
    let (seen, written) = Counter::new().write(Fault::DelayBefore(Duration::from_millis(300)));
    assert_eq!((seen.unwrap().as_u16(), written), (200, 1));
}

#[test]
fn a_rule_fires_as_often_as_it_says_and_only_on_what_it_names() {
    let counter = Counter::new();
    counter.proxy.spoil(1, "GET *", Fault::Refuse(503));
    counter.proxy.spoil(2, "POST */counter", Fault::Refuse(500));
    let statuses: Vec<u16> = (0..3).map(|_| counter.send(SOON).unwrap().as_u16()).collect();
    assert_eq!(statuses, [500, 500, 200]);
    counter.proxy.heal();
    let through = counter.direct.at(&counter.proxy.url());
    assert_eq!(through.ask("GET", &counter.path, None).status, 200);
}

#[test]
fn a_stream_comes_through_as_it_is_made() {
    let nomad = Testbed::get().nomad();
    let proxy = FaultProxy::start(&nomad.address);
    let client = dispatch::support::http::client(&proxy.url(), times(SOON), None).unwrap();
    let request =
        client.get(format!("{}/v1/event/stream?topic=Job", proxy.url())).header("X-Nomad-Token", &nomad.token);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let namespace = Testbed::get().namespace();
    runtime.block_on(async {
        let mut stream = request.query(&[("namespace", &namespace.name)]).send().await.unwrap();
        namespace.must("POST", "/v1/jobs", Some(&super::job("seen", "/bin/true", &[])));
        let mut text = String::new();
        while !text.contains("\"seen\"") {
            text += &String::from_utf8_lossy(&stream.chunk().await.unwrap().expect("the stream goes on"));
        }
    });
    assert_eq!(proxy.most_open(), 1);
}
