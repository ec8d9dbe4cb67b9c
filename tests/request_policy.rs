//! Which policy counts, and whose bytes an action is, with a real git repository and a forge that answers as told: where it names a
//! request late, lists commits that are not the request's own any more, or has forgotten a request. Needs `git`.
//!
//! `tests/forge` shows the same against a real forge.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and stops"
)]

#[path = "common/ops_repo.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests, each of which uses a part")]
mod ops_repo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use dispatch::admission::gather::{ApprovedPolicy, Chain, LedgerError, Requests, Sight};
use dispatch::admission::snapshot::{Earlier, Stage};
use dispatch::admission::{Gatherer, Ledger, Rules, Scene, admit};
use dispatch::config::Config;
use dispatch::grant::{Ask, Grant, GrantError, GrantRecord, Presence, SecretProvider};
use dispatch::ops::Mirror;
use dispatch::support::checkup::Finding;
use dispatch::support::ids::{ActionId, CommitId, SecretName};
use jiff::{SignedDuration, Timestamp};
use ops_repo::OpsRepo;
use serde_json::{Value, json};

const POLICY: &str = "[tiers]\ndeploy = \"medium\"\necho = \"low\"\n";
const LAX: &str = "[tiers]\ndeploy = \"low\"\necho = \"low\"\n";
const TIGHT: &str = "[tiers]\ndeploy = \"medium\"\necho = \"high\"\n";
const PLACE: &str = "vault/policy.toml";

/// A merged pull request, as the forge tells of it.
#[derive(Debug, Clone)]
struct Pull {
    number: u64,
    merge: CommitId,
    commits: Vec<CommitId>,
    /// The commits that bob approved.
    approved: Vec<CommitId>,
    reopened: bool,
}

/// What the forge answers.
#[derive(Debug, Default)]
struct Told {
    pulls: Vec<Pull>,
    /// It does not know these merges yet, or no longer.
    unnamed: BTreeSet<CommitId>,
}

impl Told {
    fn answer(&self, path: &[&str]) -> Option<Value> {
        let of = |number: &str| self.pulls.iter().find(|pull| pull.number.to_string() == number);
        Some(match path {
            [] => json!({ "id": 1, "full_name": "o/r", "has_pull_requests": true, "allow_manual_merge": false }),
            ["commits", sha, "pull"] => {
                let merge: CommitId = sha.parse().ok()?;
                let pull = self.pulls.iter().find(|pull| pull.merge == merge && !self.unnamed.contains(&merge))?;
                let side = json!({ "ref": "main", "repo_id": 1 });
                json!({
                    "number": pull.number, "user": { "id": 1, "login": "alice" }, "state": "closed", "merged": true,
                    "merged_by": null, "merge_commit_sha": merge, "base": side, "head": side,
                })
            }
            ["pulls", number, "reviews"] => reviews(of(number)?),
            ["pulls", number, "commits"] => {
                json!(of(number)?.commits.iter().map(|sha| json!({ "sha": sha })).collect::<Vec<_>>())
            }
            ["issues", number, "timeline"] => happenings(of(number)?),
            _ => return None,
        })
    }
}

fn reviews(pull: &Pull) -> Value {
    let bob = json!({ "id": 2, "login": "bob" });
    let review =
        |(id, commit): (usize, &CommitId)| json!({ "id": id, "user": bob, "state": "APPROVED", "commit_id": commit });
    json!(pull.approved.iter().enumerate().map(review).collect::<Vec<_>>())
}

fn happenings(pull: &Pull) -> Value {
    let reopened = pull.reopened.then(|| json!({ "id": 1, "type": "reopen" }));
    let reviews = (0..pull.approved.len()).map(|id| json!({ "id": id + 10, "type": "review", "review_id": id }));
    let merged = json!({ "id": 100, "type": "merge_pull" });
    json!(reopened.into_iter().chain(reviews).chain([merged]).collect::<Vec<_>>())
}

