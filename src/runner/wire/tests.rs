use proptest::prelude::*;
use serde_json::{Value, json};

use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::runner::envelope::{Deposit, Handover, Opens, SecretPlace, Wrapped, WrappingToken};

fn sealed(bytes: &[u8]) -> Sealed {
    Sealed { sha256: sha256_hex(bytes), bytes: bytes.to_vec() }
}

fn envelope() -> Envelope {
    Envelope {
        protocol: PROTOCOL,
        run: "deploy-1@2".parse().unwrap(),
        key: "a".repeat(40).parse().unwrap(),
        slot: 3,
        action: sealed(b"id = \"deploy-1\"\n"),
        formula: "deploy".parse().unwrap(),
        kind: FormulaKind::Mechanical,
        script: sealed(b"echo hello\n"),
        context_files: [("docs/notes.md".to_owned(), sealed(b"notes"))].into(),
        params: [("target".to_owned(), "eu".to_owned())].into(),
        mounts: [("ssh".parse().unwrap(), "/m/ssh".to_owned())].into(),
        environment: [("REGION".to_owned(), "eu".to_owned())].into(),
        handover: Handover::Values([("TOKEN".parse().unwrap(), SecretString::from("s3cret-\u{1}value"))].into()),
        limits: Limits { timeout_seconds: 60, grace_seconds: 5 },
        working_directory: Some("/srv/checkout".to_owned()),
        traceparent: Some("00-aa-bb-01".to_owned()),
    }
}

fn document() -> Value {
    serde_json::from_slice(&envelope().to_handover().unwrap()).unwrap()
}

