//! From an approved action to its result through Nomad, and the same steps by hand with bare HTTP calls and git, by turns: against the
//! testbed's server, where one is up (`tests/testbed/up`); without it there are no rows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use dispatch::runner::envelope::{Envelope, FormulaKind, Handover, Limits, PROTOCOL, Sealed};
use dispatch::support::clock::{Clock as _, SystemClock};
use dispatch::support::http::{self, Times};
use dispatch::support::ids::{BlobId, LaunchKey, sha256_hex};
use reqwest::Method;
use serde_json::{Value, json};

use crate::Effort;
use crate::pickup::{at, between, first_line};
use crate::repo::{Repo, run};
use crate::table::{Goal, Row};
use crate::world::{Service, Setup, World};

/// What the formula does, also by hand.
const FORMULA: &str = "echo $EPOCHREALTIME\n";

/// What one action took, in milliseconds.
#[derive(Clone, Copy)]
struct Taken {
    /// From the commit on the branch to Nomad's word that it has the run.
    landed_to_accepted: f64,
    /// From there to the formula's first line.
    accepted_to_first_line: f64,
    /// From the formula's end to the result on the branch.
    ended_to_pushed: f64,
}

/// The dispatcher and a hand, by turns.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let Some(api) = Api::of_testbed("bench") else { return Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = World::new();
    runtime.block_on(api.make_namespace());
    let config = config(world.path(), &api);
    register(world.path(), &config);
    let mut service = world.serve(Setup::default(), &config);
    service.wait_looked();
    let hand = Hand::new(&world, &api);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 0..effort.of(4_u32, 12) {
        ours.push(dispatched(&world, &mut service, number));
        theirs.push(runtime.block_on(hand.one(&world.repo, number)));
    }
    drop(service);
    runtime.block_on(api.end());
    rows(&ours, &theirs)
}

/// What one part is called, and how long it took.
type Part = (&'static str, fn(&Taken) -> f64);

fn rows(ours: &[Taken], theirs: &[Taken]) -> Vec<Row> {
    let parts: [Part; 3] = [
        ("Nomad: commit on the branch → accepted, at a poll of 0.2 s", |taken| taken.landed_to_accepted),
        ("Nomad: accepted → the formula's first line", |taken| taken.accepted_to_first_line),
        ("Nomad: the formula's end → result on the branch", |taken| taken.ended_to_pushed),
    ];
    let of = |all: &[Taken], part: fn(&Taken) -> f64| all.iter().map(part).collect::<Vec<f64>>();
    let three = |(what, part): Part| {
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| part(ours) / part(theirs)).collect();
        [
            Row::new(what, "ms", Goal::None, of(ours, part)),
            Row::new("… by hand", "ms", Goal::None, of(theirs, part)),
            Row::new("… so many times as long as by hand", "×", Goal::None, ratios),
        ]
    };
    parts.into_iter().flat_map(three).collect()
}

/// What a dispatcher is told of Nomad; its token goes to a file of this folder.
pub(crate) fn config(folder: &Path, api: &Api) -> String {
    let token = folder.join("nomad-token");
    fs::write(&token, &api.token).unwrap();
    format!(
        "[backends]\ndefault = \"nomad\"\n[backends.nomad]\naddress = \"{}\"\nnamespace = \"{}\"\ntoken_file = \"{}\"\n\
         [backends.nomad.runner]\ndriver = \"raw_exec\"\ncommand = \"{}\"\ncpu = 20\nmemory = 64\ndisk = 110\n",
        api.address,
        api.namespace,
        token.display(),
        env!("CARGO_BIN_EXE_dispatch")
    )
}

