//! `rotate-secret-check.sh`

use std::process::Command;

use crate::sealed::Formula;
use crate::stand_in::{Answer, Server, answer};

const TOKEN: &str = "canary-of-rotation";

fn check(url: &str) -> Formula {
    Formula::new("rotate-secret-check")
        .param("secret", "API_TOKEN")
        .param("url", &format!("{url}/me"))
        .secret("API_TOKEN", TOKEN)
}

fn expiring(at: &str) -> Answer {
    answer(200, "").with("X-Token-Expires", at)
}

/// A date as `date` tells it, so that the test needs no clock of its own.
fn date(when: &str, format: &str) -> String {
    let output = Command::new("date").args(["--utc", "--date", when, format]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_credential_that_works_is_reported_and_sent_in_a_header_only() {
    let server = Server::scripted(vec![answer(200, "")]);
    let formula = check(&server.url);
    formula.run().succeeded(&format!("{}/me accepts API_TOKEN (status 200)", server.url));
    let request = server.requests().remove(0);
    assert_eq!(request.header("authorization"), Some("Bearer canary-of-rotation"));
    formula.assert_command_lines_are_clean(&server);
}

#[test]
fn another_header_scheme_and_status_can_be_expected() {
    let server = Server::scripted(vec![answer(204, "")]);
    let formula = check(&server.url).param("header", "PRIVATE-TOKEN").param("scheme", "").param("expect", "204");
    formula.run().succeeded(&format!("{}/me accepts API_TOKEN (status 204)", server.url));
    assert_eq!(server.requests()[0].header("private-token"), Some(TOKEN));
}

#[test]
fn a_refused_credential_exits_with_1() {
    for status in [401, 403] {
        let server = Server::scripted(vec![answer(status, "")]);
        let ran = check(&server.url).run();
        ran.refused(1, &format!("{}/me refuses API_TOKEN (status {status}): rotate it", server.url));
    }
}

#[test]
fn what_cannot_be_told_exits_with_3() {
    let server = Server::scripted(vec![answer(503, "")]);
    let words = format!("{}/me answered 503, not 200; whether API_TOKEN works is not known", server.url);
    check(&server.url).run().refused(3, &words);
    let ran = check("http://127.0.0.1:9").run();
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.stderr.ends_with("http://127.0.0.1:9/me does not answer; whether API_TOKEN works is not known\n"),
        "{ran:?}"
    );
}

#[test]
fn an_expiry_is_told_in_time() {
    let far = date("+100 days 1 hour", "+%Y-%m-%d %H:%M:%S UTC");
    let far_day = far.split(' ').next().unwrap();
    let near = date("+3 days 1 hour", "+%s");
    let past = "2001-02-03T04:05:06Z";
    let server =
        Server::scripted(vec![expiring(&far), expiring(&near), expiring(past), answer(200, ""), expiring("soon")]);
    let formula = check(&server.url).param("expiry_header", "x-token-expires");
    formula.run().succeeded(&format!("API_TOKEN expires on {far_day}, in 100 days"));
    let day = date(&format!("@{near}"), "+%Y-%m-%d");
    formula.run().refused(10, &format!("API_TOKEN expires on {day}, in 3 days: rotate it"));
    formula.run().refused(1, "API_TOKEN has expired on 2001-02-03: rotate it");
    formula.run().succeeded(&format!("{}/me does not tell when API_TOKEN expires", server.url));
    formula.run().refused(3, &format!("the header x-token-expires of {}/me holds no date", server.url));
}

#[test]
fn the_days_of_warning_can_be_chosen() {
    let server = Server::start(|_| expiring(&date("+3 days 1 hour", "+%s")));
    let formula = check(&server.url).param("expiry_header", "X-Token-Expires");
    assert_eq!(formula.run().code, Some(10));
    assert_eq!(formula.param("warn_days", "3").run().code, Some(0));
}

#[test]
fn a_secret_that_is_not_granted_or_would_go_out_in_the_clear_is_refused() {
    let server = Server::scripted(vec![]);
    let with = |name: &str, value: &str| check(&server.url).param(name, value).run();
    with("secret", "OTHER").refused(2, "the secret OTHER is not granted; name it in the action's secrets");
    with("secret", "x[$(id)]").refused(2, "the parameter secret is not a secret's name");
    with("url", "http://example.com/").refused(2, "the parameter url must begin with https://");
    with("expect", "20").refused(2, "the parameter expect must be an HTTP status");
    with("warn_days", "x").refused(2, "the parameter warn_days must be a number of days");
    assert!(server.requests().is_empty());
}
