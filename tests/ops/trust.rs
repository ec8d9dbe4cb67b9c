//! Signatures of commits, and whose change of the signers and the policy counts.

use std::fs;

use dispatch::ops::{Mirror, OpsError, Signature, Source, Trust, TrustedFile};
use dispatch::support::ids::CommitId;

use crate::ops_repo::{Key, OpsRepo};

const SIGNERS: &str = "vault/allowed_signers";
const POLICY: &str = "vault/policy.toml";
const HIGH: &str = "[tiers]\nrelease = \"high\"\n";

async fn mirror(repo: &OpsRepo) -> Mirror {
    repo.push();
    let mirror = Mirror::open(&OpsRepo::settings(&repo.bare().display().to_string()), &repo.state()).await.unwrap();
    mirror.fetch().await.unwrap();
    mirror
}

/// Alice may sign, and release is high.
fn rooted() -> (OpsRepo, Key) {
    let repo = OpsRepo::new();
    let alice = repo.key("alice");
    repo.write(SIGNERS, &alice.line("alice@x"));
    repo.write(POLICY, HIGH);
    repo.commit("root");
    (repo, alice)
}

/// The text of the version of `file` that counts at the head.
async fn counting(repo: &OpsRepo, file: TrustedFile) -> (String, usize) {
    let mirror = mirror(repo).await;
    let version = Trust::new(mirror, None).trusted_version(&repo.head(), file).await.unwrap();
    let text = version.blob.map(|blob| repo.git(&["cat-file", "-p", blob.as_str()])).unwrap_or_default();
    (text, version.ignored.len())
}

fn is_good(signature: &Signature, name: &str) -> bool {
    matches!(signature, Signature::Good { principal, key } if principal == name && key.starts_with("SHA256:"))
}

#[tokio::test]
async fn a_signature_over_another_form_of_the_commit_is_none_and_does_not_stop_the_chain() {
    let (repo, alice) = rooted();
    repo.write(POLICY, "[tiers]\nrelease = \"low\"\n");
    repo.git(&["add", "--all"]);
    let (tree, head) = (repo.git(&["write-tree"]), repo.head());
    let people = "author Eve <e@x> 1700000000 +0000\ncommitter Eve <e@x> 1700000000 +0000";
    let signature = "gpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----";
    let text = format!("tree {}\nparent {head}\n{people}\n{signature}\n\nlower\n", tree.trim());
    fs::write(repo.path().join("commit"), text).unwrap();
    let file = repo.path().join("commit").display().to_string();
    let forged = repo.git(&["hash-object", "-t", "commit", "-w", &file]);
    repo.git(&["reset", "--quiet", "--hard", forged.trim()]);
    assert_eq!(counting(&repo, TrustedFile::Policy).await, ("[tiers]\nrelease = \"high\"\n".to_owned(), 1));
    for tier in ["high", "medium"] {
        repo.write(POLICY, &format!("[tiers]\nrelease = \"{tier}\"\n"));
        repo.signed_commit("by alice", &alice);
    }
    assert_eq!(counting(&repo, TrustedFile::Policy).await.0, "[tiers]\nrelease = \"medium\"\n");
}

#[tokio::test]
async fn a_signature_is_good_only_for_a_key_on_the_list() {
    let (repo, alice) = rooted();
    let mallory = repo.key("mallory");
    let unsigned = repo.commit("unsigned");
    let signed = repo.signed_commit("signed", &alice);
    let unknown = repo.signed_commit("by mallory", &mallory);
    let mirror = mirror(&repo).await;
    let list = alice.line("alice@x");
    let check = |commit: CommitId, list: String| {
        let mirror = mirror.clone();
        async move { mirror.signature(&commit, list.as_bytes()).await.unwrap() }
    };
    assert_eq!(check(unsigned, list.clone()).await, Signature::None);
    assert!(is_good(&check(signed.clone(), list.clone()).await, "alice@x"));
    assert!(matches!(check(unknown, list).await, Signature::Untrusted { key } if key.starts_with("SHA256:")));
    assert!(matches!(check(signed.clone(), String::new()).await, Signature::Untrusted { .. }));
    assert!(matches!(check(signed, "not a list\n".into()).await, Signature::Untrusted { .. }));
}

