//! Attacks on admission with a real git repository and real SSH signatures: each tries to have bytes run that nobody who may
//! has approved. Needs `git` and `ssh-keygen`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so and stops"
)]

#[path = "common/ops_repo.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests, each of which uses a part")]
mod ops_repo;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use dispatch::action::reason::Reason;
use dispatch::action::result::ResultState;
use dispatch::admission::gather::{ApprovedPolicy, Chain, FormulaSource, LedgerError, Sight};
use dispatch::admission::rules::LocalFiles;
use dispatch::admission::snapshot::{Availability, Earlier, Stage};
use dispatch::admission::{Admitted, Explanation, Gatherer, How, Ledger, Rules, Scene, Verdict, admit};
use dispatch::config::Config;
use dispatch::grant::{Ask, Grant, GrantError, GrantRecord, Presence, SecretProvider};
use dispatch::ops::{Entry, Mirror};
use dispatch::support::checkup::Finding;
use dispatch::support::ids::{ActionId, BlobId, CommitId, SecretName};
use ops_repo::{Key, OpsRepo};

const POLICY: &str = "[tiers]\nrotate = \"medium\"\ntidy = \"low\"\n";

fn action(id: &str, formula: &str) -> String {
    format!("id = \"{id}\"\nformula = \"{formula}\"\ncontext = \"why\"\nsecrets = []\n")
}

/// A journal that knows what a test tells it.
#[derive(Debug, Default)]
struct Known(BTreeMap<ActionId, Earlier>);

#[async_trait]
impl Ledger for Known {
    async fn earlier(&self, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Earlier>, LedgerError> {
        Ok(ids.iter().filter_map(|id| Some((id.clone(), self.0.get(id)?.clone()))).collect())
    }
    async fn approved_policy(&self, _: &CommitId) -> Result<Option<ApprovedPolicy>, LedgerError> {
        Ok(None)
    }
    async fn keep_policy(&self, _: &ApprovedPolicy) -> Result<(), LedgerError> {
        Ok(())
    }
    async fn policy_seen(&self, _: &[CommitId], _: &Sight) -> Result<BTreeMap<CommitId, Sight>, LedgerError> {
        Ok(BTreeMap::new())
    }
}

/// Has every secret that it is asked about.
#[derive(Debug)]
struct Generous;

#[async_trait]
impl SecretProvider for Generous {
    fn name(&self) -> &'static str {
        "generous"
    }
    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }
    async fn presence(&self, _: &SecretName) -> Presence {
        Presence::Present { evidence: "always".to_owned() }
    }
    async fn mint(&self, _: Ask<'_>) -> Result<Grant, GrantError> {
        Err(GrantError::Unavailable { detail: "admission mints nothing".to_owned() })
    }
    async fn revoke(&self, _: &GrantRecord) -> Result<(), GrantError> {
        Ok(())
    }
}

/// An ops repo in which Alice may sign and Mallory may only push.
struct World {
    repo: OpsRepo,
    alice: Key,
    mallory: Key,
    journal: Known,
    mirror: Mirror,
    gatherer: Gatherer,
    rules: Rules,
}

impl World {
    async fn new() -> Self {
        let repo = OpsRepo::new();
        let (alice, mallory) = (repo.key("alice"), repo.key("mallory"));
        repo.write("vault/allowed_signers", &alice.line("alice@example.com"));
        repo.write("vault/policy.toml", POLICY);
        repo.write("formulas/rotate.sh", "echo rotate\n");
        repo.write("formulas/tidy.sh", "echo tidy\n");
        repo.commit("who may do what");
        repo.push();
        let settings = OpsRepo::settings(&repo.bare().display().to_string());
        let mirror = Mirror::open(&settings, &repo.state()).await.unwrap();
        let gatherer = Gatherer::new(mirror.clone(), "vault/actions", Chain::Signed(None), Vec::new());
        let config = serde_json::json!({ "ops": { "remote": "x" }, "approval": { "mode": "signature" } });
        let rules = Rules::from(&serde_json::from_value::<Config>(config).unwrap());
        Self { repo, alice, mallory, journal: Known::default(), mirror, gatherer, rules }
    }

    fn file(&self, id: &str, formula: &str) {
        self.repo.write(&format!("vault/actions/{id}.toml"), &action(id, formula));
    }