/// Registers the jobs.
pub(crate) fn register(folder: &Path, config: &str) {
    let file = folder.join("register.toml");
    fs::write(&file, format!("[ops]\nremote = '/nowhere/ops.git'\n{config}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
    command.args(["jobs", "apply", "--config"]).arg(&file).env_clear();
    let applied = command.output().unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}

/// By the dispatcher.
fn dispatched(world: &World, service: &mut Service, number: u32) -> Taken {
    let name = format!("ours{number}");
    let landed = world.repo.land_actions(&name, 1, "tell");
    service.wait_published(number + 1);
    let pushed = world.repo.moved_at();
    let accepted = at(&service.events(&format!("{name}-0@")), "start");
    let first = first_line(&world.repo.show(&format!("vault/actions/{name}-0.result.json")));
    Taken {
        landed_to_accepted: between(landed, accepted),
        accepted_to_first_line: between(accepted, first),
        ended_to_pushed: between(first, pushed),
    }
}

/// Bare calls to Nomad, in a namespace of the bench's own.
pub(crate) struct Api {
    http: reqwest::Client,
    address: String,
    token: String,
    namespace: String,
}

impl Api {
    /// Where the server is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// To the testbed's server, in a namespace whose name begins with `stem`.
    pub(crate) fn of_testbed(stem: &str) -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let found =
            variable("DISPATCH_TESTBED").and_then(|_| Some((variable("NOMAD_ADDR")?, variable("NOMAD_TOKEN")?)));
        let Some((address, token)) = found else {
            eprintln!("no testbed is up, so nothing is said of Nomad");
            return None;
        };
        let times = Times { connect: Duration::from_secs(5), request: Duration::from_secs(90) };
        let http = http::client(&address, times, None).unwrap();
        Some(Self { http, address, token, namespace: format!("{stem}-{}", std::process::id()) })
    }

    /// The answer's text, and the index that it holds at.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (String, u64) {
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = format!("{}{path}{separator}namespace={}", self.address, self.namespace);
        let mut request = self.http.request(method, &url).header("X-Nomad-Token", &self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let index = answer.headers().get("X-Nomad-Index").and_then(|index| index.to_str().ok()?.parse().ok());
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        (text, index.unwrap_or(0))
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> (Value, u64) {
        let (text, index) = self.ask(method, path, body).await;
        (serde_json::from_str(&text).unwrap(), index)
    }

    pub(crate) async fn make_namespace(&self) {
        let body = json!({ "Name": self.namespace });
        self.ask(Method::PUT, &format!("/v1/namespace/{}", self.namespace), Some(body)).await;
    }

    /// Dispatches a run of [`FORMULA`] for this action; answers the child.
    pub(crate) async fn dispatch(&self, id: &str, action: &str) -> String {
        let body = json!({ "Meta": { "run_id": format!("{id}@1") }, "Payload": payload(id, action) });
        let (answer, _) = self.json(Method::PUT, "/v1/job/vault-runner/dispatch", Some(body)).await;
        answer["DispatchedJobID"].as_str().unwrap().to_owned()
    }

    /// Stops what was registered; the namespace stays as long as Nomad keeps its dead jobs.
    pub(crate) async fn end(&self) {
        self.ask(Method::DELETE, "/v1/job/vault-runner", None).await;
    }
}

/// What a person would do: fetch, dispatch, wait for the end, read the log, commit, push.
struct Hand<'a> {
    api: &'a Api,
    clone: PathBuf,
}

impl<'a> Hand<'a> {
    fn new(world: &World, api: &'a Api) -> Self {
        let clone = world.path().join("by-hand");
        run(Command::new("git").args(["clone", "--quiet", &world.url()]).arg(&clone));
        Self { api, clone }
    }

    fn git(&self, arguments: &[&str]) -> String {
        let person = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        run(Command::new("git").arg("-C").arg(&self.clone).args(person).args(arguments))
    }

    async fn one(&self, repo: &Repo, number: u32) -> Taken {
        // No action to the dispatcher, which would run it too.
        let id = format!("theirs{number}");
        let landed = repo.land(&[(format!("by-hand/{id}.toml"), format!("id = \"{id}\"\n"))]);
        self.git(&["pull", "--quiet", "--ff-only"]);
        let action = fs::read_to_string(self.clone.join(format!("by-hand/{id}.toml"))).unwrap();
        let child = self.api.dispatch(&id, &action).await;
        let accepted = SystemClock.now();

        let log = self.log(&child).await;
        let result = json!({ "id": id, "logs": log }).to_string();
        fs::write(self.clone.join(format!("by-hand/{id}.json")), &result).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", "result"]);
        self.git(&["push", "--quiet"]);
        let (first, pushed) = (first_line(&result), repo.moved_at());
        Taken {
            landed_to_accepted: between(landed, accepted),
            accepted_to_first_line: between(accepted, first),
            ended_to_pushed: between(first, pushed),
        }
    }

    /// What the formula of `child` printed, once it is over.
    async fn log(&self, child: &str) -> String {
        let mut index = 0;
        let allocation = loop {
            let path = format!("/v1/job/{child}/allocations?index={index}&wait=60s");
            let (all, next) = self.api.json(Method::GET, &path, None).await;
            index = next;
            let over = |one: &&Value| one["ClientStatus"] == "complete";
            if let Some(one) = all.as_array().unwrap().iter().find(over) {
                break one["ID"].as_str().unwrap().to_owned();
            }
        };
        let path = format!("/v1/client/fs/logs/{allocation}?task=runner&type=stdout&plain=true");
        let (text, _) = self.api.ask(Method::GET, &path, None).await;
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter_map(|event| event["text"].as_str().map(str::to_owned)).collect()
    }
}

/// What the runner is handed, in base64.
fn payload(id: &str, action: &str) -> String {
    let seal = |text: &str| Sealed { sha256: sha256_hex(text.as_bytes()), bytes: text.as_bytes().to_vec() };
    let name = id.parse().unwrap();
    let envelope = Envelope {
        protocol: PROTOCOL,
        run: format!("{id}@1").parse().unwrap(),
        key: LaunchKey::of_action(&name, &BlobId::of_bytes(action.as_bytes()), 1),
        slot: 0,
        action: seal(action),
        formula: "tell".parse().unwrap(),
        kind: FormulaKind::Mechanical,
        script: seal(FORMULA),
        context_files: [].into(),
        params: [].into(),
        mounts: [].into(),
        environment: [].into(),
        handover: Handover::Values([].into()),
        limits: Limits { timeout_seconds: 100, grace_seconds: 1 },
        working_directory: None,
        traceparent: None,
    };
    base64::engine::general_purpose::STANDARD.encode(&*envelope.to_handover().unwrap())
}
