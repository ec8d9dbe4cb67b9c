//! `webhook-call.sh`

use crate::sealed::Formula;
use crate::stand_in::{Server, answer};

const TOKEN: &str = r#"canary"with\odd-letters"#;

fn call(url: &str) -> Formula {
    Formula::new("webhook-call")
        .param("url", &format!("{url}/hook?x=1"))
        .param("first_wait_seconds", "0")
        .secret("WEBHOOK_TOKEN", TOKEN)
}

#[test]
fn it_posts_the_body_with_the_token_in_a_header_and_nowhere_else() {
    let server = Server::scripted(vec![answer(204, "")]);
    let formula = call(&server.url).param("body", r#"{"event": "released — v1"}"#);
    formula.run().succeeded(&format!("POST {}/hook -> 204 (try 1 of 4)", server.url));
    let request = server.requests().remove(0);
    assert_eq!((request.line().as_str(), request.query.as_str()), ("POST /hook", "x=1"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.json(), serde_json::json!({"event": "released — v1"}));
    formula.assert_command_lines_are_clean(&server);
}

#[test]
fn method_header_and_scheme_can_be_chosen_and_the_token_left_out() {
    let server = Server::scripted(vec![answer(200, ""), answer(200, "")]);
    let formula = call(&server.url).param("method", "PUT").param("header", "X-Key").param("scheme", "");
    formula.run().succeeded(&format!("PUT {}/hook -> 200 (try 1 of 4)", server.url));
    let without = Formula::new("webhook-call").param("url", &server.url).param("method", "GET");
    without.run().succeeded(&format!("GET {} -> 200 (try 1 of 4)", server.url));
    let requests = server.requests();
    assert_eq!((requests[0].header("x-key"), requests[0].header("authorization")), (Some(TOKEN), None));
    assert_eq!((requests[1].header("authorization"), requests[1].body.len()), (None, 0));
}

#[test]
fn a_busy_server_is_tried_again_under_the_same_idempotency_key() {
    let server = Server::scripted(vec![answer(503, ""), answer(429, "").with("Retry-After", "0"), answer(200, "")]);
    call(&server.url).run().succeeded(&format!("POST {}/hook -> 200 (try 3 of 4)", server.url));
    let keys: Vec<_> = server.requests().iter().map(|r| r.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys, vec![Some("an-action@1".to_owned()); 3]);
}

#[test]
fn the_tries_are_bounded() {
    let server = Server::start(|_| answer(500, "out of order"));
    let ran = call(&server.url).param("tries", "3").run();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.starts_with("out of order") && ran.stderr.ends_with("/hook answered 500\n"), "{ran:?}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn the_server_says_how_long_to_wait_but_not_without_end() {
    let server =
        Server::scripted(vec![answer(429, "").with("retry-after", "1"), answer(429, "").with("Retry-After", "3600")]);
    let formula = call(&server.url);
    formula.run().refused(1, "the server asks to wait 3600 seconds, longer than the 60 that this waits");
    assert!(formula.calls().contains("\nsleep 1 \n"), "{}", formula.calls());
}

#[test]
fn a_refusal_is_final() {
    let server = Server::scripted(vec![answer(422, "no such event")]);
    let ran = call(&server.url).run();
    assert_eq!((ran.code, server.requests().len()), (Some(1), 1), "{ran:?}");
    assert!(ran.stderr.contains("no such event") && ran.stderr.contains("/hook answered 422"), "{ran:?}");
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Server::scripted(vec![]);
    let server = Server::scripted(vec![answer(307, "").with("location", &other.url)]);
    call(&server.url).run().refused(1, &format!("{}/hook answered 307", server.url));
    assert!(other.requests().is_empty());
}

#[test]
fn a_server_that_is_not_there_is_tried_again_and_then_named() {
    let ran = call("http://127.0.0.1:9").param("tries", "2").run();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.ends_with("-> 000 (try 2 of 2)\n"), "{ran:?}");
    assert!(ran.stderr.contains("no answer from") && ran.stderr.contains("curl's exit code 7"), "{ran:?}");
}

#[test]
fn bad_parameters_are_named_before_anything_is_sent() {
    let server = Server::scripted(vec![]);
    let with = |name: &str, value: &str| call(&server.url).param(name, value).run();
    with("body", "{not json").refused(2, "the parameter body is not one JSON value");
    with("body", "{} {}").refused(2, "the parameter body is not one JSON value");
    with("method", "TRACE").refused(2, "the parameter method must be GET, POST, PUT, PATCH or DELETE");
    with("tries", "11").refused(2, "the parameter tries must be 1 to 10");
    with("header", "X: y").refused(2, "the parameter header is not a header's name");
    with("url", "ftp://example.com").refused(2, "the parameter url must begin with https://");
    with("url", "http://example.com/").refused(2, "the parameter url must begin with https:// to be sent a secret");
    with("url", "http://127.0.0.1.example.com/")
        .refused(2, "the parameter url must begin with https:// to be sent a secret");
    with("url", "https://a:b@example.com/")
        .refused(2, "the parameter url holds a credential; use the secret WEBHOOK_TOKEN");
    let split = call(&server.url).secret("WEBHOOK_TOKEN", "canary\nurl = evil").run();
    split.refused(2, "the secret WEBHOOK_TOKEN holds a control character; a header cannot carry it");
    assert!(server.requests().is_empty());
}
