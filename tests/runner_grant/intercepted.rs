//! Somebody else has a hand in the wrapping: the formula does not begin, and the exit code says so.

use dispatch::runner::envelope::{Opens, Wrapped, WrappingToken};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::bed::{Corner, carried, handover};
use crate::runner_support::{Case, Finished};

const TALLY: &str = "echo ran >> ../../tally";

/// Runs a formula that leaves a trace, and asserts that it did not: with this exit code, and these words.
fn stopped(wrapped: Wrapped, code: i32, words: &str) -> Finished {
    let case = Case::new(TALLY).handover(handover(wrapped));
    let finished = case.run();
    assert!(!case.folder().join("tally").exists(), "the formula ran: {}", finished.raw);
    assert_eq!((finished.code, finished.started()), (code, false), "{}", finished.raw);
    assert!(finished.errors()[0].contains(words), "{words}: {:?}", finished.errors());
    finished
}

#[test]
fn a_thief_who_opens_the_wrapping_first_stops_the_run() {
    let corner = Corner::new();
    for names in [&["NPM_TOKEN"][..], &[]] {
        let wrapped = corner.grant(names);
        corner.steal(&wrapped);
        let finished = stopped(wrapped, 67, "somebody else has opened it");
        assert!(!finished.has_status("grant_opened"));
    }
}

#[test]
fn a_thief_who_reads_the_wrapping_through_the_cubbyhole_stops_the_run() {
    let corner = Corner::new();
    let wrapped = corner.grant(&["NPM_TOKEN"]);
    corner.with_token(&wrapped).must("GET", "/v1/cubbyhole/response", None);
    stopped(wrapped, 67, "before its time");
}

#[test]
fn a_wrapping_that_was_wrapped_anew_is_not_the_one_that_was_made() {
    let corner = Corner::new();
    let mut wrapped = corner.grant(&["NPM_TOKEN"]);
    let body = json!({ "token": carried(&wrapped).expose_secret() });
    let again = corner.api.must("POST", "/v1/sys/wrapping/rewrap", Some(&body));
    assert_eq!(again["wrap_info"]["creation_path"], wrapped.creation_path);
    wrapped.token = WrappingToken::Carried(again["wrap_info"]["token"].as_str().unwrap().into());
    stopped(wrapped, 67, "its creation time is another");
}

#[test]
fn another_wrapping_in_its_place_is_known_by_its_path_its_life_or_its_content() {
    let corner = Corner::new();
    let other = corner.grant(&[]);
    let by_path = Wrapped { token: other.token, ..corner.grant(&["NPM_TOKEN"]) };
    stopped(by_path, 67, "its creation path is another");

    let by_life = corner.grant(&["NPM_TOKEN"]);
    stopped(Wrapped { ttl_seconds: 299, ..by_life }, 67, "its time to live is another");

    let by_token = corner.grant(&["NPM_TOKEN"]);
    let Opens::Grant { secrets, .. } = &by_token.opens else { unreachable!() };
    let opens = Opens::Grant { accessor: "a".repeat(24), secrets: secrets.clone() };
    stopped(Wrapped { opens, ..by_token }, 67, "the token of another accessor");

    let by_nonce = corner.grant(&[]);
    stopped(Wrapped { opens: Opens::Nonce("another".to_owned()), ..by_nonce }, 67, "another nonce");

    let not_a_nonce = corner.grant(&["NPM_TOKEN"]);
    stopped(Wrapped { opens: Opens::Nonce("x".to_owned()), ..not_a_nonce }, 67, "a token instead of a nonce");
}

#[test]
fn a_second_copy_of_a_run_stops_before_it_does_anything() {
    let corner = Corner::new();
    for names in [&["NPM_TOKEN"][..], &[]] {
        let case = Case::new("echo ran >> ${HOME%/run/home}/tally").handover(handover(corner.grant(names)));
        let first = case.run();
        assert_eq!((first.code, first.has_status("grant_opened")), (0, true), "{}", first.raw);
        let elsewhere = case.run_elsewhere();
        assert_eq!((elsewhere.code, elsewhere.started()), (67, false), "{}", elsewhere.raw);
        assert!(!case.folder().join("elsewhere/tally").exists());
        assert_eq!(std::fs::read_to_string(case.folder().join("tally")).unwrap(), "ran\n");
    }
}

#[test]
fn a_second_copy_in_the_same_place_stops_at_the_marker_and_leaves_the_wrapping_alone() {
    let corner = Corner::new();
    let wrapped = corner.grant(&["NPM_TOKEN"]);
    let case = Case::new(TALLY).handover(handover(wrapped.clone()));
    std::fs::write(case.fence(), "run deploy-1@2").unwrap();
    assert_eq!(case.run().code, 65);
    assert!(corner.steal(&wrapped)["auth"]["client_token"].is_string(), "it is still unopened");
}

#[test]
fn a_wrapping_that_ran_out_while_the_run_was_queued_has_expired_and_was_not_stolen() {
    let corner = Corner::new();
    for names in [&["NPM_TOKEN"][..], &[]] {
        let wrapped = corner.grant_for(names, 1);
        crate::testbed::eventually("it has run out", std::time::Duration::from_secs(30), || {
            let gone =
                corner.with_token(&wrapped).ask("POST", "/v1/sys/wrapping/lookup", Some(&json!({}))).status != 200;
            gone.then_some(())
        });
        stopped(wrapped, 66, "has expired");
    }
}

#[test]
fn a_grant_that_was_taken_back_before_its_secrets_were_read_stops_the_run() {
    let corner = Corner::new();
    let wrapped = corner.grant(&["NPM_TOKEN"]);
    corner.revoke(crate::bed::accessor(&wrapped));
    let finished = stopped(wrapped, 66, "taken back, or ran out, before secret NPM_TOKEN");
    assert!(finished.has_status("grant_opened"));
}