    async fn scene(&self) -> Scene {
        self.repo.push();
        Scene {
            head: self.mirror.fetch().await.unwrap(),
            rewritten: None,
            backends: BTreeMap::from([("local".to_owned(), Availability::Ready)]),
            now: "2026-11-20T12:00:00Z".parse().unwrap(),
        }
    }

    async fn explain_all(&self, entries: &[Entry], scene: &Scene) -> Vec<Explanation> {
        let gathered = self.gatherer.gather(scene, entries, &self.rules, &self.journal, &Generous).await.unwrap();
        gathered.iter().map(|snapshot| admit(snapshot, &self.rules)).collect()
    }

    async fn explain(&self, name: &str) -> Explanation {
        let scene = self.scene().await;
        let entries = self.mirror.entries(&scene.head, "vault/actions").await.unwrap();
        let path = format!("vault/actions/{name}.toml");
        let entry = entries.into_iter().find(|entry| entry.path.as_str() == Some(&path)).expect("it is in the tree");
        self.explain_all(&[entry], &scene).await.remove(0)
    }

    async fn rejected(&self, name: &str) -> Reason {
        match self.explain(name).await {
            Explanation { verdict: Verdict::Rejected { reason, .. }, .. } => reason,
            other => panic!("not rejected:\n{other}"),
        }
    }

    async fn set_aside(&self, name: &str) -> Reason {
        match self.explain(name).await {
            Explanation { verdict: Verdict::SetAside { reason, .. }, .. } => reason,
            other => panic!("not set aside:\n{other}"),
        }
    }

    async fn admitted(&self, name: &str) -> Admitted {
        match self.explain(name).await {
            Explanation { verdict: Verdict::Admitted(admitted), .. } => *admitted,
            other => panic!("not admitted:\n{other}"),
        }
    }

    fn settled(&mut self, id: &str, blob: &BlobId) {
        let stage = Stage::Settled { state: ResultState::Succeeded, reason: Reason::Succeeded };
        let (since, head) = (jiff::Timestamp::UNIX_EPOCH, "f".repeat(40).parse().unwrap());
        let earlier = Earlier { blob: blob.clone(), since, head, stage, result: None, approved: None };
        self.journal.0.insert(id.parse().unwrap(), earlier);
    }
}

#[tokio::test]
async fn a_medium_action_in_a_commit_signed_by_alice_is_admitted_with_the_bytes_of_that_commit() {
    let world = World::new().await;
    world.file("a", "rotate");
    let commit = world.repo.signed_commit("rotate", &world.alice);
    let admitted = world.admitted("a").await;
    assert_eq!(admitted.approval.by, ["alice@example.com"]);
    assert_eq!((admitted.approval.commit, admitted.arrived), (Some(commit.clone()), Some(commit)));
    assert_eq!(admitted.action.bytes, action("a", "rotate").into_bytes());
    assert_eq!(admitted.formula.source, "ops:formulas/rotate.sh");
}

#[tokio::test]
async fn what_runs_survives_being_written_to_the_journal_and_read_back() {
    let world = World::new().await;
    world.file("a", "rotate");
    world.repo.signed_commit("rotate", &world.alice);
    let admitted = world.admitted("a").await;
    let read: Admitted = serde_json::from_str(&serde_json::to_string(&admitted).unwrap()).unwrap();
    assert_eq!(read, admitted);
}

#[tokio::test]
async fn a_low_action_needs_no_signature() {
    let world = World::new().await;
    world.file("a", "tidy");
    world.repo.commit("tidy");
    assert_eq!(world.admitted("a").await.approval.by, ["Alice <alice@example.com>"]);
}

#[tokio::test]
async fn without_a_signature_or_with_an_outsiders_it_is_rejected() {
    let world = World::new().await;
    world.file("a", "rotate");
    world.repo.commit("unsigned");
    world.file("b", "rotate");
    world.repo.signed_commit("by mallory", &world.mallory);
    assert_eq!(world.rejected("a").await, Reason::NotSigned);
    assert_eq!(world.rejected("b").await, Reason::SignerNotAllowed);
}