#[tokio::test]
async fn a_key_allowed_for_files_only_or_until_yesterday_is_not_trusted_with_commits() {
    let (repo, alice) = rooted();
    let signed = repo.signed_commit("signed", &alice);
    let mirror = mirror(&repo).await;
    for option in ["namespaces=\"file\"", "valid-before=\"20200101\""] {
        let list = format!("alice@x {option} {}\n", alice.public);
        let signature = mirror.signature(&signed, list.as_bytes()).await.unwrap();
        assert!(!matches!(signature, Signature::Good { .. }), "{option}: {signature:?}");
    }
    let list = format!("alice@x namespaces=\"git\" {}\n", alice.public);
    assert!(is_good(&mirror.signature(&signed, list.as_bytes()).await.unwrap(), "alice@x"));
}

#[tokio::test]
async fn a_signature_moved_to_another_commit_is_bad() {
    let (repo, alice) = rooted();
    let signed = repo.signed_commit("run it on staging", &alice);
    let object = repo.git(&["cat-file", "commit", signed.as_str()]).replace("staging", "production");
    fs::write(repo.path().join("forged"), object).unwrap();
    let forged = repo.git(&["hash-object", "-t", "commit", "-w", "../forged"]);
    repo.git(&["reset", "--quiet", "--hard", forged.trim()]);
    let mirror = mirror(&repo).await;
    let signature = mirror.signature(&repo.head(), alice.line("alice@x").as_bytes()).await.unwrap();
    assert!(matches!(signature, Signature::Bad { .. }), "{signature:?}");
}

#[tokio::test]
async fn the_users_own_configuration_cannot_vouch_for_anybody() {
    let (repo, alice) = rooted();
    let signed = repo.signed_commit("signed", &alice);
    let mirror = mirror(&repo).await;
    let list = repo.path().join("generous");
    fs::write(&list, alice.line("alice@x")).unwrap();
    for file in [repo.state().join("mirror.git/home/.gitconfig"), repo.path().join(".gitconfig")] {
        fs::write(file, format!("[gpg.ssh]\nallowedSignersFile = {}\nprogram = /bin/true\n", list.display())).unwrap();
    }
    let signature = mirror.signature(&signed, b"").await.unwrap();
    assert!(matches!(signature, Signature::Untrusted { .. }), "{signature:?}");
}

#[tokio::test]
async fn a_commit_that_brings_its_own_key_is_not_trusted_for_it() {
    let (repo, alice) = rooted();
    let mallory = repo.key("mallory");
    repo.write(SIGNERS, &(alice.line("alice@x") + &mallory.line("mallory@x")));
    repo.write("vault/actions/evil.toml", "x");
    let evil = repo.signed_commit("a key and an action", &mallory);
    let mirror = mirror(&repo).await;
    let trust = Trust::new(mirror, None);
    assert!(matches!(trust.signature(&evil).await.unwrap(), Signature::Untrusted { .. }));
    let version = trust.trusted_version(&evil, TrustedFile::Signers).await.unwrap();
    assert_eq!(version.ignored[0].commit, evil);
    assert!(matches!(version.ignored[0].signature, Some(Signature::Untrusted { .. })));
}