async fn answer(State(told): State<Arc<Mutex<Told>>>, request: Request) -> Response {
    let path = request.uri().path().strip_prefix("/api/v1/repos/o/r").unwrap().to_owned();
    let path: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let json = [(header::CONTENT_TYPE, "application/json")];
    let Some(answer) = told.lock().unwrap().answer(&path) else {
        let words = json!({ "message": "pull request does not exist [id: 0]" });
        return (StatusCode::NOT_FOUND, json, words.to_string()).into_response();
    };
    let count = answer.as_array().map_or(0, Vec::len).to_string();
    (json, [("x-total-count", count)], answer.to_string()).into_response()
}

/// A journal in memory.
#[derive(Debug, Default)]
struct Memory {
    approved: Mutex<Vec<ApprovedPolicy>>,
    seen: Mutex<BTreeMap<CommitId, Sight>>,
    earlier: Mutex<BTreeMap<ActionId, Earlier>>,
}

#[async_trait]
impl Ledger for Memory {
    async fn earlier(&self, ids: &BTreeSet<ActionId>) -> Result<BTreeMap<ActionId, Earlier>, LedgerError> {
        let earlier = self.earlier.lock().unwrap();
        Ok(ids.iter().filter_map(|id| Some((id.clone(), earlier.get(id)?.clone()))).collect())
    }
    async fn approved_policy(&self, commit: &CommitId) -> Result<Option<ApprovedPolicy>, LedgerError> {
        Ok(self.approved.lock().unwrap().iter().find(|approved| approved.commit == *commit).cloned())
    }
    async fn keep_policy(&self, approved: &ApprovedPolicy) -> Result<(), LedgerError> {
        self.approved.lock().unwrap().push(approved.clone());
        Ok(())
    }
    async fn policy_seen(&self, changes: &[CommitId], now: &Sight) -> Result<BTreeMap<CommitId, Sight>, LedgerError> {
        let mut seen = self.seen.lock().unwrap();
        for change in changes {
            seen.entry(change.clone()).or_insert_with(|| now.clone());
        }
        Ok(seen.clone())
    }
}

/// Has no secrets.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl SecretProvider for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }
    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }
    async fn presence(&self, _: &SecretName) -> Presence {
        Presence::Absent { evidence: String::new() }
    }
    async fn mint(&self, _: Ask<'_>) -> Result<Grant, GrantError> {
        Err(GrantError::Unavailable { detail: "admission mints nothing".to_owned() })
    }
    async fn revoke(&self, _: &GrantRecord) -> Result<(), GrantError> {
        Ok(())
    }
}

/// An ops repo on the forge, of which Alice writes everything and Bob approves.
struct World {
    repo: OpsRepo,
    told: Arc<Mutex<Told>>,
    journal: Memory,
    mirror: Mirror,
    url: String,
    gatherer: Gatherer,
    rules: Rules,
    now: Timestamp,
}