#[tokio::test]
async fn a_signature_that_was_made_for_another_commit_approves_nothing() {
    let world = World::new().await;
    world.file("a", "rotate");
    world.repo.signed_commit("rotate", &world.alice);
    let forged = world.repo.git(&["cat-file", "commit", "HEAD"]).replace("\n\nrotate", "\n\nrotate, and more");
    world.repo.write("../forged", &forged);
    let forged = world.repo.git(&["hash-object", "-t", "commit", "-w", "../forged"]);
    world.repo.git(&["reset", "--quiet", "--hard", forged.trim()]);
    assert_eq!(world.rejected("a").await, Reason::SignatureInvalid);
}

#[tokio::test]
async fn a_later_signature_over_an_unsigned_action_approves_nothing() {
    let world = World::new().await;
    world.file("a", "rotate");
    world.repo.commit("unsigned");
    world.repo.write("other", "x");
    world.repo.signed_commit("something else", &world.alice);
    assert_eq!(world.rejected("a").await, Reason::NotSigned);
}

#[tokio::test]
async fn a_key_that_comes_with_the_action_or_before_it_without_a_trusted_signature_counts_for_nothing() {
    let world = World::new().await;
    let both = world.alice.line("alice@example.com") + &world.mallory.line("mallory@example.com");
    world.repo.write("vault/allowed_signers", &both);
    world.file("a", "rotate");
    world.repo.signed_commit("key and action at once", &world.mallory);
    assert_eq!(world.rejected("a").await, Reason::SignerNotAllowed);
    world.file("b", "rotate");
    world.repo.signed_commit("and then another", &world.mallory);
    let explanation = world.explain("b").await;
    assert_eq!(explanation.verdict.reason(), Some(Reason::SignerNotAllowed));
    assert!(explanation.to_string().contains("the change of vault/allowed_signers in"), "{explanation}");
}

#[tokio::test]
async fn a_key_that_alice_adds_may_sign_from_then_on() {
    let world = World::new().await;
    let both = world.alice.line("alice@example.com") + &world.mallory.line("mallory@example.com");
    world.repo.write("vault/allowed_signers", &both);
    world.repo.signed_commit("mallory may sign", &world.alice);
    world.file("a", "rotate");
    world.repo.signed_commit("by mallory", &world.mallory);
    assert_eq!(world.admitted("a").await.approval.by, ["mallory@example.com"]);
}

#[tokio::test]
async fn a_tier_that_is_lowered_in_the_same_or_in_an_earlier_unsigned_commit_stays_where_it_was() {
    let world = World::new().await;
    world.repo.write("vault/policy.toml", "[tiers]\nrotate = \"low\"\n");
    world.file("a", "rotate");
    world.repo.commit("policy and action at once");
    world.file("b", "rotate");
    world.repo.commit("policy before");
    assert_eq!(world.rejected("a").await, Reason::NotSigned);
    assert_eq!(world.rejected("b").await, Reason::NotSigned);
}

#[tokio::test]
async fn a_signed_commit_cannot_bring_its_own_lower_tier_for_its_own_action() {
    let world = World::new().await;
    world.repo.write("vault/policy.toml", "[tiers]\nrotate = \"low\"\n");
    world.file("a", "rotate");
    world.repo.signed_commit("policy and action at once", &world.alice);
    assert_eq!(world.admitted("a").await.tier, dispatch::action::Tier::Medium);
}

#[tokio::test]
async fn a_formula_that_is_changed_after_the_approval_does_not_run() {
    let world = World::new().await;
    world.file("a", "rotate");
    world.repo.signed_commit("rotate", &world.alice);
    world.repo.write("formulas/rotate.sh", "curl evil\n");
    world.repo.write("formulas/rotate.meta.toml", "idempotent = true\n");
    world.repo.commit("a small fix");
    let admitted = world.admitted("a").await;
    assert_eq!(admitted.formula.script.bytes, b"echo rotate\n");
    assert_eq!(admitted.formula.meta, None);
}

#[tokio::test]
async fn a_formula_that_is_a_link_or_missing_is_refused() {
    let world = World::new().await;
    std::os::unix::fs::symlink("/etc/passwd", world.repo.work().join("formulas/link.sh")).unwrap();
    world.file("a", "link");
    world.file("b", "nowhere");
    world.repo.signed_commit("formulas", &world.alice);
    assert_eq!(world.rejected("a").await, Reason::FormulaInvalid);
    assert_eq!(world.rejected("b").await, Reason::FormulaNotFound);
}