#[tokio::test]
async fn a_key_added_by_an_earlier_unsigned_commit_signs_nothing() {
    let (repo, alice) = rooted();
    let mallory = repo.key("mallory");
    repo.write(SIGNERS, &(alice.line("alice@x") + &mallory.line("mallory@x")));
    let first = repo.commit("a key");
    repo.write("vault/actions/evil.toml", "x");
    let evil = repo.signed_commit("an action", &mallory);
    let good = repo.signed_commit("by alice", &alice);
    let mirror = mirror(&repo).await;
    let trust = Trust::new(mirror, None);
    assert!(matches!(trust.signature(&evil).await.unwrap(), Signature::Untrusted { .. }));
    assert!(is_good(&trust.signature(&good).await.unwrap(), "alice@x"));
    let version = trust.trusted_version(&good, TrustedFile::Signers).await.unwrap();
    assert_eq!(version.ignored.len(), 1);
    assert_eq!((&version.ignored[0].commit, &version.ignored[0].signature), (&first, &Some(Signature::None)));
}

#[tokio::test]
async fn a_key_added_by_a_signed_commit_counts_from_the_next_commit_on() {
    let (repo, alice) = rooted();
    let bob = repo.key("bob");
    repo.write(SIGNERS, &(alice.line("alice@x") + &bob.line("bob@x")));
    let added = repo.signed_commit("add bob", &alice);
    let by_bob = repo.signed_commit("by bob", &bob);
    repo.write(SIGNERS, &bob.line("bob@x"));
    repo.signed_commit("bob removes alice", &bob);
    let by_alice = repo.signed_commit("by alice", &alice);
    repo.write(SIGNERS, &alice.line("alice@x"));
    let handed_back = repo.signed_commit("bob makes room for alice", &bob);
    let mirror = mirror(&repo).await;
    let trust = Trust::new(mirror, None);
    assert!(is_good(&trust.signature(&by_bob).await.unwrap(), "bob@x"));
    assert!(matches!(trust.signature(&by_alice).await.unwrap(), Signature::Untrusted { .. }));
    assert!(is_good(&trust.signature(&handed_back).await.unwrap(), "bob@x"), "the list before the commit counts");
    let version = trust.trusted_version(&by_bob, TrustedFile::Signers).await.unwrap();
    let brought = version.brought.unwrap();
    assert_eq!(brought.commit, added);
    assert!(matches!(brought.by, Source::Signed { principal, .. } if principal == "alice@x"));
}

#[tokio::test]
async fn a_policy_lowered_by_an_unsigned_commit_has_no_effect_and_one_lowered_by_a_signer_has() {
    let (repo, alice) = rooted();
    repo.write(POLICY, "[tiers]\nrelease = \"low\"\n");
    repo.commit("lower it");
    assert_eq!(counting(&repo, TrustedFile::Policy).await, ("[tiers]\nrelease = \"high\"\n".into(), 1));
    repo.write(POLICY, HIGH);
    repo.commit("as it was");
    repo.write(POLICY, "[tiers]\nrelease = \"medium\"\n");
    repo.signed_commit("medium will do", &alice);
    assert_eq!(counting(&repo, TrustedFile::Policy).await, ("[tiers]\nrelease = \"medium\"\n".into(), 0));
}

/// The signer's own diff shows only the line that they add.
#[tokio::test]
async fn what_a_signer_adds_to_a_change_that_nobody_signed_does_not_bring_that_into_force() {
    let (repo, alice) = rooted();
    let lowered = "[tiers]\nrelease = \"low\"\n";
    repo.write(POLICY, lowered);
    repo.commit("lower it");
    repo.write(POLICY, &format!("{lowered}backup = \"medium\"\n"));
    let on_top = repo.signed_commit("one for the backup", &alice);
    assert_eq!(counting(&repo, TrustedFile::Policy).await, (HIGH.into(), 2));
    let version = Trust::new(mirror(&repo).await, None).trusted_version(&on_top, TrustedFile::Policy).await.unwrap();
    assert!(is_good(version.ignored[1].signature.as_ref().unwrap(), "alice@x"));
    repo.write(POLICY, HIGH);
    repo.signed_commit("as it was", &alice);
    assert_eq!(counting(&repo, TrustedFile::Policy).await, (HIGH.into(), 0));
    repo.write(POLICY, &format!("{HIGH}backup = \"medium\"\n"));
    repo.signed_commit("one for the backup", &alice);
    assert_eq!(counting(&repo, TrustedFile::Policy).await, (format!("{HIGH}backup = \"medium\"\n"), 0));
}

