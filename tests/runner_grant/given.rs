//! What the formula has, and what nobody else sees.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch::support::ids::sha256_hex;
use secrecy::ExposeSecret as _;

use crate::bed::{Corner, SECRETS, accessor, carried, handover, value};
use crate::runner_support::Case;

/// Prints which of the six there are, each with the digest of its value, and whatever else looks like Vault's.
const WHICH: &str = "for name in GITHUB_TOKEN CODEBERG_TOKEN CLAWHUB_TOKEN DEPLOY_KEY NPM_TOKEN DOCKER_HUB_TOKEN; do \
    [ -z \"${!name+x}\" ] || echo \"$name $(printf %s \"${!name}\" | sha256sum | cut -d' ' -f1)\"; done; \
    env -0 | grep -zacE '^VAULT_[^A]|hvs\\.'";

#[test]
fn the_formula_has_exactly_the_secrets_that_were_granted_and_no_token() {
    let corner = Corner::new();
    for names in [&SECRETS[..0], &SECRETS[4..5], &SECRETS[..2], &SECRETS[..]] {
        let case = Case::new(WHICH).handover(handover(corner.grant(names)));
        let finished = case.run();
        let mut expected: Vec<String> =
            names.iter().map(|name| format!("{name} {}", sha256_hex(value(name).as_bytes()))).collect();
        expected.push("0".to_owned());
        assert_eq!(finished.lines(), expected, "{}", finished.raw);
        assert!(finished.has_status("grant_opened") && finished.started());
        assert_eq!(finished.code, 1, "grep -c that finds nothing");
    }
}

#[test]
fn the_token_has_the_policies_of_the_named_secrets_and_nothing_else() {
    let corner = Corner::new();
    let wrapped = corner.grant(&SECRETS[..2]);
    let accessor = accessor(&wrapped).to_owned();
    assert_eq!(Case::new("true").handover(handover(wrapped)).run().code, 0);
    let lookup = corner.ask(async |session| session.lookup_accessor(&accessor).await).unwrap();
    let ends: BTreeSet<&str> =
        lookup.policies.iter().filter_map(|policy| policy.split_once('-')).map(|p| p.1).collect();
    assert_eq!((lookup.policies.len(), ends), (2, ["github_token", "codeberg_token"].into()));
    assert!(lookup.orphan && lookup.kind == "service" && lookup.identity_policies.is_none());
    let paths = [corner.path(SECRETS[0]), corner.path(SECRETS[5])];
    let may = corner.ask(async |session| session.capabilities_accessor(&accessor, &paths).await).unwrap();
    assert_eq!(
        (may[&paths[0]].as_slice(), may[&paths[1]].as_slice()),
        (&["read".to_owned()][..], &["deny".to_owned()][..])
    );
}

#[test]
fn no_granted_value_and_no_token_is_seen_anywhere_but_in_the_formula() {
    let corner = Corner::new();
    let wrapped = corner.grant(&["NPM_TOKEN"]);
    let token = carried(&wrapped).expose_secret().to_owned();
    let script = "echo \"$NPM_TOKEN\"; printf '%s' \"$NPM_TOKEN\" | base64; echo \"$NPM_TOKEN\" >&2; \
                  printf '%s' \"$NPM_TOKEN\" | od -An -v -tx1 | tr -d ' \\n'; echo; cat $0 > copy; echo up; read -t 60 < pipe";
    let case = Case::new(&format!("mkfifo pipe; exec 3<>pipe; {script}")).handover(handover(wrapped));
    let events = case.folder().join("events");
    let case = case.flag("--events", Some(&events));
    let mut running = case.start();
    running.wait_for_line("up");
    let (secret, pid) = (value("NPM_TOKEN"), running.pid());
    let hex: String = secret.bytes().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let forms = [secret.clone(), STANDARD.encode(&secret)[..40].to_owned(), hex, token];
    let mut places = vec![(format!("/proc/{pid}/environ"), fs::read(format!("/proc/{pid}/environ")).unwrap())];
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path().join("cmdline");
        places.extend(fs::read(&path).map(|bytes| (path.display().to_string(), bytes)));
    }
    fs::write(case.workdir().join("work/pipe"), "go\n").unwrap();
    let finished = running.finish();
    assert_eq!(finished.code, 0, "{}", finished.raw);
    assert_eq!(finished.lines()[..3], ["[redacted:NPM_TOKEN]", "[redacted:NPM_TOKEN]", "[redacted:NPM_TOKEN]"]);
    places.push(("stdout".to_owned(), finished.raw.clone().into_bytes()));
    files(case.folder(), &mut places);
    assert!(places.iter().any(|(place, _)| place.ends_with("/events")), "the events file is among the places");
    for (place, bytes) in places {
        let text = String::from_utf8_lossy(&bytes);
        let found = forms.iter().find(|form| text.contains(form.as_str()));
        assert!(found.is_none(), "{place} holds {found:?}");
    }
}

fn files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), into);
        } else if kind.is_file() {
            into.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap()));
        }
    }
}

#[test]
fn a_formula_that_finds_the_tokens_elsewhere_cannot_print_them_either() {
    let corner = Corner::new();
    let wrapped = corner.grant(&["NPM_TOKEN"]);
    let token = carried(&wrapped).expose_secret().to_owned();
    // A context file stands for whatever way it came by.
    let case = Case::new("cat $DISPATCH_CONTEXT_DIR/found").context("found", &format!("{token}\n"));
    let finished = case.handover(handover(wrapped)).run();
    assert_eq!((finished.code, finished.lines()), (0, vec!["[redacted:vault-token]".to_owned()]));
}