impl World {
    /// With `policy` in its first commit.
    async fn new(policy: Option<&str>) -> Self {
        let repo = OpsRepo::empty();
        for (path, text) in policy.map(|text| (PLACE, text)).into_iter().chain([("formulas/echo.sh", "echo\n")]) {
            repo.write(path, text);
        }
        repo.write("formulas/deploy.sh", "echo deployed\n");
        repo.commit("first");
        repo.push();
        let told = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&told));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let settings = OpsRepo::settings(&repo.bare().display().to_string());
        let mirror = Mirror::open(&settings, &repo.state()).await.unwrap();
        let config = config(&repo, &url, None);
        let (gatherer, rules) = (gatherer(&mirror, &config), Rules::from(&config));
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        Self { repo, told, journal: Memory::default(), mirror, url, gatherer, rules, now }
    }

    /// As after a restart, with that root of trust.
    fn restart(&mut self, root: Option<&CommitId>) {
        self.gatherer = gatherer(&self.mirror, &config(&self.repo, &self.url, root));
    }

    fn later(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// Straight onto the primary branch.
    fn push(&self, files: &[(&str, &str)]) -> CommitId {
        for (path, text) in files {
            self.repo.write(path, text);
        }
        let commit = self.repo.commit("directly");
        self.repo.push();
        commit
    }

    /// A branch with a commit for each file; the work tree is on `main` again.
    fn branch(&self, files: &[(&str, &str)]) -> Vec<CommitId> {
        self.repo.git(&["checkout", "--quiet", "-B", "request"]);
        let commit = |(path, text): &(&str, &str)| {
            self.repo.write(path, text);
            self.repo.commit(path)
        };
        let commits = files.iter().map(commit).collect();
        self.repo.git(&["checkout", "--quiet", "main"]);
        commits
    }

    /// Merges `commits` as a request that Bob approved at its head.
    fn merge(&self, commits: &[CommitId], how: How) -> Pull {
        let head = commits.last().unwrap();
        let number = u64::try_from(self.told.lock().unwrap().pulls.len()).unwrap() + 1;
        self.repo.git(&["push", "--quiet", "origin", &format!("{head}:refs/pull/{number}/head")]);
        let merge = match how {
            How::Squash => {
                self.repo.git(&["merge", "--quiet", "--squash", head.as_str()]);
                self.repo.commit("squashed")
            }
            How::Forward => {
                self.repo.git(&["merge", "--quiet", "--ff-only", head.as_str()]);
                self.repo.head()
            }
        };
        self.repo.push();
        let pull = Pull { number, merge, commits: commits.to_vec(), approved: vec![head.clone()], reopened: false };
        self.told.lock().unwrap().pulls.push(pull.clone());
        pull
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap());
    }

    async fn scene(&self) -> Scene {
        let head = self.mirror.fetch().await.unwrap();
        Scene { head, rewritten: None, backends: BTreeMap::new(), now: self.now }
    }

    /// What a round does when the primary branch has a new policy.
    async fn keep_policy(&self) -> Result<(), String> {
        self.gatherer.keep_policy(&self.scene().await, &self.rules, &self.journal).await
    }

    /// An action is seen for the first time.
    async fn sees(&self, id: &str) {
        let scene = self.scene().await;
        let entry = self.mirror.lookup(&scene.head, &[path(id)]).await.unwrap().remove(0).unwrap();
        let (blob, since, head) = (entry.object, scene.now, scene.head);
        let earlier = Earlier { blob, since, head, stage: Stage::Seen, result: None, approved: None };
        self.journal.earlier.lock().unwrap().insert(id.parse().unwrap(), earlier);
    }

    /// Every check of an action, in words.
    async fn explain(&self, id: &str) -> String {
        let scene = self.scene().await;
        let entries: Vec<_> =
            self.mirror.lookup(&scene.head, &[path(id)]).await.unwrap().into_iter().flatten().collect();
        let gathered = self.gatherer.gather(&scene, &entries, &self.rules, &self.journal, &Nothing).await.unwrap();
        admit(&gathered[0], &self.rules).to_string()
    }

    /// The same of one that is pushed now, by nobody's leave.
    async fn pushed(&self, id: &str, formula: &str) -> String {
        self.push(&[(&path(id), &action(id, formula))]);
        self.explain(id).await
    }
}

#[derive(Debug, Clone, Copy)]
enum How {
    Squash,
    Forward,
}

fn config(repo: &OpsRepo, url: &str, root: Option<&CommitId>) -> Config {
    let approvers = json!({ "approvers": [{ "login": "bob", "id": 2 }] });
    let config = json!({
        "ops": { "remote": repo.bare().display().to_string() },
        "forge": { "url": url, "repository": "o/r", "timeout_seconds": 5 },
        "approval": {
            "mode": "pull_request", "request_wait_seconds": 60, "trust_root": root, "medium": approvers, "high": approvers,
        },
    });
    serde_json::from_value(config).unwrap()
}

fn gatherer(mirror: &Mirror, config: &Config) -> Gatherer {
    let requests = Requests::open(config, mirror.clone()).unwrap();
    Gatherer::new(mirror.clone(), "vault/actions", Chain::AsItStands, Vec::new()).with_requests(requests)
}

fn path(id: &str) -> String {
    format!("vault/actions/{id}.toml")
}

fn action(id: &str, formula: &str) -> String {
    format!("id = \"{id}\"\nformula = \"{formula}\"\ncontext = \"why\"\nsecrets = []\n")
}