#[tokio::test]
async fn an_action_that_is_edited_after_the_approval_is_a_new_request() {
    let mut world = World::new().await;
    world.file("a", "rotate");
    world.repo.signed_commit("rotate", &world.alice);
    let approved = world.admitted("a").await.blob;
    world.repo.write("vault/actions/a.toml", &(action("a", "rotate") + "priority = 99\n"));
    world.repo.commit("sooner");
    assert_eq!(world.rejected("a").await, Reason::NotSigned, "before it was taken up");
    world.settled("a", &approved);
    assert_eq!(world.set_aside("a").await, Reason::IdAlreadyUsed, "after it was settled");
}

#[tokio::test]
async fn an_action_that_is_removed_and_put_back_without_a_signature_is_not_approved() {
    let world = World::new().await;
    world.file("a", "rotate");
    world.file("other", "tidy");
    world.repo.signed_commit("rotate", &world.alice);
    world.admitted("a").await;
    world.repo.git(&["rm", "-q", "vault/actions/a.toml"]);
    world.repo.commit("withdrawn");
    world.file("a", "rotate");
    world.repo.commit("put back");
    // Whoever looks at something else meanwhile must not carry the old answer over.
    world.admitted("other").await;
    assert_eq!(world.rejected("a").await, Reason::NotSigned);
}

#[tokio::test]
async fn a_signed_commit_on_a_branch_that_an_unsigned_merge_brings_approves_nothing() {
    let world = World::new().await;
    world.repo.git(&["checkout", "-q", "-b", "side"]);
    world.file("a", "rotate");
    world.repo.signed_commit("rotate", &world.alice);
    world.repo.git(&["checkout", "-q", "main"]);
    world.repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    assert_eq!(world.rejected("a").await, Reason::NotSigned);
}

#[tokio::test]
async fn links_nested_entries_and_names_in_another_case_are_no_actions() {
    let world = World::new().await;
    world.file("real", "tidy");
    std::os::unix::fs::symlink("real.toml", world.repo.work().join("vault/actions/link.toml")).unwrap();
    world.repo.write("vault/actions/2026/real.toml", &action("real", "tidy"));
    world.repo.write("vault/actions/REAL.toml", &action("real", "tidy"));
    world.repo.commit("entries");
    assert_eq!(world.rejected("link").await, Reason::NotAPlainFile);
    assert_eq!(world.set_aside("2026/real").await, Reason::NestedEntry);
    assert_eq!(world.set_aside("REAL").await, Reason::IdCaseCollision);
    world.admitted("real").await;
}

#[tokio::test]
async fn a_direct_commit_is_only_for_the_low_tier() {
    let world = World::new().await;
    world.repo.write("vault/actions/a.toml", &(action("a", "rotate") + "dispatch_mode = \"direct\"\n"));
    world.repo.signed_commit("rotate", &world.alice);
    assert_eq!(world.rejected("a").await, Reason::DirectNotAllowed);
}

#[tokio::test]
async fn keys_hidden_in_a_text_of_several_lines_are_text() {
    let world = World::new().await;
    let hidden = "id = \"a\"\ncontext = \"\"\"\nformula = \"tidy\"\nblast_radius = \"low\"\n\"\"\"\nformula = \"rotate\"\nsecrets = []\n";
    world.repo.write("vault/actions/a.toml", hidden);
    world.repo.commit("hidden");
    assert_eq!(world.rejected("a").await, Reason::NotSigned, "the formula is rotate, which is medium");
}

#[tokio::test]
async fn a_planted_result_stops_the_action_in_either_layout() {
    let world = World::new().await;
    world.file("a", "tidy");
    world.file("b", "tidy");
    world.repo.write("vault/actions/a.result.json", "{\"exit_code\": 0}");
    world.repo.write("vault/results/2026/11/b.result.json", "{\"exit_code\": 0}");
    world.repo.commit("done already");
    assert_eq!(world.set_aside("a").await, Reason::ForeignResult);
    assert_eq!(world.set_aside("b").await, Reason::ForeignResult);
}

#[tokio::test]
async fn a_planted_result_does_not_make_a_dependency_succeed() {
    let world = World::new().await;
    world.file("first", "tidy");
    world.repo.write("vault/actions/first.result.json", "{\"exit_code\": 0, \"state\": \"succeeded\"}");
    world.repo.write("vault/actions/second.toml", &(action("second", "tidy") + "depends_on = [\"first\"]\n"));
    world.repo.commit("two");
    assert_eq!(world.explain("second").await.verdict.reason(), Some(Reason::DependencyPending));
}

