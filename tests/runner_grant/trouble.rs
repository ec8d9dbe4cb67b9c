//! Vault cannot serve, or its answers are lost: nothing runs without its secrets, and nothing is asked for twice.

use std::fs;

use dispatch::runner::envelope::Wrapped;
use rustix::process::Signal;
use serde_json::json;

use crate::bed::{Corner, accessor, handover};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::runner_support::{Case, Finished};
use crate::testbed::Testbed;

const TALLY: &str = "echo ran >> ../../tally";
const LOOKUP: &str = "POST /v1/sys/wrapping/lookup*";
const UNWRAP: &str = "POST /v1/sys/wrapping/unwrap*";
const READ: &str = "GET /v1/kv/data/*";

/// A grant that is reached through a proxy.
fn through(corner: &Corner) -> (FaultProxy, Wrapped) {
    let proxy = FaultProxy::start(&corner.api.address);
    let wrapped = Wrapped { address: proxy.url(), ..corner.grant(&["NPM_TOKEN"]) };
    (proxy, wrapped)
}

fn run(wrapped: Wrapped) -> (Finished, bool) {
    let case = Case::new(TALLY).handover(handover(wrapped));
    let finished = case.run();
    (finished, case.folder().join("tally").exists())
}

#[test]
fn what_was_certainly_not_done_is_asked_again_until_it_is() {
    let corner = Corner::new();
    for (call, fault) in [
        (LOOKUP, Fault::Refuse(429)),
        (LOOKUP, Fault::DropBefore),
        (LOOKUP, Fault::LoseAnswer),
        (LOOKUP, Fault::Truncate),
        (UNWRAP, Fault::Refuse(429)),
        (UNWRAP, Fault::Refuse(500)),
        (UNWRAP, Fault::Refuse(502)),
        (READ, Fault::Refuse(429)),
        (READ, Fault::ErrorAfter),
        (READ, Fault::LoseAnswer),
    ] {
        let (proxy, wrapped) = through(&corner);
        proxy.spoil(2, call, fault);
        let (finished, ran) = run(wrapped);
        assert_eq!((finished.code, ran, proxy.fired()), (0, true, 2), "{call} {fault:?}: {}", finished.raw);
        assert!(finished.has_status("waiting_for_vault"), "{call} {fault:?}: {}", finished.raw);
    }
}

#[test]
fn an_unwrap_whose_answer_was_lost_is_never_repeated() {
    let corner = Corner::new();
    for fault in [Fault::LoseAnswer, Fault::ResetMidBody, Fault::Truncate, Fault::WrongContentType] {
        let (proxy, wrapped) = through(&corner);
        proxy.spoil(1, UNWRAP, fault);
        let (finished, ran) = run(wrapped);
        assert_eq!((finished.code, ran, finished.started()), (66, false, false), "{fault:?}: {}", finished.raw);
        assert_eq!(proxy.seen(UNWRAP).len(), 1, "{fault:?}");
        assert!(finished.errors()[0].contains("it is spent"), "{fault:?}: {:?}", finished.errors());
    }
}

#[test]
fn an_unwrap_that_failed_after_it_was_done_is_taken_for_an_interception() {
    let corner = Corner::new();
    let (proxy, wrapped) = through(&corner);
    proxy.spoil(1, UNWRAP, Fault::ErrorAfter);
    let (finished, ran) = run(wrapped);
    assert_eq!((finished.code, ran), (67, false), "{}", finished.raw);
    assert!(finished.errors()[0].contains("had failed inside the server before"), "{:?}", finished.errors());
    assert_eq!(proxy.seen(UNWRAP).len(), 1);
}