fn refusal(document: &Value) -> String {
    Envelope::from_handover(document.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn an_envelope_reads_back_as_it_was_written_secrets_included() {
    let back = Envelope::from_handover(&envelope().to_handover().unwrap()).unwrap();
    let Handover::Values(values) = &back.handover else { panic!("{back:?}") };
    assert_eq!(values[&"TOKEN".parse().unwrap()].expose_secret(), "s3cret-\u{1}value");
    assert_eq!(format!("{back:?}"), format!("{:?}", envelope()));
}

fn wrapped(opens: Opens) -> Envelope {
    let wrapped = Wrapped {
        address: "https://vault.example.com:8200".to_owned(),
        namespace: None,
        ca_pem: Some("-----BEGIN CERTIFICATE-----".to_owned()),
        token: WrappingToken::Carried(SecretString::from("hvs.invented")),
        creation_path: "auth/token/create/runner".to_owned(),
        creation_time: "2026-11-21T08:28:07.467304451Z".to_owned(),
        ttl_seconds: 300,
        opens,
    };
    Envelope { handover: Handover::Wrapped(Box::new(wrapped)), ..envelope() }
}

#[test]
fn a_wrapping_reads_back_with_all_by_which_it_is_recognised() {
    let place = SecretPlace { path: "kv/data/disinto/runner/TOKEN".to_owned(), field: "value".to_owned() };
    let grant = Opens::Grant { accessor: "bBfz".to_owned(), secrets: [("TOKEN".parse().unwrap(), place)].into() };
    for opens in [grant, Opens::Nonce("4f2a".to_owned())] {
        let given = wrapped(opens);
        let document = given.to_handover().unwrap();
        let back = Envelope::from_handover(&document).unwrap();
        let Handover::Wrapped(found) = &back.handover else { panic!("{back:?}") };
        let WrappingToken::Carried(token) = &found.token else { panic!("{back:?}") };
        assert_eq!(token.expose_secret(), "hvs.invented");
        assert_eq!(format!("{back:?}"), format!("{given:?}"));
        assert!(!format!("{back:?}").contains("hvs."), "a wrapping token is a secret too");
        assert!(
            !String::from_utf8(serde_json::to_vec(&given.document(Given::nothing()).unwrap()).unwrap())
                .unwrap()
                .contains("hvs.")
        );
        assert!(document.len() <= given.encoded_size().unwrap() + Given::of(&given.handover).room());
    }
}

#[test]
fn a_wrapping_that_is_deposited_travels_without_a_token_and_never_with_one() {
    let Handover::Wrapped(with_token) = wrapped(Opens::Nonce("4f2a".to_owned())).handover else { unreachable!() };
    let [mount, role, folder] = ["jwt-nomad", "dispatch-run", "kv/data/disinto/handover/"].map(str::to_owned);
    let token = WrappingToken::Deposited(Deposit { mount, role, folder });
    let given = Envelope { handover: Handover::Wrapped(Box::new(Wrapped { token, ..*with_token })), ..envelope() };
    let document = given.to_handover().unwrap();
    assert!(document.len() <= given.encoded_size().unwrap() + Given::of(&given.handover).room());
    let back = Envelope::from_handover(&document).unwrap();
    assert!(back.handover.needs_identity());
    assert_eq!(format!("{back:?}"), format!("{given:?}"));
    let mut document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["handover"]["wrapped"].get("token"), None);
    document["handover"]["wrapped"]["token"] = "hvs.invented".into();
    assert!(refusal(&document).ends_with("or neither"), "a token and a deposit");
    document["handover"]["wrapped"].as_object_mut().unwrap().retain(|field, _| field != "token" && field != "deposit");
    assert!(refusal(&document).ends_with("or neither"), "neither");
}

#[test]
fn no_secret_is_in_the_debug_text_nor_in_the_size_that_is_told_before_the_grant() {
    assert!(!format!("{:?}", envelope()).contains("s3cret"));
    let handover = envelope().to_handover().unwrap();
    assert!(envelope().encoded_size().unwrap() < handover.len());
}

#[test]
fn a_file_is_packed_with_its_size_so_that_neither_side_takes_memory_for_a_longer_one() {
    let packed = STANDARD.decode(packed(&sealed(b"echo hello\n")).unwrap().zstd.unwrap()).unwrap();
    assert_eq!(zstd::zstd_safe::get_frame_content_size(&packed).ok().flatten(), Some(11));
}

/// Two candidates for `_` make this ambiguous, and so not compile, as soon as the type implements the trait.
#[test]
fn an_envelope_and_its_secrets_can_be_neither_serialised_nor_displayed_by_accident() {
    trait NotSerialize<Which> {
        fn holds() {}
    }
    struct Yes;
    impl<T: ?Sized> NotSerialize<()> for T {}
    impl<T: ?Sized + Serialize> NotSerialize<Yes> for T {}
    trait NotDisplay<Which> {
        fn holds() {}
    }
    impl<T: ?Sized> NotDisplay<()> for T {}
    impl<T: ?Sized + std::fmt::Display> NotDisplay<Yes> for T {}
    <Envelope as NotSerialize<_>>::holds();
    <Envelope as NotDisplay<_>>::holds();
    <Handover as NotSerialize<_>>::holds();
    <SecretString as NotSerialize<_>>::holds();
    <SecretString as NotDisplay<_>>::holds();
}

#[test]
fn another_protocol_is_refused_with_both_numbers() {
    let mut newer = document();
    newer["protocol"] = json!(PROTOCOL + 1);
    newer["invented_since"] = json!(true);
    assert_eq!(
        refusal(&newer),
        "the envelope has protocol 2; this runner reads 1 to 1: the dispatcher and the runner must be at most one protocol apart"
    );
}

#[test]
fn a_file_that_is_not_the_admitted_one_is_refused_by_name() {
    for (pointer, part) in
        [("/action", "action"), ("/script", "formula"), ("/context_files/docs~1notes.md", "docs/notes.md")]
    {
        let mut tampered = document();
        let file = tampered.pointer_mut(pointer).unwrap();
        file["sha256"] = json!("0".repeat(64));
        let words = refusal(&tampered);
        assert!(words.contains(part) && words.contains("was admitted"), "{words}");
    }
}

#[test]
fn a_context_file_cannot_leave_its_folder() {
    for path in ["../x", "/etc/passwd", "a//b", "a/./b", "", "a\u{0}b"] {
        let mut tampered = document();
        let file = tampered["context_files"]["docs/notes.md"].clone();
        tampered["context_files"] = json!({ path: file });
        assert!(refusal(&tampered).contains("not a plain relative path"), "{path:?}");
    }
}

#[test]
fn a_small_document_that_unpacks_to_a_large_one_is_refused() {
    let bomb = vec![0; usize::try_from(MAX_DECODED).unwrap() + 1];
    let mut tampered = document();
    tampered["script"] = serde_json::to_value(packed(&sealed(&bomb)).unwrap()).unwrap();
    assert!(tampered.to_string().len() < 10_000);
    assert!(refusal(&tampered).contains("when its files are unpacked"));
}

#[test]
fn an_error_repeats_no_part_of_the_document() {
    let mut misplaced = document();
    misplaced["slot"] = json!("s3cret-value");
    misplaced["handover"]["values"] = json!({ "s3cret-name": "x" });
    let words = refusal(&misplaced);
    assert!(words.contains("wrong type at line 1, column") && !words.contains("s3cret"), "{words}");
    let mut unknown = document();
    unknown["s3cret-field"] = json!(1);
    assert!(!refusal(&unknown).contains("s3cret"));
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Envelope::from_handover(&bytes).is_err());
    }

    #[test]
    fn a_document_with_one_byte_changed_is_refused_or_still_sound(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = envelope().to_handover().unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Envelope::from_handover(&bytes) {
            prop_assert_eq!(sha256_hex(&read.script.bytes), read.script.sha256);
        }
    }
}