const LOW: &str = "low: vault/policy.toml names it so";
const MEDIUM: &str = "medium: vault/policy.toml names it so";
const HIGH: &str = "high: vault/policy.toml names it so";
const UNNAMED: &str = "high: vault/policy.toml does not name formula";

fn says(explained: &str, words: &[&str]) {
    for words in words {
        assert!(explained.contains(words), "`{words}` is not said in\n{explained}");
    }
}

#[tokio::test]
async fn the_first_policy_after_a_root_without_one_counts_only_when_it_was_approved() {
    let mut world = World::new(None).await;
    let root = world.repo.head();
    world.restart(Some(&root));
    world.push(&[(PLACE, LAX)]);
    says(&world.pushed("a", "deploy").await, &["waits for the forge to name the request of"]);
    world.later(60);
    let ignored = world.pushed("b", "deploy").await;
    says(&ignored, &[UNNAMED, "the change of vault/policy.toml in", "where trust begins"]);
    world.repo.git(&["rm", "--quiet", PLACE]);
    world.push(&[]);
    world.later(60);
    world.merge(&world.branch(&[(PLACE, LAX)]), How::Squash);
    world.pushed("c", "deploy").await;
    world.later(60);
    says(&world.explain("c").await, &[LOW, "approved by bob"]);
}

#[tokio::test]
async fn without_a_root_anybodys_first_policy_counts() {
    let world = World::new(None).await;
    world.push(&[(PLACE, LAX)]);
    says(&world.pushed("a", "deploy").await, &[LOW, "where trust begins"]);
}

#[tokio::test]
async fn on_a_line_without_the_root_nothing_is_believed() {
    let mut world = World::new(Some(POLICY)).await;
    let elsewhere = world.branch(&[("README.md", "never merged\n")]).remove(0);
    world.repo.git(&["push", "--quiet", "origin", &format!("{elsewhere}:refs/heads/elsewhere")]);
    world.restart(Some(&elsewhere));
    says(&world.pushed("a", "echo").await, &["the trust root", "is not among the first parents of", "waiting"]);
}