#[test]
fn a_vault_that_is_sealed_is_waited_for_and_says_so() {
    let server = Testbed::get().private_vault(&["--durable"]);
    let corner = Corner::of(server.api());
    let case = Case::new(TALLY).handover(handover(corner.grant(&["NPM_TOKEN"])));
    corner.api.must("PUT", "/v1/sys/seal", None);
    let mut running = case.start();
    running.wait_for_status("waiting_for_vault");
    let key = fs::read_to_string(server.folder.join("unseal-key")).unwrap();
    corner.api.must("PUT", "/v1/sys/unseal", Some(&json!({ "key": key.trim() })));
    let finished = running.finish();
    assert_eq!((finished.code, case.folder().join("tally").exists()), (0, true), "{}", finished.raw);
    assert!(finished.raw.contains("it is sealed"), "{}", finished.raw);
}

#[test]
fn a_vault_that_stays_away_stops_the_run_once_the_wrapping_cannot_live_any_more() {
    let corner = Corner::new();
    let wrapped = corner.grant_for(&["NPM_TOKEN"], 2);
    let (proxy, nobody) = (FaultProxy::start(&corner.api.address), "http://127.0.0.1:1".to_owned());
    proxy.spoil(usize::MAX, "*", Fault::Refuse(503));
    for address in [proxy.url(), nobody] {
        let (finished, ran) = run(Wrapped { address, ..wrapped.clone() });
        assert_eq!((finished.code, ran), (66, false), "{}", finished.raw);
        assert!(finished.errors()[0].contains("Vault did not serve within"), "{:?}", finished.errors());
    }
}

#[test]
fn a_run_that_waits_for_vault_can_be_asked_to_stop() {
    let corner = Corner::new();
    let (proxy, wrapped) = through(&corner);
    proxy.spoil(usize::MAX, "*", Fault::Refuse(503));
    let case = Case::new(TALLY).handover(handover(wrapped.clone()));
    let mut running = case.start();
    running.wait_for_status("waiting_for_vault");
    running.signal(Signal::TERM);
    let finished = running.finish();
    assert_eq!((finished.code, finished.started(), finished.has_status("cancelled")), (143, false, true));
    assert!(corner.is_alive(accessor(&wrapped)), "nothing was taken");
}

#[test]
fn what_is_no_vault_or_no_usable_envelope_is_told_apart() {
    let corner = Corner::new();
    let wrapped = corner.grant(&["NPM_TOKEN"]);
    let with_address = |address: &str| Wrapped { address: address.to_owned(), ..wrapped.clone() };
    assert_eq!(run(with_address("ftp://vault")).0.code, 64);
    assert_eq!(run(Wrapped { creation_time: "yesterday".to_owned(), ..wrapped.clone() }).0.code, 64);
    assert_eq!(run(Wrapped { ca_pem: Some("no pem".to_owned()), ..wrapped.clone() }).0.code, 64);
    let proxy = FaultProxy::start(&corner.api.address);
    proxy.spoil(usize::MAX, "*", Fault::WrongContentType);
    let (finished, ran) = run(with_address(&proxy.url()));
    assert_eq!((finished.code, ran), (66, false), "{}", finished.raw);
    assert_eq!((proxy.seen(LOOKUP).len(), proxy.seen(UNWRAP).len()), (1, 0));
}

#[test]
fn a_runner_that_dies_around_the_unwrap_leaves_the_grant_whole_or_spent_and_the_formula_unbegun() {
    let corner = Corner::new();
    for (point, second) in [("runner.unwrap.before", 0), ("runner.unwrap.after", 67)] {
        let case = Case::new(TALLY).handover(handover(corner.grant(&["NPM_TOKEN"]))).killed_at(point);
        let killed = case.run();
        assert_eq!((killed.code, killed.has_status("grant_opened"), killed.started()), (137, false, false), "{point}");
        assert!(!case.folder().join("tally").exists());
        let case = case.unharmed();
        assert_eq!(case.run_in("again").code, 65, "in the same place the marker stands: {point}");
        assert_eq!(case.run_elsewhere().code, second, "elsewhere the wrapping decides: {point}");
    }
}