#[tokio::test]
async fn a_merge_needs_a_signature_of_its_own() {
    let (repo, alice) = rooted();
    repo.git(&["checkout", "--quiet", "-b", "side"]);
    repo.write(POLICY, "lowered");
    repo.signed_commit("lower it", &alice);
    repo.git(&["checkout", "--quiet", "main"]);
    repo.git(&["merge", "--quiet", "--no-ff", "--no-edit", "side"]);
    let (text, ignored) = counting(&repo, TrustedFile::Policy).await;
    assert_eq!((text.as_str(), ignored), ("[tiers]\nrelease = \"high\"\n", 1));
}

#[tokio::test]
async fn before_there_are_signers_the_first_policy_counts_and_with_them_the_one_beside_them() {
    let repo = OpsRepo::new();
    let alice = repo.key("alice");
    repo.write(POLICY, "one");
    repo.commit("one");
    repo.write(POLICY, "two");
    repo.commit("two");
    assert_eq!(counting(&repo, TrustedFile::Policy).await, ("one".into(), 1));
    repo.write(SIGNERS, &alice.line("alice@x"));
    repo.commit("signers");
    assert_eq!(counting(&repo, TrustedFile::Policy).await, ("two".into(), 0));
    repo.write(POLICY, "three");
    repo.commit("three");
    assert_eq!(counting(&repo, TrustedFile::Policy).await, ("two".into(), 1));
}

#[tokio::test]
async fn signers_that_become_a_link_or_vanish_unsigned_stay_as_they_were() {
    let (repo, alice) = rooted();
    fs::remove_file(repo.work().join(SIGNERS)).unwrap();
    repo.commit("gone");
    std::os::unix::fs::symlink("elsewhere", repo.work().join(SIGNERS)).unwrap();
    repo.commit("a link");
    assert_eq!(counting(&repo, TrustedFile::Signers).await, (alice.line("alice@x"), 2));
}

#[tokio::test]
async fn a_configured_root_decides_and_a_line_without_it_is_refused() {
    let (repo, alice) = rooted();
    let first = repo.head();
    let mallory = repo.key("mallory");
    repo.write(SIGNERS, &mallory.line("mallory@x"));
    let later = repo.commit("taken over");
    let mirror = mirror(&repo).await;
    let trust = Trust::new(mirror.clone(), Some(first.clone()));
    assert_eq!(&*trust.signers(&later).await.unwrap(), alice.line("alice@x").as_bytes());
    let trust = Trust::new(mirror.clone(), Some(later.clone()));
    assert_eq!(&*trust.signers(&later).await.unwrap(), mallory.line("mallory@x").as_bytes());
    assert!(matches!(trust.trusted_version(&first, TrustedFile::Policy).await, Err(OpsError::TrustRoot { .. })));
}

#[tokio::test]
async fn what_was_verified_once_gives_the_same_answer_in_any_order() {
    let (repo, alice) = rooted();
    let mut heads = vec![repo.head()];
    for n in 0..4 {
        repo.write(POLICY, &format!("{n}"));
        heads.push(if n % 2 == 0 { repo.commit("unsigned") } else { repo.signed_commit("signed", &alice) });
        repo.write("other", &format!("{n}"));
        heads.push(repo.commit("other"));
    }
    let mirror = mirror(&repo).await;
    let mut fresh = Vec::new();
    for head in &heads {
        fresh.push(Trust::new(mirror.clone(), None).trusted_version(head, TrustedFile::Policy).await.unwrap());
    }
    let trust = Trust::new(mirror, None);
    for n in [8, 0, 3, 4, 3, 7, 8, 2, 5, 1, 6] {
        assert_eq!(trust.trusted_version(&heads[n], TrustedFile::Policy).await.unwrap(), fresh[n], "{n}");
    }
}