#[tokio::test]
async fn an_action_waits_while_the_forge_does_not_name_the_request_that_tightened_the_policy() {
    let mut world = World::new(Some(POLICY)).await;
    let pull = world.merge(&world.branch(&[(PLACE, TIGHT)]), How::Squash);
    world.tell(|told| _ = told.unnamed.insert(pull.merge.clone()));
    assert!(world.keep_policy().await.unwrap_err().contains("waits for the forge to name the request of"));
    says(&world.pushed("a", "echo").await, &["waits for the forge to name the request of", "waiting"]);
    world.later(59);
    world.restart(None);
    says(&world.explain("a").await, &["waits for the forge to name the request of"]);
    world.tell(|told| told.unnamed.clear());
    world.keep_policy().await.unwrap();
    says(&world.explain("a").await, &[HIGH, "pull request #1, approved by bob"]);
    assert_eq!(world.journal.approved.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_seen_approved_counts_also_when_the_forge_has_forgotten_the_request() {
    let mut world = World::new(Some(POLICY)).await;
    let pull = world.merge(&world.branch(&[(PLACE, TIGHT)]), How::Squash);
    world.keep_policy().await.unwrap();
    world.tell(|told| _ = told.unnamed.insert(pull.merge.clone()));
    world.later(3600);
    world.restart(None);
    says(&world.pushed("a", "echo").await, &[HIGH, "as was seen when the forge still named the request"]);
}

/// The forge names the later of two merges first.
#[tokio::test]
async fn a_later_request_that_is_found_in_place_of_the_right_one_takes_no_effect_away() {
    let mut world = World::new(Some(POLICY)).await;
    let right = world.merge(&world.branch(&[(PLACE, TIGHT)]), How::Squash);
    world.merge(&world.branch(&[("README.md", "another\n")]), How::Squash);
    world.tell(|told| _ = told.unnamed.insert(right.merge.clone()));
    says(&world.pushed("a", "echo").await, &["waits for the forge to name the request of"]);
    world.tell(|told| told.unnamed.clear());
    says(&world.explain("a").await, &[HIGH]);
    world.later(60);
}

#[tokio::test]
async fn a_change_that_nobody_approved_makes_actions_wait_once_and_not_after_a_restart() {
    let mut world = World::new(Some(POLICY)).await;
    world.push(&[(PLACE, TIGHT)]);
    assert!(world.keep_policy().await.is_err());
    world.later(60);
    world.restart(None);
    world.keep_policy().await.unwrap();
    says(&world.pushed("a", "echo").await, &[LOW, "no pull request that was merged before the action brought it"]);
}

#[tokio::test]
async fn a_change_on_top_of_one_that_nobody_approved_has_no_effect_until_that_is_put_back() {
    let mut world = World::new(Some(POLICY)).await;
    world.push(&[(PLACE, LAX)]);
    assert!(world.keep_policy().await.is_err());
    world.later(60);
    let more = |policy: &str| format!("{policy}backup = \"low\"\n");
    world.merge(&world.branch(&[(PLACE, &more(LAX))]), How::Squash);
    says(&world.pushed("a", "deploy").await, &[MEDIUM, "it was made on top of a version that nobody approved"]);
    world.merge(&world.branch(&[(PLACE, POLICY)]), How::Squash);
    says(&world.pushed("b", "deploy").await, &[MEDIUM, "pull request #2, approved by bob"]);
    world.merge(&world.branch(&[(PLACE, &more(POLICY))]), How::Squash);
    says(&world.pushed("c", "backup").await, &[LOW, "pull request #3, approved by bob"]);
}

/// Its first commit is pushed by itself while it is closed.
fn half_pushed(world: &World, path: &str, text: &str) -> Vec<CommitId> {
    let commits = world.branch(&[(path, text), ("README.md", "honest\n")]);
    world.repo.git(&["merge", "--quiet", "--ff-only", commits[0].as_str()]);
    world.repo.push();
    commits
}

#[tokio::test]
async fn what_was_pushed_out_of_a_request_is_not_its_own_however_it_is_merged() {
    for how in [How::Squash, How::Forward] {
        let mut world = World::new(Some(POLICY)).await;
        let commits = half_pushed(&world, &path("a"), &action("a", "deploy"));
        world.merge(&commits, how);
        world.tell(|told| told.pulls[0].reopened = true);
        world.sees("a").await;
        world.later(60);
        says(&world.explain("a").await, &["bytes_not_of_request"]);
        let commits = half_pushed(&world, PLACE, LAX);
        world.merge(&commits, how);
        world.tell(|told| told.pulls[1].reopened = true);
        assert!(world.keep_policy().await.is_err());
        world.later(60);
        says(&world.pushed("b", "deploy").await, &[MEDIUM, "the change of vault/policy.toml in"]);
    }
}

#[tokio::test]
async fn what_was_seen_before_the_request_was_merged_is_not_its_own() {
    let mut world = World::new(Some(POLICY)).await;
    let commits = half_pushed(&world, &path("a"), &action("a", "deploy"));
    world.sees("a").await;
    world.merge(&commits, How::Forward);
    world.later(60);
    says(&world.explain("a").await, &["bytes_not_of_request", "was seen on the primary branch in"]);
    let commits = half_pushed(&world, PLACE, LAX);
    assert!(world.keep_policy().await.is_err());
    world.merge(&commits, How::Forward);
    world.later(60);
    says(&world.pushed("b", "deploy").await, &[MEDIUM, "vault/policy.toml was seen on the primary branch in"]);
}

#[tokio::test]
async fn a_request_that_moved_the_primary_branch_to_its_head_brought_its_own_commits() {
    let world = World::new(Some(POLICY)).await;
    let commits = world.branch(&[(&path("a"), &action("a", "deploy")), ("README.md", "honest\n")]);
    world.merge(&commits, How::Forward);
    world.sees("a").await;
    says(&world.explain("a").await, &["pull request #1 brought it, approved by bob"]);
    world.merge(&world.branch(&[(PLACE, LAX), ("README.md", "more\n")]), How::Forward);
    says(&world.pushed("b", "deploy").await, &[LOW]);
}