#[tokio::test]
async fn actions_that_depend_on_each_other_are_rejected() {
    let world = World::new().await;
    for (id, on) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let text = action(id, "tidy") + &format!("depends_on = [\"{on}\"]\n");
        world.repo.write(&format!("vault/actions/{id}.toml"), &text);
    }
    world.repo.commit("a circle");
    assert_eq!(world.rejected("b").await, Reason::DependencyCycle);
}

#[tokio::test]
async fn formulas_come_from_the_ops_repo_then_from_the_sources_in_their_order() {
    let mut world = World::new().await;
    let (library, folder) = (OpsRepo::new(), tempfile::tempdir().unwrap());
    library.write("formulas/shared.sh", "echo library\n");
    library.write("formulas/rotate.sh", "echo never\n");
    library.commit("formulas");
    library.git(&["tag", "-m", "one", "v1"]);
    library.git(&["push", "-q", "origin", "v1"]);
    std::fs::write(folder.path().join("shared.sh"), "echo too late\n").unwrap();
    std::fs::write(folder.path().join("local.sh"), "echo local\n").unwrap();
    let config = serde_json::json!([
        { "git": library.bare().display().to_string(), "ref": "v1" },
        { "directory": folder.path() },
    ]);
    let mut sources = Vec::new();
    for source in serde_json::from_value::<Vec<dispatch::config::types::FormulaSource>>(config).unwrap() {
        sources.push(FormulaSource::open(&source, &world.repo.state()).await.unwrap());
    }
    world.gatherer = Gatherer::new(world.mirror.clone(), "vault/actions", Chain::Signed(None), sources);
    for formula in ["rotate", "shared", "local"] {
        world.file(&format!("run-{formula}"), formula);
    }
    world.repo.signed_commit("three", &world.alice);
    world.gatherer.refresh_sources().await.unwrap();
    assert_eq!(world.admitted("run-rotate").await.formula.script.bytes, b"echo rotate\n");
    assert_eq!(world.admitted("run-shared").await.formula.script.bytes, b"echo library\n");
    assert_eq!(world.admitted("run-local").await.formula.script.bytes, b"echo local\n");
}

#[tokio::test]
async fn a_file_of_this_machine_is_judged_by_the_head_and_never_runs_unless_the_config_says_so() {
    let mut world = World::new().await;
    let scene = world.scene().await;
    let bytes = action("a", "rotate");
    let snapshot = world
        .gatherer
        .gather_file(&scene, "a.toml", bytes.as_bytes(), &world.rules, &world.journal, &Generous)
        .await
        .unwrap();
    assert!(matches!(admit(&snapshot, &world.rules).verdict, Verdict::SetAside { .. }));
    world.rules.local_files = LocalFiles::ForDebugging;
    let Verdict::Admitted(admitted) = admit(&snapshot, &world.rules).verdict else { panic!("the config says so") };
    assert_eq!((admitted.approval.how, admitted.formula.script.bytes.as_slice()), (How::None, &b"echo rotate\n"[..]));
}

#[tokio::test]
async fn many_actions_cost_as_many_processes_as_few() {
    let world = World::new().await;
    for number in 0..200 {
        world.file(&format!("low-{number}"), "tidy");
        if number % 20 == 0 {
            world.repo.commit("some more");
        }
    }
    world.file("signed", "rotate");
    world.repo.signed_commit("the last", &world.alice);
    let scene = world.scene().await;
    let entries = world.mirror.entries(&scene.head, "vault/actions").await.unwrap();
    let before = world.mirror.processes();
    let explained = world.explain_all(&entries, &scene).await;
    let cost = world.mirror.processes() - before;
    assert_eq!(explained.len(), 201);
    for explanation in &explained {
        assert!(matches!(explanation.verdict, Verdict::Admitted(_)), "{explanation}");
    }
    assert!(cost <= 30, "{cost} processes for {} actions", explained.len());
    let before = world.mirror.processes();
    world.explain_all(&entries, &scene).await;
    assert!(world.mirror.processes() - before <= 10, "the second look costs {}", world.mirror.processes() - before);
}
